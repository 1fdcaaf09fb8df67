"""Pictures of a generator as people see them: what a grid of them is fed, pixels, and the sheet that shows them."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import ModelCard, TensorSpec
from edgekit.data.noise import draw_inputs
from edgekit.errors import CardError, InputError, suggest
from edgekit.generation import Generator

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]

MOST_PICTURES = 10_000
"""Of one sheet."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How many pictures of a sheet stand in a column and in a row."""

    rows: int
    columns: int

    @property
    def count(self) -> int:
        """Pictures of the sheet."""
        return self.rows * self.columns

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}"


def read_grid(text: str) -> Grid:
    """The grid that ``text`` writes as ROWSxCOLUMNS; `InputError` when it is none.

    >>> read_grid("4x10")
    Grid(rows=4, columns=10)
    """
    found = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text, re.ASCII)
    grid = Grid(int(found[1]), int(found[2])) if found else None
    if grid is None or grid.count > MOST_PICTURES:
        raise InputError(
            f"A grid is written as ROWSxCOLUMNS with at most {MOST_PICTURES:,} pictures; got {text!r}: write 4x10."
        )
    return grid


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
        shapes = ", ".join(f"{spec.name} {spec.shape}" for spec in card.outputs)
        raise CardError(
            f"The outputs of {model} are {shapes}; expected one picture (batch, height, width, 1 or 3 channels)."
        )
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


def grid_inputs(
    generator: Generator, grid: Grid, *, seed: int, class_id: int | None = None, code: int | None = None
) -> list[dict[str, Array]]:
    """The inputs of each picture of ``grid``, row by row.

    Every picture has noise of its own, and every column the class whose turn it is, or all ``class_id``. With ``code``,
    the number of one, noise and the other codes are the same for all pictures, that code goes from its low to its high
    end along the columns, and the classes come in turn along the rows; a row of a generator without classes has noise
    of its own.
    """
    if code is not None:
        return _swept(generator, grid, seed, class_id, code)
    turn = generator.condition.classes if generator.condition is not None else 1
    return [
        draw_inputs(generator, seed=seed, index=i, class_id=i % grid.columns % turn if class_id is None else class_id)
        for i in range(grid.count)
    ]


def _swept(generator: Generator, grid: Grid, seed: int, class_id: int | None, code: int) -> list[dict[str, Array]]:
    part, condition = generator.code, generator.condition
    if part is None:
        raise InputError("This generator has no code to sweep; leave --sweep out.")
    if not 0 <= code < part.size:
        raise InputError(f"The generator has the codes 1 to {part.size}; got {code + 1}: choose one with --code.")
    found = []
    for row in range(grid.rows):
        turn = row % condition.classes if condition is not None and class_id is None else class_id
        index = 0 if condition is not None and class_id is None else row
        inputs = draw_inputs(generator, seed=seed, index=index, class_id=turn)
        for value in np.linspace(part.low, part.high, grid.columns):
            codes = np.full(part.size, (part.low + part.high) / 2, np.float32)
            codes[code] = value
            found.append({**inputs, part.name: codes})
    return found


def to_pixels(pictures: Array, generator: Generator) -> Pixels:
    """``pictures`` of any shape as pixels 0..255: the nearest of 256 even steps from black to white.

    >>> from edgekit.generation import Drawn
    >>> to_pixels(np.array([-1.0, 0.0, 2.0]), Generator(noise=Drawn(name="noise", size=1))).tolist()
    [0, 128, 255]
    """
    scaled = (pictures.astype(np.float64) - generator.low) * (255.0 / (generator.high - generator.low))
    pixels: Pixels = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return pixels


def sheet(pictures: Pixels, grid: Grid) -> Pixels:
    """``pictures`` (count, height, width, channels) side by side, (rows * height, columns * width, channels)."""
    _, height, width, channels = pictures.shape
    laid = pictures.reshape(grid.rows, grid.columns, height, width, channels).swapaxes(1, 2)
    return laid.reshape(grid.rows * height, grid.columns * width, channels)


def png(pixels: Pixels) -> bytes:
    """The PNG of ``pixels`` (height, width, 1 or 3); the same bytes for the same pixels and Pillow."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(stream, format="PNG")
    return stream.getvalue()


def _is_picture(spec: TensorSpec) -> bool:
    return len(spec.shape) == 4 and None not in spec.shape[1:] and spec.shape[3] in (1, 3)


def _told(sizes: dict[str, int | None] | dict[str, int]) -> str:
    return ", ".join(f"{name} ({size} numbers)" if size else name for name, size in sorted(sizes.items())) or "nothing"
