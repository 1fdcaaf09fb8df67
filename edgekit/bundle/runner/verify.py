"""Whether a device prepares images, runs models and reads their answers as the desk did, with figures."""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgekit.bundle.runner.answers import from_pixels, golden_inputs, image_input, real, run_all
from edgekit.bundle.runner.contents import Contents
from edgekit.bundle.runner.detector import decoded, from_first_stage, second_input
from edgekit.bundle.runner.engines import Loaded, load
from edgekit.bundle.runner.manifest import Entry
from edgekit.detection import Head
from edgekit.errors import DataError
from edgekit.measure.choices import agreed_in_words, agreement
from edgekit.measure.metrics import max_abs
from edgekit.measure.same import Sameness, exceeded, same_answers
from edgekit.preprocessing import resize
from edgekit.runtimes.base import Array
from edgekit.tasks.boxes import iou

MOST_LEVELS = 1
"""Of 255, by which another version of Pillow may resize an image otherwise."""
LEAST_OVERLAP = 0.5
"""Of a box with its counterpart in another run, where the file itself chose the boxes."""
MOST_DECODED = 1e-4
"""Between boxes (fractions of the image) or scores of the same outputs: exponentials differ in their last bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What was checked of a model, whether it ``passed``, and figures in words and as numbers."""

    model: str
    what: str
    passed: bool
    told: str
    metrics: Mapping[str, float]


def verify(contents: Contents, entry: Entry, *, threads: int = 1) -> Iterator[Line]:
    """One line for each thing that is checked of the model ``entry``.

    Its bits must be the same where the same kernels of integers ran at the desk, else its outputs within its limits.
    """
    loaded = load(entry, contents.read(entry.file), threads=threads)
    if entry.golden.pixels is not None:
        yield _told(entry, "preprocessing", lambda: _preprocessing(contents, entry))
    yield _told(entry, "outputs", lambda: _outputs(contents, entry, loaded))
    if entry.golden.found:
        yield _told(entry, "objects", lambda: _objects(contents, entry))
    if entry.second is not None and entry.card.detection is not None:
        yield _told(entry, "regions", lambda: _regions(contents, entry))


_Verdict = tuple[bool, str, dict[str, float]]
Outputs = Mapping[str, Array]


def _told(entry: Entry, what: str, check: Callable[[], _Verdict]) -> Line:
    try:
        passed, told, metrics = check()
    except DataError as error:  # such as outputs that are not finite
        passed, told, metrics = False, str(error), {}
    return Line(model=entry.name, what=what, passed=passed, told=told, metrics=metrics)


def _preprocessing(contents: Contents, entry: Entry) -> _Verdict:
    spec, taken = image_input(entry)
    pixels = contents.array(str(entry.golden.pixels))
    (expected,) = (contents.array(name) for name in entry.golden.inputs)
    given = np.concatenate([from_pixels(each, spec, taken) for each in pixels])
    levels = _levels(contents, entry, pixels)
    different = max_abs(expected, given)
    metrics = {"input_max_abs": different, **({} if levels is None else {"resize_max_levels": levels})}
    passed = different == 0 and (levels is None or levels <= MOST_LEVELS)
    resized = "resizing is not proven, since Pillow is not installed" if levels is None else _differ(levels, "level")
    return passed, f"{len(pixels)} images: inputs {_differ(different)}; pixels {resized}", metrics


def _levels(contents: Contents, entry: Entry, pixels: Array) -> int | None:
    """The largest difference of resized images; None where there is no Pillow to resize any."""
    spec, _ = image_input(entry)
    most = 0
    for name, expected in zip(contents.manifest.images, pixels, strict=True):
        try:
            found = resize(contents.array(name), spec)
        except ModuleNotFoundError:
            return None
        most = max(most, int(max_abs(expected, found)))
    return most


