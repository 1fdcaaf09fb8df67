"""Detector files made ready to be run: what they are fed, and what their outputs mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.detection import Head
from edgekit.devices import Device
from edgekit.devices.local import LocalDevice
from edgekit.errors import InputError
from edgekit.feeding import Feeder
from edgekit.measure.subjects import Subject, open_subjects
from edgekit.measure.two_stage import look_twice
from edgekit.preprocessing import PRESETS
from edgekit.runtimes import Array
from edgekit.tasks.detection import Decoder, make_decoder, published_resize, resolve_detection
from edgekit.tasks.heads import Detections


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """A detector file at work: ``subject`` runs it, ``decoder`` makes boxes of its outputs."""

    subject: Subject
    decoder: Decoder

    def label(self, class_id: int) -> str:
        """What the class is called; `InputError` for one that the labels do not name."""
        labels = self.subject.artifact.card.labels
        if labels is None:
            return f"class {class_id}"
        if not 0 <= class_id < len(labels):
            raise InputError(
                f"{self.subject.given} found class {class_id} and has {len(labels)} labels; give all with --labels."
            )
        return labels[class_id]

    def read(self, outputs: Mapping[str, Array], image_hw: tuple[int, int]) -> Detections:
        """What ``outputs`` of one item say; `InputError` where the file has more or fewer classes than labels."""
        found = self.decoder(outputs, image_hw)  # first, as another head's outputs have other numbers of classes
        self.require_labels(outputs)
        return found

    def require_labels(self, outputs: Mapping[str, Array]) -> int | None:
        """How many classes ``outputs`` of one item have, None where they do not show it; see `read`."""
        labels, count = self.subject.artifact.card.labels, self.decoder.class_count(outputs)
        if count is not None and labels is not None and count != len(labels):
            raise InputError(
                f"{self.subject.given} has {count} classes and {len(labels)} labels; give as many with --labels."
            )
        return count

    def with_threshold(self, score: float) -> "Detector":
        """The same with another threshold of scores."""
        spec = replace(self.decoder.spec, score_threshold=score)
        return replace(self, decoder=replace(self.decoder, spec=spec))

    def detect(self, image: Array) -> Detections:
        """What is in ``image`` (height, width, 1 or 3) uint8."""
        feed = {name: values[None] for name, values in self.subject.feeder.feed(image).items()}
        outputs = self.subject.runtime.run(feed, as_float=True)
        return self.read(without_batch(outputs), (image.shape[0], image.shape[1]))


def without_batch(outputs: Mapping[str, Array]) -> dict[str, Array]:
    """The one item of ``outputs``."""
    return {name: values[0] if values.ndim else values for name, values in outputs.items()}


def open_detectors(
    paths: Sequence[Path],
    *,
    preprocess: str | None,
    labels: tuple[str, ...] | None,
    decoder: str | None,
    threads: int,
    engines: Sequence[str] = (),
    device: Device | None = None,
) -> tuple[Detector, ...]:
    """The detector files at ``paths``, as `edgekit.measure.subjects.open_subjects` opens files.

    Where the card states no preprocessing, ``preprocess`` tells the values, and the head's source how an image is
    resized.
    """
    found = []
    where = LocalDevice() if device is None else device
    for subject in open_subjects(
        paths, preprocess=preprocess, labels=labels, threads=threads, engines=engines, device=where
    ):
        spec, how = resolve_detection(subject.artifact, decoder), subject.feeder.preprocessing
        if how is None:
            raise InputError(f"Nothing says how images become the input of {subject.given}: say it with --preprocess.")
        if subject.artifact.card.preprocessing is None and preprocess in PRESETS:
            how = published_resize(how, spec.head)
            subject.feeder = Feeder(subject.runtime.inputs, how)
        if spec.head is Head.REGIONS:
            subject.runtime, how = look_twice(
                subject.artifact, subject.runtime, spec, how, threads=threads, device=where
            )
            subject.feeder = Feeder(subject.runtime.inputs, how)
        found.append(Detector(subject=subject, decoder=make_decoder(subject.artifact, spec, how)))
    return tuple(found)
