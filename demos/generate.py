"""A generator of pictures at work: a sheet of what it makes, and the time that each picture took."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import InputError
from edgekit.files import refuse_existing, require_writable, write_atomic
from edgekit.measure.detectors import without_batch
from edgekit.measure.stats import Latency, summarize
from edgekit.measure.subjects import Subject, open_subjects
from edgekit.tasks.generators import find_class, picture_of, require_generator
from edgekit.tasks.picture_grid import Grid, grid_inputs, png, read_grid
from edgekit.tasks.pictures import pixels_of, sheet

_COLUMNS, _ROWS = 10, 4
"""The grid where none is given; a sweep has a row for each category."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is made: ``grid`` as ROWSxCOLUMNS, all of the class ``asked`` or of all in turn.

    With ``sweep`` the code of number ``code``, from 1, goes from end to end along the columns.
    """

    grid: str | None = None
    asked: str | None = None
    sweep: bool = False
    code: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The sheet in ``output`` that ``subject`` made, and the ``latency`` of one picture."""

    subject: Subject
    output: Path
    grid: Grid
    class_id: int | None
    seed: int
    latency: Latency

    def results(self) -> list[dict[str, Any]]:
        """One JSON object."""
        return [
            {
                **self.subject.describe(),
                "output": str(self.output),
                "grid": [self.grid.rows, self.grid.columns],
                "class": self.class_id,
                "seed": self.seed,
                "latency_ms": {name: getattr(self.latency, name) for name in Latency.__slots__},
            }
        ]

    def words(self) -> str:
        """The result in a line."""
        number = f"{self.grid.count:,} picture{'s' if self.grid.count > 1 else ''}"
        return f"{self.output}: {number} in {self.subject.engine}, p50 {self.latency.p50:.3g} ms a picture."


def generate(
    file: Path,
    wish: Wish,
    output: Path | None,
    *,
    force: bool = False,
    threads: int = 1,
    engine: str | None = None,
) -> Made:
    """Let the generator ``file`` make what ``wish`` says, and write it to ``output``, a PNG.

    The same seed gives the same bytes from one file in one engine. `InputError` for a file that is no generator by its
    card, and a class, code, grid or output that cannot be.
    """
    if output is None or output.suffix.lower() != ".png":
        given = "none" if output is None else str(output)
        raise InputError(f"The pictures go to a file .png; got {given}: name one with -o out.png.")
    refuse_existing([output], force=force)
    require_writable(output)
    grid = None if wish.grid is None else read_grid(wish.grid)
    if wish.code is not None and not wish.sweep:
        raise InputError("--code names the code of a sweep; add --sweep, or leave it out.")
    (subject,) = open_subjects(
        [file], preprocess=None, labels=None, threads=threads, engines=() if engine is None else (engine,)
    )
    card = subject.artifact.card
    generator = require_generator(card, model=str(file))
    class_id = None if wish.asked is None else find_class(generator, card.labels, wish.asked, model=str(file))
    if grid is None:
        categories = generator.condition.classes if generator.condition is not None and class_id is None else _ROWS
        grid = Grid(categories if wish.sweep else _ROWS, _COLUMNS)
    code = (wish.code or 1) - 1 if wish.sweep else None
    feeds = [
        {name: values[None] for name, values in subject.feeder.fit(inputs).items()}
        for inputs in grid_inputs(generator, grid, seed=wish.seed, class_id=class_id, code=code)
    ]
    times, pictures = [], []
    for feed in [feeds[0], *feeds]:  # the very first run is told by itself
        start = time.perf_counter()
        answer = subject.runtime.run(feed, as_float=True)
        times.append(1e3 * (time.perf_counter() - start))
        pictures.append(picture_of(without_batch(answer), model=str(file)))
    made = np.stack(pictures[1:])
    write_atomic(output, png(sheet(pixels_of(made, generator), grid.columns)))
    latency = summarize(times[1:], first_ms=times[0])
    return Made(subject=subject, output=output, grid=grid, class_id=class_id, seed=wish.seed, latency=latency)
