"""Texts, series and answers through real engines: known figures, the same items for all, canaries, sentences."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_sequences import LETTERS, answerer, forecaster, generator, one_hot, sentiment, stepper

from edgekit.card import DataRef, Provenance
from edgekit.data import Dataset, item_digest
from edgekit.data.windows import long_data
from edgekit.errors import DataError, InputError
from edgekit.measure.evaluate_by_task import METRICS, evaluate_by_task, task_of
from edgekit.measure.evaluate_kinds import KindReport, evaluate_kind
from edgekit.sequences import Scaling, Sequences
from edgekit.tasks.forecasting import ForecastResult

NEXT = np.roll(np.eye(3), 1, axis=1)  # a after c, b after a, c after b
BOOK = long_data("abc" * 40, None, name="book")
STEPS = np.random.default_rng(2).normal(0, 1, 300)
WALK = long_data(100 + np.cumsum(STEPS)[:, None], None, name="walk", columns=("close",))
ANSWERS = Dataset(name="next", items=["abc", "bca", "aaa", "ccc"], answers=("bca", "cab", "bbb", "aab"))
OPINIONS = Dataset(
    name="opinions",
    items=["Good!", "a bad film", "good good bad", "bad bad"],
    labels=np.array([1, 0, 0, 0]),
    class_names=("negative", "positive"),
)


def measured(paths: list[Path], data: Dataset, **options: Any) -> KindReport:
    report = evaluate_by_task(paths, data, **options)
    assert isinstance(report, KindReport)
    return report


def refused(paths: list[Path], data: Dataset) -> str:
    with pytest.raises((DataError, InputError)) as caught:
        evaluate_by_task(paths, data)
    return str(caught.value)


def test_a_generator_that_knows_the_text_has_few_nats_and_one_that_does_not_has_many(tmp_path: Path) -> None:
    sure, unsure = generator(tmp_path / "sure.onnx", 3 * NEXT), generator(tmp_path / "unsure.onnx", 0 * NEXT)
    wrong = generator(tmp_path / "wrong.onnx", 3 * NEXT.T)
    report = measured([sure, unsure, wrong], BOOK)
    expected = -math.log(math.exp(3) / (math.exp(3) + 2))
    figures = [entry.metrics() for entry in report.entries]
    assert [f["nats_per_token"] for f in figures] == pytest.approx([expected, math.log(3), expected + 3], abs=1e-6)
    assert [f["top1"] for f in figures][::2] == [1, 0]
    assert figures[1]["perplexity"] == pytest.approx(3, abs=1e-5)
    assert "p" not in figures[0]
    assert figures[1]["nats_difference"] == pytest.approx(math.log(3) - expected, abs=1e-6)
    assert figures[1]["nats_difference_low"] == pytest.approx(figures[1]["nats_difference_high"])
    assert figures[1]["p"] < 0.001
    assert (report.count, report.left_out) == (29, 0)  # 4 steps each, of 119 that follow another


def test_every_character_but_the_first_is_judged_once(tmp_path: Path) -> None:
    """In a text with one surprise just one target of one window has it."""
    text = "abc" * 20 + "b" + "abc" * 20
    report = measured([generator(tmp_path / "sure.onnx", 9 * NEXT, length=5)], long_data(text, None, name="book"))
    wrong = (1 - report.entries[0].metrics()["top1"]) * report.count * 5
    assert wrong == pytest.approx(2)  # the b, and the a after it


def test_the_same_windows_are_left_out_for_all(tmp_path: Path) -> None:
    text = "".join(np.random.default_rng(0).choice(list("abc"), 401))
    data = long_data(text, None, name="book")
    used = tuple(item_digest(text[i * 40 : i * 40 + 41]) for i in (0, 3))
    calibrated = Provenance(calibration=DataRef(name="book", digest="", count=2, items=used))
    paths = [
        generator(tmp_path / "a.onnx", 2 * NEXT, length=40),
        generator(tmp_path / "b.onnx", 2 * NEXT, length=40, provenance=calibrated),
    ]
    report = measured(paths, data)
    assert (report.count, report.left_out, report.indices) == (8, 2, (1, 2, 4, 5, 6, 7, 8, 9))
    assert measured(paths, data, samples=3).count == 3


def test_a_file_of_one_step_is_judged_on_the_same_windows(tmp_path: Path) -> None:
    """Its states begin at zero with each window: the first token is not foretold, the others by the one before."""
    whole, step = generator(tmp_path / "g.onnx", 3 * NEXT), stepper(tmp_path / "step.onnx", 3 * NEXT @ NEXT)
    report = measured([whole, step], BOOK)
    sure = -math.log(math.exp(3) / (math.exp(3) + 2))
    first, second = (entry.metrics()["nats_per_token"] for entry in report.entries)
    assert (first, second) == pytest.approx((sure, (3 * sure + math.log(3)) / 4), abs=1e-6)
    assert report.entries[1].subject.seconds > 0


def test_a_forecast_is_told_beside_the_last_value(tmp_path: Path) -> None:
    last = forecaster(tmp_path / "last.onnx", [0, 0, 1])
    mean = forecaster(tmp_path / "mean.onnx", [1 / 3] * 3)
    report = measured([last, mean], WALK)
    first, second = (entry.metrics() for entry in report.entries)
    assert (first["mse_ratio"], first["mse_ratio_low"], first["mse_ratio_high"]) == pytest.approx((1, 1, 1), rel=1e-4)
    assert second["mse_ratio_low"] > 1
    assert second["mse_difference_low"] > 0
    series = WALK.whole
    assert isinstance(series, np.ndarray)
    assert first["mse"] == pytest.approx(float(((series[3:] / series[2:-1] - 1) ** 2).mean()), rel=1e-4)
    assert report.count == 297
    assert report.indices == tuple(range(297))


def test_drawn_windows_of_a_series_are_put_in_the_order_of_time(tmp_path: Path) -> None:
    report = measured([forecaster(tmp_path / "last.onnx", [0, 0, 1])], WALK, samples=20)
    assert len(report.indices) == 20
    assert list(report.indices) == sorted(report.indices)
    result, series = report.entries[0].result, WALK.whole
    assert isinstance(result, ForecastResult)
    assert isinstance(series, np.ndarray)
    places = np.array(report.indices)
    np.testing.assert_allclose(result.errors, 1 - series[places + 3, 0] / series[places + 2, 0], atol=1e-6)


def test_the_scale_of_a_series_is_that_of_the_card(tmp_path: Path) -> None:
    paths = [forecaster(tmp_path / f"{s}.onnx", [0, 0, 1], scaling=s) for s in (Scaling.LAST, Scaling.NONE)]
    scaled, whole = (measured([path], WALK).entries[0].metrics()["mse"] for path in paths)
    assert whole > 1000 * scaled


def test_answers_are_exact_or_not(tmp_path: Path) -> None:
    report = measured([answerer(tmp_path / "next.onnx", NEXT), answerer(tmp_path / "same.onnx", np.eye(3))], ANSWERS)
    first, second = (entry.metrics() for entry in report.entries)
    assert (first["exact"], first["top1"]) == (0.75, 11 / 12)
    assert (second["exact"], second["exact_difference"]) == (0, -0.75)
    assert second["top1"] == 0
    assert second["mcnemar_p"] == 0.25


def test_texts_are_classified(tmp_path: Path) -> None:
    report = evaluate_by_task([sentiment(tmp_path / "s.onnx")], OPINIONS)
    (row,) = report.results()
    assert row["metrics"]["top1"] == 0.75
    assert row["confusion_matrix"] == [[2, 1], [0, 1]]


def test_nan_is_refused_by_the_name_of_the_file(tmp_path: Path) -> None:
    broken = generator(tmp_path / "broken.onnx", np.nan * NEXT)
    assert refused([broken], BOOK) == (
        f"{broken}: The model's output has 12 of 12 values that are NaN or infinite; expected finite numbers."
    )


def test_tables_and_json_tell_all(tmp_path: Path) -> None:
    cases = (
        (generator(tmp_path / "g.onnx", 2 * NEXT), BOOK, "Text-generation on 29 items of book", "nats_per_token"),
        (forecaster(tmp_path / "f.onnx", [0, 1]), WALK, "Forecasting on 298 items of walk", "mse_ratio"),
        (answerer(tmp_path / "a.onnx", NEXT), ANSWERS, "Sequence-to-sequence on 4 items of next", "exact"),
    )
    for path, data, title, metric in cases:
        for paths in ([path], [path, path]):
            report = measured(paths, data)
            told, columns, rows = report.table()
            assert told == title
            assert [len(row) for row in rows] == [len(columns)] * len(paths)
            found = report.results()
            assert [row["n"] for row in found] == [report.count] * len(paths)
            assert all(metric in row["metrics"] for row in found)
        assert rows[0][-1] == "-"
        assert rows[1][-1] != "-"


def test_a_constant_series_has_no_ratio_in_the_table(tmp_path: Path) -> None:
    still = long_data(np.full((30, 1), 5.0), None, name="still", columns=("close",))
    _, columns, (row,) = measured([forecaster(tmp_path / "f.onnx", [0, 1])], still).table()
    assert row[columns.index("ratio")] == row[columns.index("ratio") + 1] == "-"


def test_the_task_is_that_of_the_cards_else_that_of_the_data(tmp_path: Path) -> None:
    silent = generator(tmp_path / "silent.onnx", NEXT, task=None)
    assert task_of([silent], BOOK) == "text-generation"
    assert task_of([silent], WALK) == "forecasting"
    assert task_of([silent], ANSWERS) == "sequence-to-sequence"
    assert task_of([silent], OPINIONS) == "classification"
    assert task_of([silent], OPINIONS, decoder="yolov8") == "detection"
    texts, prices = generator(tmp_path / "g.onnx", NEXT), forecaster(tmp_path / "f.onnx", [0, 1])
    assert task_of([silent, texts], WALK) == "text-generation"
    assert refused([texts, prices], WALK) == (
        f"{texts} is for text-generation and {prices} is for forecasting; expected files of one task: evaluate them "
        "apart."
    )
    assert set(METRICS) == {
        *("classification", "text-classification", "detection"),
        *("text-generation", "forecasting", "sequence-to-sequence", "image-generation"),
        *("anomaly-detection", "recommendation", "verification"),
    }


def test_what_cannot_be_measured_is_refused_in_a_sentence(tmp_path: Path) -> None:
    texts, prices = generator(tmp_path / "g.onnx", NEXT), forecaster(tmp_path / "f.onnx", [0, 1])
    answering = answerer(tmp_path / "a.onnx", NEXT)
    assert refused([texts], WALK) == (
        "walk is not what text-generation is measured on; expected a long text: a known name or a .txt file."
    )
    assert refused([prices], BOOK) == (
        "book is not what forecasting is measured on; expected a series: a known name or a .csv with columns of "
        "numbers."
    )
    assert refused([answering], BOOK) == (
        "book is not what sequence-to-sequence is measured on; expected texts with answers: a known name or a .csv "
        "with the columns input and output."
    )
    longer = generator(tmp_path / "long.onnx", NEXT, length=6)
    assert refused([texts, longer], BOOK) == (
        f"{texts} takes windows of 4 steps and {longer} of 6 steps; expected one kind: run them apart."
    )
    other = forecaster(tmp_path / "o.onnx", [0, 0, 1])
    assert refused([prices, other], WALK) == (
        f"{prices} takes windows of 2 steps of close and {other} of 3 steps of close; expected one kind: run "
        "them apart."
    )
    silent = generator(tmp_path / "silent.onnx", NEXT, sequences=None)
    assert refused([silent], BOOK) == (
        f"The card of {silent} does not say how texts become its input, which text-generation needs: take a model that "
        "edgekit trained and converted."
    )
    with pytest.raises(
        InputError,
        match=r"^--preprocess and --labels are of images and classes; leave them out for text-generation\.$",
    ):
        evaluate_by_task([texts], BOOK, preprocess="unit")


def test_outputs_that_are_not_what_the_card_says_are_refused(tmp_path: Path) -> None:
    texts = generator(tmp_path / "g.onnx", NEXT[:, :2])
    assert refused([texts], BOOK) == (
        f"{texts}: The output of a text generator is 4 x 2 for one item; expected 4 x 3: logits of the token that "
        "follows each one given."
    )
    wide = answerer(tmp_path / "w.onnx", NEXT, task="forecasting", sequences=Sequences(text=one_hot(3)))
    assert refused([wide], WALK).startswith(f"The card of {wide} does not say how values become its input")
    no_answer = answerer(tmp_path / "n.onnx", NEXT, sequences=Sequences(text=one_hot(3)))
    assert refused([no_answer], ANSWERS) == (
        "The card of a sequence-to-sequence model tells what its answers are; expected a vocabulary of answers in it: "
        "make the file again with `edgekit convert`."
    )
    strange = dataclasses.replace(BOOK, items=["abcabcx"], whole=None)
    assert refused([texts], strange) == (
        "book is not what text-generation is measured on; expected a long text: a known name or a .txt file."
    )
    assert refused([generator(tmp_path / "ok.onnx", NEXT)], long_data("abxabcabc", None, name="odd")) == (
        f"The model does not know 'x'; it knows {''.join(LETTERS.tokens)!r}: leave it out."
    )


def test_two_outputs_are_refused(tmp_path: Path) -> None:
    import onnx
    from onnx import helper

    from edgekit.artifact import Format, open_artifact, with_card

    path = generator(tmp_path / "two.onnx", NEXT)
    card = open_artifact(path).card
    model = onnx.load(str(path))
    model.graph.node.append(helper.make_node("Relu", ["logits"], ["more"]))
    more = onnx.ValueInfoProto()
    more.CopyFrom(model.graph.output[0])
    more.name = "more"
    model.graph.output.append(more)
    card = dataclasses.replace(card, outputs=(*card.outputs, dataclasses.replace(card.outputs[0], name="more")))
    path.write_bytes(with_card(model.SerializeToString(), card, Format.ONNX))
    assert refused([path], BOOK) == f"{path}: The file has 2 outputs (logits, more); expected one."


def test_a_name_of_data_is_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^digits is not what text-generation is measured on; expected a long text: "):
        evaluate_kind([generator(tmp_path / "g.onnx", NEXT)], "digits", task="text-generation")
