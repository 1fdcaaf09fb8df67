"""Model files made ready to be run on the same items, and the running, with every item decoded and prepared once."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from edgekit.artifact import Artifact, open_artifact
from edgekit.card import TensorSpec, takes_steps
from edgekit.data.base import Item
from edgekit.devices import Device
from edgekit.devices.engines import LOCAL, require_runnable
from edgekit.devices.local import LocalDevice
from edgekit.errors import DataError
from edgekit.feeding import Feeder, feeder_of, resolve_preprocessing
from edgekit.measure.choices import TOKEN_TASKS
from edgekit.preprocessing import Preprocessing
from edgekit.runtimes import Array, Runtime, assign_engines, run_items
from edgekit.stream import stream_outputs

_CHUNK = 64  # items decoded at a time: enough to fill batches, little memory


@dataclass(slots=True, kw_only=True)
class Subject:
    """A model file that is measured on ``device``.

    ``given`` is its path as the user wrote it; ``seconds`` counts inference only, with the way to the device and back.
    """

    given: Path
    artifact: Artifact
    runtime: Runtime
    feeder: Feeder
    device: str = LOCAL
    seconds: float = field(default=0.0)

    @property
    def engine(self) -> str:
        """Name and version of what runs the file."""
        return f"{self.runtime.name} {self.runtime.version}"

    def describe(self) -> dict[str, str]:
        """What every JSON result says of its file."""
        return {
            "artifact": str(self.given),
            "sha256": self.artifact.sha256,
            "format": self.artifact.format.value,
            "recipe": self.artifact.recipe,
            "engine": self.engine,
            "device": self.device,
        }


def open_subjects(
    paths: Sequence[Path],
    *,
    preprocess: str | None,
    labels: tuple[str, ...] | None,
    threads: int,
    engines: Sequence[str] = (),
    device: Device | None = None,
) -> tuple[Subject, ...]:
    """The files at ``paths``, all read before any is run, so that a bad one is reported at once.

    Each comes once for every one of ``engines`` that runs it, or where none is named in what ``device`` runs such files
    with; without a device on this machine. `InputError` as `edgekit.devices.engines.require_runnable`.
    """
    where = LocalDevice() if device is None else device
    artifacts = [open_artifact(path, labels=labels) for path in paths]
    require_runnable(where.uri, artifacts, engines)
    assigned = assign_engines([(str(a.path), a.format) for a in artifacts], engines)
    preprocessing = [resolve_preprocessing(artifact.card, preprocess) for artifact in artifacts]
    return tuple(
        _opened(given, artifact, spec, name if engines or where.uri == LOCAL else None, threads, where)
        for given, artifact, spec, names in zip(paths, artifacts, preprocessing, assigned, strict=True)
        for name in names
    )


def _opened(
    given: Path, artifact: Artifact, spec: Preprocessing | None, engine: str | None, threads: int, where: Device
) -> Subject:
    runtime = where.open(artifact, threads=threads, engine=engine)
    feeder = feeder_of(artifact.card, runtime.inputs, spec)
    return Subject(given=given, artifact=artifact, runtime=runtime, feeder=feeder, device=where.uri)


def on_device(subjects: Iterable[Subject]) -> str:
    """Words for the title of a table: where ``subjects`` ran, nothing for this machine."""
    found = {subject.device for subject in subjects} - {LOCAL}
    return f", on {', '.join(sorted(found))}" if found else ""


def run_subjects(subjects: Sequence[Subject], items: Iterable[Item]) -> Iterator[list[list[dict[str, Array]]]]:
    """Chunk by chunk, the outputs ``[subject][item]`` by name, without a batch axis, quantized ones as real numbers."""
    remaining = iter(items)
    while chunk := list(islice(remaining, _CHUNK)):
        prepared: dict[object, list[Item]] = {}
        outputs = []
        for subject in subjects:
            how = subject.feeder.how
            if how not in prepared:
                prepared[how] = [subject.feeder.prepare(item) for item in chunk]
            outputs.append(_run(subject, prepared[how], chunk))
        yield outputs


def run_one(subject: Subject, item: Item) -> dict[str, Array]:
    """The outputs for one ``item``, as `run_subjects` gives them."""
    (((answer,),),) = run_subjects([subject], [item])
    return answer


def _run(subject: Subject, items: Sequence[Item], origins: Sequence[Item]) -> list[dict[str, Array]]:
    if takes_steps(subject.artifact.card):
        return [_in_steps(subject, item) for item in items]
    feeds = [subject.feeder.fit(item, origin) for item, origin in zip(items, origins, strict=True)]
    start = time.perf_counter()
    answers = list(run_items(subject.runtime, feeds))
    subject.seconds += time.perf_counter() - start
    return answers


def answer_specs(subject: Subject) -> tuple[TensorSpec, ...]:
    """The outputs that `run_subjects` gives: those of the file, of a file of one time step as if it took all steps."""
    how, outputs = subject.artifact.card.sequences, subject.runtime.outputs
    if how is None or not how.states:
        return outputs
    states = {state.output for state in how.states}
    steps = (None,) if subject.artifact.card.task in TOKEN_TASKS else ()
    return tuple(
        replace(spec, shape=(*spec.shape[:1], *steps, *spec.shape[1:])) for spec in outputs if spec.name not in states
    )


def _in_steps(subject: Subject, item: Item) -> dict[str, Array]:
    """The answers to all steps of a prepared ``item`` where each counts, else that to the last one."""
    (spec,) = answer_specs(subject)
    if not isinstance(item, np.ndarray):
        raise DataError(f"{subject.given} takes one step at a time; give a text or a window of a series.")
    start = time.perf_counter()
    answers = stream_outputs(subject.runtime, item, sequences=subject.artifact.card.sequences)
    subject.seconds += time.perf_counter() - start
    return {spec.name: answers if subject.artifact.card.task in TOKEN_TASKS else answers[-1]}