def _outputs(contents: Contents, entry: Entry, loaded: Loaded) -> _Verdict:
    names = [spec.name for spec in entry.card.outputs]
    expected = {n: contents.array(file) for n, file in zip(names, entry.golden.outputs, strict=True)}
    found = run_all(loaded, golden_inputs(contents, entry), entry)
    runs = real(expected, entry), real(found, entry)
    same, meant = same_answers(expected, found), same_answers(*runs)
    same = replace(same, agreement=agreement(entry.card, same, *runs))
    figures = _figures(entry, same, meant)
    by = f"{loaded.engine}{f' ({loaded.kernels})' if loaded.kernels else ''}"
    metrics = {**same.metrics(), "max_abs": meant.totals.max_abs, "sqnr_db": meant.totals.sqnr_db}
    if same.identical:
        return True, f"{same.count} items by {by}: every bit is the same", metrics
    if entry.exact and (loaded.engine, loaded.kernels) == (entry.engine, entry.kernels):
        if entry.softmax and platform.machine() != contents.manifest.machine and (same.max_steps or 0) <= 1:
            return True, f"{by}: {figures}; softmax differs by a step on another kind of CPU", metrics
        return False, f"{by}: {figures}; the same bits are expected of the same kernels", metrics
    chosen = entry.card.detection is not None and entry.card.detection.head is Head.SSD_POSTPROCESS
    reason = _lost(entry, *runs) if chosen else exceeded(entry.limits, *runs)
    fine = "the same objects" if chosen else "within its limits"
    made = f"made by {entry.engine}{f' ({entry.kernels})' if entry.kernels else ''}"
    return reason is None, f"{by}, {made}: {figures}; {reason or fine}", metrics


def _figures(entry: Entry, same: Sameness, meant: Sameness) -> str:
    steps = f", {same.max_steps} steps" if same.max_steps else ""
    agreed = agreed_in_words(entry.card, same.agreement)
    told = f"{same.differing} of {same.count} items differ, by at most {meant.totals.max_abs:.3g}{steps}{agreed}"
    return f"{told}, SQNR {meant.totals.sqnr_db:.1f} dB"


def _lost(entry: Entry, expected: Outputs, found: Outputs) -> str | None:
    """The first item in which one run has clear objects without a counterpart in the other, None where there is none.

    The file chose its boxes, so that two of almost the same score change places, and rows cannot be compared.
    """
    assert entry.card.detection is not None  # noqa: S101 - asked by the caller
    threshold, margin = entry.card.detection.score_threshold, entry.limits.max_score
    size_hw = image_input(entry)[0].size_hw
    for item in range(entry.golden.count):
        runs = [
            decoded(
                entry, {name: values[item] for name, values in run.items()}, size_hw, least_score=threshold - margin
            )
            for run in (expected, found)
        ]
        for mine, other in (runs, runs[::-1]):
            clear = mine[mine[:, 4] >= threshold + margin]
            alike = iou(clear[:, :4], other[:, :4]) >= LEAST_OVERLAP
            alike &= clear[:, None, 5] == other[None, :, 5]
            alike &= np.abs(clear[:, None, 4] - other[None, :, 4]) <= 2 * margin
            if not alike.any(axis=1).all():
                return f"expected the same objects in item {item}"
    return None


def _objects(contents: Contents, entry: Entry) -> _Verdict:
    """Decode the outputs of the desk: what the device's own numpy makes of them."""
    names = [spec.name for spec in entry.card.outputs]
    expected = {n: contents.array(file) for n, file in zip(names, entry.golden.outputs, strict=True)}
    outputs = real(expected, entry)
    count, worst = 0, 0.0
    for item, (file, image) in enumerate(zip(entry.golden.found, contents.manifest.images, strict=True)):
        known = contents.array(file)
        height, width = contents.array(image).shape[:2]
        mine = decoded(entry, {name: values[item] for name, values in outputs.items()}, (height, width))
        if mine.shape != known.shape:
            return False, f"{len(mine)} objects in image {item}; expected {len(known)}", {}
        count, worst = count + len(known), max(worst, max_abs(known, mine))
    return worst <= MOST_DECODED, f"{count} objects {_differ(worst)}", {"objects": count, "objects_max_abs": worst}


def _regions(contents: Contents, entry: Entry) -> _Verdict:
    """What the second stage is asked about, worked out from the desk's outputs of the first."""
    (second,) = contents.chosen((str(entry.second),))
    (known,) = (contents.array(name) for name in second.golden.inputs)
    names = [spec.name for spec in entry.card.outputs]
    first = {n: contents.array(file)[0] for n, file in zip(names, entry.golden.outputs, strict=True)}
    regions, show = from_first_stage(entry, real({n: v[None] for n, v in first.items()}, entry))
    mine = np.concatenate([second_input(crop, second) for crop in show(regions[: len(known)])])
    worst = max_abs(known, mine)
    passed = worst <= MOST_DECODED * max(1.0, float(np.abs(known).max(initial=0)))
    return passed, f"{len(known)} of {len(regions)} regions {_differ(worst)}", {"regions_max_abs": worst}


def _differ(most: float, unit: str = "") -> str:
    words: Any = f"differ by {most:.3g}{f' {unit}s' if unit else ''} at most"
    return words if most else "are the same"
