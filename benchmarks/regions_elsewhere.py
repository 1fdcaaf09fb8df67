"""Detectors that look at regions, on another CPU: their files run there, and what is between them runs here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from aarch64.places import Place, run
from alike import real
from elsewhere import Found
from material import held_out_inputs, held_out_items

from edgekit.artifact import Artifact, open_artifact
from edgekit.data import Dataset
from edgekit.detection import Detection
from edgekit.feeding import Feeder
from edgekit.measure.two_stage import FIRST_OUTPUTS, Looked, found_in, proposed, whole_image
from edgekit.preprocessing import Preprocessing
from edgekit.runtimes import open_runtime
from edgekit.runtimes.base import quantize
from edgekit.tasks.detection import REGION_OUTPUTS, Decoder
from edgekit.two_files import second_file

Array = npt.NDArray[Any]
MOST_REGIONS = 300
"""Of all images together: an emulated Cortex-A72 takes a fifth of a second for one of the zoo's R-CNN."""


def most_images(detection: Detection) -> int:
    """How many images have `MOST_REGIONS`, at least one."""
    how = detection.proposals or detection.search
    assert how is not None  # noqa: S101 - a detector of regions
    return max(1, MOST_REGIONS // how.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionFiles:
    """The detector whose first or only file is ``artifact``, asked about ``images``, (images, ...), its inputs."""

    artifact: Artifact
    images: Array

    @classmethod
    def of(cls, path: Path, paths: list[Path], data: Dataset, items: int) -> "RegionFiles":
        """That at ``path``, asked about ``items`` held-out items."""
        artifact = open_artifact(path)
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
        last, first, looked = self._looked(place)
        regions, shown = [found for found, _ in looked], [show(found) for found, show in looked]
        (taken,) = open_runtime(last).inputs
        given = np.concatenate(shown)
        answers = run(place, last, {taken.name: quantize(given, taken) if taken.quantized else given}).outputs
        ends = np.cumsum([len(each) for each in regions])[:-1]
        by_image = {name: np.split(values, ends) for name, values in real(open_artifact(last), answers).items()}
        decoder = Decoder(spec=detection, names=REGION_OUTPUTS, preprocessing=how, model=self.artifact.path.name)
        objects = [
            decoder({"regions": r, "scores": by_image["scores"][i], "offsets": by_image["offsets"][i]}, how.size_hw)
            for i, r in enumerate(regions)
        ]
        source = detection.proposals or detection.search
        assert source is not None  # noqa: S101
        told = {name: filled(np.split(values, ends), source.count) for name, values in answers.items()}
        return Found(outputs={**first, **told, "regions": filled(regions, source.count)}, objects=objects)

    def _looked(self, place: Place) -> tuple[Path, Mapping[str, Array], Sequence[Looked]]:
        """The file that looks at regions, what the one before it gave there, and where to look in each image."""
        (detection, how), path = self._card, self.artifact.path
        if detection.search is not None:
            return path, {}, [found_in(image, detection.search, how) for image in self.images]
        second = second_file(path, self.artifact.card)
        assert second is not None  # noqa: S101 - it proposes regions
        (taken,) = self.artifact.card.inputs
        first = run(place, path, {taken.name: self.images}).outputs
        told = real(self.artifact, first)
        each = [{name: told[name][i : i + 1] for name in FIRST_OUTPUTS} for i in range(len(self.images))]
        return second, first, [proposed(one, detection, path) for one in each]

    @property
    def _card(self) -> tuple[Detection, Preprocessing]:
        detection, how = self.artifact.card.detection, self.artifact.card.preprocessing
        assert detection is not None  # noqa: S101 - the card of a detector of the zoo
        assert how is not None  # noqa: S101
        return detection, how


def filled(rows: Iterable[Array], most: int) -> Array:
    """Arrays (regions, ...) as one (images, most, ...), so that one region less elsewhere is no other shape."""
    return np.stack([np.concatenate([r, np.zeros((most - len(r), *r.shape[1:]), r.dtype)]) for r in rows])
