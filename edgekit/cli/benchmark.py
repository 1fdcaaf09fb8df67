"""``edgekit benchmark``."""

from pathlib import Path

import click

from edgekit.cli import common
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
@common.devices_option
@click.option("--threads", type=ThreadCounts(), default="1", show_default=True, metavar="N[,N]", help="Engine threads.")
@click.option(
    "--mode",
    type=click.Choice(["quick", "normal", "submission"]),
    default="normal",
    show_default=True,
    help="Runs and seconds: 10 and 0.2; 50 and 1; 1024 and 60 as MLPerf Mobile's rules ask, where p90 counts.",
)
@click.option("--runs", type=click.IntRange(min=1), metavar="N", help="Timed runs, at least. [default: the mode's]")
@click.option("--warmup", type=click.IntRange(min=0), default=5, show_default=True, help="Untimed runs beforehand.")
@click.option(
    "--min-secs",
    type=common.FiniteRange(min=0),
    metavar="S",
    help="Seconds of them, at least. [default: the mode's]",
)
@click.option(
    "--cool-down",
    type=common.FiniteRange(min=0),
    metavar="S",
    help="Rest before each round until it is cool, S seconds at most. [default: 0; submission: 60]",
)
@common.engines_option
@click.option("--best", "choose", is_flag=True, help="Say which file in which installed engine is the fastest here.")
@click.option(
    "--max-loss", type=common.FiniteRange(min=0), metavar="POINTS", help="--best: points that may be lost. [default: 1]"
)
@click.option("--data", metavar="DATA", help="--best: measure the loss on these items; labels are not needed.")
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="--best: N items of the data. [default: all]")
@common.data_dir_option
@common.preprocess_option
@common.labels_option
@click.option("--profile", is_flag=True, help="Also measure the time of every operator.")
@seed_option
@json_option
def command(
    files: tuple[Path, ...],
    devices: tuple[str, ...],
    threads: tuple[int, ...],
    mode: str,
    runs: int | None,
    warmup: int,
    min_secs: float | None,
    cool_down: float | None,
    engines: tuple[str, ...],
    choose: bool,
    max_loss: float | None,
    data: str | None,
    samples: int | None,
    data_dir: Path | None,
    preprocess: str | None,
    labels: Path | None,
    profile: bool,
    seed: int,
    json_file: str | None,
) -> None:
    """Measure latency and memory of model files, all in turns within one run.

    Every file at every number of threads has a process of its own. The ratio is to the first file, with a 95 %
    interval; a row that is not valid has its reason below. Other devices work at the same time, and their answers to
    seeded inputs are compared with this machine's; exit code 1 when they are beyond the limits. --best tries every
    installed engine and picks the fastest whose accuracy is within --max-loss of the float model's.
    """
    from edgekit.measure.answers import require_same_answers
    from edgekit.measure.answers import sentences as answers
    from edgekit.measure.benchmark import benchmark, require_all_devices, to_json
    from edgekit.measure.benchmark_table import COLUMNS, PROFILE_COLUMNS, doubts, profile_rows, rows
    from edgekit.measure.best import MAX_LOSS_POINTS, best
    from edgekit.measure.best_words import require_pick, sentences
    from edgekit.measure.best_words import to_json as best_json
    from edgekit.measure.settings import BenchmarkSettings, Mode
    from edgekit.tasks import read_labels

    _require_best(choose, devices, profile, max_loss, data, samples, data_dir, preprocess, labels)
    settings = BenchmarkSettings.in_mode(
        Mode(mode),
        runs=runs,
        min_duration_s=min_secs,
        cool_down_s=cool_down,
        threads=threads,
        warmup=warmup,
        seed=seed,
    )
    with progress_bar() as progress:
        if choose:
            report, choice = best(
                files,
                settings,
                engines=engines,
                max_loss_points=MAX_LOSS_POINTS if max_loss is None else max_loss,
                data=data,
                data_dir=data_dir,
                preprocess=preprocess,
                labels=None if labels is None else read_labels(labels),
                samples=samples,
                progress=progress,
            )
        else:
            choice = None
            report = benchmark(
                files, settings, devices=devices, engines=engines, with_profile=profile, progress=progress
            )

    def table() -> None:
        print_table("Latency in ms, memory in MB", list(COLUMNS), rows(report))
        for line in (*answers(report.results), *doubts(report)):
            click.echo(line)
        for (path, count), found in report.profiles.items():
            title = f"{Path(path).name}, {found.engine}, {count} thread{'s' if count > 1 else ''}"
            print_table(title, list(PROFILE_COLUMNS), profile_rows(found, SLOWEST))
            click.echo(found.summary())
        for line in (*report.verdicts, *(sentences(choice) if choice else ())):
            click.echo(line)

    for note in (*report.notes, *(choice.left_out if choice else ())):
        say(note)
    emit({**to_json(report), **({"best": best_json(choice)} if choice else {})}, json_file, table)
    require_all_devices(report)
    require_same_answers(report)
    if choice:
        require_pick(choice)


def _require_best(choose: bool, devices: tuple[str, ...], profile: bool, *of_best: object) -> None:
    """Refuse options that would have no effect."""
    if choose and (devices != ("local",) or profile):
        raise click.UsageError("--best is for this machine and has no --profile; leave out --device and --profile.")
    if not choose and any(value is not None for value in of_best):
        raise click.UsageError(
            "--max-loss, --data, --samples, --data-dir, --preprocess and --labels belong to --best; add it."
        )
