"""What a classifier sees."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.artifact import open_artifact
from edgekit.demos.canvas import Canvas
from edgekit.demos.frames import Frame
from edgekit.demos.seen import Split
from edgekit.errors import InputError
from edgekit.measure.detectors import without_batch
from edgekit.measure.passes import passes_of, takes_noise
from edgekit.measure.predict import Guess, top_guesses
from edgekit.measure.subjects import Subject, open_subjects
from edgekit.tasks.classification import guessed_by
from edgekit.tasks.detection import is_detector


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """The best classes of a frame, best first."""

    top: tuple[Guess, ...]

    @property
    def words(self) -> str:
        """The classes with their probabilities or scores."""
        return ", ".join(f"{guess.title} {guess.score:.2f}" for guess in self.top)

    @property
    def counted(self) -> frozenset[str]:
        """The best one."""
        return frozenset((self.top[0].title,))

    def rows(self, _image_hw: tuple[int, int]) -> list[list[str]]:
        """Name, number and probability or score of each."""
        return [[guess.title, f"{guess.class_id}", f"{guess.score:.4f}"] for guess in self.top]

    def to_json(self) -> dict[str, Any]:
        """The list of classes."""
        return {"top": [guess.to_json() for guess in self.top]}

    def draw(self, canvas: Canvas) -> None:
        """A bar and a line of text for each class."""
        canvas.bars([(g.score, f"{g.score:{'.2f' if g.independent else '.0%'}} {g.title}") for g in self.top])


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifying:
    """A classifier at work, which tells its ``top`` best classes."""

    subject: Subject
    top: int
    share = "frames in which it is the best"
    rule = ""

    @property
    def columns(self) -> Sequence[str]:
        """Heads of the table."""
        return "class", "id", guessed_by(self.subject.artifact.card.independent_scores)

    def __call__(self, frame: Frame) -> tuple[Guesses, Split]:
        """The best classes of ``frame``; `InputError` for a file that is no classifier."""
        start_s = time.perf_counter()
        feed = {name: values[None] for name, values in self.subject.feeder.feed(frame.pixels).items()}
        fed_s = time.perf_counter()
        outputs = self.subject.runtime.run(feed, as_float=True)
        ran_s = time.perf_counter()
        guesses = top_guesses(self.subject, without_batch(outputs), self.top)
        if not guesses:
            raise InputError(f"{self.subject.given} is no classifier; expected one output with a score for each class.")
        return Guesses(top=guesses), Split.between(start_s, fed_s, ran_s, time.perf_counter())


def open_classifier(
    path: Path, *, preprocess: str | None, labels: tuple[str, ...] | None, threads: int, engine: str | None, top: int
) -> Classifying:
    """The model file at ``path``, ready to run; `InputError` where nothing says how images become its input."""
    if is_detector(open_artifact(path)):
        raise InputError(f"{path} is a detector; see what it finds with: edgekit demo detect {path}")
    engines = () if engine is None else (engine,)
    (subject,) = open_subjects([path], preprocess=preprocess, labels=labels, threads=threads, engines=engines)
    if subject.feeder.preprocessing is None:
        raise InputError(f"Nothing says how images become the input of {path}: say it with --preprocess.")
    return Classifying(subject=subject, top=top)


def told_of_pass(look: Classifying) -> str:
    """The sentence for a file that takes noise, of which a frame sees one pass alone; nothing for others."""
    if not takes_noise(look.subject):
        return ""
    return (
        f"{look.subject.given} takes noise, and sees each frame in one pass of {passes_of(look.subject)}: edgekit demo "
        "uncertain averages them for photos, and the file without .sample is for cameras."
    )
