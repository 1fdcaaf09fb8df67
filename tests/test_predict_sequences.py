"""Predictions for texts and series, through the real engines."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from test_evaluate_sequences import NEXT
from tiny_sequences import answerer, forecaster, generator, one_hot, sentiment

from edgekit.errors import DataError, InputError
from edgekit.measure.predict import predict
from edgekit.measure.predict_sequences import called, unknown_words
from edgekit.measure.subjects import open_subjects
from edgekit.sequences import Level, Sequences
from edgekit.tasks.texts import vocabulary_of

PRICES = "Date,open,close\n" + "".join(f"2020-01-{day:02},{day},{10 * day}\n" for day in range(1, 11))


def refused(model: Path, *inputs: Path, **options: Any) -> str:
    with pytest.raises((DataError, InputError)) as caught:
        predict(model, inputs, **options)
    return str(caught.value)


def test_texts_get_named_classes(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("A good film.\n\nbad, bad\n")
    (tmp_path / "table.csv").write_text("text\nGOOD\n")
    report = predict(sentiment(tmp_path / "s.onnx"), [tmp_path / "lines.txt", tmp_path / "table.csv"], texts=["so bad"])
    assert [(p.source, p.top[0].label) for p in report.predictions] == [
        ("A good film.", "positive"),
        ("bad, bad", "negative"),
        ("GOOD", "positive"),
        ("so bad", "negative"),
    ]
    assert report.predictions[1].top[0].score == pytest.approx(1 / (1 + np.exp(-4)))


def test_a_generator_tells_what_comes_next(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("cabcab")
    report = predict(generator(tmp_path / "g.onnx", 5 * NEXT), [tmp_path / "book.txt"], texts=["bbbbbbba"], top=2)
    assert [next(g.label for g in p.top) for p in report.predictions] == ["c", "b"]
    assert report.table()[1] == ["input", "next", "id", "probability"]


def test_a_forecast_is_in_the_units_of_the_series(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(PRICES)
    report = predict(forecaster(tmp_path / "f.onnx", [0, 0, 1.5]), [tmp_path / "prices.csv"])
    (prediction,) = report.predictions
    assert prediction.said == {"forecast": 150.0, "last": 100.0, "scaled": 1.5}
    _, columns, rows = report.table()
    assert (columns, rows[0][1:]) == (["input", "forecast", "last", "scaled"], ["150", "100", "1.5"])
    assert report.results()[0]["forecast"] == 150.0


def test_a_series_as_long_as_the_models_window_is_enough(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(PRICES)
    report = predict(forecaster(tmp_path / "f.onnx", [0] * 9 + [1.5]), [tmp_path / "prices.csv"])
    assert report.predictions[0].said["forecast"] == 150.0


def test_a_text_is_called_by_what_can_be_printed() -> None:
    assert called("red\x1b[31m") == "red\ufffd[31m"


def test_answers_are_spelt(tmp_path: Path) -> None:
    report = predict(answerer(tmp_path / "a.onnx", NEXT), [], texts=["abc", "aaa"])
    assert [p.said for p in report.predictions] == [{"answer": "bca"}, {"answer": "bbb"}]
    assert report.table()[2] == [["abc", "bca"], ["aaa", "bbb"]]


def test_answers_of_another_shape_than_the_cards_are_refused(tmp_path: Path) -> None:
    two = replace(one_hot(3), vocabulary=vocabulary_of("ab", level=Level.CHARACTER))
    for name, answer, wanted in (("few", two, "3 x 2"), ("long", one_hot(4), "4 x 3")):
        model = answerer(tmp_path / f"{name}.onnx", NEXT, sequences=Sequences(text=one_hot(3), answer=answer))
        assert refused(model, texts=["abc"]) == (
            f"An answer of the model is 3 x 3; expected {wanted}: a logit for each token of each step."
        )


def test_a_card_that_lies_about_the_length_is_told_of(tmp_path: Path) -> None:
    model = answerer(tmp_path / "lies.onnx", NEXT, sequences=Sequences(text=one_hot(4), answer=one_hot(3)))
    assert refused(model, texts=["abca"]).endswith(
        "An item for input 'text' has shape 4 x 3; the model takes 3 x 3: give the file a card that fits it."
    )


def test_a_token_that_is_not_seen_is_told_by_its_name() -> None:
    from edgekit.measure.predict import Guess

    assert [Guess(class_id=0, label=t, score=1).title for t in ("a", "\n", " ", None)] == [
        *("a", r"'\n'", "' '", "class 0"),
    ]


def test_the_words_that_are_not_known_are_counted(tmp_path: Path) -> None:
    (subject,) = open_subjects([sentiment(tmp_path / "s.onnx")], preprocess=None, labels=None, threads=1)
    assert unknown_words("a really good movie", subject) == 3
    (letters,) = open_subjects([generator(tmp_path / "g.onnx", NEXT)], preprocess=None, labels=None, threads=1)
    assert unknown_words("abc", letters) == 0


def test_what_cannot_be_predicted_is_refused(tmp_path: Path, colour_model: Any) -> None:
    (tmp_path / "book.txt").write_text("abc")
    (tmp_path / "prices.csv").write_text(PRICES)
    texts, prices = generator(tmp_path / "g.onnx", NEXT), forecaster(tmp_path / "f.onnx", [0, 1])
    words = sentiment(tmp_path / "s.onnx")
    assert refused(texts, texts=["ab"]) == "A text has 2 tokens; the model takes 4: give a longer one."
    assert refused(texts, texts=["abcd"]) == "The model does not know 'd'; it knows 'abc': leave it out."
    assert refused(words, texts=["..."]) == "The text '...' is empty; expected at least one word."
    answering = answerer(tmp_path / "answers.onnx", NEXT)
    assert refused(answering, texts=["abca"]) == "The text 'abca' has 4 tokens; the model takes 3 at most."
    (tmp_path / "chosen.csv").write_text(PRICES)
    chosen = refused(prices, Path(f"{tmp_path / 'chosen.csv'}:close"))
    assert chosen == f"{prices} takes the columns that its card names; leave :close out."
    assert refused(texts, texts=[""]) == "The text '' is empty; expected at least one character."
    assert refused(prices, texts=["abc"]) == f"{prices} takes a series; give a .csv in place of texts."
    assert refused(prices, tmp_path / "book.txt") == (
        f"{tmp_path / 'book.txt'} is no series; {prices} takes a .csv with close."
    )
    assert refused(words, tmp_path / "prices.csv") == (
        f"{tmp_path / 'prices.csv'} holds no texts; expected a column called text or input."
    )
    assert refused(words, tmp_path / "no.txt") == f"There is no file {tmp_path / 'no.txt'}."
    image = colour_model()
    assert refused(image, texts=["abc"]) == (
        f"The card of {image} says nothing of texts or series; expected a model that edgekit trained on them."
    )
    short = forecaster(tmp_path / "long.onnx", [0] * 20)
    assert refused(short, tmp_path / "prices.csv") == (
        f"{tmp_path / 'prices.csv'} has 10 rows; the model takes 20: give a longer series."
    )
    (tmp_path / "signs.csv").write_text("text\n...\n")
    assert refused(words, tmp_path / "signs.csv") == "The text '...' is empty; expected at least one word."


def test_the_command_takes_texts(tmp_path: Path) -> None:
    path = sentiment(tmp_path / "s.onnx")
    done = edgekit("predict", str(path), "--text", "good", "--text", "bad", "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["top"][0]["label"] for row in json.loads(done.stdout)["results"]] == ["positive", "negative"]
    done = edgekit("predict", str(path))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "edgekit: There is nothing to predict; give images, texts, .npy arrays or .npz files.",
    )
