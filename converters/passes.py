"""Conversion of a run folder that holds a Bayesian classifier: the files of its mean network and those of a pass."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from edgekit.converters.plan import plan
from edgekit.converters.report import ConversionReport
from edgekit.converters.request import Request
from edgekit.converters.source import Source, open_source
from edgekit.converters.stages import ConvertOne, layer_names, own_patterns, together
from edgekit.files import Staging, refuse_existing
from edgekit.models.passes import SAMPLE, sample_path


def second_network(given: Path, source: Source) -> Path | None:
    """The network of a pass in the run folder ``given`` of ``source``; none beside a file, or where there is none."""
    path = sample_path(source.path)
    bayesian = source.card is not None and source.card.uncertainty is not None
    return path if bayesian and given.is_dir() and path.is_file() else None


def convert_both(request: Request, source: Source, second: Path, convert_one: ConvertOne) -> ConversionReport:
    """The report on the files of both networks, or no file; those of ``second`` are called ``<name>.sample``."""
    target = request.output_dir or source.home
    of_pass = replace(open_source(second), name=f"{source.name}.{SAMPLE}")
    todo, others = (plan(each, request.recipes, request.formats) for each in (source, of_pass))
    names = [*(job.file_name for job in others.jobs), *todo.names]
    refuse_existing((target / name for name in names), force=request.force)
    ours, theirs = layer_names(source.path), layer_names(second)
    with Staging(target) as stage:
        made = stage.path / "made"  # a conversion has its folder for itself, and the stage is in use

        def made_of(each: Source, own: Collection[str], other: Collection[str], asked: Request) -> ConversionReport:
            recipes = tuple(own_patterns(recipe, own, other) for recipe in request.recipes)
            return convert_one(replace(request, recipes=recipes, output_dir=made), each, asked=asked)

        passes = made_of(of_pass, theirs, ours, replace(request, source=second))
        means = made_of(source, ours, theirs, request)
        for name in names:
            (made / name).rename(stage.path / name)
        stage.publish(*names, force=request.force)
    return together(passes, means, target, called=SAMPLE)
