"""Where a model's time goes, by operator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.artifact import Artifact, Format
from edgekit.codec import to_jsonable
from edgekit.errors import ArtifactError, InputError
from edgekit.workers import Worker, WorkerCrashError

WORKER = "edgekit.measure.profile_worker"
NOTE = "profiled in a run of its own, slower than the timed one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator's mean time a run, and its share (0..1) of all operators. ``op`` is the engine's kernel."""

    name: str
    op: str
    mean_ms: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The time of every operator in the order of running, over ``runs`` runs; ``total_ms`` is the mean of whole runs.

    ``delegated`` of the operators ran in a delegate (for LiteRT: XNNPACK); None where the engine has none.
    """

    engine: str
    version: str
    threads: int
    runs: int
    total_ms: float
    operators: tuple[Operator, ...]
    delegated: int | None

    def slowest(self, count: int) -> tuple[Operator, ...]:
        """The ``count`` operators that take longest, the longest first."""
        return tuple(sorted(self.operators, key=lambda o: o.share, reverse=True)[:count])

    def summary(self) -> str:
        """One sentence about the whole: what the operators add up to, and how many a delegate took."""
        added = sum(o.mean_ms for o in self.operators)
        taken = "" if self.delegated is None else f", {self.delegated} of {len(self.operators)} operators in XNNPACK"
        return f"Operators add up to {added:.3f} of {self.total_ms:.3f} ms a run{taken}; {NOTE}."

    def to_json(self) -> dict[str, Any]:
        """``profile``, a list of operators, and ``profile_run``, how it was measured."""
        return {
            "profile": [to_jsonable(o) for o in self.operators],
            "profile_run": {
                "engine": self.engine,
                "version": self.version,
                "threads": self.threads,
                "runs": self.runs,
                "total_ms": self.total_ms,
                "operators": len(self.operators),
                "delegated": self.delegated,
                "note": NOTE,
            },
        }


def profile(artifact: Artifact, *, threads: int = 1, runs: int = 50, seed: int = 0) -> Profile:
    """The time by operator of a .tflite or .onnx file, measured in a process of its own.

    Inputs are seeded noise: the time of an operator does not depend on its values, but for denormal numbers, which
    noise of 0..1 does not make. `InputError` for a Keras model, `ArtifactError` when the file does not run.
    """
    operations = {Format.TFLITE: "litert", Format.ONNX: "onnxruntime"}
    if artifact.format not in operations:
        raise InputError(f"{artifact.path} is a Keras model, which has no time by operator; convert it first.")
    request = {"path": str(artifact.path), "threads": threads, "runs": runs, "seed": seed}
    with Worker(WORKER) as worker:
        try:
            answer = worker.call(operations[artifact.format], request)
        except WorkerCrashError as error:
            raise ArtifactError(f"{artifact.path} cannot be profiled: {error}.") from None
    return Profile(
        engine=operations[artifact.format],
        version=answer["version"],
        threads=threads,
        runs=runs,
        total_ms=answer["total_ms"],
        operators=_with_shares(answer["operators"]),
        delegated=answer["delegated"],
    )


def _with_shares(rows: Sequence[dict[str, Any]]) -> tuple[Operator, ...]:
    total = sum(row["mean_ms"] for row in rows)
    return tuple(
        Operator(
            name=row["name"], op=row["op"], mean_ms=row["mean_ms"], share=row["mean_ms"] / total if total > 0 else 0.0
        )
        for row in rows
    )
