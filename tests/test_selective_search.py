"""Regions that may be objects, found in images themselves."""

import sys
from typing import Any

import numpy as np
import pytest

from edgekit.data import Part, open_data
from edgekit.errors import MissingExtraError
from edgekit.regions import Search
from edgekit.tasks.boxes import iou
from edgekit.tasks.selective_search import _colour_spaces, _grown, _Region, _segments, search

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


def test_the_order_is_drawn_and_what_was_joined_last_tends_to_come_first() -> None:
    """Section 4.2: places from the last one on, times chance; a box of several segmentations has its best place."""
    image, how, random = drawn(), Search(size_hw=(120, 90), least_side=0.0), np.random.default_rng(0)
    places: dict[Any, list[float]] = {}
    for channels in _colour_spaces(image):
        for scale in (50.0, 100.0):
            boxes = _grown(_segments(channels, scale), channels)
            assert boxes[-1] == (0, 0, 90, 120)
            chances = random.random(len(boxes)).tolist()
            for place, (box, chance) in enumerate(zip(reversed(boxes), reversed(chances), strict=True), 1):
                places.setdefault(box, []).append(place * chance)
    assert max(len(own) for own in places.values()) > 1
    expected = sorted(places, key=lambda box: min(places[box]))
    np.testing.assert_allclose(search(image, how) * [90, 120, 90, 120], expected, atol=1e-4)


def region(pixels: int, box: tuple[int, int, int, int], colours: list[float], textures: list[float]) -> _Region:
    return _Region(pixels, box, np.array(colours), np.array(textures))


def test_regions_are_alike_as_the_paper_says() -> None:
    first = region(10, (0, 0, 5, 4), [0.5, 0.5, 0.0], [1.0, 0.0])
    other = region(30, (3, 2, 9, 8), [0.2, 0.2, 0.6], [0.3, 0.7])
    colour, texture = 0.2 + 0.2, 0.3
    size, fill = 1 - (10 + 30) / 200, 1 - (9 * 8 - 10 - 30) / 200
    assert first.likeness(other, 200) == pytest.approx(colour + texture + size + fill)
    both = first.joined(other)
    assert (both.pixels, both.box) == (40, (0, 0, 9, 8))
    np.testing.assert_allclose(both.colours, [0.275, 0.275, 0.45])
    np.testing.assert_allclose(both.textures, [0.475, 0.525])


def test_narrow_regions_are_left_out() -> None:
    found = search(drawn(), Search(size_hw=(120, 90), least_side=0.3))
    sides = found[:, 2:] - found[:, :2]
    assert sides.min() > 0.3 - 1e-6  # as float32
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
