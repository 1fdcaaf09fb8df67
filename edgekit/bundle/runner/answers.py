"""From images and arrays to a model's inputs, and from single answers to those of all items."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.bundle.runner.contents import Contents
from edgekit.bundle.runner.engines import Loaded
from edgekit.bundle.runner.manifest import Entry
from edgekit.card import TensorSpec
from edgekit.errors import InputError
from edgekit.preprocessing import Preprocessing, normalize, resize
from edgekit.runtimes.base import Array, by_name, checked_input

Pixels = npt.NDArray[np.uint8]


def image_input(entry: Entry) -> tuple[Preprocessing, TensorSpec]:
    """How an image becomes the input of a model, and that input; `InputError` for a model that takes no images."""
    spec = entry.card.preprocessing
    if spec is None or len(entry.card.inputs) != 1:
        raise InputError(f"{entry.name} takes no images; choose another model with --model.")
    return spec, entry.card.inputs[0]


def from_pixels(pixels: Pixels, spec: Preprocessing, taken: TensorSpec) -> Array:
    """An image of the model's size, (height, width, channels) uint8, as the input ``taken`` with its batch axis."""
    values = normalize(pixels, spec)[None]
    if values.ndim == len(taken.shape) + 1 and values.shape[-1] == 1:  # gray, for a model without an axis for it
        values = values[..., 0]
    return np.ascontiguousarray(checked_input(values, taken))


def from_image(image: Pixels, entry: Entry) -> Array:
    """A decoded image, (height, width, 1 or 3) uint8 gray or RGB, as the model's input."""
    spec, taken = image_input(entry)
    return from_pixels(resize(image, spec), spec, taken)


def stacked(rows: Sequence[Array]) -> Array:
    """One array (count, ...) of one of each item; their batch axis, of 1, is left out."""
    return np.concatenate(rows) if all(row.shape[:1] == (1,) for row in rows) else np.stack(rows)


def golden_inputs(contents: Contents, entry: Entry) -> list[list[Array]]:
    """For each golden item the model's inputs with a batch axis, as it takes them."""
    arrays = [contents.array(name) for name in entry.golden.inputs]
    return [[np.ascontiguousarray(values[i : i + 1]) for values in arrays] for i in range(entry.golden.count)]


def run_all(loaded: Loaded, items: Sequence[Sequence[Array]], entry: Entry) -> dict[str, Array]:
    """The outputs of all ``items`` by name, (count, ...) and as the model has them."""
    answers = [[np.array(values) for values in loaded.run(item)] for item in items]
    names = [spec.name for spec in entry.card.outputs]
    return {name: stacked([answer[place] for answer in answers]) for place, name in enumerate(names)}


def real(outputs: dict[str, Array], entry: Entry) -> dict[str, Any]:
    """Quantized ``outputs`` as the real numbers that they stand for."""
    specs = entry.card.outputs
    return by_name([outputs[spec.name] for spec in specs], specs, as_float=True)
