"""What proposals and regions must be for an image, and how wrong they are (Ren et al. 2015, sections 3.1.2 and 3.2)."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data import Boxes
from edgekit.detection import Detection
from edgekit.tasks.anchors import anchor_boxes, encode
from edgekit.tasks.boxes import centred, corners, iou

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]

IGNORED, NOTHING, SOMETHING = -1, 0, 1
"""What an anchor must say; of ignored ones nothing is asked."""
SAMPLED = 256
"""Anchors of an image that count, at most half of them with an object."""
LIKE, UNLIKE = 0.7, 0.3
"""An anchor that overlaps an object by so much has it; one that overlaps all of them by less has none."""
LEAST_OVERLAP = 0.5
"""A region that overlaps an object by so much must be told as it."""
OBJECT_SHARE = 0.25
"""What the objects of an image count, the rest being for regions without one (Girshick 2015, section 2.3)."""
LOST = 2.0
"""What the places of an object that no region shows cost: as if each of the four offsets were wrong by one."""
ABSENT = -1
"""The class that fills up the list of an image's objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionObjective:
    """Proposals and regions of a detector as ``detection`` says, learned at the same time.

    ``anchors`` (count, 4) are its anchors, and ``boxes`` their corners.

    This is the approximate joint training of section 3.2: the proposals of a step are regions of the same step, and no
    gradient follows their places. Anchors beyond the edge learn too, since in small images they are most of them.
    """

    detection: Detection
    anchors: Floats
    boxes: Floats
    counted = "images_found"

    @classmethod
    def of(cls, detection: Detection) -> "RegionObjective":
        """The objective for the anchors and regions of ``detection``."""
        anchors = anchor_boxes(detection.anchors)
        return cls(detection=detection, anchors=anchors, boxes=corners(anchors))

    def targets(self, boxes: Sequence[Boxes]) -> tuple[Array, ...]:
        """What anchors must say (images, anchors), their offsets (..., 4), and the objects' corners and classes.

        The last two are (images, most objects, 4) and (images, most objects).
        """
        each = [self.anchor_targets(own) for own in boxes]
        most = max([1, *(len(own) for own in boxes)])
        truth = np.zeros((len(boxes), most, 4), np.float32)
        classes = np.full((len(boxes), most), ABSENT, np.int32)
        for index, own in enumerate(boxes):
            truth[index, : len(own)], classes[index, : len(own)] = own.corners, own.classes
        return np.stack([labels for labels, _ in each]), np.stack([offsets for _, offsets in each]), truth, classes

    def anchor_targets(self, boxes: Boxes) -> tuple[Integers, Floats]:
        """What each anchor must say (anchors,), and its offsets (anchors, 4), 0 where it has no object.

        The anchor that overlaps an object most has one, and all that overlap one by `LIKE`; it is the one that the
        anchor itself overlaps most. Which ones count is drawn by the boxes themselves, so that a changed image of the
        next epoch gets others.
        """
        labels = np.full(len(self.anchors), NOTHING, np.int32)
        offsets = np.zeros((len(self.anchors), 4), np.float32)
        if len(boxes):
            overlap = iou(self.boxes, boxes.corners)
            most, chosen = overlap.max(axis=1), overlap.argmax(axis=1)
            labels[most >= UNLIKE] = IGNORED
            labels[most >= LIKE] = SOMETHING
            labels[overlap.argmax(axis=0)] = SOMETHING
            matched = np.flatnonzero(labels == SOMETHING)
            offsets[matched] = encode(centred(boxes.corners[chosen[matched]]), self.anchors[matched], self._variances)
        random = np.random.default_rng(zlib.crc32(boxes.corners.tobytes()))
        _thin(labels, SOMETHING, SAMPLED // 2, random)
        _thin(labels, NOTHING, SAMPLED - int(np.count_nonzero(labels == SOMETHING)), random)
        return labels, offsets

    @property
    def _variances(self) -> tuple[float, float, float, float]:
        return self.detection.variances

    def shapes(self, _model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """Those of `targets`."""
        anchors = len(self.anchors)
        return (
            ((None, anchors), np.int32),
            ((None, anchors, 4), np.float32),
            ((None, None, 4), np.float32),
            ((None, None), np.int32),
        )

    def size(self, targets: Sequence[Array]) -> float:
        """The number of images."""
        return float(len(targets[0]))

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """What is wrong with proposals and with regions, the mean of each image, summed over the images.

        Of regions, it is the mean over the regions without an object, and the mean over the objects of what their
        regions cost, which for an object that no region shows is `LOST` and the entropy of a guess: otherwise it would
        be best to propose none. The second figure is in how many images each object has a region that tells its class.
        """
        import tensorflow as tf

        regions, scores, offsets, objectness, anchor_offsets = outputs
        labels, wanted, truth, classes = targets
        sampled, matched = tf.not_equal(labels, IGNORED), tf.equal(labels, SOMETHING)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), objectness)
        proposing = (_sum(entropy, sampled) + _sum(_smooth(anchor_offsets - wanted), matched)) / SAMPLED

        overlap = _iou(regions, truth)
        chosen = tf.argmax(overlap, axis=2, output_type=tf.int32)
        like = tf.reduce_max(overlap, axis=2) >= LEAST_OVERLAP
        own = tf.gather(classes, chosen, batch_dims=1)
        answer = tf.where(like, own + 1, 0)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(answer, scores)
        moved = _encode(tf.gather(truth, chosen, batch_dims=1), regions, self._variances)
        each = tf.reshape(offsets, (-1, offsets.shape[1], offsets.shape[2] // 4, 4))
        wrong = entropy + _smooth(tf.gather(each, tf.maximum(own, 0), batch_dims=2) - moved)
        shows = tf.logical_and(like[..., None], tf.equal(chosen[..., None], tf.range(tf.shape(truth)[1])))
        there = tf.not_equal(classes, ABSENT)
        lost = LOST + math.log(scores.shape[2])
        shown = tf.reduce_any(shows, axis=1)
        of_object = tf.where(shown, _mean(wrong[..., None], shows), lost)
        empty = tf.logical_and(tf.reduce_any(regions[..., 2:] > regions[..., :2], axis=2), tf.logical_not(like))
        looking = OBJECT_SHARE * _mean(of_object, there) + (1 - OBJECT_SHARE) * _mean(entropy, empty)

        told = tf.equal(tf.argmax(scores, axis=2, output_type=tf.int32), answer)
        found = tf.reduce_any(tf.logical_and(shows, told[..., None]), axis=1)
        whole = tf.reduce_all(tf.logical_or(found, tf.logical_not(there)), axis=1)
        return proposing + tf.reduce_sum(looking), tf.reduce_sum(tf.cast(whole, tf.int32))


def _thin(labels: Integers, label: int, most: int, random: np.random.Generator) -> None:
    """Of the anchors with ``label`` at most ``most`` go on counting."""
    places = np.flatnonzero(labels == label)
    if len(places) > most:
        labels[random.permutation(places)[most:]] = IGNORED


def _sum(values: Any, counts: Any) -> Any:
    import tensorflow as tf

    return tf.reduce_sum(tf.boolean_mask(values, counts))


def _mean(values: Any, counts: Any) -> Any:
    """The mean of what ``counts`` along the second axis; 0 where nothing does."""
    import tensorflow as tf

    weights = tf.cast(counts, tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights, axis=1), tf.reduce_sum(weights, axis=1))


def smooth_l1(difference: Any) -> Any:
    """Smooth L1 of each ``difference`` (Girshick 2015, Fast R-CNN, equation 3)."""
    import tensorflow as tf

    size = tf.abs(difference)
    return tf.where(size < 1, 0.5 * size**2, size - 0.5)


def _smooth(difference: Any) -> Any:
    """That of the last axis, summed over it."""
    import tensorflow as tf

    return tf.reduce_sum(smooth_l1(difference), axis=-1)


def _iou(regions: Any, truth: Any) -> Any:
    """(images, regions, objects) from corners (images, regions, 4) and (images, objects, 4)."""
    import tensorflow as tf

    first, second = regions[:, :, None], truth[:, None]
    sides = tf.minimum(first[..., 2:], second[..., 2:]) - tf.maximum(first[..., :2], second[..., :2])
    shared = tf.reduce_prod(tf.maximum(sides, 0.0), axis=-1)
    areas = [tf.reduce_prod(tf.maximum(box[..., 2:] - box[..., :2], 0.0), axis=-1) for box in (first, second)]
    return tf.math.divide_no_nan(shared, areas[0] + areas[1] - shared)


def _encode(boxes: Any, regions: Any, variances: tuple[float, float, float, float]) -> Any:
    """As `edgekit.tasks.anchors.encode`, both by their corners; sides of nothing count as very small ones."""
    import tensorflow as tf

    sides, own = (tf.maximum(box[..., 2:] - box[..., :2], 1e-4) for box in (boxes, regions))
    centres = (boxes[..., :2] + sides / 2 - regions[..., :2] - own / 2) / own
    return tf.concat([centres, tf.math.log(sides / own)], axis=-1) / tf.constant(variances)
