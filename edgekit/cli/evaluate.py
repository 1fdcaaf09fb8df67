"""``edgekit evaluate``."""

from pathlib import Path
from typing import Any

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table


@click.command("evaluate")
@click.argument("files", nargs=-1, required=True, type=common.EXISTING, metavar="FILE...")
@click.option("--data", required=True, metavar="DATA", help="A known name, folder, .zip, .csv, .npz or .txt.")
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
@common.ood_option
@common.passes_option
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
    ood: str | None,
    passes: int | None,
    threads: int | None,
    engines: tuple[str, ...],
    device: str,
    seed: int,
    json_file: str | None,
) -> None:
    """Measure model files on data, each by the metric of its task.

    Classifiers by accuracy and by how sure they are, detectors (on data with boxes) by mean average precision,
    generators of text by nats per token, forecasts by their error beside that of the last value, answers by those that
    are right as a whole, detectors of anomalies by how their scores rank them, recommenders by the error of hidden
    ratings, and what generators make of the same noise by --judge, who sees it beside pictures of the data. With --ood
    it is told how well the entropy of classifiers knows such data from --data.

    Several files are evaluated on the same items and, but for detectors, compared with the first. Items that
    calibrated or trained one of them are left out for all. On another device items are prepared here and sent.
    """
    from edgekit.data import Part, open_data
    from edgekit.measure.data_for import data_for
    from edgekit.measure.evaluate_by_task import evaluate_by_task, notes_on
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
        "passes": passes,
    }
    dataset = data_for(files, data, data_dir=data_dir)
    strange = None if ood is None else open_data(ood, part=Part.EVALUATION, data_dir=data_dir)
    with common.progress_bar() as progress:
        report = evaluate_by_task(files, dataset, decoder=decoder, judge=judge, ood=strange, progress=progress, **given)
    common.say_left_out(report.left_out, report.count + report.left_out)
    common.say_strange_left_out(report)
    for note in notes_on(report):
        common.say(note)
    common.emit(
        envelope("evaluate", report.results(), host=dict(report.host)),
        json_file,
        lambda: print_table(*report.table()),
    )
