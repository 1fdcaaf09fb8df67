"""Values and kernels of one layer in two files: formats order axes differently, and accuracy steps change channels."""

from dataclasses import dataclass

import numpy as np

from edgekit.card import ChannelCopy
from edgekit.channel_copies import joined, repeated, shared
from edgekit.measure.layer_taps import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """How the channels of a layer in the file differ from the reference's: factors, then copies."""

    scales: Array | None = None
    copies: tuple[ChannelCopy, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether they differ at all."""
        return self.scales is not None or bool(self.copies)

    def fit(self, count: int) -> bool:
        """Whether a layer with ``count`` channels can be this one."""
        in_reach = all(max(copy.slot, copy.source) < count for copy in self.copies)
        return in_reach and (self.scales is None or self.scales.size == count)

    def undone(self, value: Array, axis: int) -> Array:
        """An activation of the file as the reference has it."""
        value = joined(value, self.copies, axis) if self.copies else value
        return value if self.scales is None else value / _along(self.scales, axis, value.ndim)

    def done(self, value: Array, axis: int) -> Array:
        """An activation of the reference as the file has it."""
        value = value if self.scales is None else value * _along(self.scales, axis, value.ndim)
        return repeated(value, self.copies, axis) if self.copies else value


@dataclass(frozen=True, slots=True)
class Aligned:
    """How a layer's value in the file becomes comparable with the reference's: order of axes, then channels."""

    order: int = 0
    axis: int = -1
    channels: Channels = Channels()

    def of_file(self, value: Array, shape: tuple[int, ...]) -> Array:
        """A value of the file as the reference has it, in its ``shape``."""
        return self.channels.undone(self.to_reference(value, shape), self.axis)

    def of_reference(self, value: Array) -> Array:
        """A value of the reference with the channels of the file, in the reference's order."""
        return self.channels.done(value, self.axis)

    def to_reference(self, value: Array, shape: tuple[int, ...]) -> Array:
        """A raw value of the file in the reference's order, its channels as they are."""
        return _ordered(value, self.order).reshape(shape)


def _along(scales: Array, axis: int, ndim: int) -> Array:
    shape = [1] * ndim
    shape[axis] = -1
    return scales.reshape(shape)


def _ordered(value: Array, order: int) -> Array:
    """``value`` as it is (0), with channels moved from second to last (1), or from last to second (2)."""
    if order == 0 or value.ndim < 3:
        return value
    return np.moveaxis(value, 1, -1) if order == 1 else np.moveaxis(value, -1, 1)


def aligned_to(wanted: Array, found: Array, channels: Channels) -> Aligned | None:
    """Of the orders with the right shape and the axes with as many channels as are told of, the nearest one."""
    candidates = []
    for order in (0, 1, 2):
        shape = _ordered(found, order).shape
        if shape == wanted.shape or (order == 0 and found.size == wanted.size and found.ndim != wanted.ndim):
            told = [axis for axis in (-1, 1) if wanted.ndim > 1 and channels.fit(wanted.shape[axis])]
            candidates += [Aligned(order, axis, channels) for axis in (told if channels.changed else [-1])]
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    errors = [float(np.abs(np.nan_to_num(c.of_file(found, wanted.shape) - wanted)).sum()) for c in candidates]
    return candidates[int(np.argmin(errors))]


def changed_kernel(kernel: Array, made: Channels, read: Channels) -> Array | None:
    """A kernel (outputs, ..., inputs) of the reference with the channels that the file makes and reads.

    ``None`` where these do not fit it.
    """
    result: Array = kernel
    depthwise = kernel.ndim == 4 and kernel.shape[-1] == 1
    if not made.fit(len(kernel)):
        return None
    if made.scales is not None:
        result = result * _along(made.scales, 0, kernel.ndim)
    if read.scales is not None:
        axis = 0 if depthwise and read.scales.size == len(kernel) else -1
        if kernel.shape[axis] % read.scales.size:
            return None
        repeats = kernel.shape[axis] // read.scales.size
        result = result / _along(np.tile(read.scales, repeats), axis, kernel.ndim)
    if read.copies and not (depthwise and read.fit(len(kernel))):
        if not read.fit(kernel.shape[-1]):
            return None
        result = shared(result, read.copies, -1)
    return repeated(result, made.copies, 0, offsets=False) if made.copies else result
