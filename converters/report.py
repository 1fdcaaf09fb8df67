"""What a conversion gives back: one frozen row for each file, and what was decided on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.artifact import Format
from edgekit.card import DataRef, StepRecord
from edgekit.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatOp:
    """An operator of the finished file that computes in float, and why."""

    name: str
    op: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far a file's outputs are from the source's on ``count`` items; the worst output where there are several.

    ``correlation`` is that of the deviations from the mean output: it is near 0 for a file that ignores its input.
    ``None`` where a figure has no meaning: correlation of a constant output, agreement of a single value.
    """

    max_abs: float
    sqnr_db: float
    cosine: float
    correlation: float | None
    agreement: float | None
    count: int
    synthetic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """One published file. ``ratio`` is the fp32 file of the same format, card inside, over this file.

    ``steps`` are the accuracy steps that it went through, none for other recipes than int8.
    """

    path: Path
    sha256: str
    format: Format
    recipe: Recipe
    model_bytes: int
    ratio: float
    parity: Parity
    float_ops: tuple[FloatOp, ...]
    engine: str
    engine_reason: str
    notes: tuple[str, ...]
    steps: tuple[StepRecord, ...]
    seconds: float

    def to_result(self) -> dict[str, Any]:
        """The row of ``--json``."""
        metrics = {
            name: getattr(self.parity, name)
            for name in ("max_abs", "sqnr_db", "cosine", "agreement", "correlation")
            if getattr(self.parity, name) is not None
        }
        return {
            "artifact": str(self.path),
            "sha256": self.sha256,
            "format": self.format.value,
            "recipe": self.recipe.code,
            "model_bytes": self.model_bytes,
            "ratio": round(self.ratio, 4),
            "metrics": metrics,
            "n": self.parity.count,
            "synthetic": self.parity.synthetic,
            "float_ops": [{"name": f.name, "op": f.op, "reason": f.reason} for f in self.float_ops],
            "engine": self.engine,
            "engine_reason": self.engine_reason,
            "notes": list(self.notes),
            "steps": [{"step": s.step, "sqnr_db": round(s.sqnr_db, 2), "note": s.note} for s in self.steps],
            "seconds": round(self.seconds, 2),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionReport:
    """All files of one conversion, and the manifest from which it can be repeated."""

    source: Path
    source_sha256: str
    artifacts: tuple[Converted, ...]
    manifest: Path
    calibration: DataRef | None
    notes: tuple[str, ...]
    step_seconds: Mapping[str, float]
