"""The published weight sets that can be imported: how their arrays are named, ordered and meant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from edgekit.errors import InputError
from edgekit.models.spec import Value

Array = npt.NDArray[Any]
Rule = Callable[[Array], Array]
Slots = dict[str, tuple[tuple[str, Rule], ...]]
"""Layer name to (array name, how it becomes the layer's value), in the order of the layer's weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSet:
    """One naming of arrays. ``marker`` is an array that only this set has; arrays ending in ``ignored_suffix`` are no
    weights. ``implied`` reads the builder's arguments from the shapes; those in ``free`` may be chosen otherwise.
    """

    title: str
    architecture: str
    marker: str
    implied: Callable[[Mapping[str, Array]], dict[str, Value]]
    slots: Callable[[Any], Slots]
    preprocess: str
    notes: tuple[str, ...]
    free: frozenset[str] = frozenset({"size"})
    classes_with_background: int = 1001
    ignored_suffix: str = ".num_batches_tracked"


def _same(values: Array) -> Array:
    return values


def _conv(values: Array) -> Array:
    """(out, in, height, width) to (height, width, in, out)."""
    return values.transpose(2, 3, 1, 0)


def _depthwise(values: Array) -> Array:
    """(channels, 1, height, width) to (height, width, channels, 1)."""
    return values.transpose(2, 3, 0, 1)


def _transposed(values: Array) -> Array:
    return values.T


def _without_sides(values: Array) -> Array:
    """A 1 x 1 convolution (1, 1, in, out) as a dense kernel (in, out)."""
    return values.reshape(values.shape[-2:])


def _dimension(arrays: Mapping[str, Array], name: str, axis: int, title: str) -> int:
    if name not in arrays:
        raise InputError(f"The weights lack {name!r}, which {title} has.")
    return int(arrays[name].shape[axis])


_V1_TITLE = "Keras-named MobileNetV1"
_V2_TITLE = "torchvision MobileNetV2"


def _v1_implied(arrays: Mapping[str, Array]) -> dict[str, Value]:
    return {
        "alpha": _dimension(arrays, "conv_pw_13/kernel", -1, _V1_TITLE) / 1024,
        "classes": _dimension(arrays, "conv_preds/kernel", -1, _V1_TITLE),
        "padding": "same",
        "epsilon": 1e-3,
    }


def _v1_slots(model: Any) -> Slots:
    slots: Slots = {}
    for layer in model.layers:
        name = layer.name
        if name.endswith("_bn"):
            slots[name] = tuple((f"{name}/{n}", _same) for n in ("gamma", "beta", "moving_mean", "moving_variance"))
        elif name == "logits":
            slots[name] = (("conv_preds/kernel", _without_sides), ("conv_preds/bias", _same))
        elif layer.weights:
            kernel = "depthwise_kernel" if name.startswith("conv_dw") else "kernel"
            slots[name] = ((f"{name}/{kernel}", _same),)
    return slots


def _v2_implied(arrays: Mapping[str, Array]) -> dict[str, Value]:
    return {
        "alpha": _dimension(arrays, "features.17.conv.2.weight", 0, _V2_TITLE) / 320,
        "size": 224,
        "classes": _dimension(arrays, "classifier.1.weight", 0, _V2_TITLE),
        "padding": "torch",
        "epsilon": 1e-5,
    }


def _v2_slots(model: Any) -> Slots:
    slots: Slots = {}

    def add(name: str, conv: str, norm: str) -> None:
        slots[name] = ((f"{conv}.weight", _depthwise if name.endswith("_depthwise") else _conv),)
        slots[f"{name}_bn"] = tuple((f"{norm}.{n}", _same) for n in ("weight", "bias", "running_mean", "running_var"))

    names = {layer.name for layer in model.layers}
    add("stem", "features.0.0", "features.0.1")
    blocks = sum(name.endswith("_project") for name in names)
    for index in range(1, blocks + 1):
        # A pair of convolution and norm is one module of its own, except for the last, which has no activation.
        parts = [p for p in ("expand", "depthwise") if f"block_{index}_{p}" in names]
        inner = f"features.{index}.conv"
        for position, part in enumerate(parts):
            add(f"block_{index}_{part}", f"{inner}.{position}.0", f"{inner}.{position}.1")
        add(f"block_{index}_project", f"{inner}.{len(parts)}", f"{inner}.{len(parts) + 1}")
    add("head", f"features.{blocks + 1}.0", f"features.{blocks + 1}.1")
    slots["logits"] = (("classifier.1.weight", _transposed), ("classifier.1.bias", _same))
    return slots


WEIGHT_SETS: tuple[WeightSet, ...] = (
    WeightSet(
        title=_V1_TITLE,
        architecture="mobilenet_v1",
        marker="conv_preds/kernel",
        implied=_v1_implied,
        slots=_v1_slots,
        preprocess="tf",
        notes=("padding same, epsilon 1e-3", "with 1,001 classes, class 0 is the background"),
    ),
    WeightSet(
        title=_V2_TITLE,
        architecture="mobilenet_v2",
        marker="features.0.0.weight",
        implied=_v2_implied,
        slots=_v2_slots,
        preprocess="torch",
        notes=("torchvision padding: one pixel on each side of stride-2 convolutions", "epsilon 1e-5"),
    ),
)
