"""``edgekit demo``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table

if TYPE_CHECKING:
    from edgekit.demos.seen import Look


@click.group("demo")
def command() -> None:
    """Show a model at work on photos, clips or a camera."""


def options_of_all(command: Any) -> Any:
    """What every demo takes: where frames come from, where they go, and how the file is run."""
    for option in (
        common.json_option,
        common.force_option,
        click.option("--engine", metavar="NAME", help="Run the file in this engine. [default: that of its format]"),
        common.threads_option,
        common.labels_option,
        common.preprocess_option,
        click.option("--frames", type=click.IntRange(min=1), metavar="N", help="Stop after N frames."),
        click.option("--save", type=common.EXISTING, metavar="OUT", help="Write the labelled photo, folder or clip."),
        click.option(
            "--view",
            type=click.Choice(["auto", "window", "none"]),
            default="auto",
            show_default=True,
            help="Where to show it.",
        ),
        click.option(
            "--source", default="0", show_default=True, metavar="0|FILE|DIR", help="A camera, photo, clip or folder."
        ),
        click.argument("file", type=common.EXISTING),
    ):
        command = option(command)
    return command


@command.command()
@options_of_all
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show.")
def classify(file: Path, top: int, **given: Any) -> None:
    """Tell what a classifier sees, its best classes with their probabilities.

    In a window q or Esc ends it. Of a clip or camera a line is told each second.
    """
    from edgekit.demos.classify import open_classifier

    _run("demo classify", open_classifier(file, top=top, **_model(given)), given)


@command.command()
@options_of_all
@common.decoder_option
@click.option("--score", type=click.FloatRange(0, 1), metavar="P", help="Least score. [default: the card's, or 0.3]")
def detect(file: Path, decoder: str | None, score: float | None, **given: Any) -> None:
    """Tell what a detector sees, and draw a box around each object.

    In a window q or Esc ends it. Of a clip or camera a line is told each second.
    """
    from edgekit.demos.detect import open_detector

    _run("demo detect", open_detector(file, decoder=decoder, score=score, **_model(given)), given)


def _model(given: dict[str, Any]) -> dict[str, Any]:
    """How the file is run."""
    from edgekit.tasks import read_labels

    labels = given["labels"]
    return {
        "preprocess": given["preprocess"],
        "labels": None if labels is None else read_labels(labels),
        "threads": given["threads"] or 1,
        "engine": given["engine"],
    }


def _run(command: str, look: "Look", given: dict[str, Any]) -> None:
    from edgekit.demos.run import Options, run_demo
    from edgekit.results import envelope

    options = Options(**{name: given[name] for name in ("source", "view", "save", "frames", "force")})
    report = run_demo(look, options, tell=common.say)
    common.emit(envelope(command, report.results()), given["json_file"], lambda: print_table(*report.table()))
