"""Rules about what engines refuse, each with the way out. A rule is a function from a graph to findings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from edgekit.detection import POSTPROCESS_OP
from edgekit.formats.graph import Graph, Node
from edgekit.measure.onnx_versions import ONNX_RUNTIME
from edgekit.measure.tflite_versions import LITERT, NEWER_TYPES, Version

BUILT_IN = frozenset({POSTPROCESS_OP})
"""Operators outside TFLite's own set that LiteRT and tflite-runtime have nevertheless, without a delegate."""

WEB_TYPES = ("float32", "int32", "uint8")
"""Of the inputs and outputs that LiteRT.js takes."""
ELSEWHERE = "run it in another engine, as on pi4 or android"


class Severity(StrEnum):
    """What a finding means for the file on that target."""

    REFUSED = "refused"  # it does not run there
    NOTE = "note"  # it runs, and something is worth knowing


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a file on a target, and the ``remedy``."""

    what: str
    remedy: str
    severity: Severity = Severity.REFUSED

    def __str__(self) -> str:
        return f"{self.what} ({self.remedy})"


Rule = Callable[[Graph], list[Finding]]


def known_custom_operators(graph: Graph) -> list[Finding]:
    """Custom operators but those that TFLite engines have built in."""
    names = sorted({n.op for n in graph.nodes if n.custom and n.op not in BUILT_IN})
    return [_custom(name) for name in names]


def no_custom_operators(graph: Graph) -> list[Finding]:
    """Custom operators, where the engine has none."""
    return [_custom(name) for name in sorted({n.op for n in graph.nodes if n.custom})]


def _custom(name: str) -> Finding:
    if name.startswith("Flex"):
        what = f"{name} is a TensorFlow operator, which needs the Flex delegate"
        return Finding(what=what, remedy="build the layer of operators that TFLite has, or end the file before it")
    what = f"{name} is a custom operator that the engine does not have"
    return Finding(what=what, remedy="build the layer of standard operators, or end the file before it")


def operator_versions(newest: Mapping[str, int], *, upgrade: str) -> Rule:
    """Operators newer than those in the table ``newest``; ``upgrade`` is what has newer ones, ``{}`` its version.

    Of an operator in several versions the newest one counts.
    """

    def rule(graph: Graph) -> list[Finding]:
        found = []
        for op, version in sorted(_newest_used(graph).items()):
            if version > newest.get(op, 0):
                stops = f"{op} has version {version}, the engine stops at {newest[op]}" if op in newest else ""
                found.append(Finding(what=stops or f"the engine lacks {op}", remedy=_newer(op, version, upgrade)))
        return found

    return rule


def _newest_used(graph: Graph) -> dict[str, int]:
    versions: dict[str, int] = {}
    for each in graph.nodes:
        if not each.custom:
            versions[each.op] = max(versions.get(each.op, 0), each.version)
    return versions


def not_measured(name: str, newest: Version) -> Rule:
    """A version of an engine after the ``newest`` that was measured."""

    def rule(_graph: Graph) -> list[Finding]:
        what = f"{name} is newer than what was measured, and judged as {dotted(newest)}"
        remedy = "prove it there: edgekit bundle, and its verify"
        return [Finding(what=what, remedy=remedy, severity=Severity.NOTE)]

    return rule


def _newer(op: str, version: int, upgrade: str) -> str:
    since = next((v for v, table in LITERT.items() if table.get(op, 0) >= version), None)
    without = "build the layer of other operators"
    if op == "FULLY_CONNECTED":
        without = "convert with --granularity per-tensor"
    return without if since is None else f"{upgrade.format(dotted(since))}, or {without}"


def tensor_types(has: Version | None, *, upgrade: str) -> Rule:
    """Types of tensors that came after version ``has`` of LiteRT; None is tflite-runtime."""

    def rule(graph: Graph) -> list[Finding]:
        used = {tensor.dtype for tensor in graph.tensors.values()}
        return [
            Finding(
                what=f"it has tensors of {dtype}, which the engine does not know",
                remedy=f"{upgrade.format(dotted(since))}, or convert it with another recipe",
            )
            for dtype, since in NEWER_TYPES.items()
            if dtype in used and (has is None or has < since)
        ]

    return rule


def web_interface(graph: Graph) -> list[Finding]:
    """Inputs and outputs of other types than LiteRT.js takes, or without a shape.

    ``requireTakenByLiteRt`` in ``edgekit/devices/web_page/engines.js`` refuses the same.
    """
    found = []
    for spec in (*graph.inputs, *graph.outputs):
        if spec.dtype not in WEB_TYPES:
            quantized = spec.dtype in ("int8", "int16")
            remedy = "convert with a float interface: --io float" if quantized else ELSEWHERE
            taken = f"{', '.join(WEB_TYPES[:-1])} or {WEB_TYPES[-1]}"
            found.append(
                Finding(what=f"{spec.name!r} is {spec.dtype}, inputs and outputs must be {taken}", remedy=remedy)
            )
        if not spec.shape:
            what = f"{spec.name!r} has no shape in the file, of which LiteRT.js gives one number"
            found.append(Finding(what=what, remedy=f"convert a detector with --nms device, or {ELSEWHERE}"))
    return found


def no_state(graph: Graph) -> list[Finding]:
    """Tensors that are kept from run to run, where the engine cannot forget them."""
    if not any(tensor.variable for tensor in graph.tensors.values()):
        return []
    return [Finding(what="it keeps state from run to run, which LiteRT.js cannot forget", remedy=ELSEWHERE)]


def no_state_in_compiled_model(graph: Graph) -> list[Finding]:
    """Tensors that are kept from run to run, where the newer of two interfaces loads no file that has them."""
    if not no_state(graph):
        return []
    what = "it keeps state from run to run, which LiteRT's CompiledModel does not load"
    remedy = "run it by Interpreter, or convert its source with --rnn unrolled"
    return [Finding(what=what, remedy=remedy, severity=Severity.NOTE)]


def static_shapes(graph: Graph) -> list[Finding]:
    """Free dimensions, where all must be fixed."""
    return _free(graph, first=0)


def static_items(graph: Graph) -> list[Finding]:
    """Free dimensions but that of the batch, where the engine runs one item whatever the file says."""
    return _free(graph, first=1)


def _free(graph: Graph, *, first: int) -> list[Finding]:
    return [
        Finding(
            what=f"{spec.name!r} has a free dimension, shapes must be fixed",
            remedy="convert with a static batch: --batch static",
        )
        for spec in (*graph.inputs, *graph.outputs)
        if None in spec.shape[first:]
    ]


def no_delegate_for_free_shapes(graph: Graph) -> list[Finding]:
    """Free dimensions, where delegates refuse them and the CPU takes over."""
    return [_noted(f) for f in static_shapes(graph)[:1]]


def _noted(finding: Finding) -> Finding:
    what = finding.what.replace("shapes must be fixed", "which delegates such as the GPU's refuse")
    return Finding(what=what, remedy=finding.remedy, severity=Severity.NOTE)


def onnx_numbers(opset: int, ir: int) -> Rule:
    """Operator set and IR version above what ONNX Runtime takes."""

    def rule(graph: Graph) -> list[Finding]:
        found = []
        if graph.versions.get("ai.onnx", 0) > opset:
            number = graph.versions["ai.onnx"]
            since = next((v for v, (most, _) in ONNX_RUNTIME.items() if most >= number), None)
            found.append(
                Finding(
                    what=f"it has operator set {number}, the engine stops at {opset}",
                    remedy=f"export with operator set {opset} or less{_or_engine(since)}",
                )
            )
        if graph.versions.get("ir", 0) > ir:
            number = graph.versions["ir"]
            since = next((v for v, (_, most) in ONNX_RUNTIME.items() if most >= number), None)
            found.append(
                Finding(
                    what=f"it has IR version {number}, the engine stops at {ir}",
                    remedy=f"save it with ir_version {ir}{_or_engine(since)}",
                )
            )
        return found

    return rule


def _or_engine(since: Version | None) -> str:
    return "" if since is None else f", or use onnxruntime {dotted(since)} or newer"


def micro_operators(has: frozenset[str]) -> Rule:
    """Operators that microcontrollers have no kernel for; they look at no versions."""

    def rule(graph: Graph) -> list[Finding]:
        lacking = sorted({n.op for n in graph.nodes if not n.custom and n.op not in has})
        return [
            Finding(what=f"microcontrollers lack {op}", remedy="build the layer of other operators") for op in lacking
        ]

    return rule


def outside_weights(graph: Graph) -> list[Finding]:
    """Weights behind the graph, where the engine looks for them inside it only."""
    if not any(tensor.outside for tensor in graph.tensors.values()):
        return []
    what = "its weights stand behind the graph, where tflite-micro reads zeros"
    remedy = "use the array that edgekit bundle --c-array makes, which has them inside"
    return [Finding(what=what, remedy=remedy, severity=Severity.NOTE)]


def graphs_of_signatures(graph: Graph) -> list[Finding]:
    """Signatures with graphs that nothing calls, for which the engine plans no memory."""
    if not graph.parts:
        return []
    what = "its signatures have graphs of their own, with which tflite-micro may crash"
    remedy = "use the array that edgekit bundle --c-array makes, which has the main one alone"
    return [Finding(what=what, remedy=remedy, severity=Severity.NOTE)]


def micro_types(graph: Graph) -> list[Finding]:
    """Mixtures of types that microcontrollers do not compute with."""
    found = []
    mixed = sorted({n.op for n in graph.nodes if _is_hybrid(n, graph)})
    if mixed:
        what = f"{', '.join(mixed)} multiply real numbers by 8-bit weights, which microcontrollers do not"
        found.append(Finding(what=what, remedy="convert with -p int8 or -p fp32"))
    unsigned = sorted({n.op for n in graph.nodes if n.op in _SIGNED_ONLY and _dtype(graph, n, 0) == "uint8"})
    if unsigned:
        what = f"{', '.join(unsigned)} compute with uint8, which microcontrollers do not"
        found.append(Finding(what=what, remedy="convert its source with -p int8"))
    if any(n.op == "DEQUANTIZE" and _dtype(graph, n, 0) == "float16" for n in graph.nodes):
        what = "its weights are float16, which microcontrollers do not widen"
        found.append(Finding(what=what, remedy="convert with -p int8 or -p fp32"))
    return found


_SIGNED_ONLY = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SOFTMAX"})
"""Of these it was measured; the engine has kernels of uint8 for few operators."""


def _is_hybrid(node: Node, graph: Graph) -> bool:
    weighted = node.op in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
    return weighted and _dtype(graph, node, 0) == "float32" and _dtype(graph, node, 1) in ("int8", "uint8", "int4")


def other_kernels(graph: Graph) -> list[Finding]:
    """8-bit files, where only built-in kernels are there."""
    if not _computes_in(graph, "int8", "uint8"):
        return []
    what = "its 8-bit operators run in built-in kernels: a few steps from LiteRT's answers, and several times slower"
    return [Finding(what=what, remedy="use a 64-bit system, where LiteRT runs it in XNNPACK", severity=Severity.NOTE)]


def slow_int16(graph: Graph) -> list[Finding]:
    """16-bit activations."""
    if not _computes_in(graph, "int16"):
        return []
    what = "16-bit activations have no fast kernels in LiteRT"
    return [Finding(what=what, remedy="convert with -p int8 where latency counts", severity=Severity.NOTE)]


def slow_quantized_web(graph: Graph) -> list[Finding]:
    """Quantized ONNX files in a browser."""
    if not any(n.op in ("QuantizeLinear", "DynamicQuantizeLinear") for n in graph.nodes):
        return []
    what = "ONNX Runtime Web ran an int8 MobileNetV2 three times slower than its fp32 file"
    return [Finding(what=what, remedy="compare it with -p fp32, or with a .tflite file", severity=Severity.NOTE)]


def _computes_in(graph: Graph, *dtypes: str) -> bool:
    return any(
        n.op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") and _dtype(graph, n, 0) in dtypes
        for n in graph.nodes
    )


def _dtype(graph: Graph, node: Node, place: int) -> str:
    name = node.inputs[place] if len(node.inputs) > place else ""
    return graph.tensors[name].dtype if name in graph.tensors else ""


def dotted(version: Version) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))
