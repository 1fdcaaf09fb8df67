"""What the image classifiers share: rounded channel counts and normalised convolutions."""

from dataclasses import dataclass
from typing import Any

from keras import layers


def make_divisible(channels: float, divisor: int = 8) -> int:
    """``channels`` rounded to a multiple of ``divisor``, never more than 10 % below it.

    The rounding of the MobileNetV2 authors' published code.

    >>> [make_divisible(32 * alpha) for alpha in (0.35, 0.5, 0.75, 1.0, 1.4)]
    [16, 16, 24, 32, 48]
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvNorm:
    """Convolution without bias, batch normalisation and, where asked for, a rectifier; ReLU6 with ``ceiling`` 6.

    ``norm`` "none" leaves the normalisation out and gives the convolution a bias. ``padding`` "same" is TensorFlow's:
    for stride 2 and an even size it pads below and to the right only. "torch" pads 3 x 3 kernels by one on every side,
    as PyTorch's ``padding=1`` does; the two are equal for stride 1. "valid" never pads. ``slope`` is what the rectifier
    multiplies values below zero by.
    """

    momentum: float
    padding: str = "same"
    epsilon: float = 1e-3
    norm: str = "batch"
    ceiling: float | None = None
    slope: float = 0.0

    def conv(
        self, x: Any, filters: int, *, kernel: int, stride: int = 1, dilation: int = 1, relu: bool = True, name: str
    ) -> Any:
        """An ordinary convolution of ``kernel`` x ``kernel``."""
        x, rule = self._padded(x, kernel, stride, name)
        x = layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding=rule,
            dilation_rate=dilation,
            use_bias=self.norm == "none",
            name=name,
        )(x)
        return self._normalised(x, relu, name)

    def depthwise(self, x: Any, *, stride: int = 1, name: str) -> Any:
        """One 3 x 3 filter for each channel."""
        x, rule = self._padded(x, 3, stride, name)
        bias = self.norm == "none"
        x = layers.DepthwiseConv2D(3, strides=stride, padding=rule, use_bias=bias, name=name)(x)
        return self._normalised(x, True, name)

    def _padded(self, x: Any, kernel: int, stride: int, name: str) -> tuple[Any, str]:
        if self.padding != "torch":
            return x, self.padding
        if kernel == 1 or stride == 1:
            return x, "same"
        return layers.ZeroPadding2D(1, name=f"{name}_pad")(x), "valid"

    def _normalised(self, x: Any, relu: bool, name: str) -> Any:
        if self.norm == "batch":
            x = layers.BatchNormalization(epsilon=self.epsilon, momentum=self.momentum, name=f"{name}_bn")(x)
        return self.rectified(x, name=name) if relu else x

    def rectified(self, x: Any, *, name: str) -> Any:
        """``x`` through the rectifier."""
        if self.slope:
            return layers.LeakyReLU(self.slope, name=f"{name}_relu")(x)
        return layers.ReLU(self.ceiling, name=f"{name}_relu")(x)
