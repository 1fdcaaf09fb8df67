"""What is inside a model file, without running it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.artifact import Artifact, Format, open_artifact
from edgekit.card import TensorSpec
from edgekit.codec import to_jsonable
from edgekit.errors import CheckFailedError
from edgekit.formats import keras, onnx, tflite
from edgekit.formats.graph import Graph
from edgekit.measure.macs import bytes_by_dtype, count_macs, count_parameters, peak_activation_bytes
from edgekit.measure.onnx_shapes import complete_shapes
from edgekit.measure.targets import Finding, Severity, find_target, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCount:
    """How often an operator (or a Keras layer) occurs. ``version`` is TFLite's, or the ONNX operator set; else None."""

    op: str
    version: int | None
    count: int
    custom: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the file holds. ``None`` means that the file does not tell.

    ``macs`` and ``peak_activation_bytes`` are defined in `edgekit.measure.macs`; ``weights_bytes`` holds all constants
    by dtype. ``findings`` are about the target that was asked for.
    """

    artifact: Artifact
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: tuple[OperatorCount, ...]
    versions: Mapping[str, int]
    parameters: int | None
    macs: int | None
    peak_activation_bytes: int | None
    weights_bytes: Mapping[str, int] | None
    target: str | None
    findings: tuple[Finding, ...]

    @property
    def misfits(self) -> tuple[str, ...]:
        """Why the file does not run on the target, each with its remedy."""
        return tuple(str(finding) for finding in self.findings if finding.severity is Severity.REFUSED)

    @property
    def custom_operators(self) -> tuple[str, ...]:
        """Operators or layers outside the format's own set, such as those that need the Flex delegate."""
        return tuple(o.op for o in self.operators if o.custom)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What neither the card nor the file tells."""
        figures = ("parameters", "macs", "peak_activation_bytes", "weights_bytes")
        missing = [name for name in figures if getattr(self, name) is None]
        return (*self.artifact.card.unknown(), *([] if self.outputs else ["outputs"]), *missing)


def inspect(path: Path, *, target: str | None = None) -> Inspection:
    """What the model file at ``path`` holds, and what speaks against running it on ``target``."""
    wanted = None if target is None else find_target(target)
    artifact = open_artifact(path)
    graph = _graph(artifact)
    if graph is None:
        model, counted = keras.read_model(artifact.path), keras.count_weights(artifact.path)
        operators = tuple(
            OperatorCount(op=name, version=None, count=count, custom=name in model.custom_layers)
            for name, count in model.layers.items()
        )
        parameters, sizes = (None, None) if counted is None else counted
        inputs, outputs = model.inputs, model.outputs
    else:
        operators = _histogram(graph)
        parameters, sizes = count_parameters(graph), bytes_by_dtype(graph)
        inputs, outputs = graph.inputs, graph.outputs
    return Inspection(
        artifact=artifact,
        inputs=inputs,
        outputs=outputs or artifact.card.outputs,
        operators=operators,
        versions={} if graph is None else graph.versions,
        parameters=parameters,
        macs=None if graph is None else count_macs(graph),
        peak_activation_bytes=None if graph is None else peak_activation_bytes(graph),
        weights_bytes=sizes,
        target=target,
        findings=() if wanted is None else judge(graph, artifact.format, wanted),
    )


def require_fit(inspection: Inspection, *, told: bool = False) -> None:
    """`CheckFailedError` when the file does not fit the target that was asked for.

    It gives all reasons, or how many where a table has ``told`` them.
    """
    if not inspection.misfits:
        return
    unfit = f"{inspection.artifact.path} does not fit {inspection.target}"
    if not told:
        raise CheckFailedError(f"{unfit}: {'; '.join(inspection.misfits)}.")
    count = len(inspection.misfits)
    reasons, them = ("1 reason", "it") if count == 1 else (f"{count} reasons", "them")
    raise CheckFailedError(f"{unfit} for {reasons}; the table tells {them}, and how to mend {them}.")


def to_row(inspection: Inspection, path: Path) -> dict[str, Any]:
    """The result as JSON types; ``path`` is the file as the user gave it."""
    artifact = inspection.artifact
    metrics = {
        "model_bytes": artifact.model_bytes,
        "parameters": inspection.parameters,
        "macs": inspection.macs,
        "peak_activation_bytes": inspection.peak_activation_bytes,
    }
    return {
        "artifact": str(path),
        "sha256": artifact.sha256,
        "format": artifact.format.value,
        "recipe": artifact.recipe,
        "metrics": {name: value for name, value in metrics.items() if value is not None},
        "inputs": to_jsonable(inspection.inputs),
        "outputs": to_jsonable(inspection.outputs),
        "operators": to_jsonable(inspection.operators),
        "custom_operators": list(inspection.custom_operators),
        "versions": dict(inspection.versions),
        "weights_bytes": to_jsonable(inspection.weights_bytes),
        "foreign": artifact.foreign,
        "unknown": list(inspection.unknown),
        "target": inspection.target,
        "misfits": list(inspection.misfits),
        "findings": to_jsonable(inspection.findings),
        "card": to_jsonable(artifact.card),
    }


def _graph(artifact: Artifact) -> Graph | None:
    match artifact.format:
        case Format.TFLITE:
            return tflite.read_graph(artifact.path)
        case Format.ONNX:
            return complete_shapes(artifact.path, onnx.read_graph(artifact.path))
        case Format.KERAS:
            return None


def _histogram(graph: Graph) -> tuple[OperatorCount, ...]:
    counts = Counter((n.op, n.version, n.custom) for n in graph.nodes)
    return tuple(
        OperatorCount(op=op, version=version, count=count, custom=custom)
        for (op, version, custom), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
