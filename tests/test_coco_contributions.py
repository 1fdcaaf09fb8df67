"""What each image adds to the mean average precision, beside COCO's own figures of fewer images."""

from dataclasses import replace

import numpy as np
import pytest
from test_coco_metrics import NAMES, PERFECT, TRUTH, perfect, scene

from edgekit.data import Boxes
from edgekit.errors import DataError
from edgekit.tasks.coco_contributions import image_contributions
from edgekit.tasks.coco_metrics import evaluate_detections
from edgekit.tasks.heads import Detections


def shaken(boxes: Boxes, seed: int) -> Detections:
    """Objects a little beside their places, some of another class, and one false one, with random scores."""
    random = np.random.default_rng(seed)
    found = perfect(boxes)
    corners = np.concatenate([found.boxes + random.normal(0, 0.02, found.boxes.shape), [[0.1, 0.1, 0.9, 0.9]]])
    classes = np.append(np.where(random.random(len(found)) < 0.2, 1 - found.classes, found.classes), 0)
    scores = random.random(len(classes))
    order = np.argsort(-scores)
    return Detections(
        boxes=corners.astype(np.float32)[order], scores=scores.astype(np.float32)[order], classes=classes[order]
    )


MANY = [scene(seed, 3) for seed in range(12)]
FOUND = [shaken(boxes, seed) for seed, boxes in enumerate(MANY)]


def mean_average_precision(found: list[Detections], truth: list[Boxes]) -> float:
    return evaluate_detections(found, truth, NAMES).metrics()["map"]


def test_their_mean_is_cocos_figure_and_each_is_what_the_others_lack() -> None:
    given = image_contributions(FOUND, MANY, NAMES)
    whole, count = mean_average_precision(FOUND, MANY), len(MANY)
    assert 0.2 < whole < 0.9
    assert given.mean() == pytest.approx(whole, abs=1e-9)
    left = np.array(
        [mean_average_precision([*FOUND[:i], *FOUND[i + 1 :]], [*MANY[:i], *MANY[i + 1 :]]) for i in range(count)]
    )
    np.testing.assert_allclose(given, whole + (count - 1) * (left.mean() - left), atol=1e-9)


def test_a_crowd_and_a_class_of_one_image_are_counted_as_coco_does() -> None:
    crowded = [replace(MANY[0], crowd=np.array([True, False, False])), *MANY[1:]]
    rare = [replace(crowded[0], classes=np.array([0, 1, 2])), *crowded[1:]]
    for truth in (crowded, rare):
        given = image_contributions(FOUND, truth, NAMES)
        assert given.mean() == pytest.approx(mean_average_precision(FOUND, truth), abs=1e-9)
    left = [mean_average_precision([*FOUND[:i], *FOUND[i + 1 :]], [*rare[:i], *rare[i + 1 :]]) for i in range(12)]
    expected = given.mean() + 11 * (np.mean(left) - np.array(left))
    np.testing.assert_allclose(given, expected, atol=1e-9)


def test_an_image_that_is_missed_adds_less_than_it_did() -> None:
    before = image_contributions(FOUND, MANY, NAMES)
    now = image_contributions([FOUND[0].at(slice(0)), *FOUND[1:]], MANY, NAMES)
    assert now[0] < before[0]
    assert now.mean() < before.mean()


def test_the_perfect_and_the_blind_add_alike() -> None:
    np.testing.assert_allclose(image_contributions(PERFECT, TRUTH, NAMES), 1, atol=1e-9)
    blind = [found.at(slice(0)) for found in PERFECT]
    assert image_contributions(blind, TRUTH, NAMES).tolist() == [0] * 6
    assert image_contributions(PERFECT[:1], TRUTH[:1], NAMES).tolist() == [pytest.approx(1)]


def test_images_without_objects_are_refused() -> None:
    with pytest.raises(DataError, match=r"^The 1 images hold no object; expected some to be found\.$"):
        image_contributions([FOUND[0]], [replace(MANY[0], crowd=np.ones(3, bool))], NAMES)
