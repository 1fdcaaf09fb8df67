"""A Keras model made ready for lowering, and what is to be known of it. It runs in the process of TensorFlow."""

import re
from pathlib import Path
from typing import Any

from edgekit.errors import InputError

_SCOPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_/-]*")  # with other names graphs, or their signatures, cannot be made
_STATE = re.compile(r"[A-Za-z0-9_]+")  # inputs and outputs of files are called after recurrent layers
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")
_FLOAT32 = "float32"


def make_ready(path: Path, model: Any) -> None:
    """Give the layers of ``model`` names that graphs take, and let them compute in float32.

    Keras trains in half precision for the speed of it, with weights of float32: that is what files are made of.
    """
    import keras

    layers = list(model._flatten_layers())
    taken = {layer.name for layer in layers}
    for layer in layers:
        if not (_STATE if isinstance(layer, keras.layers.RNN) else _SCOPE).fullmatch(layer.name):
            _rename(layer, taken)
        policy = layer.dtype_policy
        if policy.compute_dtype == _FLOAT32:
            continue
        if policy.variable_dtype != _FLOAT32 and layer.weights:
            raise InputError(
                f"{path} has the layer {layer.name} of the dtype policy {policy.name}, which files do not compute in: "
                "build the model with the policy float32, or mixed_float16."
            )
        layer.dtype_policy = _FLOAT32


def _rename(layer: Any, taken: set[str]) -> None:
    layer.name = _free(layer.name, taken)
    for variable in layer.weights:  # Keras has no way to it, and TFLiteConverter drops signatures that it cannot save
        variable.value._handle_name = f"{_free(variable.path, taken)}:0"


def _free(name: str, taken: set[str]) -> str:
    """``name`` in plain letters, unlike those ``taken``, among which it is from here on."""
    plain = _UNSAFE.sub("_", name).strip("_") or "layer"
    number, candidate = 1, plain
    while candidate in taken:
        number, candidate = number + 1, f"{plain}_{number}"
    taken.add(candidate)
    return candidate


def pack_inputs(model: Any, tensors: tuple[Any, ...]) -> Any:
    """``tensors``, in the order of ``model.inputs``, as what ``model`` is called with: one, a list or a dictionary."""
    import keras

    if isinstance(model, keras.Sequential):
        return tensors[0]
    return keras.tree.pack_sequence_as(model._inputs_struct, list(tensors))


def paddings(model: Any, names: list[str]) -> dict[str, float]:
    """By input of ``model``, of which files know ``names``, the value of time steps that a layer behind it masks."""
    import keras

    ends = {id(tensor): name for tensor, name in zip(model.inputs, names, strict=True)}
    found: dict[str, float] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Masking):
            value = float(layer.mask_value)
        elif isinstance(layer, keras.layers.Embedding) and layer.mask_zero:
            value = 0.0
        else:
            continue
        read = {id(tensor) for node in layer._inbound_nodes for tensor in node.input_tensors}
        found |= {name: value for end, name in ends.items() if end in read}
    return found
