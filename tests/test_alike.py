"""Whether files answer the same in two places: tokens one by one, and what is no choice by the limits of its recipe."""

import sys
from pathlib import Path

import numpy as np
import pytest
from test_evaluate_sequences import NEXT
from tiny_generator import generator
from tiny_ratings import recommender
from tiny_sequences import forecaster
from tiny_sequences import generator as writer
from tiny_tables import detector
from tiny_verifier import pictures, verifier

from edgekit.artifact import open_artifact
from edgekit.data import Part, open_data

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import alike
from aarch64.places import here, run
from material import held_out_inputs
from pairs_elsewhere import PairFiles


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


def test_anomalies_count_by_the_side_of_the_threshold(tmp_path: Path) -> None:
    artifact = open_artifact(detector(tmp_path / "d.onnx", [0, 1, 1], threshold=1.0))
    rows = np.ones((4, 3), np.float32)
    score = np.array([[0.1], [0.9], [1.1], [5.0]], np.float32)
    there = np.array([[0.2], [1.2], [1.3], [4.0]], np.float32)
    _, metrics = alike.sameness(artifact, *({"reconstruction": rows, "score": found} for found in (score, there)))
    assert metrics["agreement"] == 3 / 4
    assert "within_limits" not in metrics


@pytest.mark.parametrize(("change", "held"), [(1e-5, True), (0.1, False)])
def test_ratings_are_held_to_their_limits_and_not_to_the_largest(change: float, held: bool, tmp_path: Path) -> None:
    artifact = open_artifact(recommender(tmp_path / "r.onnx", [0.5, 0.5, 0.5]))
    here_found = {"reconstruction": np.linspace(0.5, 0.5 + 1e-6, 6, dtype=np.float32).reshape(2, 3)}
    there = {"reconstruction": here_found["reconstruction"] + np.array([change, 0, 0], np.float32)}
    _, metrics = alike.sameness(artifact, here_found, there)
    assert "agreement" not in metrics
    assert alike.holds(metrics) is held


def test_pairs_of_pictures_are_the_same_or_not_by_both_files(tmp_path: Path) -> None:
    path = verifier(tmp_path)
    faces = open_data(str(pictures(tmp_path / "faces", people=2, each=8)), part=Part.EVALUATION, data_dir=None)
    inputs = held_out_inputs(path, [path], faces, 4)
    found = PairFiles(artifact=open_artifact(path), inputs=inputs).run(here())
    assert found.decisions is not None
    assert faces.labels is not None
    first, second = np.triu_indices(4, 1)
    embeddings = found.outputs["embedding"]
    told = np.square(embeddings[first] - embeddings[second]).sum(axis=1) <= 0.1
    assert found.decisions.tolist() == told.tolist()
    assert 0 < told.sum() < len(told) == 6
