"""``edgekit predict``."""

from pathlib import Path

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table


@click.command("predict")
@click.argument("file", type=common.EXISTING)
@click.argument("inputs", nargs=-1, required=True, type=common.EXISTING, metavar="INPUT...")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show for each input.")
@click.option("-o", "--output", type=common.EXISTING, metavar="FILE.npz", help="Write all outputs as arrays by name.")
@common.preprocess_option
@common.labels_option
@common.threads_option
@click.option("--engine", metavar="NAME", help="Run the file in this engine. [default: that of its format]")
@common.force_option
@common.json_option
def command(
    file: Path,
    inputs: tuple[Path, ...],
    top: int,
    output: Path | None,
    preprocess: str | None,
    labels: Path | None,
    threads: int | None,
    engine: str | None,
    force: bool,
    json_file: str | None,
) -> None:
    """Run a model on images or arrays.

    INPUT is an image, a folder of images, an .npy array, or an .npz. Classifiers show the best classes, other models
    figures of their outputs.
    """
    from edgekit.files import refuse_existing
    from edgekit.measure.predict import predict, save_outputs
    from edgekit.results import envelope
    from edgekit.tasks import read_labels

    refuse_existing([output] if output else [], force=force)
    names = None if labels is None else read_labels(labels)
    with common.progress_bar() as progress:
        report = predict(
            file,
            inputs,
            preprocess=preprocess,
            labels=names,
            threads=threads or 1,
            engine=engine,
            top=top,
            progress=progress,
        )
    if output is not None:
        save_outputs(report, output)
    common.emit(envelope("predict", report.results()), json_file, lambda: print_table(*report.table()))
