"""Regions of a first stage, and what the second takes for each."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.detection import AnchorLevel, Detection, Head, Scores
from edgekit.errors import DataError
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.regions import Proposals, Search
from edgekit.tasks.anchors import anchor_boxes, encode
from edgekit.tasks.boxes import centred, corners
from edgekit.tasks.detection import REGION_OUTPUTS, Decoder
from edgekit.tasks.regions import places, pool, propose, warp

LEVEL = AnchorLevel(rows=4, columns=4, shapes=((0.25, 0.25), (0.5, 0.5)))
SPEC = Detection(
    head=Head.REGIONS, anchors=(LEVEL,), proposals=Proposals(bins=2, candidates=20, count=5, iou_threshold=0.5)
)


def proposed(wanted: dict[int, tuple[list[float], float]], **changes: Any) -> Any:
    """What is proposed where anchors give the boxes and scores of ``wanted``, and all others are unlikely."""
    anchors = anchor_boxes([LEVEL])
    offsets, objectness = np.zeros((32, 4), np.float32), np.zeros((32, 2), np.float32)
    objectness[:, 1] = -5 - np.arange(32) / 100
    for place, (box, score) in wanted.items():
        offsets[place] = encode(centred(np.float32([box])), anchors[place : place + 1], SPEC.variances)[0]
        objectness[place, 1] = score
    objectness += np.linspace(-9, 9, 32, dtype=np.float32)[::-1, None]  # what both logits share says nothing
    assert SPEC.proposals is not None
    return propose(objectness, offsets, replace(SPEC, proposals=replace(SPEC.proposals, **changes)))


def test_proposals_are_moved_anchors_best_first_without_doubles_cut_at_the_edges() -> None:
    regions = proposed(
        {
            3: ([0.5, 0.1, 0.9, 0.5], 1.0),
            4: ([0.1, 0.1, 0.4, 0.4], 2.0),
            7: ([0.52, 0.1, 0.92, 0.5], 0.5),  # that of the first once more
            9: ([0.8, 0.8, 1.2, 1.3], 0.2),
            11: ([0.3, 0.3, 0.305, 0.9], 3.0),  # too narrow to be an object
        }
    )
    np.testing.assert_allclose(regions[:3], [[0.1, 0.1, 0.4, 0.4], [0.5, 0.1, 0.9, 0.5], [0.8, 0.8, 1, 1]], atol=1e-5)
    assert (len(regions), regions.dtype) == (5, np.float32)


def test_what_is_too_narrow_takes_no_place_among_the_candidates() -> None:
    narrow = {place: ([0.3, 0.3, 0.305, 0.9], 3.0 + place) for place in range(20)}
    regions = proposed({**narrow, 25: ([0.1, 0.1, 0.4, 0.4], 1.0)})
    assert len(regions) == 5
    np.testing.assert_allclose(regions[0], [0.1, 0.1, 0.4, 0.4], atol=1e-5)


def test_only_the_best_candidates_become_proposals() -> None:
    wanted = {place: ([0.2, 0.2, 0.6, 0.6], 1.0 + place) for place in range(20)}
    assert len(proposed(wanted)) == 1  # the twenty best are one
    assert len(proposed({0: ([0.2, 0.2, 0.6, 0.6], 1.0)}, count=2)) == 2


def sampled(features: Any, x: float, y: float) -> Any:
    """``features`` at a place in cells, interpolated between the four cells around it."""
    rows, columns = features.shape[:2]
    x, y = min(max(x - 0.5, 0), columns - 1), min(max(y - 0.5, 0), rows - 1)
    left, top = min(int(x), columns - 2), min(int(y), rows - 2)
    right, down = x - left, y - top
    upper = features[top, left] * (1 - right) + features[top, left + 1] * right
    lower = features[top + 1, left] * (1 - right) + features[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def test_pooled_features_are_means_of_interpolated_places() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(5, 7, 3)).astype(np.float32)
    low = random.uniform(0, 0.6, (70, 2))
    regions = np.concatenate([low, low + random.uniform(0.05, 0.4, (70, 2))], axis=1).astype(np.float32)
    found = pool(features, regions, 3)
    assert (found.shape, found.dtype) == ((70, 3, 3, 3), np.float32)
    for index in (0, 33, 69):
        left, top, right, bottom = regions[index] * np.float32([7, 5, 7, 5])
        steps = (np.arange(6) + 0.5) / 6
        each = np.array(
            [[sampled(features, left + (right - left) * s, top + (bottom - top) * t) for s in steps] for t in steps]
        )
        means = each.reshape(3, 2, 3, 2, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(found[index], means, atol=1e-5)
    assert pool(features, regions[:0], 3).shape == (0, 3, 3, 3)


def test_a_bin_counts_each_of_its_cells_and_no_more_than_all() -> None:
    found = places(np.array([-0.2, 0.3]), np.array([1.4, 0.31]), 4, 10)
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-6)
    assert np.count_nonzero(found[1]) <= 4 * 2


def test_a_warped_region_shows_its_surroundings_and_beyond_the_image_its_mean() -> None:
    image = np.zeros((60, 40, 3), np.uint8)
    image[:, 20:] = [200, 100, 0]  # right half
    inner, edge = np.float32([[0.25, 0.25, 0.75, 0.75]]), np.float32([[0.5, 0, 1, 1]])
    plain = warp(image, inner, (10, 20), 0.0)
    assert (plain.shape, plain.dtype) == ((1, 10, 20, 3), np.uint8)
    assert plain[0, 5, 4].tolist() == [0, 0, 0]
    assert plain[0, 5, 15].tolist() == [200, 100, 0]
    with_context = warp(image, edge, (20, 20), 0.25)[0]
    assert with_context[10, 2].tolist() == [0, 0, 0]  # what is left of it
    assert with_context[10, 10].tolist() == [200, 100, 0]
    assert with_context[10, 18].tolist() == [100, 50, 0]  # right of the image
    assert with_context[1, 10].tolist() == [100, 50, 0]  # above it
    rows = np.flatnonzero(np.any(with_context[:, 10] != [100, 50, 0], axis=1))
    assert (rows[0], rows[-1]) == (5, 14)  # a quarter of the side around it


def test_a_warped_region_is_interpolated() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 200
    row = warp(image, np.float32([[0, 0, 1, 1]]), (8, 8), 0.0)[0, 0, :, 0].tolist()
    assert row == sorted(row)
    assert len(set(row)) > 4


def regions_outputs() -> dict[str, Any]:
    """Two of three regions have an object: class 2 in the first, moved; class 0 in the last. One is empty."""
    regions = np.float32([[0.1, 0.2, 0.3, 0.6], [0, 0, 0, 0], [0.7, 0.1, 0.9, 0.9]])
    scores = np.log(np.float32([[0.1, 0.1, 0.08, 0.72], [0.01, 0.01, 0.01, 0.97], [0.4, 0.5, 0.05, 0.05]]))
    offsets = np.full((3, 3, 4), 9, np.float32)  # those of other classes mean nothing
    offsets[0, 2] = encode(centred(np.float32([[0.2, 0.2, 0.4, 0.7]])), centred(regions[:1]), (0.1, 0.1, 0.2, 0.2))[0]
    offsets[2, 0] = 0
    return dict(zip(REGION_OUTPUTS, (regions, scores, offsets.reshape(3, 12)), strict=True))


def region_decoder(**settings: Any) -> Decoder:
    spec = Detection(head=Head.REGIONS, search=Search(size_hw=(40, 40)), **settings)
    how = Preprocessing(size_hw=(40, 40), resize=Resize.STRETCH)
    return Decoder(spec=spec, names=REGION_OUTPUTS, preprocessing=how, model="m")


def test_each_class_moves_a_region_its_own_way() -> None:
    outputs = regions_outputs()
    found = region_decoder()(outputs, (50, 50))
    assert found.classes.tolist() == [2, 0]
    np.testing.assert_allclose(found.scores, [0.72, 0.5], atol=1e-5)
    np.testing.assert_allclose(found.boxes, [[0.2, 0.2, 0.4, 0.7], [0.7, 0.1, 0.9, 0.9]], atol=1e-5)
    assert region_decoder().class_count(outputs) == 3
    margins = {**outputs, "scores": np.float32([[0, -2, -2, 3], [0, 0, 0, 0], [0, -1, -1, -1]])}
    sure = region_decoder(scores=Scores.SIGMOID, score_threshold=0.5)(margins, (50, 50))
    assert sure.classes.tolist() == [2]
    np.testing.assert_allclose(sure.scores, 1 / (1 + np.exp(-3)), atol=1e-5)


def test_boxes_are_cut_at_the_edges_before_they_are_compared() -> None:
    """Of two that differ outside of the image alone, the better one stays."""
    regions = np.float32([[0.7, 0.4, 0.9, 0.6], [0.7, 0.4, 1.0, 0.6]])
    offsets = np.concatenate(
        [
            encode(centred(np.float32([[0.7, 0.4, right, 0.6]])), centred(regions[i : i + 1]), (0.1, 0.1, 0.2, 0.2))
            for i, right in enumerate((1.0, 1.9))
        ]
    )
    outputs = dict(zip(REGION_OUTPUTS, (regions, np.float32([[0, 3], [0, 4]]), offsets), strict=True))
    found = region_decoder()(outputs, (50, 50))
    np.testing.assert_allclose(found.boxes, [[0.7, 0.4, 1, 0.6]], atol=1e-5)


@pytest.mark.parametrize("name", REGION_OUTPUTS)
def test_parts_of_other_shapes_are_refused(name: str) -> None:
    outputs = regions_outputs()
    outputs[name] = outputs[name][:, :-1] if name != "scores" else outputs[name][:, :1]
    with pytest.raises(DataError) as caught:
        region_decoder()(outputs, (50, 50))
    shape = " x ".join(str(n) for n in outputs["regions"].shape)
    assert str(caught.value) == (
        f"Output 'regions' of m is {shape} for one item; a regions head gives regions x 4, regions x (1 + classes) "
        "scores and regions x 4 classes offsets: name another with --decoder."
    )


def test_centred_boxes_and_corners_are_the_same() -> None:
    boxes = np.float32([[0.1, 0.2, 0.5, 0.9], [0, 0, 1, 1]])
    np.testing.assert_allclose(corners(centred(boxes)), boxes, atol=1e-6)
