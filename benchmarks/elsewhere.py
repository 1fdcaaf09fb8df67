"""What files of one model gave somewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.tasks.heads import Detections

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Outputs of all files by name, (items, ...), and what follows from them where a model's answer is more than that.

    Those of files that look at regions are filled up with zeros to as many as the card asks for. ``objects`` are what a
    detector has found, ``decisions`` (count,) whether two pictures show the same.
    """

    outputs: Mapping[str, Array]
    objects: Sequence[Detections] | None = None
    decisions: npt.NDArray[np.bool_] | None = None
