"""Models of texts and series on a device: prepared here, run there, the same figures."""

from pathlib import Path
from typing import Any

import pytest
from test_evaluate_sequences import BOOK, NEXT, OPINIONS, WALK
from tiny_sequences import forecaster, generator, sentiment, stepper

from edgekit.data import Dataset
from edgekit.measure.benchmark import benchmark
from edgekit.measure.evaluate_by_task import evaluate_by_task
from edgekit.measure.settings import BenchmarkSettings

pytestmark = pytest.mark.usefixtures("piped")


@pytest.mark.parametrize(
    ("make", "table", "data"),
    [
        (generator, 2 * NEXT, BOOK),
        (stepper, 2 * NEXT @ NEXT, BOOK),
        (forecaster, [0.5, 0.5], WALK),
        (lambda path, _: sentiment(path), None, OPINIONS),
    ],
    ids=["text", "steps", "series", "classes"],
)
def test_figures_on_a_device_are_those_of_here(make: Any, table: Any, data: Dataset, tmp_path: Path) -> None:
    path = make(tmp_path / "m.onnx", table)
    here, there = (evaluate_by_task([path], data, device=device, samples=12) for device in ("local", "board"))
    assert there.results()[0]["metrics"] == here.results()[0]["metrics"]
    assert [report.results()[0]["device"] for report in (here, there)] == ["local", "board"]
    assert there.table()[0].endswith(", on board")
    assert there.host["boot_id"] == here.host["boot_id"]


def test_a_device_is_timed_on_tokens_and_answers_as_here(tmp_path: Path) -> None:
    settings = BenchmarkSettings(runs=2, min_duration_s=0, warmup=0)
    for path in (sentiment(tmp_path / "s.onnx"), stepper(tmp_path / "step.onnx", NEXT)):
        report = benchmark([path], settings, devices=["board"])
        answers = report.results[0].answers
        assert answers is not None
        assert answers.identical
