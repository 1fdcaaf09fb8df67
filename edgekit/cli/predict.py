"""``edgekit predict``."""

from pathlib import Path

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table


@click.command("predict")
@click.argument("file", type=common.EXISTING)
@click.argument("inputs", nargs=-1, type=common.EXISTING, metavar="INPUT...")
@click.option("--text", "texts", multiple=True, metavar="TEXT", help="A text as it is, for a model of texts.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show for each input.")
@click.option("-o", "--output", type=common.EXISTING, metavar="FILE.npz", help="Write all outputs as arrays by name.")
@common.preprocess_option
@common.labels_option
@common.decoder_option
@common.passes_option
@common.threads_option
@common.engine_option
@common.force_option
@common.json_option
def command(
    file: Path,
    inputs: tuple[Path, ...],
    texts: tuple[str, ...],
    top: int,
    output: Path | None,
    preprocess: str | None,
    labels: Path | None,
    decoder: str | None,
    passes: int | None,
    threads: int | None,
    engine: str | None,
    force: bool,
    json_file: str | None,
) -> None:
    """Run a model on images, texts, series or arrays.

    INPUT is an image, a folder of images, an .npy array, or an .npz. For models of texts it is a .txt file, each line
    of which is a text, or a .csv with a column called text or input; a generator goes on with the end of the whole
    file. For models of series it is a .csv, whose last rows they take, for models of tables one with a row an item.

    Classifiers show the best classes, generators of text the best next tokens, detectors what they find in images,
    forecasts, answers and anomalies are told, and other models show figures of their outputs. A Bayesian classifier's
    file .sample sees each input in --passes passes: the probabilities are their means, and the entropy is told in nats.
    """
    from edgekit.artifact import open_artifact
    from edgekit.errors import InputError
    from edgekit.files import refuse_existing
    from edgekit.measure.predict import predict, save_outputs
    from edgekit.results import envelope
    from edgekit.tasks import read_labels
    from edgekit.tasks.detection import is_detector

    refuse_existing([output] if output else [], force=force)
    names = None if labels is None else read_labels(labels)
    if output is None and not texts and (decoder is not None or is_detector(open_artifact(file))):
        from edgekit.measure.detect import FindingsReport, detect

        if passes is not None:
            raise InputError("--passes is for classifiers that take noise; leave it out for a detector.")
        with common.progress_bar() as progress:
            found: FindingsReport = detect(
                file,
                inputs,
                preprocess=preprocess,
                labels=names,
                decoder=decoder,
                threads=threads or 1,
                engine=engine,
                progress=progress,
            )
        common.emit(envelope("predict", found.results()), json_file, lambda: print_table(*found.table()))
        return
    with common.progress_bar() as progress:
        report = predict(
            file,
            inputs,
            texts=texts,
            preprocess=preprocess,
            labels=names,
            passes=passes,
            threads=threads or 1,
            engine=engine,
            top=top,
            progress=progress,
        )
    if output is not None:
        save_outputs(report, output)
    common.emit(envelope("predict", report.results()), json_file, lambda: print_table(*report.table()))
