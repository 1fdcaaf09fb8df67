"""Which files a conversion will write, decided before any work."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NoReturn

from edgekit.artifact import Format
from edgekit.converters.source import FORMATS, Source, SourceKind
from edgekit.detection import Head
from edgekit.errors import InputError
from edgekit.recipe import Batch, Nms, Precision, Recipe

RECIPES: dict[Format, tuple[Precision, ...]] = {
    Format.TFLITE: (Precision.FP32, Precision.FP16, Precision.DYNAMIC, Precision.INT8, Precision.INT16X8),
    Format.ONNX: (Precision.FP32, Precision.FP16, Precision.DYNAMIC, Precision.INT8),
}
"""The recipes that each format can hold."""
_LISTED = 12  # names of layers in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file to be made."""

    format: Format
    recipe: Recipe
    file_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All files to be made, the manifest beside them, and what was left out."""

    jobs: tuple[Job, ...]
    manifest_name: str
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all files of the conversion."""
        return (*(job.file_name for job in self.jobs), self.manifest_name)


def plan(source: Source, recipes: Sequence[Recipe], formats: Sequence[Format]) -> Plan:
    """The files for ``recipes`` in ``formats`` (empty: all that it can become); `InputError` for what cannot be.

    A recipe that a format lacks is left out with a note, unless that format was named.
    """
    possible = FORMATS[source.kind]
    for wanted in formats:
        if wanted not in possible:
            raise InputError(
                f"{source.path} cannot become {wanted.value}: {source.kind.words} converts to "
                f"{possible[0].value} only; start from the Keras model that it was made from."
            )
    if not recipes:
        raise InputError("No recipe was given; name at least one, such as int8.")
    if source.kind is SourceKind.TFLITE and any(r.batch is Batch.DYNAMIC for r in recipes):
        raise InputError(
            f"{source.path} keeps the batch size it has; a free one needs the Keras model that it was made from."
        )
    if any(recipe.nms is Nms.GRAPH for recipe in recipes):
        _require_anchors(source)
    jobs: dict[str, Job] = {}
    notes: list[str] = []
    for chosen in dict.fromkeys(formats) or possible:
        for recipe in recipes:
            if recipe.precision in RECIPES[chosen]:
                name = f"{source.name}.{recipe.code}.{chosen.value}"
                jobs.setdefault(name, Job(format=chosen, recipe=recipe, file_name=name))
                continue
            sentence = f"{chosen.value} has no {recipe.code}; it has {', '.join(p.value for p in RECIPES[chosen])}."
            if chosen in formats:
                raise InputError(f"{sentence[:-1]}: choose one of these or another format.")
            notes.append(f"Skipped {recipe.code} for {chosen.value}: {sentence}")
    if not jobs:
        raise InputError(f"{notes[0].partition(': ')[2][:-1]}: choose one of these.")
    return Plan(jobs=tuple(jobs.values()), manifest_name=_manifest_name(source.name, jobs.values()), notes=tuple(notes))


def _require_anchors(source: Source) -> None:
    """`InputError` for what is no detector with the head `Head.SSD`, whose decoding the card tells whole."""
    spec = source.card.detection if source.card is not None else None
    if spec is None or spec.head is not Head.SSD:
        got = "no detector by its card" if spec is None else f"a detector with the head {spec.head}"
        raise InputError(
            f"--nms graph takes a detector with the head ssd, whose anchors are in its card; {source.path} is {got}: "
            "leave --nms out."
        )


def _manifest_name(name: str, jobs: Collection[Job]) -> str:
    """One name for each set of files, so that a conversion to other files stands beside an earlier one."""
    codes = "-".join(dict.fromkeys(job.recipe.code for job in jobs))
    formats = {job.format.value for job in jobs}
    return ".".join([name, codes, *(formats if len(formats) == 1 else ()), "manifest", "json"])


def refuse_unmatched(option: str, pattern: str, names: Collection[str]) -> NoReturn:
    """`InputError` for a regular expression that none of the layers ``names`` matches."""
    listed = list(names)
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    raise InputError(f"{option} {pattern!r} matches no layer; there are {', '.join(listed[:_LISTED])}{more}.")


def matching(patterns: Collection[str], texts: Collection[str]) -> bool:
    """Whether one of the regular expressions is found in one of ``texts``."""
    return any(re.search(pattern, text) for pattern in patterns for text in texts)
