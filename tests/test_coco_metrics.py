"""COCO's metrics: perfect answers get 1, and every kind of damage costs."""

from dataclasses import replace

import numpy as np
import pytest

from edgekit.data import Boxes
from edgekit.errors import DataError
from edgekit.tasks.coco_metrics import evaluate_detections
from edgekit.tasks.heads import Detections

NAMES = ("red", "green", "never")


def scene(seed: int, count: int = 4) -> Boxes:
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 0.5, (count, 2))
    corners = np.concatenate([corner, corner + random.uniform(0.05, 0.5, (count, 2))], axis=1)
    classes = random.integers(0, 2, count)
    return Boxes(image_hw=(200, 300), corners=corners.astype(np.float32), classes=classes, crowd=np.zeros(count, bool))


TRUTH = [scene(seed) for seed in range(6)]


def perfect(boxes: Boxes) -> Detections:
    count = len(boxes)
    return Detections(boxes=boxes.corners, scores=np.linspace(0.9, 0.5, count, dtype=np.float32), classes=boxes.classes)


PERFECT = [perfect(boxes) for boxes in TRUTH]


def test_perfect_answers_are_one() -> None:
    result = evaluate_detections(PERFECT, TRUTH, NAMES)
    assert (result.count, result.objects) == (6, 24)
    assert all(value == pytest.approx(1) for value in result.metrics().values())
    assert {"map", "map50", "map75", "mar100"} < set(result.metrics())
    assert result.per_class == {"red": pytest.approx(1), "green": pytest.approx(1)}


def test_boxes_a_little_off_cost_the_strict_figures_only() -> None:
    off = [replace(d, boxes=d.boxes + np.float32([0, 0, 0, 0.2]) * (d.boxes[:, 3:] - d.boxes[:, 1:2])) for d in PERFECT]
    figures = evaluate_detections(off, TRUTH, NAMES).figures  # IoU is 1 / 1.2
    assert figures["map50"] == figures["map75"] == pytest.approx(1)
    assert figures["map"] == pytest.approx(0.7, abs=0.005)


def test_wrong_classes_and_missed_objects_cost() -> None:
    swapped = [replace(d, classes=1 - d.classes) for d in PERFECT]
    assert evaluate_detections(swapped, TRUTH, NAMES).figures["map50"] < 0.1
    missing = [*PERFECT[:3], *(d.at(slice(0)) for d in PERFECT[3:])]
    assert 0.3 < evaluate_detections(missing, TRUTH, NAMES).figures["map"] < 0.7


def test_false_boxes_cost_where_they_are_sure_of_themselves() -> None:
    def with_false(score: float) -> list[Detections]:
        return [
            Detections(
                boxes=np.concatenate([d.boxes, np.float32([[0.9, 0.9, 1, 1]] * 8)]),
                scores=np.concatenate([d.scores, np.full(8, score, np.float32)]),
                classes=np.concatenate([d.classes, np.zeros(8, int)]),
            )
            for d in PERFECT
        ]

    assert evaluate_detections(with_false(0.01), TRUTH, NAMES).figures["map"] == pytest.approx(1)
    assert evaluate_detections(with_false(0.99), TRUTH, NAMES).figures["map"] < 0.8


def test_classes_that_the_data_do_not_know_count_for_nothing() -> None:
    extra = [
        Detections(
            boxes=np.concatenate([d.boxes, d.boxes]),
            scores=np.concatenate([d.scores, np.ones(len(d), np.float32)]),
            classes=np.concatenate([d.classes, np.full(len(d), -5)]),
        )
        for d in PERFECT
    ]
    assert evaluate_detections(extra, TRUTH, NAMES).figures["map"] == pytest.approx(1)


def test_crowds_are_neither_found_nor_missed() -> None:
    crowded = [replace(boxes, crowd=np.arange(len(boxes)) == 0) for boxes in TRUTH]
    without = [d.at(slice(1, None)) for d in PERFECT]
    for found in (PERFECT, without):
        result = evaluate_detections(found, crowded, NAMES)
        assert (result.objects, result.figures["map"]) == (18, pytest.approx(1))


def test_finding_nothing_is_zero_and_nothing_to_find_is_refused() -> None:
    nothing = [d.at(slice(0)) for d in PERFECT]
    result = evaluate_detections(nothing, TRUTH, NAMES)
    assert set(result.figures) == set(evaluate_detections(PERFECT, TRUTH, NAMES).figures)
    assert set(result.figures.values()) == {0.0}
    assert result.per_class == {"red": 0.0, "green": 0.0}
    empty = [scene(0, 0)]
    with pytest.raises(DataError) as caught:
        evaluate_detections([perfect(empty[0])], empty, NAMES)
    assert str(caught.value) == "The 1 images hold no object; expected some to be found."
