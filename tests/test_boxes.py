"""Boxes: overlap, suppression, and the way from the model's input back to the image."""

from dataclasses import replace

import numpy as np
import pytest

from edgekit.preprocessing import Preprocessing, Resize, resize
from edgekit.tasks.boxes import areas, corners, iou, suppress, to_image


def test_overlap_of_boxes() -> None:
    boxes = np.array([[0, 0, 2, 2], [0, 0, 0, 2]], np.float32)
    others = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 2, 3, 3]], np.float32)
    np.testing.assert_allclose(iou(boxes, others), [[1, 1 / 7, 0], [0, 0, 0]], rtol=1e-6)
    assert areas(np.array([[3, 0, 1, 2]])).tolist() == [0]
    assert iou(np.empty((0, 4)), others).shape == (0, 3)


def test_corners_of_centres() -> None:
    assert corners(np.array([[10, 20, 4, 8]])).tolist() == [[8, 16, 12, 24]]


def test_only_worse_boxes_of_the_same_class_fall() -> None:
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 5], [0, 0, 4, 4], [8, 8, 9, 9], [0, 0, 4, 9]], np.float32)
    scores, classes = np.array([0.5, 0.9, 0.4, 0.2, 0.6]), np.array([1, 1, 2, 1, 1])
    # The second takes the first (0.8) and leaves the last (0.56); the third is of another class.
    assert suppress(boxes, scores, classes, most_overlap=0.6, limit=10).tolist() == [1, 4, 2, 3]
    assert suppress(boxes, scores, classes, most_overlap=0.5, limit=10).tolist() == [1, 2, 3]
    assert suppress(boxes, scores, classes, most_overlap=0.6, limit=2).tolist() == [1, 4]
    assert suppress(np.empty((0, 4)), np.empty(0), np.empty(0, int), most_overlap=0.5, limit=3).tolist() == []


def test_a_box_that_fell_takes_no_other_with_it() -> None:
    boxes = np.array([[0, 0, 10, 4], [4, 0, 14, 4], [8, 0, 18, 4]], np.float32)
    kept = suppress(boxes, np.array([0.9, 0.8, 0.7]), np.zeros(3, int), most_overlap=0.4, limit=10)
    assert kept.tolist() == [0, 2]


@pytest.mark.parametrize("image_hw", [(60, 100), (100, 60), (64, 64), (48, 48)])
@pytest.mark.parametrize("rule", Resize)
def test_a_box_in_the_input_is_where_the_object_is_in_the_image(rule: Resize, image_hw: tuple[int, int]) -> None:
    short_side = 72 if rule is Resize.CROP else None
    spec = Preprocessing(size_hw=(64, 64), resize=rule, short_side=short_side, pad_value=0)
    height, width = image_hw
    image = np.zeros((height, width, 3), np.uint8)
    top, left, bottom, right = height // 3, width // 3, height // 3 + 18, width // 3 + 16
    image[top:bottom, left:right] = 255
    rows, columns = np.nonzero(resize(image, spec)[..., 0] > 127)
    seen = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]) / 64
    found = to_image(seen, image_hw, spec)[0] * [width, height, width, height]
    np.testing.assert_allclose(found, [left, top, right, bottom], atol=1.0)


def test_boxes_are_cut_at_the_edges_of_the_image() -> None:
    spec = Preprocessing(size_hw=(100, 100), resize=Resize.LETTERBOX)
    wide = to_image(np.array([[0, 0, 1, 1], [0, 0, 0.5, 0.1]]), (50, 100), spec)  # a quarter is padded at both ends
    assert wide.tolist() == [[0, 0, 1, 1], [0, 0, 0.5, 0]]
    crop = replace(spec, resize=Resize.CROP, short_side=100)
    np.testing.assert_allclose(to_image(np.array([[0, 0, 1, 1]]), (50, 100), crop), [[0.25, 0, 0.75, 1]])


def test_no_more_than_a_thousand_boxes_are_looked_at() -> None:
    left = np.arange(1200, dtype=np.float32)[:, None]
    apart = np.concatenate([left, np.zeros_like(left), left + 0.5, np.ones_like(left)], axis=1)
    kept = suppress(apart, np.linspace(0, 1, 1200), np.zeros(1200, int), most_overlap=0.5, limit=2000)
    assert kept.tolist() == list(range(1199, 199, -1))
