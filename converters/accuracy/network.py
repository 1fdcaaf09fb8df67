"""A network as the operators that will be quantized: BatchNorm folded, activations fused, every weight an array."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]


class Kind(StrEnum):
    """What an operator does to channels, which is what equalization must know."""

    INPUT = "input"
    CONV = "conv"
    DEPTHWISE = "depthwise"
    DENSE = "dense"
    ADD = "add"
    CONCAT = "concat"
    AVERAGE = "average"  # means over positions, channel by channel
    HANDED = "handed"  # values handed on, so that output and input share one range
    RECTIFIER = "rectifier"  # ReLU or ReLU6 that no other operator can take in
    OTHER = "other"


WEIGHTED = frozenset({Kind.CONV, Kind.DEPTHWISE, Kind.DENSE})


class Rectifier(StrEnum):
    """Activation that an operator applies to its own output."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operator, named after the last layer that it stands for; ``members`` are all of these layers.

    ``kernel`` is (height, width, inputs, outputs), (height, width, channels, 1) or (inputs, outputs). ``channels`` is
    the last dimension of the output; ``repeat`` is how often each input channel recurs in it, more than 1 after
    flattening. ``call`` computes the operators that have no kernel.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    channels: int
    members: tuple[str, ...]
    rectifier: Rectifier = Rectifier.NONE
    kernel: Weights | None = None
    bias: Weights | None = None
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    padding: str = "valid"
    repeat: int = 1
    call: Callable[..., Any] | None = None

    @property
    def weighted(self) -> bool:
        """Whether it multiplies by a kernel."""
        return self.kind in WEIGHTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Operators in an order in which they can run. ``outputs`` names those whose values leave the network.

    ``fixed`` gives a reason for each weighted operator whose weights cannot be replaced.
    """

    ops: tuple[Op, ...]
    outputs: tuple[str, ...]
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def by_name(self) -> dict[str, Op]:
        """Operators by name."""
        return {op.name: op for op in self.ops}

    def with_weights(self, weights: Mapping[str, tuple[Weights, Weights]]) -> "Network":
        """The same network with other kernels and biases."""
        ops = (replace(op, kernel=weights[op.name][0], bias=weights[op.name][1]) if op.name in weights else op
               for op in self.ops)  # fmt: skip
        return replace(self, ops=tuple(ops))

    def with_kernels(self, kernels: Mapping[str, Weights]) -> "Network":
        """The same network with other kernels."""
        return replace(self, ops=tuple(replace(op, kernel=kernels.get(op.name, op.kernel)) for op in self.ops))

    def with_biases(self, biases: Mapping[str, Weights]) -> "Network":
        """The same network with other biases."""
        return replace(self, ops=tuple(replace(op, bias=biases.get(op.name, op.bias)) for op in self.ops))


def origin(name: str, ops: Mapping[str, Op]) -> str:
    """The operator whose values ``name`` hands on."""
    while ops[name].kind is Kind.HANDED:
        name = ops[name].inputs[0]
    return name


def last_use(ops: Iterable[Op], outputs: Iterable[str]) -> dict[str, str]:
    """By name, the last operator that reads its output; absent for the network's outputs."""
    last = {name: op.name for op in ops for name in op.inputs}
    return {name: reader for name, reader in last.items() if name not in set(outputs)}
