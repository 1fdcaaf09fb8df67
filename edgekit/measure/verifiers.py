"""Files that compare pictures, ready to be run: a tower that embeds each, and a head that compares two embeddings."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgekit.artifact import Artifact, open_artifact
from edgekit.devices import Device
from edgekit.devices.local import LocalDevice
from edgekit.errors import InputError
from edgekit.identities import Verification
from edgekit.measure.detectors import without_batch
from edgekit.measure.metrics import require_finite
from edgekit.measure.subjects import Subject, open_subjects
from edgekit.runtimes import Array, Runtime, run_items
from edgekit.tasks.verification import FIRST, SECOND, TASK, embedding_of
from edgekit.two_files import second_file

Floats = npt.NDArray[np.float64]
_AT_ONCE = 1024  # pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """The tower ``subject``, the ``head`` that compares what it gives, and ``how`` that is to be read."""

    subject: Subject
    head: Runtime
    how: Verification

    def embed(self, image: Array) -> Array:
        """What the tower makes of ``image`` (height, width, 1 or 3) uint8: a row of numbers."""
        feed = {name: values[None] for name, values in self.subject.feeder.feed(image).items()}
        return embedding_of(without_batch(self.subject.runtime.run(feed, as_float=True)), model=str(self.subject.given))

    def likeness(self, first: Iterable[Array], second: Iterable[Array]) -> Floats:
        """How alike the embeddings ``first`` and ``second``, (size,) each, are, (count,): more is alike.

        They are taken as they are needed, so that those of all pairs need not be in memory.
        """
        start = time.perf_counter()
        (output,) = self.head.outputs
        rows = ({FIRST: a, SECOND: b} for a, b in zip(first, second, strict=True))
        found = [self._number(answer[output.name]) for answer in run_items(self.head, rows, batch=_AT_ONCE)]
        self.subject.seconds += time.perf_counter() - start
        told = np.array([self.how.likeness(value) for value in found], np.float64)
        require_finite(told, f"What the second file of {self.subject.given} tells")
        return told

    def _number(self, told: Array) -> float:
        if told.size != 1:  # of a head that leaves its output's shape open
            raise InputError(
                f"The second file of {self.subject.given} gives numbers of the shape {told.shape} for a pair; expected "
                "one number."
            )
        return float(told.item())


def open_verifiers(
    paths: Sequence[Path],
    *,
    preprocess: str | None,
    threads: int,
    engines: Sequence[str] = (),
    device: Device | None = None,
) -> tuple[Verifier, ...]:
    """The files at ``paths`` with their heads, as `edgekit.measure.subjects.open_subjects` opens files.

    `InputError` where a file compares no pictures, its head is missing or another one, or does not fit it.
    """
    where = LocalDevice() if device is None else device
    for path in paths:  # told before a file is opened in its engine
        _comparing(open_artifact(path))
    subjects = open_subjects(paths, preprocess=preprocess, labels=None, threads=threads, engines=engines, device=where)
    return tuple(verifier_of(subject, threads=threads, device=where) for subject in subjects)


def verifier_of(subject: Subject, *, threads: int, device: Device | None = None) -> Verifier:
    """The open tower ``subject`` with its head, which is opened on the same ``device``; errors as `open_verifiers`."""
    how, second = _comparing(subject.artifact)
    if subject.feeder.preprocessing is None:
        raise InputError(f"Nothing says how images become the input of {subject.given}: say it with --preprocess.")
    where = LocalDevice() if device is None else device
    head = where.open(open_artifact(second), threads=threads, engine=subject.runtime.name)
    _require_fit(subject, head, second)
    return Verifier(subject=subject, head=head, how=how)


def _comparing(artifact: Artifact) -> tuple[Verification, Path]:
    """How a file compares pictures, and what compares them."""
    if artifact.card.task not in (None, TASK):
        raise InputError(f"{artifact.path} is for {artifact.card.task}; expected a model for {TASK}.")
    how, second = artifact.card.verification, second_file(artifact.path, artifact.card)
    if how is None or second is None:
        raise InputError(
            f"The card of {artifact.path} does not say what compares its embeddings; take a model for verification "
            "that edgekit trained, and its first file."
        )
    return how, second


def _require_fit(subject: Subject, head: Runtime, path: Path) -> None:
    gives = [spec.shape[1:] for spec in subject.runtime.outputs]
    takes = {spec.name: spec.shape[1:] for spec in head.inputs}
    if len(gives) != 1 or takes != {FIRST: gives[0], SECOND: gives[0]} or len(head.outputs) != 1:
        raise InputError(
            f"{path} takes {takes} and gives {len(head.outputs)} outputs; expected {FIRST} and {SECOND} of the shape "
            f"that {subject.given} gives, {gives[0] if len(gives) == 1 else gives}, and one output."
        )
    (told,) = head.outputs
    if any(length not in (1, None) for length in told.shape[1:]):
        raise InputError(f"{path} gives numbers of the shape {told.shape[1:]} for a pair; expected one number.")
