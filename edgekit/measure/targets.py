"""What engines on devices refuse, as far as it was measured or is documented."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgekit.artifact import Format
from edgekit.detection import POSTPROCESS_OP
from edgekit.errors import InputError, suggest
from edgekit.formats.graph import Graph
from edgekit.measure.tflite_versions import LITERT_2_3, TFLITE_RUNTIME_2_14

Rule = Callable[[Graph], list[str]]

BUILT_IN = frozenset({POSTPROCESS_OP})
"""Operators outside TFLite's own set that LiteRT and tflite-runtime have nevertheless, without a delegate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An engine of a certain version, with what it takes and where that is known from."""

    name: str
    format: Format
    rules: Sequence[Rule]
    source: str


def _known_custom_operators(graph: Graph) -> list[str]:
    names = sorted({n.op for n in graph.nodes if n.custom and n.op not in BUILT_IN})
    return [
        f"{name} is a TensorFlow operator, which needs the Flex delegate"
        if name.startswith("Flex")
        else f"{name} is a custom operator that the engine does not have"
        for name in names
    ]


def _operator_versions(newest: Mapping[str, int]) -> Rule:
    def rule(graph: Graph) -> list[str]:
        used = sorted({(n.op, n.version) for n in graph.nodes if not n.custom})
        return [
            f"{op} has version {version}, the engine stops at {newest[op]}"
            if op in newest
            else f"the engine lacks {op}"
            for op, version in used
            if op not in newest or version > newest[op]
        ]

    return rule


def _float_interface(graph: Graph) -> list[str]:
    return [
        f"{spec.name!r} is {spec.dtype}, inputs and outputs must be float32 (convert with a float interface)"
        for spec in (*graph.inputs, *graph.outputs)
        if spec.dtype not in ("float32", "int32")
    ]


def _static_shapes(graph: Graph) -> list[str]:
    return [
        f"{spec.name!r} has a free dimension, shapes must be fixed (convert with a static batch)"
        for spec in (*graph.inputs, *graph.outputs)
        if None in spec.shape
    ]


def _newest(key: str, limit: int, what: str) -> Rule:
    def rule(graph: Graph) -> list[str]:
        found = graph.versions.get(key, 0)
        return [f"it has {what} {found}, the engine stops at {limit}"] if found > limit else []

    return rule


def _standard_operators(graph: Graph) -> list[str]:
    names = sorted({n.op for n in graph.nodes if n.custom})
    return [f"{name} is a custom operator that the engine does not have" for name in names]


TARGETS = (
    Target(
        name="litert-2.3",
        format=Format.TFLITE,
        rules=(_known_custom_operators, _operator_versions(LITERT_2_3)),
        source="measured with ai-edge-litert 2.3.0",
    ),
    Target(
        name="tflite-runtime-2.14",
        format=Format.TFLITE,
        rules=(_known_custom_operators, _operator_versions(TFLITE_RUNTIME_2_14)),
        source="measured with tflite-runtime 2.14.0",
    ),
    Target(
        name="litertjs",
        format=Format.TFLITE,
        rules=(_known_custom_operators, _float_interface, _static_shapes),
        source="measured with @litertjs/core 2.5.3 in Chromium: INT8 interfaces and free batches are refused",
    ),
    Target(
        name="onnxruntime-1.19",
        format=Format.ONNX,
        rules=(_newest("ai.onnx", 21, "operator set"), _newest("ir", 10, "IR version"), _standard_operators),
        source="ONNX Runtime's compatibility table: 1.19 goes with ONNX 1.16 (operator set 21, IR version 10)",
    ),
)


def find_target(name: str) -> Target:
    """The target called ``name``; `InputError` offers the closest when there is none."""
    found = {t.name: t for t in TARGETS}
    if name not in found:
        raise InputError(f"There is no target {name!r}; {suggest(name, found)}")
    return found[name]


def misfits(graph: Graph | None, kind: Format, target: Target) -> tuple[str, ...]:
    """Why a file of this format and graph does not run on ``target``; empty when nothing speaks against it."""
    if kind is not target.format or graph is None:
        return (f"it is a {kind.value} file, the engine runs {target.format.value}",)
    return tuple(reason for rule in target.rules for reason in rule(graph))
