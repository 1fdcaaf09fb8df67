"""``edgekit demo sentiment``, ``forecast`` and ``text``."""

from pathlib import Path
from typing import Any

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table


def options_of_sequences(command: Any) -> Any:
    """What demos of texts and series take: how the file is run, and where results go."""
    for option in (common.json_option, common.engine_option, common.threads_option):
        command = option(command)
    return command


@click.command()
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


@click.command()
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
        common.say(f"Wrote {output}.")
    common.say_left_out(rolled.report.left_out, rolled.report.count + rolled.report.left_out)

    def table() -> None:
        print_table(*rolled.table())
        click.echo(rolled.verdict())
        click.echo(rolled.told_coming())

    common.emit(envelope("demo forecast", rolled.results(), host=host_facts()), json_file, table)


@click.command()
@click.argument("file", type=common.EXISTING)
@click.option("--prompt", default="", metavar="TEXT", help="What the text begins with. [default: a new line]")
@click.option("--length", type=click.IntRange(min=1), default=200, show_default=True, metavar="N",
              help="Tokens to write.")  # fmt: skip
@click.option("--temperature", type=common.FiniteRange(0, 100), default=0.8, show_default=True, metavar="T",
              help="Below 1 likelier tokens are preferred; 0 takes the likeliest.")  # fmt: skip
@click.option(
    "--top-k", type=click.IntRange(min=1), metavar="K", help="Draw from the K likeliest alone. [default: all]"
)
@common.seed_option
@common.threads_option
@common.engine_option
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
