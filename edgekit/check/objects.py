"""Whether two detectors show the same objects, where neither is in doubt."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgekit.check.baseline import Found
from edgekit.tasks.boxes import iou

LEAST_OVERLAP = 0.5


def same_sure_objects(first: Sequence[Found], second: Sequence[Found], *, sure: tuple[float, float]) -> bool:
    """Whether each object that one of the two shows is in the other: of its class, overlapping by half or more.

    An object is shown from the score ``sure`` of its detector on; in the other one half of that is enough, so that a
    score just above the limit on one side and just below it on the other is no difference.
    """
    a, b = _table(first), _table(second)
    alike = (iou(a[:, 2:], b[:, 2:]) >= LEAST_OVERLAP) & (a[:, None, 0] == b[None, :, 0])
    shown, also = a[:, 1] >= sure[0], b[:, 1] >= sure[1]
    return bool(alike[shown].any(axis=1).all() and alike[:, also].any(axis=0).all())


def _table(found: Sequence[Found]) -> npt.NDArray[np.float64]:
    return np.array(found, np.float64).reshape(-1, 6)
