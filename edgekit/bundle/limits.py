"""How far a file may be from itself: on another CPU, in another engine or version. One table, with reasons.

That is another question than how far a file may be from its source, which its conversion answers.
"""

from dataclasses import dataclass

from edgekit.artifact import Artifact
from edgekit.formats.graph import Graph
from edgekit.measure.same import Limits
from edgekit.recipe import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """The limits of one recipe, and why these."""

    limits: Limits
    reason: str


LIMITS: dict[Precision, Elsewhere] = {
    Precision.FP32: Elsewhere(
        limits=Limits(max_abs=1e-3, min_sqnr_db=60.0, max_score=0.01),
        reason="only the order of additions differs: 4e-5 on logits of 32 between x86 and ARM",
    ),
    Precision.FP16: Elsewhere(
        limits=Limits(min_sqnr_db=20.0, max_score=0.05),
        reason="one engine computes in float32, another in halves, which have eleven bits",
    ),
    Precision.DYNAMIC: Elsewhere(
        limits=Limits(min_sqnr_db=12.0, max_score=0.1),
        reason="activations are rounded as they come, and a last bit decides about a step",
    ),
    Precision.INT8: Elsewhere(
        limits=Limits(min_sqnr_db=12.0, max_score=0.1),
        reason="other kernels round otherwise: 24 to 41 dB in four files on real data, 15 in one of them on noise",
    ),
    Precision.INT16X8: Elsewhere(
        limits=Limits(min_sqnr_db=20.0, max_score=0.05),
        reason="activations have 16 bits, so that rounding costs little",
    ),
}

_INTEGERS = frozenset({"int8", "uint8", "int32", "int64", "bool"})
_INTERFACE = frozenset({"QUANTIZE", "DEQUANTIZE"})


def limits_of(artifact: Artifact, graph: Graph) -> Limits:
    """The limits of the file's recipe; a file of others counts as int8 where it has 8-bit tensors, else as fp32."""
    recipe = artifact.card.provenance.recipe
    if recipe is not None:
        return LIMITS[recipe.precision].limits
    eight_bits = any(tensor.dtype in ("int8", "uint8") for tensor in graph.tensors.values())
    return LIMITS[Precision.INT8 if eight_bits else Precision.FP32].limits


def computes_with_integers(graph: Graph) -> bool:
    """Whether no operator but those at the interface works on real numbers."""
    used = {key for n in graph.nodes if n.op not in _INTERFACE for key in (*n.inputs, *n.outputs) if key}
    return bool(used) and all(graph.tensors[key].dtype in _INTEGERS for key in used if key in graph.tensors)


def has_softmax(graph: Graph) -> bool:
    """Whether a softmax is among the operators."""
    return any(n.op in ("SOFTMAX", "LOG_SOFTMAX") for n in graph.nodes)
