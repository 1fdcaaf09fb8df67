"""What a finished file still computes in float, read from the file itself."""

from collections.abc import Collection, Mapping, Sequence

from edgekit.artifact import Format
from edgekit.converters.one_cell import CELL_STATES
from edgekit.converters.onnx_kept import KEEPER
from edgekit.converters.plan import matching
from edgekit.converters.report import FloatOp
from edgekit.errors import ConversionError
from edgekit.formats.graph import Graph, Node, TensorInfo
from edgekit.recipe import NEEDS_CALIBRATION, Precision, Recipe

Layers = Mapping[str, tuple[str, ...]]
"""Names of the layers that a tensor stands for."""

_KEPT = "kept by --keep-float"
_STATED = "its card keeps it in float"
_CELL = "of the cell state of an LSTM, where int8 would lose most"
_CONVERSIONS = frozenset(
    {"QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast"}
)
_FUSED = frozenset({"Relu", "Clip"})
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "LSTM", "GRU", "RNN"})
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
_BY_RUN = "DynamicQuantizeLSTM"
_NOT_INTEGER = {
    Precision.INT8: frozenset({"WHILE", "BIDIRECTIONAL_SEQUENCE_LSTM"}),
    Precision.INT16X8: frozenset({"WHILE", "BIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"}),
}


def refuse_unrunnable(graph: Graph, what: str) -> None:
    """`ConversionError` for an operator that no stock runtime has."""
    for node in graph.nodes:
        if node.custom:
            kind = "TensorFlow operator" if node.op.startswith("Flex") else "custom operator"
            raise ConversionError(
                f"{what} needs the {kind} {node.op!r}, which no stock runtime has; replace the layer that makes it."
            )


def refuse_loops(graph: Graph, recipe: Recipe) -> None:
    """`ConversionError` when full integer is asked of a recurrent loop, which kills the quantizers."""
    found = sorted({n.op for n in graph.nodes} & _NOT_INTEGER.get(recipe.precision, frozenset()))
    if found:
        raise ConversionError(
            f"{recipe.code} has no integer form of the operator {found[0]}, a recurrent layer; "
            "the nearest recipe that works is dynamic."
        )


def refuse_onnx_loops(graph: Graph, recipe: Recipe) -> None:
    """`ConversionError` when integers are asked of loops, whose weights ONNX Runtime's quantizer leaves or breaks."""
    inner = any(n.subgraph and n.op in _WEIGHTED for n in graph.nodes)
    loop = next((n.op for n in graph.nodes if n.op in ("Loop", "Scan")), None)
    if recipe.precision in (Precision.DYNAMIC, Precision.INT8) and inner and loop is not None:
        raise ConversionError(
            f"{recipe.code} has no form of the operator {loop}, a recurrent layer step by step; start from the .keras "
            "file, whose LSTM, GRU and SimpleRNN layers become single operators, or take the recipe fp16."
        )


def kept_nodes(graph: Graph, layers: Layers, patterns: Sequence[str]) -> tuple[Node, ...]:
    """The operators that belong to a layer whose name matches one of ``patterns``."""
    return tuple(node for node in graph.nodes if matching(patterns, _names(graph, layers, node)))


def float_ops(
    graph: Graph, layers: Layers, recipe: Recipe, fmt: Format, engine: str, *, stated: Collection[str] = ()
) -> tuple[FloatOp, ...]:
    """Operators left in float: none for the float recipes, which ask for it; for dynamic, those with float weights.

    ``stated`` are those patterns of the recipe that come from the card.
    """
    match recipe.precision:
        case Precision.FP32 | Precision.FP16:
            return ()
        case Precision.DYNAMIC:
            none = f"{engine} has no dynamic form of it"
            found = [(n, none) for n in graph.nodes if _float_weights(graph, n)]
            found += [(n, "its weights are int8 in the file only") for n in graph.nodes if _widened(graph, n)]
        case _ if fmt is Format.TFLITE:
            found = [(n, f"{engine} has no integer form of it") for n in graph.nodes if _float_tflite(graph, n)]
        case _:
            none = f"{engine} has no integer form of it"
            found = [(n, none if n.op in _WEIGHTED else "its input is float") for n in _float_onnx(graph)]
            found += [(n, "its products are int8, its states float") for n in graph.nodes if n.op == _BY_RUN]
    return tuple(
        FloatOp(
            name=_title(node),
            op=node.op,
            reason=_why_kept(recipe, _names(graph, layers, node), stated) or reason,
        )
        for node, reason in found
    )


