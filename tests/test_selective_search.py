"""Regions that may be objects, found in images themselves."""

import sys
from typing import Any

import numpy as np
import pytest

from edgekit.data import Part, open_data
from edgekit.errors import MissingExtraError
from edgekit.regions import Search
from edgekit.tasks.boxes import iou
from edgekit.tasks.selective_search import search

HOW = Search(size_hw=(120, 90))


def drawn() -> Any:
    """A house of a wall and a roof, unlike in colour, on a noisy ground."""
    random = np.random.default_rng(0)
    image = np.clip(random.normal(180, 3, (120, 90, 3)), 0, 255).astype(np.uint8)
    image[50:90, 20:60] = [120, 60, 40]
    image[30:50, 20:60] = [200, 30, 30]
    return image


def test_parts_and_their_whole_are_found() -> None:
    truth = np.array([[20, 50, 60, 90], [20, 30, 60, 50], [20, 30, 60, 90]]) / np.array([90, 120] * 2)
    found = search(drawn(), HOW)
    assert (found.dtype, found.ndim) == (np.float32, 2)
    assert iou(found, truth).max(axis=0).min() > 0.85
    assert found.min() >= 0
    assert found.max() <= 1


def test_the_order_is_always_the_same_and_no_region_comes_twice() -> None:
    found = search(drawn(), HOW)
    assert np.array_equal(found, search(drawn(), HOW))
    assert len(np.unique(found, axis=0)) == len(found)
    few = search(drawn(), Search(size_hw=(120, 90), count=3))
    assert np.array_equal(few, found[:3])


def test_narrow_regions_are_left_out() -> None:
    found = search(drawn(), Search(size_hw=(120, 90), least_side=0.3))
    sides = found[:, 2:] - found[:, :2]
    assert sides.min() >= 0.3
    assert (search(drawn(), HOW)[:, 2:] - search(drawn(), HOW)[:, :2]).min() < 0.3


def test_an_image_of_one_colour_is_one_region() -> None:
    assert search(np.full((40, 30, 3), 90, np.uint8), HOW).tolist() == [[0, 0, 1, 1]]


def test_digits_of_scenes_are_among_the_regions() -> None:
    scenes = open_data("digit_scenes", part=Part.TRAIN, data_dir=None)
    assert scenes.boxes is not None
    how = Search(size_hw=(160, 160), count=150, scales=(75.0,))
    best = [iou(search(np.asarray(scenes.items[i]), how), scenes.boxes[i].corners).max(axis=0) for i in range(8)]
    assert np.mean(np.concatenate(best) >= 0.5) > 0.9


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "skimage"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(MissingExtraError) as caught:
        search(drawn(), HOW)
    assert str(caught.value) == "skimage is not installed. Run: pip install 'edgekit-ml[regions]'"
