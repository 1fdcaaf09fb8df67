"""``edgekit demo``: the group, and the demos of what a camera sees."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli import common
from edgekit.cli.demo_anomaly import anomaly
from edgekit.cli.demo_generate import generate
from edgekit.cli.demo_recommend import recommend
from edgekit.cli.demo_sequences import forecast, sentiment, text
from edgekit.cli.demo_uncertain import uncertain
from edgekit.cli.tables import print_table

if TYPE_CHECKING:
    from edgekit.demos.run import Options
    from edgekit.demos.seen import Look

VIEWS = ("auto", "window", "web", "none")


@click.group("demo", commands=[sentiment, forecast, text, generate, anomaly, recommend, uncertain])
def command() -> None:
    """Show a model at work: on pictures or a camera, on texts, series, tables or ratings, or making pictures."""


def options_of_all(command: Any) -> Any:
    """What every demo takes: where frames come from, where they go, and how the file is run."""
    for option in (
        common.json_option,
        common.force_option,
        common.engine_option,
        common.threads_option,
        click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="Port of the page; 0 is a free one."),
        click.option("--host", metavar="ADDRESS", help="Address of the page. [default: 127.0.0.1, this machine alone]"),
        click.option("--max-frames", type=click.IntRange(min=1), metavar="N", help="Stop after N frames."),
        click.option("--save", type=common.EXISTING, metavar="OUT", help="Write the labelled photo, folder or clip."),
        click.option("--headless", is_flag=True, help="The same as --view none."),
        click.option(
            "--view",
            type=click.Choice(VIEWS),
            default="auto",
            show_default=True,
            help="Where to show it; web is a page for a browser.",
        ),
        click.option(
            "--source",
            default="0",
            show_default=True,
            metavar="0|picamera|FILE|DIR|URL",
            help="A camera, photo, clip, folder or stream.",
        ),
    ):
        command = option(command)
    return command


def options_of_files(command: Any) -> Any:
    """What demos of the user's own file take beside: the file, and what it may not say of itself."""
    for option in (common.labels_option, common.preprocess_option, click.argument("file", type=common.EXISTING)):
        command = option(command)
    return command


def options_of_boxes(command: Any) -> Any:
    """What demos of detectors take beside."""
    for option in (
        click.option("--track", is_flag=True, help="Number objects, and keep the numbers from frame to frame."),
        click.option(
            "--score", type=common.FiniteRange(0, 1), metavar="P", help="Least score. [default: the card's, or 0.3]"
        ),
    ):
        command = option(command)
    return command


@command.command()
@options_of_all
@options_of_files
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show.")
def classify(file: Path, top: int, **given: Any) -> None:
    """Tell what a classifier sees, its best classes with their probabilities.

    Keys: q or Esc stops, space pauses, s saves a picture. Of what moves a line is told each second.
    """
    from edgekit.demos.classify import open_classifier, told_of_pass

    look = open_classifier(file, top=top, **_model(given))
    if less := told_of_pass(look):
        common.say(less)
    _run("demo classify", look, given)


@command.command()
@options_of_all
@options_of_files
@options_of_boxes
@common.decoder_option
def detect(file: Path, decoder: str | None, score: float | None, track: bool, **given: Any) -> None:
    """Tell what a detector sees, and draw a box around each object.

    Keys: q or Esc stops, space pauses, s saves a picture. Of what moves a line is told each second.
    """
    from edgekit.demos.detect import open_detector

    look = open_detector(file, decoder=decoder, score=score, track=track, **_model(given))
    _run("demo detect", look, given)


@command.command()
@options_of_all
@common.preprocess_option
@click.argument("file", type=common.EXISTING)
@click.argument("gallery", type=common.EXISTING)
@click.option("--threshold", type=float, metavar="T", help="The logit or distance that decides. [default: the card's]")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="People to show.")
def verify(file: Path, gallery: Path, threshold: float | None, top: int, **given: Any) -> None:
    """Tell whom pictures show, of the people of GALLERY, a folder with a sub-folder of pictures for each.

    The people need not be those that the model was trained on. Each frame is taken as a whole for the picture of a
    face; whoever is not alike enough is unknown. Keys: q or Esc stops, space pauses, s saves a picture.
    """
    from edgekit.demos.verify import open_recognition

    how = {"preprocess": given["preprocess"], "threads": given["threads"] or 1, "engine": given["engine"]}
    _run("demo verify", open_recognition(file, gallery, threshold=threshold, top=top, **how), given)


@command.command()
@options_of_all
@options_of_boxes
def digits(score: float | None, track: bool, **given: Any) -> None:
    """Find handwritten digits, with a detector that is trained on first use and kept.

    Write some on paper and hold it before the camera. Keys: q or Esc stops, space pauses, s saves a picture.
    """
    from edgekit.artifact import Format
    from edgekit.demos.detect import open_detector, require_tools
    from edgekit.demos.run import require_possible, require_something_to_show
    from edgekit.digit_detector import FILE, digit_detector

    require_possible(_options(given))
    require_tools(FILE, Format.TFLITE, engine=given["engine"], track=track)
    require_something_to_show(_options(given))
    file = digit_detector(common.say)
    look = open_detector(file, decoder=None, score=score, track=track, **_model(given))
    _run("demo digits", look, given)


def _model(given: dict[str, Any]) -> dict[str, Any]:
    """How the file is run; without the options of files its card tells the rest."""
    from edgekit.tasks import read_labels

    labels = given.get("labels")
    return {
        "preprocess": given.get("preprocess"),
        "labels": None if labels is None else read_labels(labels),
        "threads": given["threads"] or 1,
        "engine": given["engine"],
    }


def _options(given: dict[str, Any]) -> "Options":
    from edgekit.demos.run import Options

    chosen = {name: given[name] for name in ("source", "save", "max_frames", "force", "host", "port")}
    view = "none" if given["headless"] else given["view"]
    return Options(**chosen, view=view, asked=given["json_file"] is not None)


def _run(command: str, look: "Look", given: dict[str, Any]) -> None:
    from edgekit.demos.run import run_demo
    from edgekit.errors import DataError
    from edgekit.measure.host import host_facts
    from edgekit.results import envelope

    report = run_demo(look, _options(given), tell=common.say)
    data = {**envelope(command, report.results(), host=host_facts()), "summary": report.summary()}

    def table() -> None:
        for each in report.tables():
            print_table(*each)

    common.emit(data, given["json_file"], table)
    if report.interrupted:
        raise KeyboardInterrupt
    if report.problem is not None:
        raise DataError(report.problem)
