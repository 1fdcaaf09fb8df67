"""Detectors of two stages as one engine: an image in; regions with their scores and offsets out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgekit.artifact import Artifact, open_artifact
from edgekit.card import TensorSpec
from edgekit.detection import Detection
from edgekit.devices import Device
from edgekit.errors import InputError
from edgekit.measure.metrics import require_finite
from edgekit.preprocessing import Colour, Preprocessing, Resize, normalize
from edgekit.regions import Search
from edgekit.runtimes import Array, Feed, Runtime, run_items
from edgekit.runtimes.base import Delegation
from edgekit.tasks.detection import REGION_OUTPUTS
from edgekit.tasks.regions import pool, propose, warp
from edgekit.tasks.selective_search import search
from edgekit.two_files import second_file

Floats = npt.NDArray[np.float32]
Looked = tuple[Floats, Callable[[Floats], Array]]
"""Regions (count, 4), and what turns some of them into what the last file takes, (some, ...): all are gigabytes."""

FIRST_OUTPUTS = ("features", "objectness", "anchor_offsets")
"""What a file gives that proposes regions."""

_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRuntime:
    """A `Runtime` of one image: ``look`` finds regions, and ``last`` runs on what they show, some at a time.

    Its outputs are `REGION_OUTPUTS`, with as many rows as there are regions. What it is called, and what is delegated,
    is ``engine``'s.
    """

    inputs: tuple[TensorSpec, ...]
    look: Callable[[Feed], Looked]
    last: Runtime
    engine: Runtime

    @property
    def name(self) -> str:
        """The engine of the files."""
        return self.engine.name

    @property
    def version(self) -> str:
        """Its version."""
        return self.engine.version

    @property
    def delegation(self) -> Delegation | None:
        """That of the file that sees the image."""
        return self.engine.delegation

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Regions, scores and offsets of one image."""
        widths = {"regions": 4, **{spec.name: spec.shape[-1] for spec in self.last.outputs}}
        return tuple(TensorSpec(name=name, shape=(1, None, widths[name]), dtype="float32") for name in REGION_OUTPUTS)

    def run(self, feed: Feed, *, as_float: bool = False) -> dict[str, Array]:  # noqa: ARG002 - they are real numbers
        """The outputs for one image; see `Runtime.run`."""
        regions, show = self.look(feed)
        (taken,) = self.last.inputs
        parts = (show(regions[start : start + _BATCH]) for start in range(0, len(regions), _BATCH))
        items = ({taken.name: shown} for part in parts for shown in part)
        answers = list(run_items(self.last, items, batch=_BATCH))
        found: dict[str, Array] = {"regions": regions[None]}
        for spec in self.outputs[1:]:
            rows = [answer[spec.name] for answer in answers]
            found[spec.name] = np.stack(rows)[None] if rows else np.zeros((1, 0, spec.shape[-1] or 0), np.float32)
        return found

    def bind(self, feed: Feed) -> Callable[[], object]:
        """As `Runtime.bind`, with the work between the files."""
        return lambda: self.run(feed)


def look_twice(
    artifact: Artifact, runtime: Runtime, spec: Detection, how: Preprocessing, *, threads: int, device: Device
) -> tuple[RegionRuntime, Preprocessing]:
    """The detector whose first or only file is ``artifact``, and how an image becomes its input.

    Its second file runs on ``device`` too; ``how`` is the preprocessing of the first. `InputError` where the second is
    missing or another one, or a file has other outputs than its place needs.
    """
    if spec.search is not None:
        return searching(artifact.path, runtime, spec, how)
    second = second_file(artifact.path, replace(artifact.card, detection=spec))
    assert second is not None  # noqa: S101 - it proposes regions
    last = device.open(open_artifact(second), threads=threads, engine=runtime.name)
    return proposing(runtime, last, spec, paths=(artifact.path, second)), how


