"""Changes of images move their boxes with what is in them."""

from dataclasses import replace

import numpy as np
import pytest

from edgekit.data import Boxes
from edgekit.models.box_augmentation import BoxAugmentation, window

SIDE = 64


def scene(*places: tuple[int, int, int, int]) -> tuple[np.ndarray, Boxes]:  # type: ignore[type-arg]
    """A gray image with a red, a green, a blue block: classes 0, 1, 2."""
    pixels = np.full((SIDE, SIDE, 3), 90, np.uint8)
    for channel, (left, top, right, bottom) in enumerate(places):
        pixels[top:bottom, left:right] = 0
        pixels[top:bottom, left:right, channel] = 255
    return pixels, Boxes(
        image_hw=(SIDE, SIDE),
        corners=np.array(places, np.float32).reshape(-1, 4) / SIDE,
        classes=np.arange(len(places)),
        crowd=np.zeros(len(places), bool),
    )


BLOCKS = ((4, 6, 20, 18), (30, 8, 44, 40), (10, 40, 26, 60))


def follows(pixels: np.ndarray, boxes: Boxes) -> int:  # type: ignore[type-arg]
    """How many boxes hold their colour, and the assertion that each does and ends where it ends."""
    seen = 0
    for (left, top, right, bottom), channel in zip(boxes.corners * SIDE, boxes.classes, strict=True):
        others = [c for c in range(3) if c != channel]
        coloured = (pixels[..., channel].astype(int) - pixels[..., others].max(axis=-1)) > 90
        inside = coloured[round(top) : round(bottom), round(left) : round(right)]
        assert inside.mean() > 0.7, (channel, inside.mean())
        seen += 1
    return seen


@pytest.mark.parametrize(
    "augmentation",
    [
        BoxAugmentation(crop=1.0),
        BoxAugmentation(expand=2.5),
        BoxAugmentation(flip=True),
        BoxAugmentation(mosaic=1.0),
        BoxAugmentation(colour=0.2, crop=0.5, expand=2.0, mosaic=0.2, flip=True),
    ],
    ids=["crop", "expand", "flip", "mosaic", "all"],
)
def test_boxes_stay_around_their_objects(augmentation: BoxAugmentation) -> None:
    pixels, boxes = scene(*BLOCKS)
    many, own = np.stack([pixels] * 16), [boxes] * 16
    changed, found = augmentation.apply(many, own, np.random.default_rng(0))
    assert (changed.shape, changed.dtype) == (many.shape, np.uint8)
    assert any(not np.array_equal(a, b) for a, b in zip(changed, many, strict=True))
    assert any(not np.array_equal(a.corners, b.corners) for a, b in zip(found, own, strict=True))
    assert sum(follows(a, b) for a, b in zip(changed, found, strict=True)) > 16
    assert all((a.corners >= 0).all() and (a.corners <= 1).all() for a in found)


def test_nothing_asked_for_changes_nothing() -> None:
    pixels, boxes = scene(*BLOCKS)
    changed, found = BoxAugmentation().apply(pixels[None], [boxes], np.random.default_rng(0))
    assert np.array_equal(changed[0], pixels)
    assert found == [boxes]


def test_colours_change_and_boxes_do_not() -> None:
    pixels, boxes = scene(*BLOCKS)
    changed, found = BoxAugmentation(colour=0.4).apply(np.stack([pixels] * 8), [boxes] * 8, np.random.default_rng(0))
    assert len({image.tobytes() for image in changed}) == 8
    assert all(own is boxes for own in found)


def test_brightness_contrast_and_saturation_change_by_up_to_the_size() -> None:
    pixels = np.empty((SIDE, SIDE, 3), np.uint8)
    pixels[:, :16], pixels[:, 16:32], pixels[:, 32:] = 90, 130, [140, 110, 80]  # all of it and each half: 110
    _, boxes = scene()
    changed, _ = BoxAugmentation(colour=0.4).apply(np.stack([pixels] * 200), [boxes] * 200, np.random.default_rng(0))
    dark, light, coloured = (changed[:, 0, column].astype(float) for column in (0, 16, 32))
    brightness = (dark + light).mean(axis=1) / 220
    contrast = (light - dark).mean(axis=1) / 40 / brightness
    saturation = (coloured[:, 0] - coloured[:, 2]) / 60 / brightness / contrast
    for factor in (brightness, contrast, saturation):
        assert 0.55 < factor.min() < 0.7
        assert 1.3 < factor.max() < 1.5


