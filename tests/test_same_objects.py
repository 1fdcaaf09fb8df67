"""When two runs of a detector find the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_detector import detector

from edgekit.artifact import open_artifact
from edgekit.errors import DataError
from edgekit.measure.same_objects import objects_in, same_objects, share_of_same_objects
from edgekit.runtimes import open_runtime
from edgekit.runtimes.base import quantize
from edgekit.tasks.heads import Detections

TWO = Detections(
    boxes=np.array([[0.1, 0.1, 0.5, 0.5], [0.4, 0.4, 0.9, 0.8]], np.float32),
    scores=np.array([0.9, 0.6], np.float32),
    classes=np.array([3, 1]),
)
NONE = TWO.at(slice(0))
ASIDE = np.float32([1, 0, 1, 0])  # by 0.021 the smaller one overlaps where it was by 0.9


def test_the_same_objects_in_another_order_are_the_same() -> None:
    assert same_objects(TWO, TWO)
    assert same_objects(TWO, TWO.at(np.array([1, 0])))
    assert same_objects(NONE, NONE)
    assert same_objects(TWO, replace(TWO, boxes=TWO.boxes + ASIDE * 0.020, scores=TWO.scores - np.float32(0.019)))


@pytest.mark.parametrize(
    "other",
    [
        NONE,
        TWO.at(slice(1)),
        TWO.at(np.array([0, 0])),
        replace(TWO, classes=np.array([3, 2])),
        replace(TWO, scores=TWO.scores - np.float32(0.021)),
        replace(TWO, boxes=TWO.boxes + ASIDE * 0.022),
    ],
    ids=["nothing", "one less", "one twice", "class", "score", "place"],
)
def test_another_number_class_score_or_place_is_another_finding(other: Detections) -> None:
    assert not same_objects(TWO, other)
    assert not same_objects(other, TWO)


def test_the_share_counts_items(tmp_path: Path) -> None:
    path = detector(tmp_path / "d.onnx", labels=("dark", "bright"))
    levels = np.array([0.0, 1.0, 0.9, 0.1], np.float32)
    runtime = open_runtime(path)
    each = [runtime.run({"image": np.full((1, 8, 8, 3), level, np.float32)}) for level in levels]
    outputs = {"found": np.concatenate([run["found"] for run in each])}
    found = objects_in(open_artifact(path), outputs)
    assert share_of_same_objects(found, found) == 1
    swapped = {"found": outputs["found"][[0, 0, 2, 3]]}
    assert share_of_same_objects(found, objects_in(open_artifact(path), swapped)) == 0.75
    with pytest.raises(DataError) as caught:
        share_of_same_objects([], [])
    assert str(caught.value) == "Two runs have no item to compare; expected the same items in both, at least one."


def test_integers_become_numbers_before_objects_are_found_in_them(tmp_path: Path) -> None:
    artifact = open_artifact(detector(tmp_path / "d.onnx", labels=("dark", "bright")))
    outputs = {"found": np.zeros((1, 6, 21), np.float32)}
    outputs["found"][0, :5, 0] = [4, 4, 4, 4, 0.75]
    (spec,) = artifact.card.outputs
    whole = replace(spec, dtype="uint8", scale=(1 / 32,), zero_point=(5,))
    integers = {"found": quantize(outputs["found"], whole)}
    (expected,) = objects_in(artifact, outputs)
    (found,) = objects_in(replace(artifact, card=replace(artifact.card, outputs=(whole,))), integers)
    assert len(found) == 1
    assert same_objects(found, expected)
