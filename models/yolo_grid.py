"""The grid of the first YOLO: what its cells must give for an image. Importing it loads no framework.

Source: Redmon et al. 2016, You Only Look Once, section 2.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data import Boxes
from edgekit.detection import Detection, Head
from edgekit.errors import InputError
from edgekit.models.matching import BACKGROUND
from edgekit.models.spec import Value
from edgekit.tasks.boxes import areas

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

_CELLS = (8, 16, 32, 64)
_OF_PLACES, _OF_EMPTY = 5.0, 0.5
"""Weights of the errors of places, and of the confidences of boxes that find nothing (section 2.2)."""
_THRESHOLD = 0.2
"""Of the published demonstration: a score is a probability times an overlap, which even good boxes have below 1."""


def yolo_v1(arguments: Mapping[str, Value]) -> Detection:
    """A square grid of cells of ``cell`` pixels."""
    side = grid_side(int(arguments["size"]), int(arguments["cell"]))
    return Detection(head=Head.YOLO_V1, grid=(side, side), score_threshold=_THRESHOLD)


def grid_side(size: int, cell: int) -> int:
    """Cells in a row of an image of ``size`` pixels; `InputError` for cells that no number of halvings gives.

    >>> grid_side(448, 64), grid_side(160, 64)
    (7, 3)
    """
    if cell not in _CELLS:
        raise InputError(f"yolo_v1 has cells of {', '.join(map(str, _CELLS))} pixels; got {cell}: choose one of these.")
    return math.ceil(size / cell)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridObjective:
    """Places, confidences and classes of the cells of a ``grid`` of rows and columns (section 2.2)."""

    grid: tuple[int, int]
    counted = "cell_accuracy"

    def targets(self, boxes: Sequence[Boxes]) -> tuple[Array, ...]:
        """Places (images, rows, columns, 4) and classes (images, rows, columns), `BACKGROUND` without an object.

        The cell in which the centre of an object lies must find it; of several in a cell it is the largest. A place is
        the centre within the cell and the roots of the sides.
        """
        each = [self._cells(own) for own in boxes]
        return np.stack([places for places, _ in each]), np.stack([classes for _, classes in each])

    def _cells(self, boxes: Boxes) -> tuple[Floats, Labels]:
        places, classes = np.zeros((*self.grid, 4), np.float32), np.full(self.grid, BACKGROUND, np.int32)
        order = np.argsort(areas(boxes.corners), kind="stable")  # the largest is written last
        low, high = boxes.corners[order, :2], boxes.corners[order, 2:]
        rows, columns = self.grid
        centres = (low + high) / 2 * (columns, rows)
        cells = np.clip(centres.astype(np.int64), 0, (columns - 1, rows - 1))
        at = cells[:, 1], cells[:, 0]
        places[at] = np.concatenate([centres - cells, np.sqrt(np.maximum(high - low, 0))], axis=1)
        classes[at] = boxes.classes[order] + 1
        return places, classes

    def shapes(self, model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """Those of `targets`."""
        images = model.outputs[0].shape[0]
        return ((images, *self.grid, 4), np.float32), ((images, *self.grid), np.int32)

    def size(self, targets: Sequence[Array]) -> float:
        """The number of cells with an object."""
        return float(max(1, int(np.count_nonzero(targets[1] != BACKGROUND))))

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """The sum of squared errors of equation 3.

        Of a cell's boxes the one that overlaps the object most is responsible for it: its place counts, and its
        confidence must be that overlap, while those of all others must be 0. Where none overlaps it, it is the nearest
        one, as in the published code. The second figure is how many cells with an object have the right class.
        """
        import tensorflow as tf

        (boxes, confidences, classes), (places, labels) = outputs, targets
        count = confidences.shape[-1]
        found = tf.reshape(boxes, (-1, *self.grid, count, 4))
        wanted = tf.expand_dims(places, 3)
        overlap, distance = self._compared(found, wanted)
        some = tf.reduce_max(overlap, axis=3, keepdims=True) > 0
        there = tf.not_equal(labels, BACKGROUND)
        objects = tf.cast(there, tf.float32)
        best = tf.one_hot(tf.argmax(tf.where(some, overlap, -distance), axis=3), count) * objects[..., None]
        missed = tf.reduce_sum(best * tf.reduce_sum((found - wanted) ** 2, axis=4))
        unsure = tf.reduce_sum(best * (confidences - overlap) ** 2)
        imagined = tf.reduce_sum((1 - best) * confidences**2)
        one = tf.one_hot(labels - 1, classes.shape[-1])
        confused = tf.reduce_sum(objects[..., None] * (classes - one) ** 2)
        right = tf.logical_and(there, tf.equal(tf.argmax(classes, axis=3, output_type=tf.int32), labels - 1))
        loss = _OF_PLACES * missed + unsure + _OF_EMPTY * imagined + confused
        return loss, tf.reduce_sum(tf.cast(right, tf.int32))

    def _compared(self, found: Any, wanted: Any) -> tuple[Any, Any]:
        """Intersection over union of two boxes of a cell, and their squared distance; no gradient goes through them."""
        import tensorflow as tf

        cells = tf.constant(self.grid[::-1], tf.float32)
        (centre, sides), (other, others) = ((p[..., :2] / cells, p[..., 2:] ** 2) for p in (found, wanted))
        low = tf.maximum(centre - sides / 2, other - others / 2)
        high = tf.minimum(centre + sides / 2, other + others / 2)
        shared = tf.reduce_prod(tf.maximum(high - low, 0), axis=4)
        union = tf.reduce_prod(sides, axis=4) + tf.reduce_prod(others, axis=4) - shared
        distance = tf.reduce_sum((centre - other) ** 2 + (sides - others) ** 2, axis=4)
        return tf.stop_gradient(tf.math.divide_no_nan(shared, union)), tf.stop_gradient(distance)