def test_a_window_shows_what_is_inside_and_drops_what_is_cut_too_much() -> None:
    pixels, boxes = scene(*BLOCKS)
    seen, found = window(pixels, boxes, (0, 0, 0.5, 0.5))
    assert found.classes.tolist() == [0]  # of the green block a strip is inside, of the blue one nothing
    np.testing.assert_allclose(found.corners[0] * SIDE, [8, 12, 40, 36], atol=0.01)
    assert seen[24, 24].tolist()[0] > 200
    _, cut = window(pixels, boxes, (0.15, 0, 1, 1))
    assert cut.classes.tolist() == [0, 1, 2]
    assert cut.corners[0, 0] == 0  # cut at the edge
    assert follows(*window(pixels, boxes, (0.1, 0.1, 0.9, 0.9))) == 3
    for share, kept in ((0.42, [0, 1, 2]), (0.38, [1, 2])):
        assert window(pixels, boxes, ((20 - share * 16) / SIDE, 0, 1, 1))[1].classes.tolist() == kept


def test_a_crop_overlaps_an_object_by_what_was_drawn() -> None:
    """Of the paper's six least overlaps a small object has two: any, and a tenth of a crop that is small itself."""
    pixels, boxes = scene((26, 26, 38, 38))
    many = np.stack([pixels] * 300)
    changed, _ = BoxAugmentation(crop=1.0).apply(many, [boxes] * 300, np.random.default_rng(0))
    whole = np.mean([np.array_equal(image, pixels) for image in changed])
    assert abs(whole - 4 / 6) < 0.08


def test_the_ground_of_a_smaller_image_is_of_its_mean_colour() -> None:
    pixels, boxes = scene((20, 20, 44, 44))
    changed, _ = BoxAugmentation(expand=2.0).apply(np.stack([pixels] * 20), [boxes] * 20, np.random.default_rng(0))
    seen = {tuple(colour) for image in changed for colour in image[[0, 0, -1, -1], [0, -1, 0, -1]].tolist()}
    assert seen == {(90, 90, 90), tuple(pixels.mean(axis=(0, 1)).astype(int).tolist())}


def test_a_mirror_swaps_left_and_right() -> None:
    pixels, boxes = scene((4, 6, 20, 18))
    changed, found = BoxAugmentation(flip=True).apply(np.stack([pixels] * 20), [boxes] * 20, np.random.default_rng(1))
    mirrored = [i for i in range(20) if not np.array_equal(found[i].corners, boxes.corners)]
    assert 3 < len(mirrored) < 17
    for index in mirrored:
        assert np.array_equal(changed[index], pixels[:, ::-1])
        np.testing.assert_allclose(found[index].corners[0] * SIDE, [44, 6, 60, 18], atol=1e-4)


def test_the_generator_decides_everything() -> None:
    pixels, boxes = scene(*BLOCKS)
    every = BoxAugmentation(colour=0.2, crop=0.5, expand=2.0, mosaic=0.3, flip=True)
    runs = [every.apply(np.stack([pixels] * 6), [boxes] * 6, np.random.default_rng(s)) for s in (3, 3, 4)]
    assert np.array_equal(runs[0][0], runs[1][0])
    assert not np.array_equal(runs[0][0], runs[2][0])


def test_an_image_without_objects_is_cropped_too() -> None:
    pixels, boxes = scene()
    empty = replace(boxes, corners=np.empty((0, 4), np.float32))
    pixels[:, :, 0] = np.arange(SIDE)
    changed, found = BoxAugmentation(crop=1.0).apply(np.stack([pixels] * 4), [empty] * 4, np.random.default_rng(0))
    assert [len(own) for own in found] == [0] * 4
    assert any(not np.array_equal(image, pixels) for image in changed)
