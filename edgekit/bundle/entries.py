"""One model of a bundle: its file opened, run on the golden items, and described for the device."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import Artifact, Format, open_artifact
from edgekit.bundle.archive import npy
from edgekit.bundle.golden import Items
from edgekit.bundle.limits import computes_with_integers, has_softmax, limits_of
from edgekit.bundle.runner.answers import stacked
from edgekit.bundle.runner.engines import BUILT_IN, XNNPACK
from edgekit.bundle.runner.manifest import Entry, Golden
from edgekit.card import ModelCard, TensorSpec, takes_steps
from edgekit.companion import Companion
from edgekit.errors import InputError
from edgekit.feeding import feeder_of
from edgekit.formats import onnx, tflite
from edgekit.formats.graph import Graph
from edgekit.measure.detectors import Detector, open_detectors
from edgekit.measure.metrics import require_finite
from edgekit.measure.sample_inputs import sample_feeds
from edgekit.measure.subjects import open_subjects
from edgekit.measure.two_stage import RegionRuntime
from edgekit.measure.verifiers import Verifier, open_verifiers
from edgekit.preprocessing import Preprocessing, resize
from edgekit.runtimes import Array, Runtime
from edgekit.runtimes.base import by_name, checked_input
from edgekit.runtimes.litert import keeps_state, tensor_indexes
from edgekit.tasks.detection import is_detector
from edgekit.tasks.verification import FIRST, SECOND
from edgekit.two_files import second_file

MOST_REGIONS = 8
"""Golden items of a second stage: regions of the first image."""

_ODD = frozenset('\\:*?"<>|')
"""What file systems of boards, phones and cards refuse in names, beside what is not to be printed."""

Feeds = list[dict[str, Array]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A model file to be bundled. ``runtime`` runs this very file.

    ``detector`` is there where it finds objects, ``verifier`` where it is the tower of one that compares pictures.
    """

    artifact: Artifact
    runtime: Runtime
    preprocessing: Preprocessing | None
    detector: Detector | None = None
    verifier: Verifier | None = None

    @property
    def takes_images(self) -> bool:
        """Whether its one input is made of an image."""
        return self.preprocessing is not None and len(self.runtime.inputs) == 1

    @property
    def card(self) -> ModelCard:
        """The card with what was told beside the file, and with the tensors of the file itself."""
        detection = None if self.detector is None else self.detector.decoder.spec
        return replace(
            self.artifact.card,
            inputs=self.runtime.inputs,
            outputs=self.runtime.outputs,
            preprocessing=self.preprocessing,
            detection=detection,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An entry of the manifest with its ``files`` by their names in the bundle, and its golden arrays."""

    entry: Entry
    files: Mapping[str, bytes]
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]


def open_models(
    paths: Sequence[Path], *, preprocess: str | None, labels: tuple[str, ...] | None, decoder: str | None
) -> tuple[Opened, ...]:
    """The model files at ``paths``; `InputError` for files that a device without edgekit cannot run."""
    if not paths:
        raise InputError("No model file was given; expected at least one .tflite or .onnx file.")
    names = [path.name for path in paths]
    _require_own(names)
    artifacts = [open_artifact(path, labels=labels) for path in paths]
    for path, artifact in zip(paths, artifacts, strict=True):
        if artifact.format is Format.KERAS:
            raise InputError(f"{path} is a Keras file, which devices do not run; bundle what `edgekit convert` makes.")
    _require_own([*names, *_seconds(artifacts, names)])
    return tuple(_open(artifact, preprocess, labels, decoder) for artifact in artifacts)


def _require_own(names: Sequence[str]) -> None:
    """Refuse names that a device does not take, or takes for the same one, whichever case they are in."""
    folded = [name.casefold() for name in names]
    for name in names:
        if not name.isprintable() or _ODD & set(name):
            raise InputError(f"{name!r} is a name that not every device takes; rename the file for the bundle.")
        if folded.count(name.casefold()) > 1:
            raise InputError(f"Two files are called {name}; a bundle needs names of their own: rename one.")


def _seconds(artifacts: Sequence[Artifact], names: Sequence[str]) -> list[str]:
    """The second files of ``artifacts``, once where towers share theirs; `InputError` for one that is in ``names``."""
    found: list[str] = []
    shared: set[Companion] = set()
    for artifact in artifacts:
        second = second_file(artifact.path, artifact.card)
        if second is None:
            continue
        if second.name in names:
            raise InputError(
                f"{second.name} is the second file of {artifact.path.name}, and comes with it; leave it out."
            )
        how = artifact.card.verification
        if how is None or how.head not in shared:
            found.append(second.name)
        if how is not None and how.head is not None:
            shared.add(how.head)
    return found


def _open(artifact: Artifact, preprocess: str | None, labels: tuple[str, ...] | None, decoder: str | None) -> Opened:
    if decoder is not None or is_detector(artifact):
        return _open_detector(artifact.path, preprocess, labels, decoder)
    if artifact.card.verification is not None:
        return _open_verifier(artifact.path, preprocess)
    return _open_other(artifact.path, preprocess, labels)


def _open_verifier(path: Path, preprocess: str | None) -> Opened:
    (verifier,) = open_verifiers([path], preprocess=preprocess, threads=1)
    tower = verifier.subject
    return Opened(
        artifact=tower.artifact, runtime=tower.runtime, preprocessing=tower.feeder.preprocessing, verifier=verifier
    )


def _open_other(path: Path, preprocess: str | None, labels: tuple[str, ...] | None) -> Opened:
    (subject,) = open_subjects([path], preprocess=preprocess, labels=labels, threads=1)
    return Opened(artifact=subject.artifact, runtime=subject.runtime, preprocessing=subject.feeder.preprocessing)


def _open_detector(path: Path, preprocess: str | None, labels: tuple[str, ...] | None, decoder: str | None) -> Opened:
    (detector,) = open_detectors([path], preprocess=preprocess, labels=labels, decoder=decoder, threads=1)
    if detector.decoder.spec.search is not None:
        raise InputError(
            f"{path} looks at regions that scikit-image finds, which a bundle does not carry; bundle another detector."
        )
    runtime = detector.subject.runtime
    return Opened(
        artifact=detector.subject.artifact,
        runtime=runtime.engine if isinstance(runtime, RegionRuntime) else runtime,
        preprocessing=detector.decoder.preprocessing,
        detector=detector,
    )


def make_entries(opened: Opened, items: Items, *, samples: int, seed: int) -> Iterator[Made]:
    """The entry of a model, and for one of two files that of the second as well."""
    feeds, pixels = golden_feeds(opened, items, samples=samples, seed=seed)
    if opened.verifier is not None:
        made = make_entry(opened.artifact, opened.runtime, opened.card, feeds, pixels=pixels)
        yield from _with_head(made, opened.verifier)
        return
    detector, images = opened.detector, items.images if pixels is not None else ()
    region_runtime = None if detector is None else detector.subject.runtime
    second = isinstance(region_runtime, RegionRuntime)
    found = [] if detector is None or second else [_found(detector, image) for image in images]
    made = make_entry(opened.artifact, opened.runtime, opened.card, feeds, pixels=pixels, found=found)
    if detector is not None:
        made = replace(made, entry=replace(made.entry, parts=detector.decoder.names))
    if not isinstance(region_runtime, RegionRuntime) or detector is None:
        yield made
        return
    path = second_file(opened.artifact.path, opened.artifact.card)
    assert path is not None  # noqa: S101 - a detector that searches was refused
    yield replace(made, entry=replace(made.entry, second=path.name))
    artifact, last = open_artifact(path), region_runtime.last
    regions, show = region_runtime.look({name: np.asarray(values) for name, values in feeds[0].items()})
    if not len(regions):
        raise InputError(f"{opened.artifact.path} proposes no region in the first golden image; give other images.")
    (taken,) = last.inputs
    feeds = [{taken.name: checked_input(crop[None], taken)} for crop in show(regions[:MOST_REGIONS])]
    card = replace(artifact.card, inputs=last.inputs, outputs=last.outputs, preprocessing=None, detection=None)
    yield make_entry(artifact, last, card, feeds)


def _with_head(tower: Made, verifier: Verifier) -> Iterator[Made]:
    """The ``tower`` and its head, whose golden items are each item's embedding beside the next one's."""
    path = second_file(verifier.subject.artifact.path, verifier.subject.artifact.card)
    assert path is not None  # noqa: S101 - a tower has one, which was opened
    yield replace(tower, entry=replace(tower.entry, second=path.name))
    (embeddings,) = by_name(tower.outputs, tower.entry.card.outputs, as_float=True).values()
    pairs = {FIRST: embeddings, SECOND: np.roll(embeddings, -1, axis=0)}
    feeds = [
        {spec.name: checked_input(pairs[spec.name][item][None], spec) for spec in verifier.head.inputs}
        for item in range(len(embeddings))
    ]
    artifact, head = open_artifact(path), verifier.head
    yield make_entry(artifact, head, replace(artifact.card, inputs=head.inputs, outputs=head.outputs), feeds)


def golden_feeds(opened: Opened, items: Items, *, samples: int, seed: int) -> tuple[Feeds, Array | None]:
    """The inputs of each item with a batch axis and in the file's types, and images in the model's size if any."""
    if items.synthetic and not (opened.takes_images and items.images):
        made_up = sample_feeds(opened.card, samples=samples, seed=seed)
        return [_as_taken(feed, opened.runtime.inputs) for feed in made_up], None
    if takes_steps(opened.card):
        raise InputError(
            f"{opened.artifact.path} takes one time step at a time, which no item is; bundle it by itself, without "
            "--data and --inputs."
        )
    feeder = feeder_of(opened.card, opened.runtime.inputs, opened.preprocessing)
    feeds = [{name: values[None] for name, values in feeder.feed(item).items()} for item in items.items]
    taken = [_as_taken(feed, opened.runtime.inputs) for feed in feeds]
    if opened.preprocessing is None or not opened.takes_images or not items.images:
        return taken, None
    return taken, np.stack([resize(image, opened.preprocessing) for image in items.images])


def make_entry(
    artifact: Artifact,
    runtime: Runtime,
    card: ModelCard,
    feeds: Feeds,
    *,
    pixels: Array | None = None,
    found: Sequence[Array] = (),
) -> Made:
    """A model file with what it answers to ``feeds``; `InputError` where the answers cannot be golden data."""
    answers = [runtime.run(feed) for feed in feeds]
    for name in (spec.name for spec in runtime.outputs):
        if len({answer[name].shape for answer in answers}) > 1:
            raise InputError(
                f"Output {name!r} of {artifact.path} has another shape for each item; a bundle compares answers of one "
                "shape: convert the detector without --nms graph, or leave the file out."
            )
        for answer in answers:
            require_finite(answer[name], f"Output {name!r} of {artifact.path}")
    inputs = tuple(np.concatenate([feed[spec.name] for feed in feeds]) for spec in runtime.inputs)
    outputs = tuple(stacked([answer[spec.name] for answer in answers]) for spec in runtime.outputs)
    name = artifact.path.name
    arrays: dict[str, Array] = {}
    golden = Golden(
        count=len(feeds),
        inputs=_listed(name, "input", inputs, arrays),
        outputs=_listed(name, "output", outputs, arrays),
        pixels=None if pixels is None else _listed(name, "pixels", (pixels,), arrays)[0],
        found=_listed(name, "found", found, arrays),
    )
    files = {file: npy(values) for file, values in arrays.items()}
    entry = _describe(artifact, runtime, card, golden)
    return Made(entry=entry, files={entry.file: artifact.path.read_bytes(), **files}, inputs=inputs, outputs=outputs)


def entry_of(artifact: Artifact) -> Entry:
    """What a device is told of a file beside its bytes: without golden data, and without running it here."""
    return _described(artifact, artifact.card, Golden(count=0, inputs=(), outputs=()), engine="", kernels="")


def _describe(artifact: Artifact, runtime: Runtime, card: ModelCard, golden: Golden) -> Entry:
    delegation = runtime.delegation
    kernels = "" if delegation is None else XNNPACK if delegation.operators else BUILT_IN
    return _described(artifact, card, golden, engine=f"{runtime.name} {runtime.version}", kernels=kernels)


def _described(artifact: Artifact, card: ModelCard, golden: Golden, *, engine: str, kernels: str) -> Entry:
    graph: Graph = (tflite if artifact.format is Format.TFLITE else onnx).read_graph(artifact.path)
    of_tflite: dict[str, Any] = {}
    if artifact.format is Format.TFLITE:
        of_tflite = {
            "input_tensors": tensor_indexes(graph, graph.input_tensors),
            "output_tensors": tensor_indexes(graph, graph.output_tensors),
            "stateful": keeps_state(graph),
            "exact": computes_with_integers(graph),
            "softmax": has_softmax(graph),
        }
    return Entry(
        file=f"models/{artifact.path.name}",
        format=artifact.format.value,
        recipe=artifact.recipe,
        card=card,
        engine=engine,
        kernels=kernels,
        limits=limits_of(artifact, graph),
        golden=golden,
        **of_tflite,
    )


def _listed(model: str, what: str, arrays: Sequence[Array], into: dict[str, Array]) -> tuple[str, ...]:
    """Names for ``arrays`` in the bundle, under which they are put ``into`` what will be written."""
    names = tuple(f"golden/{model}/{what}_{number}.npy" for number in range(len(arrays)))
    into.update(zip(names, arrays, strict=True))
    return names


def _found(detector: Detector, image: Any) -> Array:
    found = detector.detect(image)
    rows = np.concatenate([found.boxes, found.scores[:, None], found.classes[:, None]], axis=1)
    return np.asarray(rows, np.float32)


def _as_taken(feed: Mapping[str, Array], specs: Sequence[TensorSpec]) -> dict[str, Array]:
    return {spec.name: checked_input(feed[spec.name], spec) for spec in specs}
