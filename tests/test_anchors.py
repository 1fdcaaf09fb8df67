"""Anchors lie where the feature maps' cells are, and offsets from them mean boxes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.detection import AnchorLevel, Detection, Head
from edgekit.errors import InputError
from edgekit.tasks.anchors import anchor_boxes, decode, encode

VARIANCES = (0.1, 0.1, 0.2, 0.2)
SIDES = st.floats(0.01, 1.0)


def test_anchors_go_row_by_row_cell_by_cell_and_through_the_shapes() -> None:
    levels = (
        AnchorLevel(rows=2, columns=3, shapes=((0.2, 0.1), (0.1, 0.4))),
        AnchorLevel(rows=1, columns=1, shapes=((1.0, 0.5),)),
    )
    found = anchor_boxes(levels)
    assert found.dtype == np.float32
    expected = [
        [(column + 0.5) / 3, (row + 0.5) / 2, *shape]
        for row in range(2)
        for column in range(3)
        for shape in levels[0].shapes
    ]
    np.testing.assert_allclose(found, [*expected, [0.5, 0.5, 1.0, 0.5]], rtol=1e-6)


def test_the_first_ssd_has_8732_of_them() -> None:
    """Liu et al. 2016, section 3.1: 4 or 6 on maps of 38, 19, 10, 5, 3 and 1."""
    counts = {38: 4, 19: 6, 10: 6, 5: 6, 3: 4, 1: 4}
    levels = [AnchorLevel(rows=s, columns=s, shapes=((0.1, 0.1),) * n) for s, n in counts.items()]
    assert len(anchor_boxes(levels)) == 8732


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), SIDES, SIDES), min_size=1, max_size=8), st.integers(0, 9))
def test_decoding_undoes_encoding(boxes: list[tuple[float, ...]], seed: int) -> None:
    anchors = np.random.default_rng(seed).uniform(0.05, 1, (len(boxes), 4)).astype(np.float32)
    wanted = np.array(boxes, np.float32)
    np.testing.assert_allclose(decode(encode(wanted, anchors, VARIANCES), anchors, VARIANCES), wanted, atol=1e-5)


def test_offsets_are_those_of_the_paper() -> None:
    anchor, box = np.array([[0.5, 0.5, 0.2, 0.4]]), np.array([[0.6, 0.3, 0.4, 0.2]])
    np.testing.assert_allclose(
        encode(box, anchor, VARIANCES), [[0.1 / 0.2 / 0.1, -0.2 / 0.4 / 0.1, np.log(2) / 0.2, np.log(0.5) / 0.2]], 1e-5
    )


def test_an_output_gone_wrong_makes_a_box_of_at_most_22026_anchors() -> None:
    found = decode(np.full((1, 4), 1e6), np.full((1, 4), 0.5), VARIANCES)
    np.testing.assert_allclose(found[0, 2:], 0.5 * np.exp(10), rtol=1e-6)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("rows", "columns", "shapes"),
    [(0, 2, ((1.0, 1.0),)), (2, 2, ()), (10**4, 10**4, ((1.0, 1.0),)), (1, 1, ((0.0, 1.0),))],
)
def test_levels_that_make_no_sense_are_refused(
    rows: int, columns: int, shapes: tuple[tuple[float, float], ...]
) -> None:
    with pytest.raises(InputError):
        AnchorLevel(rows=rows, columns=columns, shapes=shapes)


def test_anchors_and_their_head_go_together() -> None:
    level = AnchorLevel(rows=1, columns=1, shapes=((1.0, 1.0),))
    assert Detection(head=Head.SSD, anchors=(level,)).variances == VARIANCES
    with pytest.raises(InputError) as caught:
        Detection(head=Head.YOLOV8, anchors=(level,))
    assert str(caught.value) == "The head yolov8 has 1 levels of anchors; only ssd and proposals have any."
    with pytest.raises(InputError):
        Detection(head=Head.SSD)


@pytest.mark.parametrize("variance", [0.0, 10.5, 1e38, float("nan")])
def test_variances_are_numbers_that_a_network_can_learn(variance: float) -> None:
    level = AnchorLevel(rows=1, columns=1, shapes=((1.0, 1.0),))
    with pytest.raises(InputError) as caught:
        Detection(head=Head.SSD, anchors=(level,), variances=(0.1, 0.1, variance, 0.2))
    assert str(caught.value) == f"A detector's variances are above 0 and at most 10; got (0.1, 0.1, {variance}, 0.2)."


def test_all_levels_together_have_no_more_anchors_than_one_may() -> None:
    half = AnchorLevel(rows=1000, columns=500, shapes=((1.0, 1.0),))
    assert Detection(head=Head.SSD, anchors=(half, half)).anchors == (half, half)
    with pytest.raises(InputError) as caught:
        Detection(head=Head.SSD, anchors=(half, half, replace(half, rows=1, columns=1)))
    assert str(caught.value) == "A detector has 1000001 anchors in all; expected at most 1000000."
