"""A sheet of pictures side by side: what a generator is fed for it, and its PNG."""

import io
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.noise import draws
from edgekit.errors import InputError
from edgekit.generation import Drawn, Generator

Array = npt.NDArray[Any]

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


def grid_inputs(
    generator: Generator, grid: Grid, *, seed: int, class_id: int | None = None, code: int | None = None
) -> list[dict[str, Array]]:
    """The inputs of each picture of ``grid`` by name, without a batch axis, row by row.

    Every picture has noise and codes of its own, every column the class whose turn it is, or all ``class_id``. With
    ``code``, the number of one, that code goes from its low to its high end along the columns, and nothing else changes
    there: each row has one noise, the same for all rows of a generator with classes, which come in turn along the rows.
    """
    inputs, columns = draws(generator, grid.count, seed), np.arange(grid.count) % grid.columns
    rows, turn, condition = np.arange(grid.count) // grid.columns, columns, generator.condition
    if code is not None:
        part = _swept(generator, code)
        turn = rows
        noise = np.zeros_like(rows) if condition is not None and class_id is None else rows
        inputs[generator.noise.name] = inputs[generator.noise.name][noise]
        inputs[part.name] = np.full((grid.count, part.size), (part.low + part.high) / 2, np.float32)
        inputs[part.name][:, code] = np.linspace(part.low, part.high, grid.columns)[columns]
    if condition is not None:
        chosen = turn % condition.classes if class_id is None else np.full(grid.count, class_id)
        inputs[condition.name] = np.eye(condition.classes, dtype=np.float32)[chosen]
    return [{name: values[place] for name, values in inputs.items()} for place in range(grid.count)]


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The PNG of ``pixels`` (height, width, 1 or 3); the same bytes for the same pixels and Pillow."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(stream, format="PNG")
    return stream.getvalue()


def _swept(generator: Generator, code: int) -> Drawn:
    if generator.code is None:
        raise InputError("This generator has no code to sweep; leave --sweep out.")
    if not 0 <= code < generator.code.size:
        raise InputError(
            f"The generator has the codes 1 to {generator.code.size}; got {code + 1}: name one with --code."
        )
    return generator.code
