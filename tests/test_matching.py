"""What each anchor must find."""

import numpy as np
import pytest

from edgekit.data import Boxes, Part, open_data
from edgekit.detection import AnchorLevel, Detection, Head
from edgekit.models.matching import BACKGROUND, Matcher
from edgekit.models.registry import find_spec
from edgekit.tasks.anchors import decode
from edgekit.tasks.boxes import corners, iou

FOUR = Detection(head=Head.SSD, anchors=(AnchorLevel(rows=2, columns=2, shapes=((0.5, 0.5), (0.3, 0.3))),))


def boxes(*rows: tuple[float, float, float, float], classes: tuple[int, ...] | None = None) -> Boxes:
    return Boxes(
        image_hw=(100, 100),
        corners=np.array(rows, np.float32).reshape(-1, 4),
        classes=np.array(classes if classes is not None else range(len(rows)), np.int64),
        crowd=np.zeros(len(rows), bool),
    )


def test_anchors_that_overlap_an_object_by_half_must_find_it() -> None:
    offsets, classes = Matcher.of(FOUR).targets(boxes((0, 0, 0.5, 0.5), classes=(6,)))
    assert classes.tolist() == [7, 0, 0, 0, 0, 0, 0, 0]
    assert offsets[0].tolist() == [0, 0, 0, 0]
    for side, least, found in ((0.36, 0.518, [7, 7]), (0.345, 0.476, [0, 7])):  # the smaller anchor overlaps it more
        row = (0.25 - side / 2, 0.25 - side / 2, 0.25 + side / 2, 0.25 + side / 2)
        assert iou(Matcher.of(FOUR).corners[:2], np.array([row])).min() == pytest.approx(least, abs=0.001)
        _, smaller = Matcher.of(FOUR).targets(boxes(row, classes=(6,)))
        assert smaller.tolist() == [*found, 0, 0, 0, 0, 0, 0]


def test_an_object_that_no_anchor_fits_gets_the_best_one() -> None:
    _, classes = Matcher.of(FOUR).targets(boxes((0.7, 0.7, 0.72, 0.78), classes=(0,)))
    assert np.flatnonzero(classes).tolist() == [7]
    assert (classes == 1).sum() == 1


def test_two_objects_at_one_anchor_get_one_each() -> None:
    """Both overlap the first anchor most; the one that does less gets the next."""
    _, classes = Matcher.of(FOUR).targets(boxes((0, 0, 0.5, 0.5), (0.0, 0.0, 0.5, 0.48), classes=(3, 4)))
    assert {3 + 1, 4 + 1} <= set(classes.tolist())
    assert classes[0] == 4


def test_targets_lead_back_to_the_boxes() -> None:
    random = np.random.default_rng(0)
    level = AnchorLevel(rows=6, columns=6, shapes=((0.2, 0.2), (0.3, 0.15), (0.15, 0.3)))
    matcher = Matcher.of(Detection(head=Head.SSD, anchors=(level,)))
    start = random.uniform(0, 0.7, (5, 2))
    own = np.concatenate([start, start + random.uniform(0.1, 0.3, (5, 2))], axis=1).astype(np.float32)
    truth = boxes(*own.tolist())
    offsets, classes = matcher.targets(truth)
    matched = np.flatnonzero(classes != BACKGROUND)
    assert set(classes[matched].tolist()) == {1, 2, 3, 4, 5}
    found = corners(decode(offsets[matched], matcher.centred[matched], matcher.detection.variances))
    np.testing.assert_allclose(found, truth.corners[classes[matched] - 1], atol=1e-5)


def test_an_image_without_objects_is_background_alone() -> None:
    offsets, classes = Matcher.of(FOUR).targets(boxes())
    assert not classes.any()
    assert not offsets.any()


def test_more_objects_than_anchors_leave_some_out() -> None:
    one = Matcher.of(Detection(head=Head.SSD, anchors=(AnchorLevel(rows=1, columns=1, shapes=((0.5, 0.5),)),)))
    _, classes = one.targets(boxes((0, 0, 0.2, 0.2), (0.2, 0.2, 0.8, 0.8), (0.8, 0.8, 1, 1)))
    assert classes.tolist() == [2]


def test_a_batch_holds_the_targets_of_each_image() -> None:
    matcher = Matcher.of(FOUR)
    each = [boxes((0, 0, 0.5, 0.5), classes=(2,)), boxes()]
    offsets, classes = matcher.batch(each)
    assert (offsets.shape, offsets.dtype, classes.shape, classes.dtype) == ((2, 8, 4), np.float32, (2, 8), np.int32)
    assert classes[0].tolist() == matcher.targets(each[0])[1].tolist()


@pytest.mark.parametrize("name", ["ssdlite_mobilenet_v2", "ssdlite_mobilenet_v1", "ssd300_vgg16", "faster_rcnn"])
def test_the_anchors_of_the_small_presets_fit_the_digits_of_scenes(name: str) -> None:
    """Most objects have an anchor that overlaps them by half, wherever they lie."""
    spec = find_spec(name)
    detection = spec.detection(spec.presets["small"].arguments)
    assert detection is not None
    scenes = open_data("digit_scenes", part=Part.TRAIN, data_dir=None)
    assert scenes.boxes is not None
    own = np.concatenate([scenes.boxes[i].corners for i in range(60)])
    best = iou(Matcher.of(detection).corners, own).max(axis=0)
    assert np.mean(best >= 0.5) > 0.8
    assert best.min() > 0.2
