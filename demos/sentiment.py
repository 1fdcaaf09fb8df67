"""What a classifier of texts makes of lines, as they come."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from edgekit.artifact import open_artifact
from edgekit.demos.frames import Tell
from edgekit.errors import DataError, InputError, printable
from edgekit.measure.predict import Guess, top_guesses
from edgekit.measure.predict_sequences import require_sequences, unknown_words
from edgekit.measure.subjects import Subject, open_subjects, run_one
from edgekit.tasks import classification
from edgekit.tasks.texts import tokenize

MOST_BYTES = 1 << 20
"""Of one line; a review has a few thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What the model says of line ``number``: the best class. ``unknown`` of its ``words`` the model does not know."""

    number: int
    text: str
    guess: Guess
    words: int
    unknown: int
    latency_ms: float

    @property
    def line(self) -> str:
        """It in words, before the text."""
        doubt = f" ({self.unknown} of {self.words} words unknown)" if self.unknown else ""
        return f"{self.guess.title} {self.guess.score:.2f}{doubt}: {printable(self.text.expandtabs(1))}"

    def to_json(self) -> dict[str, Any]:
        """One object of ``--json``."""
        return {
            "input": self.text,
            "line": self.number,
            "top": [self.guess.to_json()],
            "words": self.words,
            "unknown": self.unknown,
            "latency_ms": self.latency_ms,
        }


@dataclass(slots=True, kw_only=True)
class Reading:
    """A model that reads: `opinions` counts the classes and the milliseconds."""

    subject: Subject
    counts: Counter[str] = field(default_factory=Counter)
    times_ms: list[float] = field(default_factory=list)

    def opinions(self, lines: Iterator[str], tell: Tell) -> Iterator[Opinion]:
        """What it says of each of ``lines``; ``tell`` gets a sentence on those that hold no word."""
        how = require_sequences(self.subject).text
        assert how is not None  # noqa: S101 - `open_sentiment` has looked
        for number, text in enumerate(lines, 1):
            words = len(tokenize(text, how.vocabulary.level))
            if not words:
                tell(f"Line {number} holds no {how.vocabulary.level}; write some.")
                continue
            start_s = time.perf_counter()
            guesses = top_guesses(self.subject, run_one(self.subject, text), 1)
            if not guesses:
                raise InputError(
                    f"{self.subject.given} is no classifier; expected one output with a score for each class."
                )
            (guess,) = guesses
            ms = (time.perf_counter() - start_s) * 1000
            self.counts[guess.title] += 1
            self.times_ms.append(ms)
            unknown = unknown_words(text, self.subject)
            yield Opinion(number=number, text=text, guess=guess, words=words, unknown=unknown, latency_ms=ms)

    def summary(self) -> str:
        """How many lines were of each class, and how long one took."""
        if not self.times_ms:
            return "No line was read."
        told = ", ".join(f"{count:,} {name}" for name, count in self.counts.most_common())
        engine = self.subject.engine
        return f"{len(self.times_ms):,} lines: {told}; {np.median(self.times_ms):.2f} ms a line (median) in {engine}."


def open_sentiment(path: Path, *, threads: int, engine: str | None) -> Reading:
    """The classifier of texts at ``path``; `InputError` for a model of another kind."""
    card = open_artifact(path).card
    if card.task not in (None, classification.TEXT_TASK):
        hint = f": see what it sees with: edgekit demo classify {path}" if card.task == classification.TASK else "."
        raise InputError(f"{path} is for {card.task}; expected a model for {classification.TEXT_TASK}{hint}")
    engines = () if engine is None else (engine,)
    (subject,) = open_subjects([path], preprocess=None, labels=None, threads=threads, engines=engines)
    if require_sequences(subject).text is None:
        raise InputError(f"{path} takes a series; expected a model for {classification.TEXT_TASK}.")
    return Reading(subject=subject)


def read_lines(stream: BinaryIO, name: str) -> Iterator[str]:
    """The lines of ``stream``, called ``name``, as they come; `DataError` for what is no text in UTF-8."""
    for number in range(1, 1 << 62):
        data = stream.readline(MOST_BYTES + 1)
        if not data:
            return
        if len(data) > MOST_BYTES:
            raise DataError(f"Line {number} of {name} has more than {MOST_BYTES:,} bytes; expected one text a line.")
        try:
            yield data.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise DataError(f"Line {number} of {name} is no text in UTF-8; expected one text a line.") from None


@contextlib.contextmanager
def opened_lines(name: str) -> Iterator[Iterator[str]]:
    """The lines of the file called ``name``, or where it is ``-`` of standard input; `DataError` where it is none."""
    if name == "-":
        yield read_lines(sys.stdin.buffer, "the input")
        return
    try:
        stream = Path(name).open("rb")  # noqa: SIM115 - closed below; only the opening may fail in these words
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}.") from None
    with stream:
        yield read_lines(stream, name)
