"""Options and output that several verbs share. Results go to stdout, progress and messages to stderr."""

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgekit.errors import InputError
from edgekit.files import require_writable, write_atomic
from edgekit.urls import without_secrets
from edgekit.workers import Progress

if TYPE_CHECKING:
    from edgekit.measure.evaluate_by_task import Report

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
EXISTING = click.Path(path_type=Path)
"""A path that the library itself checks, so that every error has our own wording."""


class FiniteRange(click.FloatRange):
    """A range of numbers in which NaN is not, as it is in Click's own, whose comparisons it passes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


def _require_writable(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Refuse a target that cannot be written before the work whose results it is to take."""
    if value not in (None, "-"):
        require_writable(Path(str(value)))
    return value


def _require_one(_ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> str:
    """The one value of an option that only others may repeat."""
    if len(values) > 1:
        raise InputError(f"{option.opts[0]} can be given once here; got {', '.join(values)}: run it for each.")
    return values[0]


def written_option(name: str, parameter: str, words: str) -> Callable[[Decorated], Decorated]:
    """An option ``name`` that takes a file to be written, which is refused at once where it cannot be."""
    return click.option(name, parameter, metavar="FILE", callback=_require_writable, help=words)


json_option = written_option("--json", "json_file", "Write the results as JSON to FILE; - is stdout.")
preprocess_option = click.option(
    "--preprocess", metavar="unit|tf|torch|raw|CARD.json", help="How images become inputs, where the file has no card."
)
labels_option = click.option(
    "--labels", type=EXISTING, metavar="FILE", help="Class names, one a line, where the file has none."
)
decoder_option = click.option(
    "--decoder",
    metavar="HEAD",
    help="What a detector's outputs are, where the file does not say: ssd-postprocess, yolov5, yolov8, fastestdet.",
)
data_dir_option = click.option(
    "--data-dir", type=EXISTING, metavar="DIR", help="Folder with known data sets. [env: EDGEKIT_DATA]"
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of every random choice."
)
threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), default=None, metavar="N", help="Threads of the engine. [default: 1]"
)
engine_option = click.option(
    "--engine", metavar="NAME", help="Run the file in this engine. [default: that of its format]"
)
engines_option = click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="NAME",
    help="Run the files in this engine; may be repeated. [default: that of the format]",
)
devices_option = click.option(
    "--device",
    "devices",
    multiple=True,
    default=("local",),
    show_default=True,
    metavar="URI",
    help="Where: local, ssh://user@host and others; may be repeated.",
)
device_option = click.option(
    "--device",
    multiple=True,  # so that a second one is seen, which would replace the first in silence
    callback=_require_one,
    default=("local",),
    show_default=True,
    metavar="URI",
    help="Where the files run: local, ssh://user@host and others.",
)
ood_option = click.option(
    "--ood", metavar="DATA", help="Data of another kind that classifiers should be unsure of, labels or not."
)
passes_option = click.option(
    "--passes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Passes of a Bayesian classifier's file .sample. [default: the card's]",
)
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any argument of the architecture, as zoo show lists them; may be repeated.",
)
force_option = click.option("--force", is_flag=True, help="Replace files that exist.")


def emit(data: dict[str, Any], json_file: str | None, table: Callable[[], None]) -> None:
    """Show ``table`` on stdout, and write ``data`` where ``--json`` says; JSON on stdout replaces the table.

    The JSON of results also holds the command's ``arguments``, so that what was measured can be repeated; addresses of
    cameras among them without passwords.
    """
    if "results" in data:
        given = click.get_current_context().find_root().obj or ()
        data = {**data, "arguments": [without_secrets(argument) for argument in given]}
    if json_file == "-":
        click.echo(json.dumps(data, indent=2))
        return
    if json_file is not None:
        write_atomic(Path(json_file), (json.dumps(data, indent=2) + "\n").encode())
    table()


def say_left_out(left_out: int, total: int, *, data: str | None = None) -> None:
    """Tell on stderr that items, of other ``data``, which a file has seen do not count; nothing when there are none."""
    if left_out:
        items = "items" if data is None else f"items of {data}"
        say(f"{left_out} of {total} {items} calibrated or trained one of these files; they are left out.")


def say_strange_left_out(report: "Report") -> None:
    """As `say_left_out`, of the data of another kind that classifiers were shown."""
    from edgekit.measure.evaluate import EvaluationReport

    if isinstance(report, EvaluationReport) and report.strange is not None:
        left_out = report.strange_left_out
        say_left_out(left_out, report.strange_count + left_out, data=report.strange)


def say(message: str) -> None:
    """A line of information on stderr."""
    click.echo(message, err=True)


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """A `Progress` that draws bars on stderr when it is a terminal, and nothing otherwise."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total or None)
            bars.update(tasks[what], completed=done, total=total or None)

        yield update
