"""``edgekit compare``."""

from pathlib import Path

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table


@click.command("compare")
@click.argument("reference", type=common.EXISTING)
@click.argument("files", nargs=-1, required=True, type=common.EXISTING, metavar="FILE...")
@click.option(
    "--data", required=True, metavar="DATA", help="A known name, folder, .zip, .csv or .npz; without labels too."
)
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Compare on N items. [default: all]")
@common.data_dir_option
@common.preprocess_option
@common.threads_option
@common.engines_option
@common.seed_option
@common.json_option
def command(
    reference: Path,
    files: tuple[Path, ...],
    data: str,
    samples: int | None,
    data_dir: Path | None,
    preprocess: str | None,
    threads: int | None,
    engines: tuple[str, ...],
    seed: int,
    json_file: str | None,
) -> None:
    """Compare the outputs of models on the same inputs.

    REFERENCE is the model that the others should equal, usually the one that they were converted from.
    """
    from edgekit.measure.compare import compare
    from edgekit.measure.host import host_facts
    from edgekit.results import envelope

    with common.progress_bar() as progress:
        report = compare(
            reference,
            files,
            data,
            data_dir=data_dir,
            preprocess=preprocess,
            samples=samples,
            threads=threads or 1,
            engines=engines,
            seed=seed,
            progress=progress,
        )
    common.say_left_out(report.left_out, report.count + report.left_out)
    for entry in report.entries:
        if entry.by_position and len(entry.outputs) > 1:
            common.say(f"The outputs of {entry.subject.given} are named otherwise; they are compared by position.")
    common.emit(
        envelope("compare", report.results(), host=host_facts()),
        json_file,
        lambda: print_table(*report.table()),
    )
