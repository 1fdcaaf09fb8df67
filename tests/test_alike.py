"""Whether files answer the same in two places: tokens one by one, and what is no choice by the limits of its recipe."""

import sys
from pathlib import Path

import numpy as np
import pytest
from test_evaluate_sequences import NEXT
from tiny_generator import generator
from tiny_sequences import forecaster
from tiny_sequences import generator as writer

from edgekit.artifact import open_artifact

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import alike
from aarch64.places import here, run
from material import held_out_inputs


def test_tokens_count_one_by_one(tmp_path: Path) -> None:
    artifact = open_artifact(writer(tmp_path / "w.onnx", NEXT))
    logits = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    other = logits.copy()
    other[1, 2, (logits[1, 2].argmax() + 1) % 3] = 9
    same, metrics = alike.sameness(artifact, {"logits": logits}, {"logits": other})
    assert (same.count, metrics["agreement"]) == (8, 7 / 8)
    assert not alike.holds(metrics)
    assert alike.told(metrics) == "0.8750"


@pytest.mark.parametrize(("change", "held"), [(0, True), (1e-4, True), (0.1, False)])
def test_forecasts_and_pictures_are_held_to_their_limits(change: float, held: bool, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).uniform(-1, 1, (3, 12, 12, 1)).astype(np.float32)
    forecast = np.ones((3, 1), np.float32)
    for path, name, values in (
        (generator(tmp_path / "g.onnx"), "image", picture),
        (forecaster(tmp_path / "f.onnx", [0, 0, 1]), "forecast", forecast),
    ):
        artifact = open_artifact(path)
        _, metrics = alike.sameness(artifact, {name: values}, {name: values + np.float32(change)})
        assert "agreement" not in metrics
        assert alike.holds(metrics) is held
        assert alike.told(metrics) == ("within limits" if held else "beyond limits")


def test_a_generator_is_asked_for_pictures_of_drawn_noise(tmp_path: Path) -> None:
    path = generator(tmp_path / "g.onnx")
    inputs = held_out_inputs(path, [path], None, 3)  # type: ignore[arg-type]  # it looks at no data
    assert {name: values.shape for name, values in inputs.items()} == {"noise": (3, 8), "condition": (3, 3)}
    outputs = run(here(), path, inputs).outputs
    _, metrics = alike.sameness(open_artifact(path), outputs, run(here(), path, inputs).outputs)
    assert metrics["within_limits"] == metrics["identical"] == 1
