"""Whether two runs of a detector find the same objects."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import Artifact
from edgekit.errors import DataError
from edgekit.runtimes.base import dequantize
from edgekit.tasks.boxes import iou
from edgekit.tasks.detection import make_decoder, resolve_detection
from edgekit.tasks.heads import Detections

Array = npt.NDArray[Any]

LEAST_OVERLAP = 0.9
MOST_SCORE = 0.02
"""Two detections are one object where they have one class, overlap so much, and their scores differ by no more."""


def same_objects(found: Detections, others: Detections) -> bool:
    """Whether each detection has its counterpart in the other run, whatever their order."""
    if len(found) != len(others):
        return False
    alike = (
        (iou(found.boxes, others.boxes) >= LEAST_OVERLAP)
        & (found.classes[:, None] == others.classes[None])
        & (np.abs(found.scores[:, None] - others.scores[None]) <= MOST_SCORE)
    )
    return bool(alike.any(axis=0).all() and alike.any(axis=1).all())


def share_of_same_objects(found: Sequence[Detections], others: Sequence[Detections]) -> float:
    """The fraction of items, one of each run in each place, in which two runs found the `same_objects`.

    `DataError` without any item.
    """
    if not found:
        raise DataError("Two runs have no item to compare; expected the same items in both, at least one.")
    return float(np.mean([same_objects(*pair) for pair in zip(found, others, strict=True)]))


def objects_in(artifact: Artifact, outputs: Mapping[str, Array]) -> list[Detections]:
    """What the detector ``artifact`` found in each item.

    ``outputs`` are (count, ...) by name, as the file has them; its card states its preprocessing.
    """
    how, specs = artifact.card.preprocessing, {spec.name: spec for spec in artifact.card.outputs}
    assert how is not None  # noqa: S101 - stated
    decoder = make_decoder(artifact, resolve_detection(artifact, None), how)
    real = {name: dequantize(v, specs[name]) if specs[name].quantized else v for name, v in outputs.items()}
    count = len(next(iter(real.values())))
    return [decoder({name: values[i] for name, values in real.items()}, how.size_hw) for i in range(count)]
