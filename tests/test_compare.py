"""Outputs beside a reference's, through the real engines."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from edgekit.card import DataRef, Provenance, TensorSpec
from edgekit.data import Dataset, Part, item_digest, open_data
from edgekit.data.arrays import ArrayItems
from edgekit.errors import DataError, InputError
from edgekit.measure.compare import Comparison, OutputComparison, compare, pair_outputs
from edgekit.measure.metrics import IDENTICAL_DB, totals
from edgekit.measure.subjects import Subject

Make = Callable[..., Path]


def test_a_model_equals_itself_and_a_changed_one_does_not(colour_model: Make, colour_photos: Path) -> None:
    model, changed = colour_model(), colour_model(10 * np.eye(3) + 0.5)
    report = compare(model, [model, changed], str(colour_photos / "red"))  # a plain folder, without labels
    same, other = (entry.metrics() for entry in report.entries)
    assert report.count == 8
    assert same == {"max_abs": 0.0, "mean_abs": 0.0, "sqnr_db": IDENTICAL_DB, "cosine": 1.0, "agreement": 1.0}
    # The change adds half of the sum of the channels' means, between 0.5 * 100/255 and 0.5 * 400/255.
    assert 0.2 < other["mean_abs"] <= other["max_abs"] < 0.8
    assert other["agreement"] == 1.0
    assert 10 < other["sqnr_db"] < 30


def test_a_zeroed_layer_shows_and_nan_is_refused(colour_model: Make, colour_photos: Path) -> None:
    (zeroed,) = compare(colour_model(), [colour_model(np.zeros((3, 3)))], str(colour_photos)).entries
    assert zeroed.metrics()["sqnr_db"] == pytest.approx(0.0, abs=1e-9)
    assert zeroed.metrics()["cosine"] == 0.0
    assert zeroed.metrics()["agreement"] == pytest.approx(1 / 3)
    broken = colour_model(np.full((3, 3), np.inf))
    with pytest.raises(DataError) as caught:
        compare(colour_model(), [broken], str(colour_photos))
    assert str(caught.value) == (
        f"Output 'scores' of {broken} has 72 of 72 values that are NaN or infinite; expected finite numbers."
    )


def test_large_data_is_summed_chunk_by_chunk(colour_model: Make) -> None:
    x = np.random.default_rng(0).random((150, 4, 6, 3)).astype(np.float32)
    (entry,) = compare(
        colour_model(), [colour_model(10 * np.eye(3) + 0.5)], Dataset(name="noise", items=ArrayItems(x))
    ).entries
    means = x.astype(np.float64).mean(axis=(1, 2))
    noise = 0.5 * means.sum(axis=1, keepdims=True) * np.ones(3)
    metrics = entry.metrics()
    assert metrics["max_abs"] == pytest.approx(noise.max(), rel=1e-5)
    assert metrics["mean_abs"] == pytest.approx(noise.mean(), rel=1e-5)
    assert metrics["sqnr_db"] == pytest.approx(10 * np.log10(((10 * means) ** 2).sum() / (noise**2).sum()), abs=1e-4)


def test_items_that_calibrated_are_left_out(colour_model: Make, colour_photos: Path) -> None:
    items = [item_digest(i) for i in open_data(str(colour_photos), part=Part.EVALUATION, data_dir=None)]
    used = DataRef(name="photos", digest="", count=5, items=tuple(items[:5]))
    plain, calibrated = colour_model(), colour_model(provenance=Provenance(calibration=used))
    for reference, other in ((plain, calibrated), (calibrated, plain)):
        report = compare(reference, [other], str(colour_photos))
        assert (report.count, report.left_out) == (19, 5)


def test_samples_are_drawn_by_the_seed(colour_model: Make, colour_photos: Path) -> None:
    model, changed = colour_model(), colour_model(10 * np.eye(3) + 0.5)
    first, again, other = (
        compare(model, [changed], str(colour_photos), samples=5, seed=seed).entries[0].metrics() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_the_worst_output_counts() -> None:
    reference = np.array([3.0, 4.0])
    near, far = (
        OutputComparison(name="y", reference="y", totals=totals(reference, np.array(other)), agreement=share, count=2)
        for other, share in (([3.0, 4.5], 1.0), ([4.0, -3.0], 0.5))
    )
    for outputs in ((near, far), (far, near)):
        found = Comparison(subject=cast("Subject", None), outputs=outputs, by_position=False)
        assert found.metrics() == far.metrics()


def test_no_items_are_nothing_to_compare_on(colour_model: Make) -> None:
    empty = Dataset(name="none", items=ArrayItems(np.zeros((0, 4, 6, 3), np.float32)))
    with pytest.raises(InputError) as caught:
        compare(colour_model(), [colour_model()], empty)
    assert str(caught.value) == "The data set none is empty; expected at least one item to compare on."


def spec(name: str, *shape: int | None) -> TensorSpec:
    """An output."""
    return TensorSpec(name=name, shape=shape, dtype="float32")


def test_outputs_are_paired_by_name_else_by_position() -> None:
    a, b = spec("a", 1, 4), spec("b", 1, 5)
    files = ("r", "f")
    assert pair_outputs((a, b), (b, a), files=files) == ([("a", "a"), ("b", "b")], False)
    assert pair_outputs((a,), (spec("y", None, 4),), files=files) == ([("a", "y")], True)


def test_outputs_that_cannot_be_paired_are_refused(colour_model: Make, colour_photos: Path) -> None:
    with pytest.raises(DataError) as caught:
        pair_outputs((spec("a", 1, 4),), (spec("a", 1, 4), spec("b", 1)), files=("r", "f"))
    assert str(caught.value) == "r has 1 outputs (a) and f has 2 (a, b); expected the same outputs."
    model, wide = colour_model(), colour_model(np.ones((3, 4)))
    with pytest.raises(DataError) as caught:
        compare(model, [wide], str(colour_photos))
    assert str(caught.value) == (
        f"Output 'scores' of {model} is any x 3 and 'scores' of {wide} is any x 4; expected one shape."
    )


def test_the_command_writes_the_agreed_json(colour_model: Make, colour_photos: Path) -> None:
    reference, other = str(colour_model()), str(colour_model(output="y"))
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", "compare", reference, other, "--data", str(colour_photos), "--json", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    data = json.loads(done.stdout)
    (result,) = data["results"]
    assert (data["command"], result["artifact"], result["reference"]) == ("compare", other, reference)
    assert (result["n"], result["matched"]) == (24, "position")
    assert result["metrics"] == {
        "max_abs": 0.0,
        "mean_abs": 0.0,
        "sqnr_db": IDENTICAL_DB,
        "cosine": 1.0,
        "agreement": 1.0,
    }
    assert result["outputs"] == [{"name": "y", "reference": "scores", "metrics": result["metrics"]}]


@pytest.mark.shared_data
def test_models_of_large_outputs_and_several_are_compared(shared_data: Path) -> None:
    path = shared_data / "models" / "mp_face_detection_short_range.tflite"
    report = compare(path, [path], "imagenet_mini", data_dir=shared_data, preprocess="tf", samples=4)
    assert [(o.name, o.agreement, o.totals.sqnr_db) for o in report.entries[0].outputs] == [
        ("regressors", None, IDENTICAL_DB),
        ("classificators", None, IDENTICAL_DB),
    ]
