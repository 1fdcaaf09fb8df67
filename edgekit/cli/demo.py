"""``edgekit demo``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table

if TYPE_CHECKING:
    from edgekit.demos.run import Options
    from edgekit.demos.seen import Look

VIEWS = ("auto", "window", "web", "none")


@click.group("demo")
def command() -> None:
    """Show a model at work: on photos, clips, a camera or a stream, on texts, on a series, or making pictures."""


def options_of_all(command: Any) -> Any:
    """What every demo takes: where frames come from, where they go, and how the file is run."""
    for option in (
        common.json_option,
        common.force_option,
        click.option("--engine", metavar="NAME", help="Run the file in this engine. [default: that of its format]"),
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
            "--score", type=click.FloatRange(0, 1), metavar="P", help="Least score. [default: the card's, or 0.3]"
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
    from edgekit.demos.classify import open_classifier

    _run("demo classify", open_classifier(file, top=top, **_model(given)), given)


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


def options_of_sequences(command: Any) -> Any:
    """What demos of texts and series take: how the file is run, and where results go."""
    engine = click.option("--engine", metavar="NAME", help="Run the file in this engine. [default: that of its format]")
    for option in (common.json_option, engine, common.threads_option):
        command = option(command)
    return command


@command.command()
@click.argument("file", type=common.EXISTING)
@click.argument("lines", default="-", metavar="[LINES]")
@options_of_sequences
def sentiment(file: Path, lines: str, threads: int | None, engine: str | None, json_file: str | None) -> None:
    """Tell the class of texts, and its probability, line by line as they come.

    LINES is a file with one text a line; without it lines are read from the terminal until Ctrl-D.
    """
    from edgekit.demos.sentiment import open_sentiment, opened_lines
    from edgekit.measure.host import host_facts
    from edgekit.results import envelope

    reading, results, interrupted = open_sentiment(file, threads=threads or 1, engine=engine), [], False
    try:
        with opened_lines(lines) as texts:
            for opinion in reading.opinions(texts, common.say):
                if json_file is not None:  # a pipe has no end, and memory has
                    results.append({**reading.subject.describe(), **opinion.to_json()})
                if json_file != "-":
                    click.echo(opinion.line)
    except KeyboardInterrupt:
        interrupted = True
    except BrokenPipeError:  # the reader has read enough, which click would make a failure of
        raise click.exceptions.Exit(0) from None
    common.emit(envelope("demo sentiment", results, host=host_facts()), json_file, lambda: None)
    common.say(reading.summary())
    if interrupted:
        raise KeyboardInterrupt


@command.command()
@click.argument("file", type=common.EXISTING)
@click.option("--data", required=True, metavar="DATA", help="A series: a known name or a .csv; its end is forecast.")
@click.option("-o", "--output", type=common.EXISTING, metavar="FILE.png", help="Draw series, forecast and baseline.")
@common.data_dir_option
@options_of_sequences
@common.force_option
def forecast(
    file: Path,
    data: str,
    output: Path | None,
    data_dir: Path | None,
    threads: int | None,
    engine: str | None,
    force: bool,
    json_file: str | None,
) -> None:
    """Forecast the held-out end of a series, each value from those before it.

    The error is told beside that of the last value, the forecast that nothing changes, with a 95 % interval of their
    ratio.
    """
    from edgekit.demos.forecast import require_picture, roll
    from edgekit.demos.line_plot import png
    from edgekit.files import write_atomic
    from edgekit.measure.host import host_facts
    from edgekit.results import envelope

    require_picture(output, force=force)
    with common.progress_bar() as progress:
        rolled = roll(file, data, data_dir=data_dir, threads=threads or 1, engine=engine, progress=progress)
    if output is not None:
        write_atomic(output, png(rolled.panels()))
    common.say_left_out(rolled.report.left_out, rolled.report.count + rolled.report.left_out)

    def table() -> None:
        print_table(*rolled.table())
        click.echo(rolled.verdict())
        click.echo(rolled.told_coming())

    common.emit(envelope("demo forecast", rolled.results(), host=host_facts()), json_file, table)


@command.command()
@click.argument("file", type=common.EXISTING)
@click.option("--prompt", default="", metavar="TEXT", help="What the text begins with. [default: a new line]")
@click.option("--length", type=click.IntRange(min=1), default=200, show_default=True, metavar="N",
              help="Tokens to write.")  # fmt: skip
@click.option("--temperature", type=click.FloatRange(0, 100), default=0.8, show_default=True, metavar="T",
              help="Below 1 likelier tokens are preferred; 0 takes the likeliest.")  # fmt: skip
@click.option(
    "--top-k", type=click.IntRange(min=1), metavar="K", help="Draw from the K likeliest alone. [default: all]"
)
@common.seed_option
@common.threads_option
@click.option("--engine", metavar="NAME", help="Run the file in this engine. [default: that of its format]")
@common.json_option
def text(file: Path, json_file: str | None, threads: int | None, engine: str | None, **manner: Any) -> None:
    """Write a text with a model of one time step, which edgekit convert --rnn step makes.

    The text goes to stdout as it is written, how fast that was to stderr. The same seed gives the same text.
    """
    from edgekit.demos.text import Manner, Writer
    from edgekit.measure.host import host_facts
    from edgekit.results import envelope

    def put(piece: str) -> None:
        if json_file != "-":
            click.echo(piece, nl=False)

    try:
        written = Writer(file, threads=threads or 1, engine=engine).write(Manner(**manner), put, tell=common.say)
        put("\n")
    except BrokenPipeError:  # the reader has read enough, which click would make a failure of
        raise click.exceptions.Exit(0) from None
    common.say(written.summary())
    common.emit(envelope("demo text", [written.result()], host=host_facts()), json_file, lambda: None)
    if written.interrupted:
        raise KeyboardInterrupt


@command.command()
@click.argument("file", type=common.EXISTING)
@click.option("--class", "asked", metavar="NAME", help="The class to make. [default: all in turn, along the columns]")
@click.option(
    "--grid", metavar="ROWSxCOLUMNS", help="How many pictures. [default: 4x10; a row for each swept category]"
)
@click.option("--sweep", is_flag=True, help="Change one code from end to end along the columns, and nothing else.")
@click.option("--code", type=click.IntRange(min=1), metavar="N", help="The code to sweep. [default: the first]")
@click.option("-o", "--output", type=common.EXISTING, metavar="FILE", help="The PNG to write.")
@click.option("--engine", metavar="NAME", help="Run the file in this engine. [default: that of its format]")
@common.threads_option
@common.seed_option
@common.force_option
@common.json_option
def generate(
    file: Path, output: Path | None, force: bool, threads: int | None, engine: str | None, **given: Any
) -> None:
    """Let a generator make pictures, and write them side by side as one PNG.

    The same seed gives the same picture from the same file.
    """
    from edgekit.demos.generate import Wish
    from edgekit.demos.generate import generate as make
    from edgekit.measure.host import host_facts
    from edgekit.results import envelope

    json_file = given.pop("json_file")
    made = make(file, Wish(**given), output, force=force, threads=threads or 1, engine=engine)
    common.say(made.words())
    common.emit(envelope("demo generate", made.results(), host=host_facts()), json_file, lambda: None)


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
