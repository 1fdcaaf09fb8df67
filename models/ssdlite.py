"""SSDLite: single-shot detection on the MobileNets (Sandler et al. 2018, MobileNetV2, section 6.2)."""

from typing import Any

import keras

from edgekit.models import mobilenet_v1, mobilenet_v2
from edgekit.models.blocks import ConvNorm, make_divisible
from edgekit.models.ssd_anchors import ssdlite
from edgekit.models.ssd_heads import add_heads

_EXTRAS = (512, 256, 256, 128)
"""Channels at alpha 1 of the four maps after the backbone's two (TensorFlow's published SSDLite models)."""
_LEAST_CHANNELS = 16


def on_mobilenet_v2(**arguments: Any) -> keras.Model:
    """Heads on the expansion of the 15th layer and on the last convolution; takes the arguments of `_build`."""
    return _build("ssdlite_mobilenet_v2", mobilenet_v2.build, ("block_14_expand_relu", "head_relu"), **arguments)


def on_mobilenet_v1(**arguments: Any) -> keras.Model:
    """Heads on the 11th and the 13th separable convolution; takes the arguments of `_build`."""
    return _build("ssdlite_mobilenet_v1", mobilenet_v1.build, ("conv_pw_11_relu", "conv_pw_13_relu"), **arguments)


def _build(
    name: str,
    backbone: Any,
    taps: tuple[str, str],
    *,
    alpha: float,
    size: int,
    classes: int,
    padding: str,
    epsilon: float,
    momentum: float,
    head: str,
    first_map: str,
) -> keras.Model:
    """(batch, size, size, 3) to offsets (batch, anchors, 4) and logits (batch, anchors, 1 + classes).

    ``alpha`` scales all channels. ``head`` "full" takes ordinary convolutions for the heads and the four additional
    maps, as SSD does, "lite" separable ones. ``first_map`` has "few" anchors a cell, or "all" that the others have.
    """
    shared = {"alpha": alpha, "size": size, "padding": padding, "epsilon": epsilon, "momentum": momentum}
    source = backbone(classes=2, dropout=0.0, **shared)
    block = ConvNorm(padding="same", epsilon=epsilon, momentum=momentum, ceiling=6.0)
    maps = [source.get_layer(tap).output for tap in taps]
    for index, channels in enumerate(_EXTRAS, 1):
        channels = max(_LEAST_CHANNELS, make_divisible(channels * alpha))
        x = block.conv(maps[-1], channels // 2, kernel=1, name=f"extra_{index}_reduce")
        if head == "lite":
            x = block.depthwise(x, stride=2, name=f"extra_{index}_depthwise")
            x = block.conv(x, channels, kernel=1, name=f"extra_{index}")
        else:
            x = block.conv(x, channels, kernel=3, stride=2, name=f"extra_{index}")
        maps.append(x)
    detection = ssdlite({"size": size, "first_map": first_map})
    outputs = add_heads(maps, detection, classes, block=block, separable=head == "lite")
    return keras.Model(source.inputs[0], outputs, name=name)
