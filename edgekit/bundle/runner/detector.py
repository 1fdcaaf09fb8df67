"""Detectors of one or two files: images in, objects out, by the same numpy as at the desk."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.bundle.runner.answers import Pixels, from_image, image_input, real, stacked
from edgekit.bundle.runner.contents import Contents
from edgekit.bundle.runner.engines import Loaded, load
from edgekit.bundle.runner.manifest import Entry
from edgekit.detection import Detection, Head
from edgekit.errors import DataError, InputError
from edgekit.measure.metrics import require_finite
from edgekit.runtimes.base import Array, checked_input
from edgekit.tasks.heads import READERS, Asked, UnlikeHeadError, settled
from edgekit.tasks.regions import pool, propose

Found = npt.NDArray[np.float32]
"""(objects, 6): left, top, right, bottom in fractions of the image, score, class; best first."""

_AT_ONCE = 64
"""Regions that are cut out together: all of them would fill the memory of a board."""

ROWS = ("scores", "offsets")
"""What the second file tells of each region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """A detector's file, and the second one where it has two, ready to run."""

    entry: Entry
    first: Loaded
    second: "tuple[Entry, Loaded] | None" = None

    def detect(self, image: Pixels) -> Found:
        """What is in ``image``, (height, width, 1 or 3) uint8 gray or RGB."""
        outputs = _answers(self.first, self.entry, from_image(image, self.entry))
        if self.second is not None:
            outputs = self._second_stage(outputs)
        return decoded(self.entry, {n: v[0] if v.ndim else v for n, v in outputs.items()}, image.shape[:2])

    def _second_stage(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        assert self.second is not None  # noqa: S101 - asked by the caller
        entry, loaded = self.second
        regions, show = from_first_stage(self.entry, outputs)
        parts = (show(regions[start : start + _AT_ONCE]) for start in range(0, len(regions), _AT_ONCE))
        answers = [_answers(loaded, entry, second_input(crop, entry)) for part in parts for crop in part]
        widths = {spec.name: spec.shape[-1] or 0 for spec in entry.card.outputs}
        rows = {
            name: stacked([answer[name] for answer in answers]) if answers else np.zeros((0, widths[name]), np.float32)
            for name in ROWS
        }
        return {"regions": regions[None], **{name: values[None] for name, values in rows.items()}}

    def label(self, class_id: int) -> str:
        """What a class is called."""
        labels = self.entry.card.labels
        return labels[class_id] if labels is not None and 0 <= class_id < len(labels) else f"class {class_id}"


def open_detector(contents: Contents, entry: Entry, *, threads: int = 1) -> Detector:
    """The detector ``entry``; `InputError` for a file that is none."""
    if entry.card.detection is None:
        raise InputError(f"{entry.name} is no detector; use predict, or choose another model with --model.")
    second = None
    if entry.second is not None:
        (other,) = contents.chosen((entry.second,))
        second = other, load(other, contents.read(other.file), threads=threads)
    return Detector(entry=entry, first=load(entry, contents.read(entry.file), threads=threads), second=second)


def decoded(
    entry: Entry, outputs: Mapping[str, Array], image_hw: "tuple[int, ...]", *, least_score: float | None = None
) -> Found:
    """The objects that real ``outputs``, of one item without a batch axis, mean; `DataError` where they cannot.

    ``least_score`` replaces the card's threshold.
    """
    spec = _detection(entry)
    preprocessing, _ = image_input(entry)
    for name in entry.parts:
        require_finite(outputs[name], f"Output {name!r} of {entry.name}")
    least = spec.score_threshold if least_score is None else least_score
    asked = Asked(spec=spec, least_score=least, size_hw=preprocessing.size_hw)
    try:
        found = READERS[Head(spec.head)]([np.asarray(outputs[name]) for name in entry.parts], asked)
    except UnlikeHeadError as error:
        got = " x ".join(map(str, error.got.shape))
        raise DataError(f"{entry.name} gave {got} for an image; expected {error.expected}: make it anew.") from None
    height, width = image_hw[:2]
    found = settled(found, spec, (height, width), preprocessing)
    return np.concatenate([found.boxes, found.scores[:, None], found.classes[:, None]], axis=1).astype(np.float32)


def from_first_stage(entry: Entry, outputs: Mapping[str, Array]) -> "tuple[Array, Callable[[Array], Array]]":
    """Regions (count, 4), and what turns some of them into what the second file takes, from the first one's outputs."""
    spec = _detection(entry)
    assert spec.proposals is not None  # noqa: S101 - only such detectors have a second file
    features, bins = outputs["features"][0], spec.proposals.bins
    regions = propose(outputs["objectness"][0], outputs["anchor_offsets"][0], spec)
    return regions, lambda some: pool(features, some, bins)


def second_input(crop: Array, entry: Entry) -> Array:
    """One region as the input of the second file."""
    return np.ascontiguousarray(checked_input(crop[None], entry.card.inputs[0]))


def _answers(loaded: Loaded, entry: Entry, given: Array) -> dict[str, Array]:
    values = loaded.run([given])
    return real({spec.name: v for spec, v in zip(entry.card.outputs, values, strict=True)}, entry)


def _detection(entry: Entry) -> Detection:
    assert entry.card.detection is not None  # noqa: S101 - asked when it was opened
    return entry.card.detection
