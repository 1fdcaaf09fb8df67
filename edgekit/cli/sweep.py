"""``edgekit sweep``."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.artifact import Format
from edgekit.cli import common
from edgekit.cli.benchmark import command as benchmark
from edgekit.cli.tables import print_table
from edgekit.recipe import Recipe, parse_precision

if TYPE_CHECKING:
    from edgekit.sweep import Site, Sweep

EXTENT = ("threads", "mode", "runs", "warmup", "min_secs", "cool_down")
"""What a sweep and a benchmark are told in the same words."""


@click.command("sweep", params=[option for option in benchmark.params if option.name in EXTENT])
@click.argument("files", nargs=-1, required=True, type=common.EXISTING, metavar="FILE...")
@common.devices_option
@common.engines_option
@click.option("-p", "--precision", "recipes", multiple=True, metavar="RECIPE",
              help="Convert Keras models and folders among FILE to it first; may be repeated.")  # fmt: skip
@click.option("-f", "--format", "formats", multiple=True, type=click.Choice(["tflite", "onnx"]),
              help="-p: formats to convert to. [default: both]")  # fmt: skip
@click.option("--calibration", metavar="DATA", help="-p: real data to measure ranges on. [default: the training data]")
@click.option("--data", metavar="DATA", help="Also measure the accuracy on this labelled data, on this machine.")
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="--data: N items of it. [default: all]")
@common.data_dir_option
@common.preprocess_option
@common.labels_option
@click.option("--scheduler", metavar="ADDRESS|local", help="Work on the workers of this dask scheduler.")
@click.option("-o", "output", type=common.EXISTING, required=True, metavar="DIR", help="Keeps what is finished.")
@common.seed_option
@common.json_option
def command(files: tuple[Path, ...], scheduler: str | None, output: Path, json_file: str | None, **given: Any) -> None:
    """Measure models by recipes, engines, threads and devices, and rank them.

    The same command goes on where it was stopped: DIR keeps every finished conversion and timing. On each device one
    file is timed after the other, on all devices at once; edgekit report draws DIR.
    """
    from edgekit.sweep import SWEEP, Here, sweep
    from edgekit.sweep.ranking import doubts, table

    asked, quiet = _asked(files, given), sys.stderr.isatty()  # the bar tells it there
    with contextlib.ExitStack() as stack:
        site: Site = Here()
        if scheduler is not None:
            from edgekit.sweep.cluster import Cluster

            site = stack.enter_context(Cluster(scheduler, asked.devices))
        progress = stack.enter_context(common.progress_bar())
        tell = (lambda _: None) if quiet else common.say
        report = sweep(asked, output, site=site, announce=tell, progress=progress)
    for note in report.notes:
        common.say(note)

    def show() -> None:
        print_table(*table(report.rows))
        for line in (*doubts(report.rows), *report.verdicts):
            click.echo(line)

    common.say(f"Wrote {output / SWEEP}.")
    common.emit(report.to_json(), json_file, show)
    report.require_success()


def _asked(files: tuple[Path, ...], given: dict[str, Any]) -> "Sweep":
    from edgekit.measure.settings import BenchmarkSettings, Mode
    from edgekit.sweep import Sweep
    from edgekit.tasks import read_labels

    threads, mode, runs, warmup, min_secs, cool_down, seed = (given.pop(name) for name in (*EXTENT, "seed"))
    settings = BenchmarkSettings.in_mode(
        Mode(mode),
        runs=runs,
        min_duration_s=min_secs,
        cool_down_s=cool_down,
        threads=threads,
        warmup=warmup,
        seed=seed,
    )
    precisions = dict.fromkeys(map(parse_precision, given.pop("recipes")))
    formats = tuple(Format(name) for name in dict.fromkeys(given.pop("formats")))
    labels = given.pop("labels")
    return Sweep(
        files=files,
        settings=settings,
        recipes=tuple(Recipe(precision=precision, seed=seed) for precision in precisions),
        formats=formats,
        labels=None if labels is None else read_labels(labels),
        **given,
    )
