"""Values of one layer in two files: formats order axes differently, and equalization scales channels."""

from dataclasses import dataclass

import numpy as np

from edgekit.measure.layer_taps import Array


@dataclass(frozen=True, slots=True)
class Aligned:
    """How a layer's value in the file becomes comparable with the reference's: order of axes, then channel scales."""

    order: int = 0
    axis: int = -1
    scales: Array | None = None

    def of_file(self, value: Array, shape: tuple[int, ...]) -> Array:
        """A value of the file as the reference has it, in its ``shape``."""
        value = _ordered(value, self.order).reshape(shape)
        return value if self.scales is None else value / self._factors(value.ndim)

    def of_reference(self, value: Array) -> Array:
        """A value of the reference with the scales of the file, in the reference's order."""
        return value if self.scales is None else value * self._factors(value.ndim)

    def to_reference(self, value: Array, shape: tuple[int, ...]) -> Array:
        """A raw value of the file in the reference's order, unscaled."""
        return _ordered(value, self.order).reshape(shape)

    def _factors(self, ndim: int) -> Array:
        if self.scales is None:
            return np.ones((), np.float32)
        shape = [1] * ndim
        shape[self.axis] = -1
        return self.scales.reshape(shape)


def _ordered(value: Array, order: int) -> Array:
    """``value`` as it is (0), with channels moved from second to last (1), or from last to second (2)."""
    if order == 0 or value.ndim < 3:
        return value
    return np.moveaxis(value, 1, -1) if order == 1 else np.moveaxis(value, -1, 1)


def aligned_to(wanted: Array, found: Array, scales: Array | None) -> Aligned | None:
    """Of the orders with the right shape and the axes with as many channels as there are scales, the nearest one."""
    candidates = []
    for order in (0, 1, 2):
        shape = _ordered(found, order).shape
        if shape == wanted.shape or (order == 0 and found.size == wanted.size and found.ndim != wanted.ndim):
            axes = (
                [-1] if scales is None else [a for a in (-1, 1) if wanted.ndim > 1 and wanted.shape[a] == scales.size]
            )
            candidates += [Aligned(order, axis, scales) for axis in axes]
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    errors = [float(np.abs(np.nan_to_num(c.of_file(found, wanted.shape) - wanted)).sum()) for c in candidates]
    return candidates[int(np.argmin(errors))]
