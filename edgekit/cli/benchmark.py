"""``edgekit benchmark``."""

from pathlib import Path

import click

from edgekit.cli.common import EXISTING, emit, json_option, progress_bar, say, seed_option
from edgekit.cli.tables import print_table

SLOWEST = 10


class ThreadCounts(click.ParamType):  # type: ignore[type-arg]
    """``1`` or ``1,2,4``."""

    name = "threads"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a number of threads; give 1 or several such as 1,2,4.", param, ctx)


@click.command("benchmark")
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.option("--device", "devices", multiple=True, default=("local",), show_default=True, metavar="URI")
@click.option("--threads", type=ThreadCounts(), default="1", show_default=True, metavar="N[,N]", help="Engine threads.")
@click.option("--runs", type=click.IntRange(min=1), default=50, show_default=True, help="Timed runs, at least.")
@click.option("--warmup", type=click.IntRange(min=0), default=5, show_default=True, help="Untimed runs beforehand.")
@click.option(
    "--min-secs", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Seconds of timed runs, at least."
)
@click.option("--profile", is_flag=True, help="Also measure the time of every operator.")
@seed_option
@json_option
def command(
    files: tuple[Path, ...],
    devices: tuple[str, ...],
    threads: tuple[int, ...],
    runs: int,
    warmup: int,
    min_secs: float,
    profile: bool,
    seed: int,
    json_file: str | None,
) -> None:
    """Measure latency and memory of model files, all in turns within one run.

    Every file at every number of threads has a process of its own. The ratio is to the first file, with a 95 %
    interval; a row that is not valid has its reason below.
    """
    from edgekit.measure.benchmark import benchmark, to_json
    from edgekit.measure.benchmark_table import COLUMNS, PROFILE_COLUMNS, doubts, profile_rows, rows
    from edgekit.measure.settings import BenchmarkSettings

    settings = BenchmarkSettings(threads=threads, runs=runs, warmup=warmup, min_duration_s=min_secs, seed=seed)
    with progress_bar() as progress:
        report = benchmark(files, settings, devices=devices, with_profile=profile, progress=progress)

    def table() -> None:
        print_table("Latency in ms, memory in MB", list(COLUMNS), rows(report))
        for line in doubts(report):
            click.echo(line)
        for (path, count), found in report.profiles.items():
            title = f"{Path(path).name}, {found.engine}, {count} thread{'s' if count > 1 else ''}"
            print_table(title, list(PROFILE_COLUMNS), profile_rows(found, SLOWEST))
            click.echo(found.summary())
        for line in report.verdicts:
            click.echo(line)

    for note in report.notes:
        say(note)
    emit(to_json(report), json_file, table)
