"""The first YOLO (Redmon et al. 2016, You Only Look Once, section 2.1 and figure 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from edgekit.models.blocks import ConvNorm, make_divisible
from edgekit.models.yolo_grid import grid_side

_SLOPE = 0.1
_TINY_HIDDEN = 256
"""Units at alpha 1 of Fast YOLO's linear layer before the hidden one (its published configuration)."""


@dataclass(frozen=True, slots=True)
class _Convolution:
    """``filters`` are those at alpha 1; the map is halved by a ``strided`` convolution and by being ``pooled``."""

    kernel: int
    filters: int
    strided: bool = False
    pooled: bool = False


_DEPTHS: Mapping[str, tuple[_Convolution, ...]] = {
    "full": (
        _Convolution(7, 64, strided=True, pooled=True),
        _Convolution(3, 192, pooled=True),
        _Convolution(1, 128),
        _Convolution(3, 256),
        _Convolution(1, 256),
        _Convolution(3, 512, pooled=True),
        *(_Convolution(1, 256), _Convolution(3, 512)) * 4,
        _Convolution(1, 512),
        _Convolution(3, 1024, pooled=True),
        *(_Convolution(1, 512), _Convolution(3, 1024)) * 2,
        _Convolution(3, 1024),
        _Convolution(3, 1024, strided=True),
        *(_Convolution(3, 1024),) * 2,
    ),
    "tiny": (
        *(_Convolution(3, filters, pooled=True) for filters in (16, 32, 64, 128, 256, 512)),
        *(_Convolution(3, 1024),) * 3,
    ),
}


def build(
    *,
    alpha: float,
    size: int,
    classes: int,
    cell: int,
    boxes: int,
    depth: str,
    head: str,
    units: int,
    dropout: float,
    norm: str,
    momentum: float,
    activation: str,
) -> keras.Model:
    """(batch, size, size, 3) to the three outputs of `edgekit.detection.Head.YOLO_V1`.

    ``depth`` "full" has 24 convolutions, "tiny" the 9 of Fast YOLO. Both halve the map six times, which makes cells of
    64 pixels; for smaller ``cell`` the last halvings are left out. ``alpha`` scales the filters. ``head`` "dense" has a
    hidden layer of ``units`` with ``dropout`` and sees the whole image in each cell, as in the paper; "conv" predicts
    from the map of the cell alone. ``norm`` "batch" normalises after each convolution, which the paper does not.
    ``activation`` is "leaky", of slope 0.1, or "relu".
    """

    def width(channels: int) -> int:
        return make_divisible(channels * alpha)

    block = ConvNorm(momentum=momentum, norm=norm, slope=_SLOPE if activation == "leaky" else 0.0)
    side, halvings = grid_side(size, cell), cell.bit_length() - 1
    image = keras.Input((size, size, 3), name="image")
    x = image
    for number, convolution in enumerate(_DEPTHS[depth], 1):
        strided = convolution.strided and halvings > 0
        x = block.conv(
            x, width(convolution.filters), kernel=convolution.kernel, stride=1 + strided, name=f"conv_{number}"
        )
        pooled = convolution.pooled and halvings > strided
        x = layers.MaxPooling2D(2, padding="same", name=f"pool_{number}")(x) if pooled else x
        halvings -= strided + pooled
    per_cell = {"boxes": 4 * boxes, "confidences": boxes, "classes": classes}
    if head == "conv":
        outputs = [
            layers.Conv2D(numbers, 1, kernel_initializer=_near_zero(), name=name)(x)
            for name, numbers in per_cell.items()
        ]
        return keras.Model(image, outputs, name="yolo_v1")
    x = layers.Flatten(name="flatten")(x)
    if depth == "tiny":
        x = layers.Dense(width(_TINY_HIDDEN), name="reduce")(x)
    x = block.rectified(layers.Dense(units, name="hidden")(x), name="hidden")
    x = layers.Dropout(dropout, name="dropout")(x)
    outputs = [_of_cells(x, side, numbers, name) for name, numbers in per_cell.items()]
    return keras.Model(image, outputs, name="yolo_v1")


def _of_cells(x: Any, side: int, numbers: int, name: str) -> Any:
    """``numbers`` for each cell, of which there are ``side`` x ``side``."""
    x = layers.Dense(side * side * numbers, kernel_initializer=_near_zero(), name=f"{name}_values")(x)
    return layers.Reshape((side, side, numbers), name=name)(x)


def _near_zero() -> Any:
    """First weights of outputs whose values are right for most cells; larger ones are a loss that drowns the rest."""
    return keras.initializers.RandomNormal(stddev=0.01)
