"""Whom a picture shows, of the people of a gallery."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.images import decode_image, image_paths
from edgekit.demos.canvas import Canvas
from edgekit.demos.frames import Frame
from edgekit.demos.seen import Split
from edgekit.errors import DataError, InputError
from edgekit.identities import Measure, Verification
from edgekit.measure.detectors import without_batch
from edgekit.measure.subjects import Subject
from edgekit.measure.verifiers import Verifier, open_verifiers
from edgekit.runtimes import Array
from edgekit.tasks.verification import embedding_of

UNKNOWN = "unknown"
SAME = "same"
ALSO = "also close"
"""Somebody less alike than whom the frame shows, who would be known too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """People who are known: their ``names``, and the ``embeddings`` (pictures, size) of those at ``people``."""

    names: tuple[str, ...]
    embeddings: Array
    people: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A person of the gallery, and what the head ``measured`` between the frame and the most alike picture of them."""

    name: str
    measured: float
    how: Verification

    @property
    def known(self) -> bool:
        """Whether that is beyond doubt, as the threshold says."""
        assert self.how.threshold is not None  # noqa: S101 - asked for where the file is opened
        return self.how.likeness(self.measured) >= self.how.likeness(self.how.threshold)

    @property
    def closeness(self) -> float:
        """0 to 1: the probability of being the same, or of distances half where they are at the threshold."""
        if self.how.measure is Measure.LOGIT:
            return 1 / (1 + math.exp(-min(max(self.measured, -500.0), 500.0)))
        threshold = self.how.threshold or 0.0
        return threshold / (threshold + self.measured) if threshold + self.measured > 0 else 1.0

    def to_json(self) -> dict[str, Any]:
        """The person, the measure by its name, and of logits the probability."""
        told: dict[str, Any] = {"name": self.name, self.how.measure.value: self.measured}
        if self.how.measure is Measure.LOGIT:
            told["probability"] = self.closeness
        return {**told, "known": self.known}

    @property
    def cells(self) -> list[str]:
        """The name, the measure, and of logits the probability."""
        probability = [f"{self.closeness:.4f}"] if self.how.measure is Measure.LOGIT else []
        return [self.name, f"{self.measured:.4g}", *probability]

    @property
    def words(self) -> str:
        """The name with the measure."""
        if self.how.measure is Measure.LOGIT:
            return f"{self.name} {self.closeness:.2f}"
        return f"{self.name} at {self.measured:.3g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The people most like a frame, best first."""

    top: tuple[Match, ...]

    @property
    def name(self) -> str:
        """Whom it shows."""
        return self.top[0].name if self.top[0].known else UNKNOWN

    @property
    def words(self) -> str:
        """Whom it shows, and the most alike people."""
        told = ", ".join(match.words for match in self.top)
        return told if self.top[0].known else f"{UNKNOWN} ({told})"

    @property
    def counted(self) -> frozenset[str]:
        """Whom it shows."""
        return frozenset((self.name,))

    def rows(self, _image_hw: tuple[int, int]) -> list[list[str]]:
        """Name, measure, of a logit the probability, and verdict of each: only the first can be whom it shows."""
        first, *others = self.top
        verdicts = [SAME if first.known else UNKNOWN, *(ALSO if match.known else "-" for match in others)]
        return [[*match.cells, verdict] for match, verdict in zip(self.top, verdicts, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Whom it shows, null for nobody who is known, and the list of people."""
        return {
            "name": self.top[0].name if self.top[0].known else None,
            "matches": [match.to_json() for match in self.top],
        }

    def draw(self, canvas: Canvas) -> None:
        """The verdict, and a bar and a line of text for each person."""
        canvas.bars([(0.0, self.name), *((match.closeness, match.words) for match in self.top)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognising:
    """A verifier at work beside a ``gallery``, which tells the ``top`` most alike people."""

    verifier: Verifier
    gallery: Gallery
    top: int
    share = "frames that show them"

    @property
    def columns(self) -> Sequence[str]:
        """Heads of the table."""
        measure = self.verifier.how.measure
        return "person", measure.value, *(["probability"] if measure is Measure.LOGIT else []), "verdict"

    @property
    def rule(self) -> str:
        """The threshold."""
        return f"the same at {self.verifier.how.rule}"

    @property
    def subject(self) -> Subject:
        """The tower, and what runs it."""
        return self.verifier.subject

    def __call__(self, frame: Frame) -> tuple[Matches, Split]:
        """Whom ``frame`` shows."""
        start_s = time.perf_counter()
        feed = {name: values[None] for name, values in self.subject.feeder.feed(frame.pixels).items()}
        fed_s = time.perf_counter()
        outputs = self.subject.runtime.run(feed, as_float=True)
        ran_s = time.perf_counter()
        found = self.matches(embedding_of(without_batch(outputs), model=str(self.subject.given)))
        return found, Split.between(start_s, fed_s, ran_s, time.perf_counter())

    def matches(self, embedding: Array) -> Matches:
        """The people most like ``embedding`` (size,), each by the most alike of their pictures."""
        known, how = self.gallery, self.verifier.how
        likeness = self.verifier.likeness(np.broadcast_to(embedding, known.embeddings.shape), known.embeddings)
        best = np.array([likeness[known.people == person].max() for person in range(len(known.names))])
        order = np.argsort(-best, kind="stable")[: self.top]
        # The sign of likeness is its own inverse.
        return Matches(
            top=tuple(Match(name=known.names[p], measured=how.likeness(float(best[p])), how=how) for p in order)
        )


def open_recognition(
    path: Path,
    gallery: Path,
    *,
    preprocess: str | None = None,
    threads: int = 1,
    engine: str | None = None,
    threshold: float | None = None,
    top: int = 5,
) -> Recognising:
    """The first file of a verifier at ``path``, ready to run, with the people of the folder ``gallery`` enrolled.

    ``threshold`` replaces that of the card.
    """
    folders = people_in(gallery)
    engines = () if engine is None else (engine,)
    (verifier,) = open_verifiers([path], preprocess=preprocess, threads=threads, engines=engines)
    if threshold is not None:
        verifier = replace(verifier, how=replace(verifier.how, threshold=threshold))
    if verifier.how.threshold is None:
        raise InputError(
            f"The card of {path} has no threshold, since the model was not trained: give one with --threshold."
        )
    if verifier.how.threshold < 0 and verifier.how.measure is Measure.DISTANCE:
        raise InputError(
            f"{path} tells distances, which are 0 or more; got the threshold {verifier.how.threshold:g}: give another "
            "with --threshold."
        )
    embeddings = [
        verifier.embed(decode_image(picture, name=str(picture)))
        for pictures in folders.values()
        for picture in pictures
    ]
    people = np.repeat(np.arange(len(folders)), [len(pictures) for pictures in folders.values()])
    known = Gallery(names=tuple(folders), embeddings=np.stack(embeddings), people=people)
    return Recognising(verifier=verifier, gallery=known, top=top)


def people_in(gallery: Path) -> dict[str, tuple[Path, ...]]:
    """The pictures of each person of the folder ``gallery``, which has a sub-folder for each; `DataError` without."""
    if not gallery.is_dir():
        raise DataError(f"{gallery} is no folder; expected a gallery: a sub-folder with pictures for each person.")
    folders = sorted(folder for folder in gallery.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    found = {folder.name: image_paths(folder, deep=False) for folder in folders}
    empty = [name for name, pictures in found.items() if not pictures]
    if empty or not found:
        what = f"no pictures of {empty[0]}" if empty else "nobody"
        raise DataError(f"The gallery {gallery} shows {what}; expected a sub-folder with pictures for each person.")
    return found
