"""Conversion of detectors that look at regions, calibrated on what these show, and of all models of two files."""

import json
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from edgekit.artifact import open_artifact
from edgekit.card import ModelCard
from edgekit.companion import Companion
from edgekit.converters import calibration as calibrating
from edgekit.converters import pair_items, region_items
from edgekit.converters.plan import matching, plan
from edgekit.converters.report import ConversionReport, Converted
from edgekit.converters.request import Request
from edgekit.converters.source import Source, open_source
from edgekit.data.base import Dataset
from edgekit.errors import InputError
from edgekit.files import Staging, refuse_existing, scratch_folder, sha256_file
from edgekit.formats import keras
from edgekit.models.stages import Second, second_of
from edgekit.recipe import Batch, Precision, Recipe
from edgekit.two_files import has_second_file, second_file
from edgekit.workers import Progress


class ConvertOne(Protocol):
    """A conversion of one file."""

    def __call__(self, request: Request, source: Source, *, asked: Request) -> ConversionReport:
        """The report of ``request``, whose manifest repeats what was ``asked``."""


def has_stages(card: ModelCard | None) -> bool:
    """Whether the model with this ``card`` is two files, or looks at regions of an image."""
    return card is not None and (
        has_second_file(card) or (card.detection is not None and card.detection.search is not None)
    )


def convert_stages(request: Request, source: Source, convert_one: ConvertOne, progress: Progress) -> ConversionReport:
    """The report on all files of the model ``source``; where it has two, the second ones come first."""
    card = source.card
    assert card is not None  # noqa: S101 - it says that the model has stages
    data = calibrating.find_data(
        request.calibration,
        card,
        required=any(recipe.needs_calibration for recipe in request.recipes),
        data_dir=request.data_dir,
    )
    if (second := second_file(source.path, card)) is not None:
        return _convert_two(request, source, second, data, convert_one, progress)
    assert card.detection is not None  # noqa: S101 - it searches
    if data is None or card.detection.search is None:
        return convert_one(request, source, asked=request)
    items = region_items.searched(data, card, card.detection.search, request)
    return convert_one(replace(request, calibration=items), source, asked=request)


def _convert_two(
    request: Request, source: Source, second: Path, data: Dataset | None, convert_one: ConvertOne, progress: Progress
) -> ConversionReport:
    """Both files, or none: the second ones are made first, so that the first ones can name them."""
    card = source.card
    assert card is not None  # noqa: S101
    kind = second_of(card)
    assert kind is not None  # noqa: S101 - there is a second file
    target, prefix = request.output_dir or source.home, f"{source.name}.{kind.name}"
    todo = plan(source, request.recipes, request.formats)
    beside = {job.file_name: f"{prefix}.{_second_code(job.recipe, kind)}.{job.format.value}" for job in todo.jobs}
    seconds = tuple(dict.fromkeys(beside.values()))
    shared = seconds if kind.in_float else ()
    strange = [name for name in seconds if name not in shared or not _is_made_of(second, target / name)]
    refuse_existing((target / name for name in (*todo.names, *strange)), force=request.force)
    ours, theirs = layer_names(source.path), layer_names(second)
    with Staging(target) as stage, scratch_folder() as scratch:
        made = stage.path / "made"  # a conversion has its folder for itself, and the stage is in use
        copy = Path(scratch) / f"{prefix}{second.suffix}"
        shutil.copyfile(second, copy)  # under the name that its files get
        items = data
        if data is not None:
            calibrate = pair_items.embedded if card.verification is not None else region_items.pooled
            items = calibrate(data, card, source.path, request, Path(scratch), progress)
        of_second = replace(
            request,
            source=copy,
            recipes=_recipes_of_second(request.recipes, kind, theirs, ours, free=second.suffix == ".keras"),
            calibration=items,
            preprocess=None,
            output_dir=made,
        )
        last = convert_one(of_second, open_source(copy), asked=of_second)
        digests = {row.path.name: row.sha256 for row in last.artifacts}
        of_first = replace(
            request,
            recipes=tuple(own_patterns(recipe, ours, theirs) for recipe in request.recipes),
            output_dir=made,
            companions={name: Companion(name=second, sha256=digests[second]) for name, second in beside.items()},
        )
        first = convert_one(of_first, source, asked=request)
        for name in (*seconds, *todo.names):
            (made / name).rename(stage.path / name)
        stage.publish(*seconds, *todo.names, force=request.force, shared=shared)
    return together(last, first, target, called=kind.name)


def _is_made_of(source: Path, path: Path) -> bool:
    """Whether the card in the file ``path`` says that it was made of ``source``."""
    try:
        return open_artifact(path).card.provenance.source_sha256 == sha256_file(source)
    except InputError:  # no file, or none of ours
        return False


def _second_code(recipe: Recipe, kind: Second) -> str:
    return Precision.FP32.value if kind.in_float else recipe.code


def _recipes_of_second(
    recipes: Collection[Recipe], kind: Second, own: Collection[str], others: Collection[str], *, free: bool
) -> tuple[Recipe, ...]:
    if not kind.in_float:
        return tuple(own_patterns(recipe, own, others) for recipe in recipes)
    # The same file every time, and one that takes many pairs at once.
    return (Recipe(precision=Precision.FP32, batch=Batch.DYNAMIC if free else Batch.STATIC),)


def layer_names(path: Path) -> tuple[str, ...]:
    """The names of the layers of a Keras file; none of another."""
    if path.suffix != ".keras":
        return ()
    config = json.loads(keras.read_member(path, "config.json"))
    return tuple(layer["config"]["name"] for layer in config["config"]["layers"])


def own_patterns(recipe: Recipe, own: Collection[str], others: Collection[str]) -> Recipe:
    """``recipe`` without the expressions that name layers of the other file alone."""

    def kept(patterns: Collection[str]) -> tuple[str, ...]:
        return tuple(p for p in patterns if matching([p], own) or not matching([p], others))

    return replace(recipe, keep_float=kept(recipe.keep_float), exclude=kept(recipe.exclude))


def together(second: ConversionReport, first: ConversionReport, target: Path, *, called: str) -> ConversionReport:
    """One report on the files of both, those of the second first, as they are in the folder ``target``."""

    def moved(row: Converted) -> Converted:
        return replace(row, path=target / row.path.name)

    seconds = {f"{called}: {step}": value for step, value in second.step_seconds.items()}
    return replace(
        first,
        artifacts=(*map(moved, second.artifacts), *map(moved, first.artifacts)),
        manifest=target / first.manifest.name,
        notes=(*first.notes, *(f"The second file: {note}" for note in second.notes)),
        step_seconds={**seconds, **first.step_seconds},
    )
