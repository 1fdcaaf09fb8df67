"""Whether one file gives the same answers twice: on two CPUs, in two engines, before and after a change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError
from edgekit.measure.metrics import Totals, max_abs, totals

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a file's answers may be from those of the same file elsewhere, where the kernels are others.

    ``max_abs`` is the largest difference, times the larger of 1 and the largest expected value. Files that choose boxes
    themselves are judged by these: a box whose score is more than ``max_score`` above the threshold must be found.
    """

    max_abs: float | None = None
    min_sqnr_db: float
    max_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sameness:
    """Two runs of ``count`` items over all outputs; ``differing`` items have another bit somewhere.

    ``max_steps`` is the largest difference of integer outputs, None for a file without them. ``agreement`` is the
    fraction of items with the same largest value in every output that is one vector an item, None without such.
    """

    count: int
    differing: int
    max_steps: int | None
    agreement: float | None
    totals: Totals

    @property
    def identical(self) -> bool:
        """Whether every bit of every output is the same."""
        return self.differing == 0

    def metrics(self) -> dict[str, float]:
        """The figures by their JSON names."""
        optional = {"max_steps": self.max_steps, "agreement": self.agreement}
        return {
            "identical": float(self.identical),
            "differing": self.differing,
            "max_abs": self.totals.max_abs,
            "sqnr_db": self.totals.sqnr_db,
            **{name: value for name, value in optional.items() if value is not None},
        }


def same_answers(reference: Mapping[str, Array], other: Mapping[str, Array]) -> Sameness:
    """How two runs' outputs, (count, ...) by name and as the file has them, differ; `DataError` for unlike ones."""
    described = [{n: f"{v.dtype} {v.shape}" for n, v in sorted(run.items())} for run in (reference, other)]
    counts = {len(values) for values in reference.values()}
    if described[0] != described[1] or len(counts) != 1 or counts == {0}:
        raise DataError(
            f"Two runs gave {described[0]} and {described[1]}; "
            "expected the same outputs for the same items, at least one."
        )
    count = counts.pop()
    differing = np.zeros(count, bool)
    agreed: list[Array] = []
    steps: list[int] = []
    sums = Totals()
    for name, values in reference.items():
        again = other[name]
        sums += totals(values, again)
        raw = [np.ascontiguousarray(v).reshape(count, -1).view(np.uint8) for v in (values, again)]
        differing |= (raw[0] != raw[1]).any(axis=1)
        if np.issubdtype(values.dtype, np.integer):
            steps.append(int(np.abs(values.astype(np.int64) - again.astype(np.int64)).max(initial=0)))
        if values.ndim == 2 and values.shape[1] > 1:
            agreed.append(values.argmax(axis=1) == again.argmax(axis=1))
    return Sameness(
        count=count,
        differing=int(differing.sum()),
        max_steps=max(steps, default=None),
        agreement=float(np.mean(np.all(agreed, axis=0))) if agreed else None,
        totals=sums,
    )


def exceeded(limits: Limits, reference: Mapping[str, Array], other: Mapping[str, Array]) -> str | None:
    """What was expected of two runs' outputs, real numbers by name, and is not so; None within all ``limits``."""
    if same_answers(reference, other).totals.sqnr_db < limits.min_sqnr_db:
        return f"expected {limits.min_sqnr_db:g} dB or more"
    if limits.max_abs is not None:
        for name, values in reference.items():
            allowed = limits.max_abs * max(1.0, float(np.abs(values).max(initial=0)))
            if max_abs(values, other[name]) > allowed:
                return f"expected {allowed:.3g} at most in output {name!r}"
    return None
