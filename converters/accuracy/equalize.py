"""Scales that make the channels of an activation equally large, moved into the weights around it.

Multiplying a channel by s > 0 where it is made and dividing by s where it is read changes nothing in float, and rounds
it s times as finely where all channels share one range (Nagel et al. 2019, "Data-free quantization", section 4.1).
There, scales come from weights and ReLU6 must be replaced by ReLU, which costs more than it brings; here they come from
what the channels do, and a channel behind ReLU6 is only ever enlarged to the six that it may reach.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from edgekit.channel_scales import on_grid
from edgekit.converters.accuracy.network import Kind, Network, Op, Rectifier, Weights
from edgekit.converters.accuracy.observe import Observed

LARGEST_SCALE = 16.0
"""No channel is enlarged or shrunk further: noise of channels that do nothing would be."""
SHARE_INTO_SUMS = 0.3
"""Exponent in front of a layer that sums over channels, whose weights become as uneven as the activations were."""
SHARE_IN_RESIDUALS = 0.5
"""Exponent where no rectifier bounds the channels."""


@dataclass(slots=True)
class _Block:
    """Channels that several activations share, and what is known of them."""

    width: int
    locked: str = ""
    tensors: list[str] = field(default_factory=list)  # activations in which the channels stand alone
    capped: list[str] = field(default_factory=list)  # those of them behind ReLU6
    readers: set[Kind] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Equalization:
    """Scales by operator for its output channels, and why others have none."""

    scales: Mapping[str, Weights]
    skipped: Mapping[str, str]


class _Blocks:
    """Union-find over blocks of channels."""

    def __init__(self) -> None:
        self._all: list[_Block] = []
        self._parent: list[int] = []

    def add(self, width: int, locked: str = "") -> int:
        self._all.append(_Block(width, locked))
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def root(self, index: int) -> int:
        while self._parent[index] != index:
            index = self._parent[index]
        return index

    def __getitem__(self, index: int) -> _Block:
        return self._all[self.root(index)]

    def lock(self, indices: Iterable[int], reason: str) -> None:
        for index in indices:
            self[index].locked = self[index].locked or reason

    def join(self, first: int, second: int) -> None:
        a, b = self.root(first), self.root(second)
        if a == b:
            return
        kept, gone = self._all[a], self._all[b]
        kept.locked = kept.locked or gone.locked
        kept.tensors += gone.tensors
        kept.capped += gone.capped
        kept.readers |= gone.readers
        self._parent[b] = a


def find_scales(network: Network, observed: Mapping[str, Observed]) -> Equalization:
    """The scale of every channel of ``network`` that may be scaled, from what the channels did on real items."""
    blocks = _Blocks()
    layout = _layout(network, blocks, observed)
    scales: dict[str, Weights] = {}
    skipped: dict[str, str] = {}
    by_block: dict[int, Weights] = {}
    for op in network.ops:
        roots = [blocks.root(index) for index in layout[op.name]]
        for root in roots:
            if root not in by_block:
                block = blocks[root]
                by_block[root] = np.ones(block.width, np.float32) if block.locked else _scale(block, observed)
            if op.weighted and blocks[root].locked:
                skipped[op.name] = blocks[root].locked
        scales[op.name] = np.concatenate([by_block[root] for root in roots])
    return Equalization(scales=scales, skipped=skipped)


def _layout(network: Network, blocks: _Blocks, observed: Mapping[str, Observed]) -> dict[str, tuple[int, ...]]:
    """The blocks of which each operator's output channels consist, in order."""
    layout: dict[str, tuple[int, ...]] = {}
    own: tuple[int, ...]
    for op in network.ops:
        read = [layout[name] for name in op.inputs]
        match op.kind:
            case Kind.CONV | Kind.DEPTHWISE | Kind.DENSE:
                own = (blocks.add(op.channels),)
                for index in read[0]:
                    blocks[index].readers.add(op.kind)
                if op.name in network.fixed:
                    blocks.lock((*own, *read[0]), network.fixed[op.name])
            case Kind.ADD:
                own = read[0]
                for other in read[1:]:
                    if [blocks[i].width for i in own] == [blocks[i].width for i in other]:
                        for first, second in zip(own, other, strict=True):
                            blocks.join(first, second)
                    else:
                        blocks.lock((*own, *other), f"{op.name} adds differently composed channels")
            case Kind.CONCAT:
                own = tuple(index for indices in read for index in indices)
            case Kind.AVERAGE | Kind.RECTIFIER:
                own = read[0]
            case Kind.HANDED:
                own = read[0] * op.repeat
            case _:
                for indices in read:
                    blocks.lock(indices, f"{op.name} needs the values as they are")
                reason = "it is an input of the network" if op.kind is Kind.INPUT else f"{op.name} makes them"
                own = (blocks.add(max(op.channels, 1), reason),)
        layout[op.name] = own
        _note(op, own, blocks, observed)
    for name in network.outputs:
        blocks.lock(layout[name], f"{name} is an output of the network")
    return layout


def _note(op: Op, own: tuple[int, ...], blocks: _Blocks, observed: Mapping[str, Observed]) -> None:
    if op.name not in observed:
        blocks.lock(own, f"{op.name} was not observed")
    elif len(own) == 1:
        blocks[own[0]].tensors.append(op.name)
        if op.rectifier is Rectifier.RELU6:
            blocks[own[0]].capped.append(op.name)
    elif op.rectifier is Rectifier.RELU6:
        blocks.lock(own, f"{op.name} bounds channels of several origins")


def _scale(block: _Block, observed: Mapping[str, Observed]) -> Weights:
    reach = np.max([np.maximum(-observed[name].low, observed[name].high) for name in block.tensors], axis=0)
    idle = reach <= 1e-6 * max(float(reach.max(initial=0.0)), 1e-30)
    reach = np.where(idle, 1.0, reach)
    if block.capped:
        highest = np.max([observed[name].high for name in block.capped], axis=0)
        room = 6.0 / np.maximum(highest, 1e-6)
        share = 1.0 if block.readers == {Kind.DEPTHWISE} else SHARE_INTO_SUMS
        scale = np.clip(np.maximum(room, 1.0) ** share, 1.0, LARGEST_SCALE)
    else:
        scale = np.clip((reach.max(initial=1e-30) / reach) ** SHARE_IN_RESIDUALS, 1 / LARGEST_SCALE, LARGEST_SCALE)
    return on_grid(np.where(idle, 1.0, scale))


def equalized(network: Network, scales: Mapping[str, Weights]) -> Network:
    """``network`` with ``scales`` moved into its weights."""
    weights: dict[str, tuple[Weights, Weights]] = {}
    for op in network.ops:
        if op.kernel is None or op.bias is None:
            continue
        made, read = scales[op.name], scales[op.inputs[0]]
        kernel = op.kernel * (made / read)[:, None] if op.kind is Kind.DEPTHWISE else op.kernel / read[:, None] * made
        weights[op.name] = (kernel.astype(np.float32), (op.bias * made).astype(np.float32))
    return network.with_weights(weights)


def rescaled(network: Network, observed: Mapping[str, Observed], scales: Mapping[str, Weights]) -> dict[str, Observed]:
    """What the activations of the equalized network do, without running it."""
    return {
        op.name: observed[op.name].scaled(scales[op.name], 6.0 if op.rectifier is Rectifier.RELU6 else np.inf)
        for op in network.ops
        if op.name in observed
    }
