"""What proposals and regions must be, and how wrong they are; and that training pools as the device does."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.data import Boxes
from edgekit.detection import AnchorLevel, Detection, Head
from edgekit.models.objectives import objective_of
from edgekit.models.region_objective import ABSENT, IGNORED, NOTHING, SOMETHING, RegionObjective
from edgekit.regions import Proposals, Search
from edgekit.tasks.anchors import decode, encode
from edgekit.tasks.boxes import centred, corners, iou
from edgekit.tasks.regions import pool, propose

LEVEL = AnchorLevel(rows=8, columns=8, shapes=((0.25, 0.25), (0.2, 0.3), (0.5, 0.4)))
SPEC = Detection(
    head=Head.REGIONS, anchors=(LEVEL,), proposals=Proposals(bins=3, candidates=100, count=12, iou_threshold=0.6)
)


def boxes(*rows: tuple[float, float, float, float], classes: tuple[int, ...]) -> Boxes:
    return Boxes(
        image_hw=(64, 64),
        corners=np.array(rows, np.float32).reshape(-1, 4),
        classes=np.array(classes, np.int64),
        crowd=np.zeros(len(rows), bool),
    )


TRUTH = boxes((0.1, 0.1, 0.36, 0.36), (0.5, 0.55, 0.71, 0.86), classes=(2, 0))


def test_anchors_are_told_apart_by_how_much_they_overlap() -> None:
    objective = RegionObjective.of(SPEC)
    labels, offsets = objective.anchor_targets(TRUTH)
    overlap = iou(objective.boxes, TRUTH.corners)
    something = labels == SOMETHING
    assert set(overlap.argmax(axis=0)) <= set(np.flatnonzero(something))
    assert (something == ((overlap.max(axis=1) >= 0.7) | np.isin(np.arange(192), overlap.argmax(axis=0)))).all()
    assert overlap[labels == NOTHING].max() < 0.3
    between = (overlap.max(axis=1) >= 0.3) & ~something
    assert between.any()
    assert (labels[between] == IGNORED).all()
    found = corners(decode(offsets[something], objective.anchors[something], SPEC.variances))
    np.testing.assert_allclose(found, TRUTH.corners[overlap[something].argmax(axis=1)], atol=1e-5)
    assert not offsets[~something].any()


def test_anchors_are_told_apart_where_the_paper_does() -> None:
    shares = (1.0, 0.72, 0.68, 0.32, 0.28)  # of the object, which each anchor overlaps by as much
    level = AnchorLevel(rows=1, columns=1, shapes=tuple((0.5 * share, 0.5) for share in shares))
    objective = RegionObjective.of(replace(SPEC, anchors=(level,)))
    labels, _ = objective.anchor_targets(boxes((0.25, 0.25, 0.75, 0.75), classes=(0,)))
    assert labels.tolist() == [SOMETHING, SOMETHING, IGNORED, IGNORED, NOTHING]


def test_an_anchor_has_the_object_that_it_overlaps_most() -> None:
    """Although it is the best one of a small object too."""
    only = AnchorLevel(rows=1, columns=1, shapes=((0.5, 0.5),))
    both = boxes((0.25, 0.25, 0.75, 0.73), (0.3, 0.3, 0.34, 0.34), classes=(0, 1))
    objective = RegionObjective.of(replace(SPEC, anchors=(only,)))
    labels, offsets = objective.anchor_targets(both)
    assert labels.tolist() == [SOMETHING]
    found = corners(decode(offsets, objective.anchors, SPEC.variances))
    np.testing.assert_allclose(found, both.corners[:1], atol=1e-5)


def test_so_many_anchors_of_an_image_count() -> None:
    many = replace(SPEC, anchors=(replace(LEVEL, rows=32, columns=32),))
    objective = RegionObjective.of(many)
    labels, _ = objective.anchor_targets(TRUTH)
    something = np.count_nonzero(labels == SOMETHING)
    assert 0 < something <= 128
    assert np.count_nonzero(labels == NOTHING) == 256 - something
    again, _ = objective.anchor_targets(TRUTH)
    assert np.array_equal(labels, again)
    moved, _ = objective.anchor_targets(replace(TRUTH, corners=TRUTH.corners + np.float32(0.001)))
    assert not np.array_equal(labels == NOTHING, moved == NOTHING)
    dense = replace(LEVEL, rows=128, columns=128, shapes=((0.6, 0.6),))
    large = boxes((0.2, 0.2, 0.8, 0.8), classes=(1,))
    labels, _ = RegionObjective.of(replace(SPEC, anchors=(dense,))).anchor_targets(large)
    assert np.count_nonzero(labels == SOMETHING) == 128


def test_an_image_without_objects_has_nothing_everywhere() -> None:
    labels, offsets = RegionObjective.of(SPEC).anchor_targets(boxes(classes=()))
    assert set(labels.tolist()) == {NOTHING}
    assert not offsets.any()


def test_a_batch_lists_the_objects_of_each_image() -> None:
    objective = objective_of(SPEC)
    labels, offsets, truth, classes = objective.targets([TRUTH, boxes(classes=()), boxes((0, 0, 1, 1), classes=(5,))])
    assert (labels.shape, offsets.shape, truth.shape) == ((3, 192), (3, 192, 4), (3, 2, 4))
    assert classes.tolist() == [[2, 0], [ABSENT, ABSENT], [5, ABSENT]]
    assert objective.size((labels, offsets, truth, classes)) == 3
    wanted = [(shape[0], len(shape), dtype) for shape, dtype in objective.shapes(None)]
    assert wanted == [(None, t.ndim, t.dtype.type) for t in (labels, offsets, truth, classes)]
    with pytest.raises(ValueError, match=r"^There is no training objective for the head regions\.$"):
        objective_of(Detection(head=Head.REGIONS, search=Search(size_hw=(40, 40))))


def smooth(difference: Any) -> float:
    size = np.abs(difference)
    return float(np.where(size < 1, 0.5 * size**2, size - 0.5).sum())


def entropy(logits: Any, answer: int) -> float:
    return float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[answer])


def expected(outputs: Any, targets: Any) -> tuple[float, bool]:
    """The loss of one image, written out, and whether all its objects are told."""
    regions, scores, offsets, objectness, anchor_offsets = outputs
    labels, wanted, truth, classes = targets
    loss = sum(entropy(objectness[i], labels[i]) for i in np.flatnonzero(labels != IGNORED)) / 256
    loss += sum(smooth(anchor_offsets[i] - wanted[i]) for i in np.flatnonzero(labels == SOMETHING)) / 256
    costs: dict[int, list[float]] = {int(own): [] for own in np.flatnonzero(classes != ABSENT)}
    told, nothing = set(), []
    for index, region in enumerate(regions):
        overlap = iou(region[None], truth)[0]
        own = int(overlap.argmax())
        if region[2] <= region[0]:
            continue
        if overlap[own] < 0.5:
            nothing.append(entropy(scores[index], 0))
            continue
        if scores[index].argmax() == classes[own] + 1:
            told.add(own)
        moves = encode(centred(truth[own : own + 1]), centred(region[None]), SPEC.variances)[0]
        wrong = smooth(offsets[index].reshape(-1, 4)[classes[own]] - moves)
        costs[own].append(entropy(scores[index], classes[own] + 1) + wrong)
    objects = [np.mean(cost) if cost else 2 + np.log(scores.shape[1]) for cost in costs.values()]
    return loss + 0.25 * float(np.mean(objects)) + 0.75 * float(np.mean(nothing)), told == set(costs)


def test_the_loss_is_that_of_both_stages() -> None:
    random = np.random.default_rng(0)
    objective = RegionObjective.of(SPEC)
    images = [TRUTH, boxes((0.3, 0.3, 0.8, 0.7), (0.85, 0.85, 0.95, 0.95), classes=(1, 0))]
    targets = objective.targets(images)
    near = [TRUTH.corners[[0, 0, 0, 0, 1, 1]], np.repeat(images[1].corners[:1], 6, axis=0)]  # one object has none
    far = random.uniform(0, 0.5, (2, 5, 2))
    regions = np.concatenate(
        [
            np.stack(near) + random.normal(0, 0.02, (2, 6, 4)),
            np.concatenate([far, far + random.uniform(0.1, 0.4, far.shape)], axis=2),
            np.zeros((2, 1, 4)),
        ],
        axis=1,
    ).astype(np.float32)
    scores = random.normal(0, 2, (2, 12, 4)).astype(np.float32)
    scores[0, [0, 4], [3, 1]] += 20  # both objects of the first image
    outputs = [
        regions,
        scores,
        *(random.normal(0, 1.5, shape).astype(np.float32) for shape in ((2, 12, 12), (2, 192, 2), (2, 192, 4))),
    ]
    loss, right = objective.loss([_tensor(values) for values in outputs], *map(_tensor, targets))
    each = [expected([v[i] for v in outputs], [t[i] for t in targets]) for i in range(2)]
    assert float(loss) == pytest.approx(sum(value for value, _ in each), rel=1e-4)
    assert int(right) == sum(whole for _, whole in each) == 1


def test_to_propose_nothing_is_worse_than_to_be_wrong() -> None:
    """Epochs are compared by their loss, and the first ones find little."""
    objective = RegionObjective.of(SPEC)
    targets = objective.targets([TRUTH])
    far, near = np.full((1, 12, 4), [0.9, 0.0, 1.0, 0.1], np.float32), np.repeat(TRUTH.corners, 6, axis=0)[None]
    rest = (np.zeros((1, 12, 12)), np.zeros((1, 192, 2)), np.zeros((1, 192, 4)))
    empty = np.tile([9, 0, 0, 0], (1, 12, 1))
    (nothing, _), (guessed, _) = (
        objective.loss([_tensor(np.float32(v)) for v in (regions, scores, *rest)], *map(_tensor, targets))
        for regions, scores in ((far, empty), (near, np.zeros((1, 12, 4))))
    )
    assert float(guessed) < float(nothing)


def _tensor(values: Any) -> Any:
    import tensorflow as tf

    return tf.constant(values)


def test_training_proposes_and_pools_as_the_device_does() -> None:
    from edgekit.codec import to_jsonable
    from edgekit.models.region_learner import Pool, Propose

    random = np.random.default_rng(3)
    objectness = random.normal(0, 2, (3, 192, 2)).astype(np.float32)
    offsets = random.normal(0, 0.7, (3, 192, 4)).astype(np.float32)
    objectness[1:] *= 60  # more than a sigmoid tells apart
    offsets[1, objectness[1, :, 1] > 0, 2] = -40  # the most likely ones are too narrow
    offsets[2, :, 2:], offsets[2, :5, 2:] = -40, 100  # five are left, each the whole image
    features = random.normal(size=(3, 8, 8, 5)).astype(np.float32)
    import json

    layer = Propose(detection=json.dumps(to_jsonable(SPEC)))
    regions = np.asarray(Propose.from_config(layer.get_config())(objectness, offsets))
    pooled = np.asarray(Pool.from_config(Pool(bins=3).get_config())(features, regions)).reshape(3, 12, 3, 3, 5)
    for index, count in enumerate((12, 12, 1)):
        found = propose(objectness[index], offsets[index], SPEC)
        assert len(found) == count
        np.testing.assert_allclose(regions[index, :count], found, atol=1e-5)
        np.testing.assert_allclose(pooled[index, :count], pool(features[index], found, 3), atol=1e-4)
        assert not regions[index, count:].any()
