"""Channels that carry a second copy of another one, and how to see the network without them.

`edgekit.converters.accuracy.split_channels` makes the copies; whoever compares such a file with its source, layer by
layer, must undo them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import ChannelCopy

Array = npt.NDArray[Any]


def joined(values: Array, copies: Sequence[ChannelCopy], axis: int) -> Array:
    """``values`` with channels along ``axis`` as they would be without copies: sources are means over their copies.

    >>> joined(np.array([3.0, 9.0, 3.5]), [ChannelCopy(slot=2, source=0, offset=0.25, idle=0.0)], 0).tolist()
    [3.25, 9.0, 0.0]
    """
    found = np.moveaxis(values, axis, 0).copy()
    for copy in copies:
        found[copy.source] += found[copy.slot]
    found /= _counts(copies, found)
    for copy in copies:
        found[copy.slot] = copy.idle
    return np.moveaxis(found, 0, axis)


def repeated(values: Array, copies: Sequence[ChannelCopy], axis: int, *, offsets: bool = True) -> Array:
    """``values`` with the copies put in place: of activations with their ``offsets``, of what makes them without.

    >>> repeated(np.array([3.0, 9.0, 0.0]), [ChannelCopy(slot=2, source=0, offset=0.25, idle=0.0)], 0).tolist()
    [2.75, 9.0, 3.25]
    """
    found = np.moveaxis(values, axis, 0).copy()
    for copy in copies:
        found[copy.slot] = found[copy.source]
    for copy in copies if offsets else ():
        found[copy.slot] += copy.offset
        found[copy.source] -= copy.offset
    return np.moveaxis(found, 0, axis)


def shared(kernel: Array, copies: Sequence[ChannelCopy], axis: int) -> Array:
    """A kernel that reads the channels along ``axis``, where each copy has its part of the weight of its source.

    >>> shared(np.array([3.0, 9.0, 7.0]), [ChannelCopy(slot=2, source=0, offset=0.25, idle=0.0)], 0).tolist()
    [1.5, 9.0, 1.5]
    """
    found = np.moveaxis(kernel, axis, 0).copy()
    found /= _counts(copies, found)
    for copy in copies:
        found[copy.slot] = found[copy.source]
    return np.moveaxis(found, 0, axis)


def _counts(copies: Sequence[ChannelCopy], values: Array) -> Array:
    """How many channels carry each, to divide ``values`` (channels, ...) by."""
    counts = np.bincount([copy.source for copy in copies], minlength=len(values)).astype(values.dtype) + 1
    return counts.reshape(-1, *[1] * (values.ndim - 1))
