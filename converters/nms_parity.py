"""Whether a file that chooses its boxes itself finds what the decoder on the device finds in the outputs before."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.detection import LEAST_SCORE, Detection
from edgekit.errors import CheckFailedError
from edgekit.tasks.boxes import iou, suppress
from edgekit.tasks.detection import Decoder
from edgekit.tasks.heads import Detections

Array = npt.NDArray[Any]

SCORE_EPS = 1e-4
"""Exponentials of two engines differ by far less; scores that differ by less may come in any order."""
BOX_EPS = 1e-3
"""In fractions of the input: a third of a pixel at 320."""
OVERLAP_EPS = 1e-4
"""Pairs of boxes whose overlap is that near to the threshold may be taken for one object or for two."""


def require_same_detections(
    device: Decoder,
    graph: Decoder,
    reference: Mapping[str, Array],
    other: Mapping[str, Array],
    *,
    what: str,
) -> int:
    """How many objects the file ``what`` finds in all items, as ``device`` does; `CheckFailedError` for another answer.

    ``reference`` and ``other`` are (items, ...) outputs before and after. Suppression goes on from its own choices, so
    that of two boxes with the same score another one may survive, and after it others. So it is not two lists that are
    compared: each box of the graph is one that the device decodes too, with its class and score; the better ones come
    first; no two of a class are one object; and whatever the device keeps is there, or one that stands for it.
    """
    count = 0
    for item in range(len(next(iter(reference.values())))):
        found = graph.read({name: values[item] for name, values in other.items()}, 0.0)
        in_order = np.ravel(other[graph.names[2]][item])[: len(found)]  # reading has sorted them
        wrong = (
            "its boxes do not come best first"
            if np.any(np.diff(in_order) > SCORE_EPS)
            else _difference(found, *_by_device(device, {n: v[item] for n, v in reference.items()}), device.spec)
        )
        if wrong:
            raise CheckFailedError(
                f"{what} is refused, and nothing was written: with --nms graph {wrong} (item {item + 1})."
            )
        count += len(found)
    if not count:
        raise CheckFailedError(
            f"{what} is refused, and nothing was written: nothing was found in any item, so that choosing boxes in the "
            "graph cannot be compared with the device; give photos with objects as --calibration."
        )
    return count


def _difference(found: Detections, every: Detections, kept: Detections, spec: Detection) -> str:
    """What is wrong with ``found`` where the device decodes ``every`` box and keeps ``kept``; nothing is ''."""
    for index in range(len(found)):
        one = found.at(slice(index, index + 1))
        if not _alike(every, one):
            return f"it finds {_told(one)}, and the decoder on the device has none"
        if _overlapping(found.at(slice(index)), one, spec.iou_threshold + OVERLAP_EPS).any():
            return f"it finds {_told(one)} a second time"
    least = LEAST_SCORE + SCORE_EPS
    if len(found) == spec.max_detections:  # what is hardly better than the last one may have been cut off
        least = max(least, float(found.scores[-1]) + SCORE_EPS)
    for index in np.flatnonzero(kept.scores >= least).tolist():
        one = kept.at(slice(index, index + 1))
        better = found.at(found.scores >= one.scores - SCORE_EPS)
        if not (_overlapping(better, one, spec.iou_threshold - OVERLAP_EPS).any() or _alike(found, one)):
            return f"it does not find {_told(one)}, which the device does"
    return ""


def _by_device(decoder: Decoder, outputs: Mapping[str, Array]) -> tuple[Detections, Detections]:
    """All boxes that the outputs of one item mean, and those of them that are kept."""
    every = decoder.read(outputs, LEAST_SCORE - SCORE_EPS)
    likely = every.at(every.scores >= LEAST_SCORE)
    spec = decoder.spec
    kept = suppress(
        likely.boxes, likely.scores, likely.classes, most_overlap=spec.iou_threshold, limit=spec.max_detections
    )
    return every, likely.at(kept)


def _alike(those: Detections, one: Detections) -> bool:
    """Whether ``one`` is among ``those``, within the tolerances; what lies outside the input is of no account."""
    near = np.flatnonzero((those.classes == one.classes) & (np.abs(those.scores - one.scores) <= SCORE_EPS))
    distance = np.abs(np.clip(those.boxes[near], 0, 1) - np.clip(one.boxes, 0, 1))
    return bool((distance <= BOX_EPS).all(axis=1).any())


def _overlapping(those: Detections, one: Detections, overlap: float) -> npt.NDArray[np.bool_]:
    """Which of ``those`` are of the class of ``one`` and overlap it by more than ``overlap``."""
    return np.asarray((those.classes == one.classes) & (iou(those.boxes, one.boxes)[:, 0] > overlap))


def _told(one: Detections) -> str:
    box = ", ".join(f"{value:.3f}" for value in one.boxes[0])
    return f"class {one.classes[0]} with the score {one.scores[0]:.3f} at {box}"
