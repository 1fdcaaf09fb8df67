"""What a detector's outputs must be for an image, and how wrong they are, for each kind of head."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.data import Boxes
from edgekit.detection import Detection, Head
from edgekit.models.matching import BACKGROUND, Matcher
from edgekit.models.region_objective import RegionObjective, smooth_l1
from edgekit.models.yolo_grid import GridObjective

Array = npt.NDArray[Any]
Shape = tuple[int | None, ...]

_NEGATIVES = 3
"""Anchors without an object that count for each one with one, the most wrong ones first (Liu et al. 2016, 2.2)."""


class Objective(Protocol):
    """What the training of one kind of head aims at."""

    @property
    def counted(self) -> str:
        """The name of the share of what `loss` counts as right."""

    def targets(self, boxes: Sequence[Boxes]) -> tuple[Array, ...]:
        """For several images, (images, ...) each, what their outputs are compared with."""

    def shapes(self, model: Any, /) -> tuple[tuple[Shape, type[np.generic]], ...]:
        """Shape and dtype of each of `targets` for ``model``."""

    def size(self, targets: Sequence[Array]) -> float:
        """The number by which the losses' sum is divided, 1 or more."""

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """The losses' sum, and how much is right, as TensorFlow's scalars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorObjective:
    """Offsets and classes of anchors, found by the ``matcher`` (Liu et al. 2016, SSD, section 2.2)."""

    matcher: Matcher
    counted = "anchor_accuracy"

    def targets(self, boxes: Sequence[Boxes]) -> tuple[Array, ...]:
        """Offsets (images, anchors, 4) and classes (images, anchors)."""
        return self.matcher.batch(boxes)

    def shapes(self, model: Any) -> tuple[tuple[Shape, type[np.generic]], ...]:
        """Those of `targets`."""
        offsets = tuple(model.outputs[0].shape)
        return (offsets, np.float32), (offsets[:2], np.int32)

    def size(self, targets: Sequence[Array]) -> float:
        """The number of anchors with an object."""
        return max(1.0, float(np.count_nonzero(targets[1] != BACKGROUND)))

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """Smooth L1 of the offsets and cross-entropy of the classes (equations 1 to 3), summed.

        The second figure is how many anchors with an object have the right class.
        """
        import tensorflow as tf

        (found, logits), (offsets, classes) = outputs, targets
        matched = tf.not_equal(classes, BACKGROUND)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
        negatives = tf.where(matched, tf.zeros_like(entropy), entropy)
        rank = tf.argsort(tf.argsort(negatives, direction="DESCENDING", stable=True), stable=True)
        wanted = _NEGATIVES * tf.maximum(1, tf.reduce_sum(tf.cast(matched, tf.int32), axis=1, keepdims=True))
        counts = tf.logical_or(matched, rank < wanted)
        smooth = smooth_l1(found - offsets)
        loss = tf.reduce_sum(tf.boolean_mask(entropy, counts)) + tf.reduce_sum(tf.boolean_mask(smooth, matched))
        right = tf.logical_and(matched, tf.equal(tf.argmax(logits, axis=2, output_type=tf.int32), classes))
        return loss, tf.reduce_sum(tf.cast(right, tf.int32))


def objective_of(detection: Detection) -> Objective:
    """What the training of a detector like ``detection`` aims at; `ValueError` where its head has no training."""
    if detection.head is Head.SSD:
        return AnchorObjective(matcher=Matcher.of(detection))
    if detection.grid is not None:
        return GridObjective(grid=detection.grid)
    if detection.proposals is not None:
        return RegionObjective.of(detection)
    raise ValueError(f"There is no training objective for the head {detection.head}.")
