"""Scenes of digits: the same everywhere, with boxes around exactly what is written, and nothing of the test in them."""

import numpy as np
import pytest

from edgekit.data import Dataset, Part, item_digest, open_data
from edgekit.data.digit_scenes import EVALUATION_COUNT, MOST_DIGITS, SIDE, TRAIN_COUNT, _photo_crop, scenes_of
from edgekit.tasks.boxes import iou


@pytest.fixture(scope="module")
def scenes() -> Dataset:
    return open_data("digit_scenes", part=Part.TRAIN, data_dir=None)


def test_scenes_are_photos_of_up_to_eight_digits_of_all_sizes(scenes: Dataset) -> None:
    assert (len(scenes), scenes.class_names) == (TRAIN_COUNT, tuple("0123456789"))
    assert scenes.boxes is not None
    items = [np.asarray(scenes.items[i]) for i in range(60)]
    boxes = [scenes.boxes[i] for i in range(60)]
    assert {(item.shape, str(item.dtype)) for item in items} == {((SIDE, SIDE, 3), "uint8")}
    assert {own.image_hw for own in boxes} == {(SIDE, SIDE)}
    assert {len(own) for own in boxes} == set(range(1, MOST_DIGITS + 1))
    assert {int(c) for own in boxes for c in own.classes} == set(range(10))
    heights = np.concatenate([own.corners[:, 3] - own.corners[:, 1] for own in boxes])
    assert heights.min() < 0.2
    assert heights.max() > 0.5
    brightness = [float(item.mean()) for item in items]
    assert min(brightness) < 60 < 180 < max(brightness)


def test_no_digit_lies_on_another(scenes: Dataset) -> None:
    assert scenes.boxes is not None
    for index in range(40):
        corners = scenes.boxes[index].corners
        assert np.triu(iou(corners, corners), 1).max(initial=0) == 0


def squares(level: int) -> Dataset:
    """Scenes of a single digit, which is a full square."""
    square = np.zeros((1, 8, 8), np.uint8)
    square[0, 2:6, 2:6] = level
    digits = Dataset(name="squares", items=tuple(square), labels=np.zeros(1, np.int64), class_names=("square",))
    return scenes_of(digits, Part.EVALUATION, name="squares")


def test_a_box_ends_where_the_ink_does() -> None:
    """Seen where a square lies alone on an even ground: the ink is what is nearer to its middle than to its ground."""
    drawn, beyond = squares(255), 8
    assert drawn.boxes is not None
    misses = []
    for index in range(60):
        pixels = np.asarray(drawn.items[index]).astype(np.float32)
        for left, top, right, bottom in (drawn.boxes[index].corners * SIDE).round().astype(int):
            if min(left, top) < beyond or max(right, bottom) > SIDE - beyond:
                continue
            part = pixels[top - beyond : bottom + beyond, left - beyond : right + beyond]
            height, width = part.shape[:2]
            rim = np.ones((height, width), bool)
            rim[3:-3, 3:-3] = False
            ground, ink = part[rim].mean(axis=0), part[height // 2 - 3 :, width // 2 - 3 :][:6, :6].mean(axis=(0, 1))
            contrast = np.linalg.norm(ink - ground)
            if part[rim].std(axis=0).max() > contrast / 8:
                continue
            seen = (part - ground) @ (ink - ground) > contrast**2 / 2
            rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
            found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            misses.append(found - [beyond, beyond, width - beyond, height - beyond])
    assert len(misses) > 60
    assert (np.mean(np.abs(misses) <= 1, axis=0) > 0.8).all()


@pytest.mark.parametrize(("level", "there"), [(103, False), (130, True)])
def test_ink_that_covers_less_than_half_of_every_pixel_is_no_digit(level: int, there: bool) -> None:
    """Ink begins at 0.35 of the level and covers a pixel at 0.6: 103 covers a fifth, 130 more than a half."""
    drawn = squares(level)
    assert drawn.boxes is not None
    assert {len(drawn.boxes[index]) > 0 for index in range(5)} == {there}


def test_scenes_are_the_same_again_and_differ_from_each_other(scenes: Dataset) -> None:
    again = open_data("digit_scenes", part=Part.CALIBRATION, data_dir=None)
    digests = [item_digest(scenes.items[i]) for i in range(8)]
    assert digests == [item_digest(again.items[i]) for i in range(8)]
    assert len(set(digests)) == 8
    held_out = open_data("digit_scenes", part=Part.EVALUATION, data_dir=None)
    assert len(held_out) == EVALUATION_COUNT
    assert not set(digests) & {item_digest(held_out.items[i]) for i in range(8)}


def test_boxes_are_those_of_their_scene_in_whatever_order_they_are_asked_for() -> None:
    first, second = (open_data("digit_scenes", part=Part.EVALUATION, data_dir=None) for _ in range(2))
    assert first.boxes is not None
    assert second.boxes is not None
    before = [second.boxes[i].corners for i in (3, 0)]
    for index in range(4):
        assert first.items[index] is not None
    assert all(np.array_equal(first.boxes[i].corners, own) for i, own in zip((3, 0), before, strict=True))


def test_a_scene_beyond_the_last_ends_the_iteration(scenes: Dataset) -> None:
    with pytest.raises(IndexError):
        scenes.items[TRAIN_COUNT]
    assert scenes.boxes is not None
    with pytest.raises(IndexError):
        scenes.boxes[TRAIN_COUNT]


def test_test_scenes_are_drawn_from_other_digits() -> None:
    digits = {part: open_data("digits", part=part, data_dir=None) for part in (Part.TRAIN, Part.EVALUATION)}
    prints = {part: {item_digest(item) for item in data} for part, data in digits.items()}
    assert not prints[Part.TRAIN] & prints[Part.EVALUATION]
    for part in digits:
        drawn = open_data("digit_scenes", part=part, data_dir=None)
        again = scenes_of(digits[part], part, name="again")
        assert item_digest(drawn.items[0]) == item_digest(again.items[0])


def test_test_scenes_show_the_other_half_of_the_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    halves = np.full((200, 400, 3), 20, np.uint8)
    halves[:, 200:] = 240
    monkeypatch.setattr("edgekit.data.digit_scenes._photos", lambda: (halves, halves))
    for held_out, level in ((False, 20), (True, 240)):
        for seed in range(20):
            crop = _photo_crop(np.random.default_rng(seed), held_out=held_out)
            assert (crop == level).all()