def proposing(first: Runtime, last: Runtime, spec: Detection, *, paths: tuple[Path, Path]) -> RegionRuntime:
    """A detector whose ``first`` file proposes regions of its feature map, which ``last`` looks at."""
    _require_outputs(paths[0], first, FIRST_OUTPUTS)
    _require_outputs(paths[1], last, REGION_OUTPUTS[1:])
    _require_sizes(paths, first, last, spec)

    def look(feed: Feed) -> Looked:
        return proposed(first.run(feed, as_float=True), spec, paths[0])

    inputs = tuple(replace(taken, shape=(1, *taken.shape[1:])) for taken in first.inputs)
    return RegionRuntime(inputs=inputs, look=look, last=last, engine=first)


def proposed(outputs: Mapping[str, Array], spec: Detection, path: Path) -> Looked:
    """What the file at ``path`` proposes by its ``outputs`` for one image; `DataError` where they are not finite."""
    for name in FIRST_OUTPUTS:
        require_finite(outputs[name], f"Output {name!r} of {path}")
    features, objectness, offsets = (outputs[name][0] for name in FIRST_OUTPUTS)
    how = spec.proposals
    assert how is not None  # noqa: S101
    return propose(objectness, offsets, spec), lambda regions: pool(features, regions, how.bins)


def searching(path: Path, last: Runtime, spec: Detection, how: Preprocessing) -> tuple[RegionRuntime, Preprocessing]:
    """A detector that looks at what selective search finds in an image, each as ``how`` brings it to its file."""
    _require_outputs(path, last, REGION_OUTPUTS[1:])
    searched = spec.search
    assert searched is not None  # noqa: S101
    image, whole = whole_image(searched, how)

    def look(feed: Feed) -> Looked:
        return found_in(feed[image.name][0], searched, how)

    return RegionRuntime(inputs=(image,), look=look, last=last, engine=last), whole


def found_in(pixels: npt.NDArray[np.uint8], how: Search, of_region: Preprocessing) -> Looked:
    """What selective search finds in ``pixels`` (height, width, 3) RGB; the file takes regions ``of_region``."""

    def show(regions: Floats) -> Array:
        shown = warp(pixels, regions, of_region.size_hw, how.context)
        return normalize(shown[..., ::-1] if of_region.colour is Colour.BGR else shown, of_region)

    return search(pixels, how), show


def whole_image(how: Search, of_region: Preprocessing) -> tuple[TensorSpec, Preprocessing]:
    """The RGB image in which regions are searched, as an input, and what makes it; the file takes ``of_region``.

    `InputError` where that is gray: what is searched are colours.
    """
    if of_region.colour is Colour.GRAY:
        raise InputError("Regions are searched in colour; got a file of gray regions: use one that takes rgb or bgr.")
    height, width = how.size_hw
    spec = TensorSpec(name="image", shape=(1, height, width, 3), dtype="uint8")
    return spec, Preprocessing(size_hw=how.size_hw, resize=Resize.STRETCH, dtype="uint8")


def _require_outputs(path: Path, runtime: Runtime, names: tuple[str, ...]) -> None:
    found = {spec.name for spec in runtime.outputs}
    if found != set(names) or len(runtime.inputs) != 1:
        raise InputError(
            f"{path} has {len(runtime.inputs)} inputs and the outputs {', '.join(sorted(found))}; as a part of a "
            f"detector of two stages it has one and {', '.join(sorted(names))}."
        )


def _require_sizes(paths: tuple[Path, Path], first: Runtime, last: Runtime, spec: Detection) -> None:
    """`InputError` where the files are not as large as the card of the first says."""
    sizes = {output.name: output.shape[1:] for output in first.outputs}
    anchors = sum(level.rows * level.columns * len(level.shapes) for level in spec.anchors)
    if (sizes["objectness"], sizes["anchor_offsets"]) != ((anchors, 2), (anchors, 4)):
        raise InputError(
            f"{paths[0]} gives objectness {sizes['objectness']} and anchor_offsets {sizes['anchor_offsets']}; its card "
            f"has {anchors} anchors, with 2 and 4 numbers each: correct the card."
        )
    bins, taken = spec.proposals.bins if spec.proposals is not None else 0, last.inputs[0].shape[1:]
    if taken != (bins, bins, *sizes["features"][2:]):
        raise InputError(
            f"{paths[1]} takes regions {taken}; the card of {paths[0]} says {bins} bins a side, of features "
            f"{sizes['features']}: correct the card."
        )
