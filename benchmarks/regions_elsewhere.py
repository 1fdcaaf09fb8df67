"""Detectors that look at regions, on another CPU: their files run there, and what is between them runs here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from aarch64.places import Place, run
from material import held_out_inputs, held_out_items

from edgekit.artifact import Artifact, open_artifact
from edgekit.data import Dataset
from edgekit.detection import Detection
from edgekit.feeding import Feeder
from edgekit.measure.two_stage import second_file, whole_image
from edgekit.preprocessing import Preprocessing, normalize
from edgekit.runtimes import open_runtime
from edgekit.runtimes.base import dequantize, quantize
from edgekit.tasks.detection import REGION_OUTPUTS, Decoder
from edgekit.tasks.heads import Detections
from edgekit.tasks.regions import pool, propose, warp
from edgekit.tasks.selective_search import search

Array = npt.NDArray[Any]
Looked = tuple[Path, Mapping[str, Array], Sequence[Array], Sequence[Array]]
"""The file that looks at regions, what the one before it gave, and of each image the regions and what they show."""

MOST_IMAGES = 20
"""Of each image many regions are looked at, one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Outputs of all files by name, (images, ...), filled up with zeros to the most regions; a detector's objects."""

    outputs: Mapping[str, Array]
    objects: Sequence[Detections] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionFiles:
    """The detector whose first or only file is ``artifact``, asked about ``images``, (images, ...), its inputs."""

    artifact: Artifact
    images: Array

    @classmethod
    def of(cls, path: Path, paths: list[Path], data: Dataset, items: int) -> "RegionFiles":
        """That at ``path``, asked about ``items`` held-out items, `MOST_IMAGES` at most."""
        artifact, items = open_artifact(path), min(items, MOST_IMAGES)
        detection, how = artifact.card.detection, artifact.card.preprocessing
        if detection is None or how is None or detection.search is None:
            (images,) = held_out_inputs(path, paths, data, items).values()
            return cls(artifact=artifact, images=images)
        image, whole = whole_image(detection.search, how)
        feeder = Feeder((image,), whole)
        fed = [feeder.feed(item)[image.name] for item in held_out_items(paths, data, items)]
        return cls(artifact=artifact, images=np.stack(fed))

    def run(self, place: Place) -> Found:
        """What they find with their files on ``place``."""
        detection, how = self._card
        last, first, regions, shown = self._proposed(place) if detection.proposals is not None else self._searched()
        (taken,) = open_runtime(last).inputs
        given = np.concatenate(shown)
        answers = run(place, last, {taken.name: quantize(given, taken) if taken.quantized else given}).outputs
        ends = np.cumsum([len(each) for each in regions])[:-1]
        real = {name: np.split(values, ends) for name, values in _real(last, answers).items()}
        decoder = Decoder(spec=detection, names=REGION_OUTPUTS, preprocessing=how, model=self.artifact.path.name)
        objects = [
            decoder({"regions": r, "scores": real["scores"][i], "offsets": real["offsets"][i]}, how.size_hw)
            for i, r in enumerate(regions)
        ]
        told = {name: _filled(np.split(values, ends)) for name, values in answers.items()}
        return Found(outputs={**first, **told, "regions": _filled(regions)}, objects=objects)

    def _proposed(self, place: Place) -> Looked:
        """What the first file proposes there."""
        detection, _ = self._card
        how = detection.proposals
        assert how is not None  # noqa: S101
        (taken,) = self.artifact.card.inputs
        first = run(place, self.artifact.path, {taken.name: self.images}).outputs
        real = _real(self.artifact.path, first)
        told = zip(real["objectness"], real["anchor_offsets"], strict=True)
        regions = [propose(*each, detection) for each in told]
        shown = [pool(f, r, how.bins) for f, r in zip(real["features"], regions, strict=True)]
        return second_file(self.artifact.path, how), first, regions, shown

    def _searched(self) -> Looked:
        """What selective search finds."""
        detection, how = self._card
        searched = detection.search
        assert searched is not None  # noqa: S101
        regions = [search(image, searched) for image in self.images]
        pixels = [warp(i, r, how.size_hw, searched.context) for i, r in zip(self.images, regions, strict=True)]
        return self.artifact.path, {}, regions, [normalize(each, how) for each in pixels]

    @property
    def _card(self) -> tuple[Detection, Preprocessing]:
        detection, how = self.artifact.card.detection, self.artifact.card.preprocessing
        assert detection is not None  # noqa: S101 - the card of a detector of the zoo
        assert how is not None  # noqa: S101
        return detection, how


def _real(path: Path, outputs: Mapping[str, Array]) -> dict[str, Array]:
    specs = {spec.name: spec for spec in open_runtime(path).outputs}
    return {n: dequantize(v, specs[n]) if specs[n].quantized else v for n, v in outputs.items()}


def _filled(rows: Iterable[Array]) -> Array:
    """Arrays (regions, ...) as one (images, most regions, ...)."""
    rows = list(rows)
    most = max(len(each) for each in rows)
    return np.stack([np.concatenate([r, np.zeros((most - len(r), *r.shape[1:]), r.dtype)]) for r in rows])
