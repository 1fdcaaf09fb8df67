"""Texts and series in the verbs that were made for images: each works, or refuses in a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from command import edgekit
from test_evaluate_sequences import ANSWERS, BOOK, NEXT, OPINIONS, WALK
from tiny_sequences import WORDS, answerer, forecaster, generator, one_hot, sentiment, stepper

from edgekit.artifact import open_artifact
from edgekit.bundle import make_bundle
from edgekit.card import ModelCard, TensorSpec
from edgekit.data import Dataset
from edgekit.errors import DataError, InputError
from edgekit.measure.compare import compare
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.report.read import read_results
from edgekit.sequences import Sequences, State


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("abc" * 200)
    return path


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    values = WALK.whole
    assert isinstance(values, np.ndarray)
    rows = [f"2020-{1 + i // 28:02}-{1 + i % 28:02},{v:.4f}" for i, v in enumerate(values[:300, 0])]
    path.write_text("date,close\n" + "\n".join(rows) + "\n")
    return path


def test_evaluate_tells_the_metric_of_each_task(tmp_path: Path, book: Path, prices: Path) -> None:
    (tmp_path / "next.csv").write_text("input,output\nabc,bca\naaa,bbb\n")
    (tmp_path / "opinions.csv").write_text("text,label\nGood!,positive\na bad film,negative\n")
    cases = (
        (generator(tmp_path / "g.onnx", 3 * NEXT), book, "perplexity"),
        (forecaster(tmp_path / "f.onnx", [0, 0, 1]), prices, "persistence_mse"),
        (answerer(tmp_path / "a.onnx", NEXT), tmp_path / "next.csv", "exact"),
        (sentiment(tmp_path / "s.onnx"), tmp_path / "opinions.csv", "ece"),
    )
    for path, data, metric in cases:
        done = edgekit("evaluate", str(path), "--data", str(data), "--json", str(tmp_path / "out.json"))
        assert (done.returncode, done.stderr) == (0, "")
        (row,) = json.loads((tmp_path / "out.json").read_text())["results"]
        assert metric in row["metrics"]


def test_compare_tells_in_how_many_tokens_two_agree(tmp_path: Path) -> None:
    one, other = generator(tmp_path / "a.onnx", NEXT), generator(tmp_path / "b.onnx", NEXT[:, [0, 2, 1]])
    report = compare(one, [one, other], BOOK)
    assert [entry.metrics()["agreement"] for entry in report.entries] == pytest.approx([1, 1 / 3], abs=0.02)
    assert report.count == 29
    (first, second) = (forecaster(tmp_path / f"{n}.onnx", w) for n, w in (("l", [0, 1]), ("m", [0.5, 0.5])))
    assert "agreement" not in compare(first, [second], WALK).entries[0].metrics()
    words = sentiment(tmp_path / "s.onnx")
    assert compare(words, [words], OPINIONS).entries[0].metrics()["agreement"] == 1
    same = answerer(tmp_path / "n.onnx", NEXT)
    assert compare(same, [same], ANSWERS).entries[0].metrics()["agreement"] == 1


def test_a_file_of_one_step_is_compared_with_one_of_whole_sequences(tmp_path: Path) -> None:
    whole, step = generator(tmp_path / "g.onnx", NEXT), stepper(tmp_path / "step.onnx", NEXT @ NEXT)
    metrics = compare(whole, [step], BOOK).entries[0].metrics()
    assert metrics["agreement"] == pytest.approx(0.75, abs=0.1)  # but for the first tokens, whose best is the first
    assert metrics["max_abs"] == 1
    with pytest.raises(DataError, match=r"step\.onnx takes one step at a time; give a text or a window of a series\.$"):
        compare(step, [step], Dataset(name="pairs", items=[{"text": np.zeros(3), "before": np.zeros(3)}]))


def test_a_benchmark_feeds_tokens_of_the_vocabulary(tmp_path: Path) -> None:
    given = sample_inputs(open_artifact(generator(tmp_path / "g.onnx", NEXT)).card, seed=0)["text"]
    assert (given.shape, given.dtype, given.sum()) == ((1, 4, 3), np.float32, 4)
    ids = sample_inputs(open_artifact(sentiment(tmp_path / "s.onnx", length=500)).card, seed=0)["text"]
    assert (ids.shape, ids.dtype, ids.min(), ids.max()) == ((1, 500), np.int32, 0, len(WORDS.tokens) - 1)


def test_a_benchmark_feeds_a_step_and_its_states() -> None:
    spec = TensorSpec(name="text", shape=(1, 3), dtype="int8", scale=(1 / 255,), zero_point=(-128,))
    state = TensorSpec(name="h", shape=(1, 7), dtype="float32")
    how = Sequences(text=one_hot(4), states=(State(input="h", output="new_h"),))
    card = ModelCard(name="step", inputs=(spec, state), outputs=(), sequences=how)
    given = sample_inputs(card, seed=0)
    assert sorted(given["text"].ravel().tolist()) == [-128, -128, 127]
    assert given["h"].shape == (1, 7)


def test_a_bundle_of_texts_verifies(tmp_path: Path) -> None:
    report = make_bundle([sentiment(tmp_path / "s.onnx")], tmp_path / "s.zip", data=OPINIONS)
    assert report.verified[-1] == "verified"
    assert make_bundle([generator(tmp_path / "g.onnx", NEXT)], tmp_path / "g.zip", data=BOOK).verified[-1] == "verified"
    assert make_bundle([forecaster(tmp_path / "f.onnx", [0, 1])], tmp_path / "f.zip").verified[-1] == "verified"


def test_a_step_is_not_taken_for_a_sequence(tmp_path: Path) -> None:
    whole, step = generator(tmp_path / "g.onnx", NEXT), stepper(tmp_path / "step.onnx", NEXT)
    done = edgekit("benchmark", str(whole), str(step))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        f"edgekit: A run of {step} is one time step and one of {whole} a whole sequence, so that their times cannot be "
        "compared: time them apart.",
    )
    with pytest.raises(InputError) as caught:
        make_bundle([step], tmp_path / "b.zip", data=BOOK)
    assert str(caught.value) == (
        f"{step} takes one time step at a time, which no item is; bundle it by itself, without --data and --inputs."
    )
    assert make_bundle([step], tmp_path / "b.zip").verified[-1] == "verified"


def test_a_check_of_texts_with_classes(tmp_path: Path, book: Path) -> None:
    done = edgekit("check", "init", str(sentiment(tmp_path / "s.onnx")), "--data", str(book), "-o", str(tmp_path))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "edgekit: These models are for text-classification, and book is for others: give data with classes, or measure "
        "these with `edgekit evaluate` and `edgekit compare`.",
    )
    data = tmp_path / "opinions.csv"
    data.write_text("text,label\n" + "Good!,positive\na bad film,negative\n" * 5)
    path, home = sentiment(tmp_path / "s.onnx"), tmp_path / "watched"
    done = edgekit("check", "init", str(path), "--data", str(data), "-o", str(home))
    assert done.returncode == 0, done.stderr
    done = edgekit("check", "--config", str(home / "edgekit.toml"))
    assert done.returncode == 0, done.stderr


def test_a_sweep_ranks_by_nats(tmp_path: Path, book: Path) -> None:
    good, bad = generator(tmp_path / "good.onnx", 3 * NEXT), generator(tmp_path / "bad.onnx", 0 * NEXT)
    done = edgekit(
        *("sweep", str(good), str(bad), "--data", str(book), "-o", str(tmp_path / "out")),
        *("--runs", "2", "--min-secs", "0", "--warmup", "0"),
    )
    assert done.returncode == 0, done.stderr
    assert "nats per token" in done.stdout
    rows = json.loads((tmp_path / "out" / "sweep.json").read_text())["results"]
    assert all("nats_per_token" in row["metrics"] for row in rows)
    assert "good.onnx in onnxruntime with 1 thread" in done.stdout
    assert "the most accurate is bad" not in done.stdout


def test_a_report_tells_the_figures_of_texts_series_and_answers(tmp_path: Path, book: Path, prices: Path) -> None:
    (tmp_path / "next.csv").write_text("input,output\nabc,bca\naaa,bbb\nccc,aab\n")
    for path, data in (
        (generator(tmp_path / "g.onnx", 3 * NEXT), book),
        (forecaster(tmp_path / "f.onnx", [0, 0, 1]), prices),
        (answerer(tmp_path / "a.onnx", NEXT), tmp_path / "next.csv"),
    ):
        edgekit("evaluate", str(path), "--data", str(data), "--json", str(tmp_path / f"{path.stem}.json"))
    told = [accuracy for row in read_results(tmp_path).rows for accuracy in row.accuracies]
    assert [(a.metric, a.told.written(a.value), a.data, a.count > 2, a.interval > "") for a in told] == [
        ("right answers", "66.67", "next", True, True),
        ("MSE over that of no change", "1", "prices", True, True),
        ("nats per token", "0.09492", "book", True, True),
    ]
