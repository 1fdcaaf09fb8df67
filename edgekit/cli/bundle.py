"""``edgekit bundle``."""

from pathlib import Path

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table


@click.command("bundle")
@click.argument("files", nargs=-1, required=True, type=common.EXISTING, metavar="FILE...")
@click.option("-o", "--output", type=common.EXISTING, default=Path("bundle.zip"), show_default=True, metavar="FILE.zip")
@click.option("--data", metavar="DATA", help="Golden items: held-out items of a known set, folder, .zip, .csv or .npz.")
@click.option(
    "--inputs",
    multiple=True,
    type=common.EXISTING,
    metavar="INPUT",
    help="Golden items instead: an image, a folder of images, .npy or .npz; may be repeated.",
)
@click.option(
    "--samples", type=click.IntRange(min=1), default=8, show_default=True, metavar="N", help="Golden items at most."
)
@click.option("--c-array", "c_arrays", is_flag=True, help="Add .tflite files as C++ arrays for microcontrollers.")
@common.data_dir_option
@common.preprocess_option
@common.labels_option
@common.decoder_option
@common.seed_option
@common.force_option
@common.json_option
def command(
    files: tuple[Path, ...],
    output: Path,
    data: str | None,
    inputs: tuple[Path, ...],
    samples: int,
    c_arrays: bool,
    data_dir: Path | None,
    preprocess: str | None,
    labels: Path | None,
    decoder: str | None,
    seed: int,
    force: bool,
    json_file: str | None,
) -> None:
    """Pack models with proof that they work on a device, and what runs them there without edgekit.

    The zip holds the files, golden inputs with their expected outputs, checksums, and a runner (verify, bench, predict,
    detect) that needs Python 3.9, numpy and one engine. Without --data or --inputs the golden inputs are seeded noise.
    """
    from edgekit.bundle import make_bundle
    from edgekit.bundle.c_array import told
    from edgekit.results import envelope
    from edgekit.tasks import read_labels

    with common.progress_bar() as progress:
        report = make_bundle(
            files,
            output,
            data=data,
            inputs=inputs,
            data_dir=data_dir,
            preprocess=preprocess,
            labels=None if labels is None else read_labels(labels),
            decoder=decoder,
            samples=samples,
            seed=seed,
            c_arrays=c_arrays,
            force=force,
            progress=progress,
        )
    common.emit(envelope("bundle", report.results()), json_file, lambda: print_table(*report.table()))
    for line in told(report.manifest.c_arrays):
        common.say(line)
    if report.manifest.synthetic:
        common.say("The golden inputs are noise, which proves the same arithmetic and no accuracy; give --data.")
    common.say("On the device: unzip it, then python3 -m bundle verify.")
