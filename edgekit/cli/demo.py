"""``edgekit demo``."""

from pathlib import Path

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table


@click.group("demo")
def command() -> None:
    """Show a model at work on photos, clips or a camera."""


@command.command()
@click.argument("file", type=common.EXISTING)
@click.option("--source", default="0", show_default=True, metavar="0|FILE|DIR", help="A camera, photo, clip or folder.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show.")
@click.option(
    "--view", type=click.Choice(["auto", "window", "none"]), default="auto", show_default=True, help="Where to show it."
)
@click.option("--save", type=common.EXISTING, metavar="OUT", help="Write the labelled photo, folder or clip.")
@click.option("--frames", type=click.IntRange(min=1), metavar="N", help="Stop after N frames.")
@common.preprocess_option
@common.labels_option
@common.threads_option
@click.option("--engine", metavar="NAME", help="Run the file in this engine. [default: that of its format]")
@common.force_option
@common.json_option
def classify(
    file: Path,
    source: str,
    top: int,
    view: str,
    save: Path | None,
    frames: int | None,
    preprocess: str | None,
    labels: Path | None,
    threads: int | None,
    engine: str | None,
    force: bool,
    json_file: str | None,
) -> None:
    """Tell what a classifier sees, its best classes with their probabilities.

    In a window q or Esc ends it. Of a clip or camera a line is told each second.
    """
    from edgekit.demos.run import Options, run_classify
    from edgekit.results import envelope
    from edgekit.tasks import read_labels

    options = Options(source=source, top=top, view=view, save=save, frames=frames, force=force)
    report = run_classify(
        file,
        options,
        preprocess=preprocess,
        labels=None if labels is None else read_labels(labels),
        threads=threads or 1,
        engine=engine,
        tell=common.say,
    )
    common.emit(envelope("demo classify", report.results()), json_file, lambda: print_table(*report.table()))
