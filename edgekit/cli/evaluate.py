"""``edgekit evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table

if TYPE_CHECKING:
    from edgekit.measure.evaluate import EvaluationReport
    from edgekit.measure.evaluate_detection import DetectionReport
    from edgekit.measure.evaluate_generation import GenerationReport


@click.command("evaluate")
@click.argument("files", nargs=-1, required=True, type=common.EXISTING, metavar="FILE...")
@click.option("--data", required=True, metavar="DATA", help="Labelled data: a known name, folder, .zip, .csv or .npz.")
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    metavar="N",
    help="Evaluate on N items. [default: all; of generators 10,000]",
)
@common.data_dir_option
@common.preprocess_option
@common.labels_option
@common.decoder_option
@click.option("--judge", type=common.EXISTING, metavar="RUN_DIR|FILE", help="The classifier that judges generators.")
@common.threads_option
@common.engines_option
@common.device_option
@common.seed_option
@common.json_option
def command(
    files: tuple[Path, ...],
    data: str,
    samples: int | None,
    data_dir: Path | None,
    preprocess: str | None,
    labels: Path | None,
    decoder: str | None,
    judge: Path | None,
    threads: int | None,
    engines: tuple[str, ...],
    device: str,
    seed: int,
    json_file: str | None,
) -> None:
    """Measure the accuracy of model files on labelled data.

    Several files are evaluated on the same items; classifiers are compared with the first. Items that calibrated or
    trained one of them are left out for all. On data with boxes the files are detectors. On another device
    items are prepared here and sent. Generators make pictures of the same noise, which --judge sees beside those of
    the data.
    """
    from edgekit.data import Part, open_data
    from edgekit.measure.evaluate_generation import evaluate_generation, makes_pictures
    from edgekit.results import envelope
    from edgekit.tasks import read_labels

    given: dict[str, Any] = {
        "preprocess": preprocess,
        "labels": None if labels is None else read_labels(labels),
        "samples": samples,
        "threads": threads or 1,
        "engines": engines,
        "device": device,
        "seed": seed,
    }
    dataset = open_data(data, part=Part.EVALUATION, data_dir=data_dir)
    with common.progress_bar() as progress:
        report: EvaluationReport | DetectionReport | GenerationReport
        if judge is not None or makes_pictures(files[0]):
            report = evaluate_generation(files, dataset, judge=judge, decoder=decoder, progress=progress, **given)
        elif dataset.boxes is not None or decoder is not None:
            from edgekit.measure.evaluate_detection import evaluate_detection

            report = evaluate_detection(files, dataset, decoder=decoder, progress=progress, **given)
        else:
            from edgekit.measure.evaluate import evaluate

            report = evaluate(files, dataset, progress=progress, **given)
    common.say_left_out(report.left_out, report.count + report.left_out)
    common.emit(
        envelope("evaluate", report.results(), host=dict(report.host)),
        json_file,
        lambda: print_table(*report.table()),
    )
