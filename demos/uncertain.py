"""A classifier that says what it sees in photos, how sure it is, and where it does not know."""

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import InputError
from edgekit.measure.passes import (
    Doubt,
    Told,
    doubt_columns,
    in_passes,
    item_inputs,
    passes_of,
    require_passes,
    require_probabilities,
    takes_noise,
)
from edgekit.measure.predict import Guess, input_sources, load_source, top_guesses
from edgekit.measure.subjects import Subject, open_subjects
from edgekit.tasks.classification import TASK
from edgekit.uncertainty import Uncertainty
from edgekit.workers import Progress, silent

Array = npt.NDArray[Any]

_SIDE, _CAPTION = 112, 34
"""Pixels of a picture of the sheet, and of the lines below it."""
_WIDEST = 8
"""Pictures in a row of the sheet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The best class of the picture ``source``, the ``doubt`` about it, and whether that is small enough to know."""

    source: str
    guess: Guess
    doubt: Doubt
    known: bool

    @property
    def words(self) -> str:
        """The class, or that it is not known."""
        return self.guess.title if self.known else "I don't know"

    def to_json(self) -> dict[str, Any]:
        """One object of ``--json``."""
        return {
            "input": self.source,
            "top": [self.guess.to_json()],
            **self.doubt.to_json(),
            "known": self.known,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """What ``subject`` says of some pictures, in order, after ``passes`` passes; ``pixels`` are those for the sheet."""

    subject: Subject
    passes: int
    threshold: float
    answers: tuple[Answer, ...]
    pixels: tuple[npt.NDArray[np.uint8], ...]
    seconds: float

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each picture."""
        shared = {**self.subject.describe(), "passes": self.passes, "threshold": self.threshold}
        return [{**shared, **answer.to_json()} for answer in self.answers]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people."""
        rows = [
            [
                answer.source,
                answer.words,
                *(answer.guess.title, f"{answer.guess.score:.2f}"),
                *answer.doubt.cells,
            ]
            for answer in self.answers
        ]
        title = f"{self.subject.given} on {self.subject.engine}; above {self.threshold:.3g} nats it does not know"
        return title, ["picture", "answer", "best class", "probability", *doubt_columns(self.passes)], rows

    def summary(self) -> str:
        """How many it knows, and how long that took."""
        known, count = sum(answer.known for answer in self.answers), len(self.answers)
        times = f"{self.passes} passes" if self.passes > 1 else "one pass"
        each = f"{1e3 * self.seconds / count:.2f} ms a picture in {times}"
        return f"It knows {known:,} of {count:,} picture{'s' if count > 1 else ''}; {each}."

    def png(self) -> bytes:
        """A sheet of the pictures, surest first, each with what is said of it; red frames where it does not know."""
        from PIL import Image, ImageDraw

        order = sorted(range(len(self.answers)), key=lambda place: self.answers[place].doubt.entropy)
        columns = min(_WIDEST, len(order))
        cell_hw = (_SIDE + _CAPTION, _SIDE)
        whole = Image.new("RGB", (columns * cell_hw[1], -(-len(order) // columns) * cell_hw[0]), "white")
        pen = ImageDraw.Draw(whole)
        for number, place in enumerate(order):
            answer, values = self.answers[place], self.pixels[place]
            left, top = number % columns * cell_hw[1], number // columns * cell_hw[0]
            colour = "black" if answer.known else "red"
            whole.paste(Image.fromarray(values), (left + 4, top + 4))
            pen.rectangle((left + 2, top + 2, left + _SIDE - 3, top + _SIDE - 3), outline=colour, width=2)
            lines = (answer.words, f"{answer.guess.score:.2f}, {answer.doubt.entropy:.2f} nats")
            for row, line in enumerate(lines):
                shown = line.encode("ascii", "replace").decode()[:18]  # the letters of Pillow's own font
                pen.text((left + 4, top + _SIDE + 14 * row), shown, fill=colour)
        stream = io.BytesIO()
        whole.save(stream, format="PNG")
        return stream.getvalue()


def doubts(
    file: Path,
    inputs: Sequence[Path],
    *,
    passes: int | None = None,
    threshold: float | None = None,
    preprocess: str | None = None,
    labels: tuple[str, ...] | None = None,
    threads: int = 1,
    engine: str | None = None,
    progress: Progress = silent,
) -> Doubts:
    """What the classifier ``file`` says of the images in ``inputs``, files and folders.

    A file that takes noise sees each in ``passes`` passes, or as many as its card says. Above ``threshold`` nats of
    predictive entropy, or that of the card, it does not know. `InputError` where neither says it.
    """
    engines = () if engine is None else (engine,)
    (subject,) = open_subjects([file], preprocess=preprocess, labels=labels, threads=threads, engines=engines)
    require_passes([subject], passes)
    require_probabilities([subject], "demo uncertain")
    card = subject.artifact.card
    if card.task not in (None, TASK):
        raise InputError(f"{file} is for {card.task}; expected a classifier of images.")
    stated = card.uncertainty or Uncertainty()
    limit = stated.threshold if threshold is None else threshold
    if limit is None:
        raise InputError(
            f"The card of {file} does not say above which entropy it does not know; give one in nats with --threshold."
        )
    sources = [source for given in inputs for source in input_sources(given, item_inputs(subject))]
    names, seen, told = [name for name, _ in sources], [], Told()

    def items() -> Iterator[Array]:
        for name, source in sources:
            item = load_source(source)
            if not isinstance(item, np.ndarray) or item.dtype != np.uint8 or item.ndim != 3:
                raise InputError(f"{name} is no image; give images or folders of images.")
            seen.append(_small(item))
            yield item

    start_s = time.perf_counter()
    for done in in_passes([subject], items(), [told], passes=passes):
        progress("looking", done, len(names))
    output, answers = subject.runtime.outputs[0].name, []
    for name, scores, doubt in zip(names, told.scores, told.doubts(), strict=True):
        (guess,) = top_guesses(subject, {output: scores}, 1)
        answers.append(Answer(source=name, guess=guess, doubt=doubt, known=doubt.entropy <= limit))
    return Doubts(
        subject=subject,
        passes=passes_of(subject, passes),
        threshold=limit,
        answers=tuple(answers),
        pixels=tuple(seen),
        seconds=time.perf_counter() - start_s,
    )


def _small(image: Array) -> npt.NDArray[np.uint8]:
    """``image`` (height, width, 1 or 3) as the sheet shows it, (side, side, 3): whole photos would fill the memory."""
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("RGB")
    return np.asarray(picture.resize((_SIDE - 8, _SIDE - 8), Image.Resampling.NEAREST))


def told_of_mean(found: Doubts) -> str:
    """What is to be said of a file without noise; nothing of one that takes it."""
    if takes_noise(found.subject):
        return ""
    return (
        f"{found.subject.given} takes no noise, so that it sees less: how unsure its weights are shows in the passes "
        "of a file .sample alone."
    )
