"""Inception V1, GoogLeNet (Szegedy et al. 2014, table 1)."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from edgekit.models.blocks import ConvNorm, make_divisible


@dataclass(frozen=True, slots=True)
class _Widths:
    """A row of the table: filters at alpha 1, by the table's columns."""

    ones: int
    threes_reduce: int
    threes: int
    fives_reduce: int
    fives: int
    pool_project: int

    def scaled(self, alpha: float) -> "_Widths":
        return _Widths(*(make_divisible(alpha * getattr(self, name)) for name in self.__slots__))


# The modules between two poolings, by the table's names
_STAGES = (
    {"3a": _Widths(64, 96, 128, 16, 32, 32), "3b": _Widths(128, 128, 192, 32, 96, 64)},
    {
        "4a": _Widths(192, 96, 208, 16, 48, 64),
        "4b": _Widths(160, 112, 224, 24, 64, 64),
        "4c": _Widths(128, 128, 256, 24, 64, 64),
        "4d": _Widths(112, 144, 288, 32, 64, 64),
        "4e": _Widths(256, 160, 320, 32, 128, 128),
    },
    {"5a": _Widths(256, 160, 320, 32, 128, 128), "5b": _Widths(384, 192, 384, 48, 128, 128)},
)


def build(
    *, alpha: float, size: int, classes: int, stem: str, norm: str, momentum: float, dropout: float
) -> keras.Model:
    """(batch, size, size, 3) to logits (batch, classes), without auxiliary classifiers; ``alpha`` scales the filters.

    ``stem`` "imagenet" starts with 7 x 7 kernels of stride 2 and pooling, so 224 becomes 56-28-14-7; "small" with 3 x 3
    of stride 1 and without that pooling: 32 becomes 16-8-4. Local response normalisation is left out, since no edge
    format has an 8-bit form of it. ``norm`` "batch" normalises after each convolution, as Ioffe and Szegedy 2015 do.
    """
    block = ConvNorm(momentum=momentum, norm=norm)
    image = keras.Input((size, size, 3), name="image")
    x = image
    if stem == "imagenet":
        x = block.conv(x, make_divisible(64 * alpha), kernel=7, stride=2, name="stem")
        x = layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    else:
        x = block.conv(x, make_divisible(64 * alpha), kernel=3, name="stem")
    x = block.conv(x, make_divisible(64 * alpha), kernel=1, name="block_2_3x3_reduce")
    x = block.conv(x, make_divisible(192 * alpha), kernel=3, name="block_2_3x3")
    for number, stage in enumerate(_STAGES, 2):
        x = layers.MaxPooling2D(3, 2, padding="same", name=f"pool_{number}")(x)
        for name, widths in stage.items():
            x = _module(block, x, widths.scaled(alpha), f"block_{name}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="inception_v1")


def _module(block: ConvNorm, x: Any, widths: _Widths, name: str) -> Any:
    """Figure 2(b): four branches side by side."""
    ones = block.conv(x, widths.ones, kernel=1, name=f"{name}_1x1")
    threes = block.conv(x, widths.threes_reduce, kernel=1, name=f"{name}_3x3_reduce")
    threes = block.conv(threes, widths.threes, kernel=3, name=f"{name}_3x3")
    fives = block.conv(x, widths.fives_reduce, kernel=1, name=f"{name}_5x5_reduce")
    fives = block.conv(fives, widths.fives, kernel=5, name=f"{name}_5x5")
    pooled = layers.MaxPooling2D(3, 1, padding="same", name=f"{name}_pool")(x)
    pooled = block.conv(pooled, widths.pool_project, kernel=1, name=f"{name}_pool_project")
    return layers.Concatenate(name=f"{name}_concat")([ones, threes, fives, pooled])
