"""Idle channels put to use: each carries a copy of a channel that loses much by rounding.

A channel is read as the mean of its copies, which lie a part of a rounding step apart, so that two of them round it as
finely as one more bit would. Zhao et al. 2019, "Improving neural network quantization without retraining using outlier
channel splitting", sections 3.1 and 3.3, add channels for this; here it takes those that a network has and does not
need, which narrow and pruned ones have, so that nothing grows.

Whether a channel is idle is proved, not observed: what an operator reads is confined to its 8-bit range.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.card import ChannelCopy
from edgekit.channel_copies import repeated, shared
from edgekit.converters.accuracy.network import Kind, Network, Op, Weights
from edgekit.converters.accuracy.observe import Observed
from edgekit.converters.accuracy.simulate import Ranges, levels, with_zero

IDLE_STEPS = 0.01
"""A channel that no input moves by more than this many steps of its 8-bit range is idle; one within as many of zero is
zero.
"""
LEAST_VARIANCE = 1e-3
"""Share of the largest variance of an output channel below which noise in it counts no more."""

_SUMMING = (Kind.CONV, Kind.DENSE)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The network with copies, what its activations do, and the copies by operator."""

    network: Network
    observed: Mapping[str, Observed]
    copies: Mapping[str, tuple[ChannelCopy, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Path:
    """Channels from the operator that makes them to the one that sums over them; ``carriers`` hold them one by one."""

    carriers: tuple[Op, ...]
    reader: Op

    @property
    def exact(self) -> bool:
        """Whether the reader sees a constant channel as constant, also at the borders."""
        kernel = self.reader.kernel
        inner = self.reader.padding == "valid" or (kernel is not None and kernel.shape[:-2] == (1, 1))
        return inner and all(op.kind is not Kind.HANDED for op in self.carriers)


def split_channels(
    network: Network,
    observed: Mapping[str, Observed],
    ranges: Ranges,
    float_ops: Collection[str],
    widened: Collection[str] = (),
) -> Split:
    """``network`` with a copy in every idle channel that can carry one of a channel that is rounded to ``ranges``.

    It computes what it did for values within ``ranges``. Means and extremes of the copies follow from those of their
    sources; sampled values lack them. The file may round the operators ``widened`` to a wider range, which would prove
    nothing.
    """
    ranges = with_zero(ranges)
    seen, found, copies = dict(observed), network, dict[str, tuple[ChannelCopy, ...]]()
    for path in _paths(network, {*network.fixed, *float_ops}):
        names = (path.carriers[0].inputs[0], *(op.name for op in path.carriers))
        if any(name not in ranges or name not in observed for name in (*names, path.reader.name)):
            continue
        if any(name in widened for name in names):
            continue
        idle = _idle(path, ranges)
        sources = _sources(list(idle), _noise(path, observed, ranges))
        if sources:
            made = _copies(path, sources, idle, ranges)
            found = found.with_weights(_weights(path, made, found.by_name))
            copies |= made
            seen |= {op.name: _with_copies(observed[op.name], made[op.name]) for op in path.carriers}
    return Split(network=found, observed=seen, copies=copies)


def _paths(network: Network, closed: Collection[str]) -> Iterator[_Path]:
    """All paths along which channels stay apart and have one reader each; none holds an operator of ``closed``."""
    readers: dict[str, list[Op]] = {}
    for op in network.ops:
        for name in op.inputs:
            readers.setdefault(name, []).append(op)

    def only_reader(op: Op) -> Op | None:
        found = readers.get(op.name, [])
        return found[0] if len(found) == 1 and op.name not in network.outputs and found[0].name not in closed else None

    for maker in network.ops:
        if maker.kind not in _SUMMING or maker.name in closed:
            continue
        carriers, reader = [maker], only_reader(maker)
        while reader is not None and reader.kind in (Kind.DEPTHWISE, Kind.HANDED):
            carriers.append(reader)
            reader = only_reader(reader)
        if reader is not None and reader.kind in _SUMMING and _read(reader) == maker.channels:
            yield _Path(carriers=tuple(carriers), reader=reader)


def _read(op: Op) -> int:
    return 0 if op.kernel is None else int(op.kernel.shape[-2])


def _step(ends: tuple[float, float]) -> float:
    return (ends[1] - ends[0]) / 255


def _idle(path: _Path, ranges: Ranges) -> dict[int, Array]:
    """The channels that are constant in every carrier whatever the input is, and their value in each."""
    low, high = (np.full(_read(path.carriers[0]), end) for end in levels(ranges[path.carriers[0].inputs[0]]))
    still = np.ones(path.carriers[0].channels, np.bool_)
    values = []
    for op in path.carriers:
        if op.kind is Kind.HANDED or op.padding != "valid":  # borders are zero
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        if op.kernel is not None:
            low, high = _reach(op, low, high)
        ends = levels(ranges[op.name])
        low, high = np.clip(low, *ends), np.clip(high, *ends)  # as its rectifier does, if it has one
        still &= high - low <= IDLE_STEPS * _step(ends)
        values.append(low)
    if not path.exact:
        still &= np.abs(low) <= IDLE_STEPS * _step(ranges[path.carriers[-1].name])
    return {int(channel): np.array([value[channel] for value in values]) for channel in np.flatnonzero(still)}


def _reach(op: Op, low: Array, high: Array) -> tuple[Array, Array]:
    """What each output channel is at least and at most for inputs within ``low`` and ``high``, before its rectifier."""
    kernel = _flat(op)
    ends = (
        (kernel * low, kernel * high) if op.kind is Kind.DEPTHWISE else (kernel * low[:, None], kernel * high[:, None])
    )
    outer = tuple(range(kernel.ndim - 1))
    return op.bias + np.minimum(*ends).sum(outer), op.bias + np.maximum(*ends).sum(outer)


def _flat(op: Op) -> Array:
    """The kernel of ``op`` as (taps, channels) of a depthwise operator, (taps, inputs, outputs) of others."""
    if op.kernel is None:
        raise ValueError(f"{op.name} has no kernel.")
    shape = (-1, op.channels) if op.kind is Kind.DEPTHWISE else (-1, *op.kernel.shape[-2:])
    return op.kernel.reshape(shape).astype(np.float64)


def _noise(path: _Path, observed: Mapping[str, Observed], ranges: Ranges) -> Array:
    """How much noise the rounding of each channel brings into what is read, in variances of the reader's channels."""
    variance = _moments(observed[path.reader.name].values, observed[path.reader.name].channels, path.reader.channels)
    heard = variance > 0
    gain = np.square(_flat(path.reader)).sum(0)[:, heard]
    gain = (gain / np.maximum(variance[heard], LEAST_VARIANCE * variance.max(initial=0.0))).sum(1)
    noise = np.zeros(len(gain))
    for op in reversed(path.carriers):
        seen, (low, _high), step = observed[op.name], ranges[op.name], _step(ranges[op.name])
        if op.kind is not Kind.HANDED:
            rounded = np.clip(np.rint((seen.values - low) / step), 0, 255) * step + low
            noise += gain * _moments(rounded - seen.values, seen.channels, op.channels)
        if op.kind is Kind.DEPTHWISE:
            gain = gain * np.square(_flat(op)).sum(0)
    return noise


def _moments(values: Weights, channels: npt.NDArray[np.int32], count: int) -> Array:
    """The variance of ``values`` in each channel."""
    number = np.maximum(np.bincount(channels, minlength=count), 1)
    mean, square = (np.bincount(channels, np.float64(values) ** power, count) / number for power in (1, 2))
    return np.asarray(np.maximum(square - mean**2, 0))


def _sources(idle: Sequence[int], noise: Array) -> dict[int, int]:
    """The channel that each idle one copies, so that the most noise is lost: n copies leave 1/n^2 of it."""
    counts = {channel: 1 for channel in range(len(noise)) if channel not in idle}
    if not counts:
        return {}
    sources: dict[int, int] = {}
    for slot in idle:
        source = max(counts, key=lambda c: noise[c] * (1 / counts[c] ** 2 - 1 / (counts[c] + 1) ** 2))
        sources[slot] = source
        counts[source] += 1
    return sources


def _copies(
    path: _Path, sources: Mapping[int, int], idle: Mapping[int, Array], ranges: Ranges
) -> dict[str, tuple[ChannelCopy, ...]]:
    """The copies by carrier: they and their source lie evenly over a step, around where the source was.

    Around it, so that errors cancel where zeros do not follow the offsets: in the rectifier, and beyond the borders.
    """
    share = {}
    for slot, source in sources.items():
        same = [other for other in sources if sources[other] == source]
        share[slot] = (same.index(slot) + 1 - len(same) / 2) / (len(same) + 1)
    copies: dict[str, tuple[ChannelCopy, ...]] = {}
    for number, op in enumerate(path.carriers):
        copies[op.name] = tuple(
            ChannelCopy(
                slot=slot, source=source, offset=share[slot] * _step(ranges[op.name]), idle=float(idle[slot][number])
            )
            for slot, source in sources.items()
        )  # fmt: skip
    return copies


def _weights(
    path: _Path, copies: Mapping[str, tuple[ChannelCopy, ...]], ops: Mapping[str, Op]
) -> dict[str, tuple[Weights, Weights]]:
    """Kernels and biases along the path, from those of ``ops``, so that the reader gets what it got before."""
    made: dict[str, tuple[Weights, Weights]] = {}
    read: Weights = np.zeros(1, np.float32)  # the offsets in what an operator reads
    for op in (ops[carrier.name] for carrier in path.carriers):
        own = copies[op.name]
        if op.kernel is not None and op.bias is not None:
            apart = op.kind is Kind.DEPTHWISE
            kernel = repeated(op.kernel, own, 2 if apart else -1, offsets=False)
            bias = repeated(op.bias, own, 0)
            made[op.name] = (kernel, bias - read * kernel.sum((0, 1, 3)) if apart else bias)
        read = repeated(np.zeros(op.channels, np.float32), own, 0)
    reader, last = ops[path.reader.name], copies[path.carriers[-1].name]
    if reader.kernel is None or reader.bias is None:
        raise ValueError(f"{reader.name} has no kernel.")
    idle = sum(copy.idle * reader.kernel[..., copy.slot, :].reshape(-1, reader.channels).sum(0) for copy in last)
    made[reader.name] = (shared(reader.kernel, last, -2), (reader.bias + idle).astype(np.float32))
    return made


def _with_copies(seen: Observed, copies: Sequence[ChannelCopy]) -> Observed:
    """``seen`` once the copies are in place."""
    original = ~np.isin(seen.channels, [copy.slot for copy in copies])
    return Observed(
        low=repeated(seen.low, copies, 0, offsets=False),
        high=repeated(seen.high, copies, 0),
        mean=repeated(seen.mean, copies, 0),
        values=seen.values[original],
        channels=seen.channels[original],
        item_means=repeated(seen.item_means, copies, 1),
    )
