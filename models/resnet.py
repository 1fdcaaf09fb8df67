"""ResNet-18, ResNet-34 and ResNet-50 (He et al. 2015, table 1)."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from edgekit.models.blocks import ConvNorm, make_divisible

_WIDTHS = (64, 128, 256, 512)  # at alpha 1, of the four stages
_EXPANSION = 4  # of a bottleneck's output over its width

Branch = Callable[[ConvNorm, Any, int, int, str], Any]


def resnet18(**arguments: Any) -> keras.Model:
    """ResNet-18: 8 blocks of two convolutions; takes the arguments of `_build`."""
    return _build("resnet18", (2, 2, 2, 2), _basic, **arguments)


def resnet34(**arguments: Any) -> keras.Model:
    """ResNet-34: 16 blocks of two convolutions; takes the arguments of `_build`."""
    return _build("resnet34", (3, 4, 6, 3), _basic, **arguments)


def resnet50(**arguments: Any) -> keras.Model:
    """ResNet-50: 16 bottlenecks of three convolutions; takes the arguments of `_build`."""
    return _build("resnet50", (3, 4, 6, 3), _bottleneck, **arguments)


def _build(
    name: str,
    depths: tuple[int, ...],
    branch: Branch,
    *,
    alpha: float,
    size: int,
    classes: int,
    stem: str,
    momentum: float,
) -> keras.Model:
    """(batch, size, size, 3) to logits (batch, classes); ``depths`` residual blocks in each stage.

    ``stem`` "imagenet" starts with 7 x 7 kernels of stride 2 and pooling, so 224 becomes 56-28-14-7; "small" with 3 x 3
    of stride 1 and without that pooling: 32 stays 32-16-8-4. ``alpha`` scales the channels.
    """
    block = ConvNorm(momentum=momentum, epsilon=1e-5)
    image = keras.Input((size, size, 3), name="image")
    if stem == "imagenet":
        x = block.conv(image, make_divisible(64 * alpha), kernel=7, stride=2, name="stem")
        x = layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    else:
        x = block.conv(image, make_divisible(64 * alpha), kernel=3, name="stem")
    index = 0
    for stage, (depth, width) in enumerate(zip(depths, _WIDTHS, strict=True)):
        for position in range(depth):
            index += 1
            stride = 2 if stage > 0 and position == 0 else 1
            x = _residual(block, x, branch, make_divisible(width * alpha), stride, f"block_{index}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name=name)


def _residual(block: ConvNorm, x: Any, branch: Branch, width: int, stride: int, name: str) -> Any:
    """Section 3.3, option B: the shortcut is a projection where the shape changes, else the input itself."""
    inner = branch(block, x, width, stride, name)
    channels = int(inner.shape[-1])
    if stride > 1 or int(x.shape[-1]) != channels:
        x = block.conv(x, channels, kernel=1, stride=stride, relu=False, name=f"{name}_shortcut")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([inner, x]))


def _basic(block: ConvNorm, x: Any, width: int, stride: int, name: str) -> Any:
    """Figure 5, left."""
    x = block.conv(x, width, kernel=3, stride=stride, name=f"{name}_conv_1")
    return block.conv(x, width, kernel=3, relu=False, name=f"{name}_conv_2")


def _bottleneck(block: ConvNorm, x: Any, width: int, stride: int, name: str) -> Any:
    """Figure 5, right; the stride is in the first convolution, which makes the paper's 3.8 billion multiplications."""
    x = block.conv(x, width, kernel=1, stride=stride, name=f"{name}_reduce")
    x = block.conv(x, width, kernel=3, name=f"{name}_conv")
    return block.conv(x, width * _EXPANSION, kernel=1, relu=False, name=f"{name}_expand")
