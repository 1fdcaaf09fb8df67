"""Activation ranges: what every tensor of a float graph does on real items, and the 8-bit range that serves it best."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.formats.graph import Graph

Ends = dict[str, tuple[float, float]]

SAMPLES_PER_TENSOR = 60_000
"""Values kept of one tensor over all items: enough to see outliers of one in ten thousand."""
OUTPUT_MARGIN = 1.15
"""Items not seen in calibration reach further, and a clipped logit is the largest error that a classifier can make."""

# These hand values through, so that their output shares the range of their first input.
_PASSING = frozenset(
    (
        "EXPAND_DIMS", "GATHER", "MAX_POOL_2D", "PAD", "RESHAPE", "SLICE", "SPACE_TO_DEPTH", "SQUEEZE",
        "STRIDED_SLICE", "TRANSPOSE",
        "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Reshape", "Slice", "Squeeze", "Transpose",
        "Unsqueeze",
    )
)  # fmt: skip
# Means vary little between items, and every one of them matters: never clipped.
_MEANS = frozenset(("AVERAGE_POOL_2D", "MEAN", "AveragePool", "GlobalAveragePool", "ReduceMean"))
# TFLite's 8-bit outputs of these have one range, whatever they hold.
_FIXED = {"TANH": (-1.0, 127 / 128), "LOGISTIC": (0.0, 255 / 256)}
# Outputs of these are unbounded sums; other operators bound their own output.
_SUMS = frozenset(
    (
        "ADD", "BATCH_MATMUL", "CONV_2D", "FULLY_CONNECTED", "SUB", "TRANSPOSE_CONV",
        "Add", "Conv", "ConvTranspose", "Gemm", "MatMul", "Sub",
    )
)  # fmt: skip


@dataclass(slots=True)
class _Seen:
    low: float = np.inf
    high: float = -np.inf
    values: list[npt.NDArray[np.float32]] = field(default_factory=list)


class RangeFinder:
    """Collects extremes and a seeded sample of every tensor's values, item by item, in bounded memory."""

    def __init__(self, items: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._keep = -(-SAMPLES_PER_TENSOR // items)
        self._seen: dict[str, _Seen] = {}

    def see(self, name: str, values: npt.NDArray[Any]) -> None:
        """Add one item's ``values`` of the tensor called ``name``."""
        if values.size == 0:
            return
        seen = self._seen.setdefault(name, _Seen())
        flat = values.reshape(-1)
        seen.low, seen.high = min(seen.low, float(flat.min())), max(seen.high, float(flat.max()))
        chosen = flat[self._random.integers(0, flat.size, self._keep)] if flat.size > self._keep else flat
        seen.values.append(np.array(chosen, np.float32))

    def extremes(self) -> Ends:
        """Smallest and largest value of every tensor."""
        return {name: (seen.low, seen.high) for name, seen in self._seen.items()}

    def best(self, graph: Graph) -> Ends:
        """The range of every tensor of ``graph`` for 8 bits: of least mean squared error where clipping is safe."""
        makers = {out: node for node in graph.nodes for out in node.outputs}
        final = {_origin(tensor, makers) for tensor in graph.output_tensors.values()}
        ranges: Ends = {}
        for name, seen in self._seen.items():
            origin = _origin(name, makers)
            if origin != name and origin in self._seen:
                continue
            maker = makers[name].op if name in makers else ""
            if name in final:
                margin = OUTPUT_MARGIN if maker in _SUMS and seen.low < 0 else 1.0
                ranges[name] = (seen.low * margin, seen.high * margin)
            elif maker in _MEANS:
                ranges[name] = (seen.low, seen.high)
            else:
                ranges[name] = least_error_range(np.concatenate(seen.values), seen.low, seen.high)
        return {name: ranges[_origin(name, makers)] if name not in ranges else ranges[name] for name in self._seen}


def least_error_range(values: npt.NDArray[np.float32], low: float, high: float) -> tuple[float, float]:
    """The part of ``low``..``high`` that rounds ``values`` to 256 levels with the least mean squared error.

    The ends are shrunk to 30..100 % of the extremes, a negative and a positive end also apart from each other (Banner
    et al. 2019, "Post training 4-bit quantization", section 3, minimise the same error in closed form).
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 0:
        return low, high
    shares = np.linspace(0.3, 1.0, 36)
    pairs: Iterable[tuple[float, float]] = (
        [(s, s) for s in shares]
        if low == 0 or high == 0
        else [(min(1.0, s * skew), s) for s in shares for skew in (1.0, 1.2, 1 / 1.2)]
    )
    candidates = [(low * a, high * b) for a, b in pairs]
    errors = [_squared_error(values, *ends) for ends in candidates]
    return candidates[int(np.argmin(errors))]


def _squared_error(values: npt.NDArray[np.float32], low: float, high: float) -> float:
    scale = np.float32((high - low) / 255)
    zero_point = np.float32(np.rint(-low / scale))
    rounded = np.rint(values / scale)
    np.clip(rounded, -zero_point, 255 - zero_point, out=rounded)
    rounded *= scale
    rounded -= values
    return float(np.vdot(rounded, rounded))


def known_ranges(graph: Graph, known: Mapping[str, Sequence[float]]) -> Ends:
    """``known`` ranges of the tensors of ``graph``, and of those that hand the values of such a tensor on."""
    makers = {out: node for node in graph.nodes for out in node.outputs}
    found: Ends = {}
    for name in graph.tensors:
        start = name if name in known else _origin(name, makers)
        if start in known:
            low, high = known[start]
            found[name] = (low, high)
    return found


def tied(ends: Ends, graph: Graph, states: Iterable[Sequence[str]]) -> Ends:
    """``ends`` where both tensors of a state have one range: what its output gives is fed to its input as it is.

    ``states`` are pairs of names of an input and an output.
    """
    found, makers = dict(ends), {out: node for node in graph.nodes for out in node.outputs}
    for before, after in states:
        last = graph.output_tensors[after]
        names = [graph.input_tensors[before], last, _origin(last, makers)]
        known = [ends[name] for name in names if name in ends]
        maker = makers[names[-1]].op if names[-1] in makers else ""
        if maker in _FIXED:
            found |= dict.fromkeys(names, _FIXED[maker])
        elif known:
            both = (min(low for low, _ in known), max(high for _, high in known))
            found |= dict.fromkeys(names, both)
    return found


def _origin(name: str, makers: Mapping[str, Any]) -> str:
    """The tensor whose values ``name`` hands on."""
    while name in makers and makers[name].op in _PASSING and makers[name].inputs:
        name = makers[name].inputs[0]
    return name
