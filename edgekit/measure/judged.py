"""What an evaluation says of one file, whatever its task."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from edgekit.measure.kind import Result
from edgekit.measure.subjects import Subject

R = TypeVar("R", bound=Result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Generic[R]):
    """One file's result, and its ``difference`` from the first file by JSON names; the first has none."""

    subject: Subject
    result: R
    difference: Mapping[str, float] | None

    def metrics(self) -> dict[str, float]:
        """All figures by their JSON names."""
        return {**self.result.metrics(), **(self.difference or {})}


def row_of(
    subject: Subject,
    metrics: Mapping[str, float],
    *,
    data: str,
    count: int,
    left_out: int,
    seed: int,
    **more: Any,
) -> dict[str, Any]:
    """The JSON object of a file that was judged on ``count`` items of ``data``, with what its task says ``more``."""
    return {
        **subject.describe(),
        "data": data,
        "n": count,
        "left_out": left_out,
        "seed": seed,
        "seconds": subject.seconds,
        "metrics": dict(metrics),
        **more,
    }