def _why_kept(recipe: Recipe, names: Sequence[str], stated: Collection[str]) -> str | None:
    """Who wants an operator of these ``names`` in float: user, card, or the conversion to one time step by itself."""
    found = [pattern for pattern in recipe.keep_float if matching((pattern,), names)]
    if not found:
        return None
    if all(pattern in stated for pattern in found):
        return _STATED
    return _CELL if all(pattern.endswith(CELL_STATES) for pattern in found) else _KEPT


def require_integer(left: Sequence[FloatOp], recipe: Recipe, fmt: Format) -> None:
    """`ConversionError` when full integer was asked and an operator is float that nobody allowed.

    ONNX Runtime computes light ones (activations, shapes) in float by design; there only those with weights count.
    """
    if recipe.precision not in NEEDS_CALIBRATION:
        return
    wrong = [f for f in left if f.reason not in (_KEPT, _STATED, _CELL) and (fmt is Format.TFLITE or f.op in _WEIGHTED)]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ConversionError(
            f"{recipe.code} leaves {wrong[0].op} {wrong[0].name!r}{more} in float, since {wrong[0].reason}; allow it "
            "with --keep-float REGEX, or take the recipe dynamic."
        )


def _float_tflite(graph: Graph, node: Node) -> bool:
    if node.op in _CONVERSIONS:
        return False
    return any(t.dtype in ("float32", "float16") for t in _described(graph, (*node.inputs, *node.outputs)))


def _float_weights(graph: Graph, node: Node) -> bool:
    if node.op in _CONVERSIONS:
        return False
    return any(t.dtype == "float32" and t.model_bytes >= 4096 for t in _weights(graph, node))


def _float_onnx(graph: Graph) -> list[Node]:
    producer = {output: node for node in graph.nodes for output in node.outputs}
    found = []
    for node in graph.nodes:
        if node.op in _CONVERSIONS | {_BY_RUN} or node.name.endswith(KEEPER):
            continue
        known = {t: graph.tensors[t] for t in node.inputs if t in graph.tensors}
        live = [t for t in node.inputs if t in known and not known[t].constant and known[t].dtype == "float32"]
        makers = [producer[t].op for t in live if t in producer]
        if node.op in _WEIGHTED and any(t.dtype == "float32" for t in _weights(graph, node)):
            found.append(node)
            continue
        fused = node.op in _FUSED and makers and makers[0] in _WEIGHTED | {"Add"}
        if live and not fused and not any(op == "DequantizeLinear" for op in makers):
            found.append(node)
    return found


def _weights(graph: Graph, node: Node) -> list[TensorInfo]:
    inputs = node.inputs[:3] if node.op in _RECURRENT | {_BY_RUN} else node.inputs  # a bias has two axes there
    return [t for t in _described(graph, inputs) if t.constant and len(t.shape or ()) >= 2]


def _widened(graph: Graph, node: Node) -> bool:
    """Whether a recurrent operator reads weights that a DequantizeLinear makes float."""
    if node.op not in _RECURRENT:
        return False
    return any(n.op == "DequantizeLinear" and n.outputs[0] in node.inputs[1:3] for n in graph.nodes)


def _names(graph: Graph, layers: Layers, node: Node) -> tuple[str, ...]:
    """Names in which the layer's shows: those of its outputs and weights, not of what it reads from other layers."""
    constants = (t for t in node.inputs if t in graph.tensors and graph.tensors[t].constant)
    members = (layer for output in node.outputs for layer in layers.get(output, ()))
    return (node.name, *node.outputs, *constants, *members)


def _described(graph: Graph, names: Sequence[str]) -> list[TensorInfo]:
    """What the file says of the tensors; ONNX files may be silent about results of operators outside the standard."""
    return [graph.tensors[name] for name in names if name in graph.tensors]


def _title(node: Node) -> str:
    return node.name or (node.outputs[0] if node.outputs else node.op)
