"""What a generator of pictures takes and makes, by its card."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from edgekit.card import ModelCard, TensorSpec
from edgekit.errors import CardError, DataError, InputError, suggest
from edgekit.generation import Generator
from edgekit.measure.metrics import require_finite

Array = npt.NDArray[Any]


def require_generator(card: ModelCard, *, model: str) -> Generator:
    """What the file ``model`` with this ``card`` is fed; `InputError` where it makes no pictures.

    `CardError` where the card's inputs or outputs are not those of the generator that it tells of.
    """
    generator = card.generator
    if generator is None:
        raise InputError(
            f"{model} is no generator by its card: take a file that was made of a trained one, or state the key "
            "generator with edgekit card attach."
        )
    parts = (generator.noise, generator.code)
    sizes = {part.name: part.size for part in parts if part is not None}
    if generator.condition is not None:
        sizes[generator.condition.name] = generator.condition.classes
    taken = {spec.name: spec.shape[-1] if len(spec.shape) == 2 else None for spec in card.inputs}
    if taken != sizes:
        raise CardError(f"The card of {model} tells of a generator of {_told(sizes)}; the model takes {_told(taken)}.")
    if len(card.outputs) != 1 or not _is_picture(card.outputs[0]):
        found = ", ".join(f"{spec.name} ({_size(spec.shape)})" for spec in card.outputs)
        raise CardError(f"The outputs of {model} are {found}; expected one picture (batch x height x width x 1 or 3).")
    return generator


def find_class(generator: Generator, labels: Sequence[str] | None, name: str, *, model: str) -> int:
    """The number of the class called ``name``, a label or the number itself; `InputError` where there is none."""
    condition = generator.condition
    if condition is None:
        raise InputError(f"{model} cannot be asked for a class; leave --class out.")
    numbers = [str(number) for number in range(condition.classes)]
    known = list(labels) if labels is not None and condition.asked and len(labels) == len(numbers) else numbers
    if name in known:
        return known.index(name)
    if name in numbers:
        return numbers.index(name)
    raise InputError(f"{model} has no class {name!r}; {suggest(name, known)}")


def picture_of(outputs: Mapping[str, Array], *, model: str) -> Array:
    """The picture (height, width, 1 or 3) in the ``outputs`` of one item; `DataError` where there is none."""
    (picture,) = outputs.values()
    if picture.ndim != 3 or picture.shape[2] not in (1, 3):
        raise DataError(
            f"{model} made an array of {_size(picture.shape)}; expected a picture of height x width x 1 or 3, as its "
            "card says."
        )
    require_finite(picture, f"A picture of {model}")
    return picture


def _is_picture(spec: TensorSpec) -> bool:
    return len(spec.shape) == 4 and None not in spec.shape[1:] and spec.shape[3] in (1, 3)


def _told(sizes: Mapping[str, int | None]) -> str:
    return ", ".join(f"{name} ({size} numbers)" if size else name for name, size in sorted(sizes.items())) or "nothing"


def _size(dims: Sequence[int | None]) -> str:
    return " x ".join("any" if n is None else str(n) for n in dims)
