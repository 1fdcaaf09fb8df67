"""``edgekit demo uncertain``."""

from pathlib import Path

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table


@click.command()
@click.argument("file", type=common.EXISTING)
@click.argument("inputs", nargs=-1, required=True, type=common.EXISTING, metavar="IMAGES...")
@common.passes_option
@click.option(
    "--threshold",
    type=common.FiniteRange(min=0),
    metavar="NATS",
    help="Entropy above which it does not know. [default: the card's]",
)
@click.option("--save", type=common.EXISTING, metavar="FILE.png", help="A sheet of the images, surest first.")
@common.preprocess_option
@common.labels_option
@common.engine_option
@common.threads_option
@common.force_option
@common.json_option
def uncertain(
    file: Path,
    inputs: tuple[Path, ...],
    passes: int | None,
    threshold: float | None,
    save: Path | None,
    preprocess: str | None,
    labels: Path | None,
    engine: str | None,
    threads: int | None,
    force: bool,
    json_file: str | None,
) -> None:
    """Tell what a classifier sees in images, how sure it is, and where it does not know.

    IMAGES are files and folders. A Bayesian classifier's file .sample sees each in several passes with noise; other
    files have one answer. The entropy above which the answer is "I don't know" is that which 5 % of the validation
    images of its training have.
    """
    from edgekit.demos.forecast import require_picture
    from edgekit.demos.uncertain import doubts, told_of_mean
    from edgekit.files import write_atomic
    from edgekit.measure.host import host_facts
    from edgekit.results import envelope
    from edgekit.tasks import read_labels

    require_picture(save, force=force, option="--save")
    with common.progress_bar() as progress:
        found = doubts(
            file,
            inputs,
            passes=passes,
            threshold=threshold,
            preprocess=preprocess,
            labels=None if labels is None else read_labels(labels),
            threads=threads or 1,
            engine=engine,
            progress=progress,
        )
    if save is not None:
        write_atomic(save, found.png())
        common.say(f"Wrote {save}.")
    if less := told_of_mean(found):
        common.say(less)
    common.emit(
        envelope("demo uncertain", found.results(), host=host_facts()), json_file, lambda: print_table(*found.table())
    )
    common.say(found.summary())
