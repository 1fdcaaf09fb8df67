"""Digits in other poses than those that were learned from."""

import numpy as np
import pytest

from edgekit.data import KNOWN, Part
from edgekit.data.affine_digits import SIDE, Posed, affine_digits, moved, posed
from edgekit.data.known import open_known

DIGIT = np.zeros((28, 28), np.uint8)
DIGIT[6:22, 10:14] = 200  # an upright stroke


def spread(picture: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Standard deviations of the ink along rows and columns, and how they lean."""
    rows, columns = np.nonzero(picture[..., 0] > 60)
    return np.array([rows.std(), columns.std(), np.corrcoef(rows, columns)[0, 1]])


def test_a_moved_digit_is_whole_and_the_same() -> None:
    random, corners = np.random.default_rng(0), set()
    for _ in range(50):
        picture = moved(DIGIT, random)
        assert (picture.shape, picture.dtype, int(picture.sum())) == ((SIDE, SIDE, 1), np.uint8, int(DIGIT.sum()))
        rows, columns = np.nonzero(picture[..., 0])
        corners.add((int(rows.min()), int(columns.min())))
        assert np.ptp(rows) == 15
    assert len(corners) > 30


def test_a_posed_digit_is_whole_turned_and_stretched() -> None:
    random = np.random.default_rng(0)
    found = np.array([spread(posed(DIGIT, random)) for _ in range(200)])
    upright = spread(moved(DIGIT, random))
    low, high = found.min(axis=0), found.max(axis=0)
    assert low[0] < 0.85 * upright[0] < 1.1 * upright[0] < high[0]
    assert low[2] < -0.5
    assert high[2] > 0.5
    inks = [float(posed(DIGIT, random).sum()) for _ in range(200)]
    assert 0.6 * DIGIT.sum() < min(inks) < 0.8 * DIGIT.sum()  # of the area 0.64 to 1.44, and never cut off
    assert 1.2 * DIGIT.sum() < max(inks) < 1.5 * DIGIT.sum()
    assert posed(np.zeros((28, 28), np.uint8), random).max() == 0


def test_parts_are_drawn_once_and_for_all() -> None:
    digits = open_known(KNOWN["digits"], part=Part.TRAIN, data_dir=None)
    train, test = (affine_digits(digits, part, "affine") for part in (Part.TRAIN, Part.EVALUATION))
    assert (len(train), train.name, train.class_names) == (len(digits), "affine", digits.class_names)
    assert np.array_equal(train.labels, digits.labels)  # type: ignore[arg-type]
    again = affine_digits(digits, Part.EVALUATION, "affine")
    assert all(np.array_equal(test.items[i], again.items[i]) for i in range(5))  # type: ignore[arg-type]
    assert isinstance(train.items, Posed)
    assert not train.items.affine
    assert isinstance(test.items, Posed)
    assert test.items.affine
    with pytest.raises(IndexError):
        train.items[len(train)]


def test_the_set_is_known() -> None:
    assert (KNOWN["affine_mnist"].digits, KNOWN["affine_mnist"].shown) == ("mnist", affine_digits)
