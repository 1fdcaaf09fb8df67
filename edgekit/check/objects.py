"""Whether two detectors show the same objects, where neither is in doubt."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgekit.check.baseline import Found
from edgekit.tasks.boxes import iou

LEAST_OVERLAP = 0.5


def same_sure_objects(first: Sequence[Found], second: Sequence[Found], *, sure: tuple[float, float]) -> bool:
    """Whether each object that one of the two shows is in the other: of its class, overlapping by half or more.

    An object is shown from the score ``sure`` of its detector on; in the other one half of its score is enough, so that
    scores just above that limit on one side and just below it on the other are no difference.
    """
    a, b = _table(first), _table(second)
    scores, others = a[:, None, 1], b[None, :, 1]
    alike = (iou(a[:, 2:], b[:, 2:]) >= LEAST_OVERLAP) & (a[:, None, 0] == b[None, :, 0])
    there = (alike & (others >= scores / 2)).any(axis=1)
    here = (alike & (scores >= others / 2)).any(axis=0)
    return bool(there[a[:, 1] >= sure[0]].all() and here[b[:, 1] >= sure[1]].all())


def _table(found: Sequence[Found]) -> npt.NDArray[np.float64]:
    return np.array(found, np.float64).reshape(-1, 6)
