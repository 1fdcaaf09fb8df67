"""``edgekit compare``."""

import contextlib
from pathlib import Path
from typing import Any

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table
from edgekit.errors import InputError


@click.command("compare")
@click.argument("reference", type=common.EXISTING)
@click.argument("files", nargs=-1, required=True, type=common.EXISTING, metavar="FILE...")
@click.option(
    "--data", required=True, metavar="DATA", help="A known name, folder, .zip, .csv or .npz; without labels too."
)
@click.option(
    "--samples", type=click.IntRange(min=1), metavar="N", help="Compare on N items. [default: all; with --layers 32]"
)
@click.option("--layers", is_flag=True, help="Show the error of every layer. REFERENCE: .keras or an fp32 file.")
@common.data_dir_option
@common.preprocess_option
@common.threads_option
@common.engines_option
@common.device_option
@common.seed_option
@common.json_option
def command(
    reference: Path,
    files: tuple[Path, ...],
    data: str,
    samples: int | None,
    layers: bool,
    data_dir: Path | None,
    preprocess: str | None,
    threads: int | None,
    engines: tuple[str, ...],
    device: str,
    seed: int,
    json_file: str | None,
) -> None:
    """Compare the outputs of models on the same inputs.

    REFERENCE is the model that the others should equal, usually the one that they were converted from. It runs here,
    the others on --device: a file beside itself shows what another machine makes of it.
    """
    from edgekit.measure.compare import compare
    from edgekit.results import envelope

    options: dict[str, Any] = {"data_dir": data_dir, "preprocess": preprocess, "seed": seed}
    if layers:
        if engines or device != "local":
            raise InputError("--layers looks into files here by their own engines; leave --engine and --device out.")
        _layers(reference, files, data, samples, threads or 1, json_file, options)
        return
    with common.progress_bar() as progress:
        report = compare(
            reference,
            files,
            data,
            samples=samples,
            threads=threads or 1,
            engines=engines,
            device=device,
            progress=progress,
            **options,
        )
    common.say_left_out(report.left_out, report.count + report.left_out)
    for entry in report.entries:
        if entry.by_position and len(entry.outputs) > 1:
            _say_by_position(entry.subject.given)
    common.emit(
        envelope("compare", report.results(), host=dict(report.host)),
        json_file,
        lambda: print_table(*report.table()),
    )


def _say_by_position(path: Path) -> None:
    common.say(f"The outputs of {path} are named otherwise; they are compared by position.")


def _layers(
    reference: Path,
    files: tuple[Path, ...],
    data: str,
    samples: int | None,
    threads: int,
    json_file: str | None,
    options: dict[str, Any],
) -> None:
    from edgekit.artifact import Format, find_model
    from edgekit.files import scratch_folder
    from edgekit.measure.host import host_facts
    from edgekit.measure.layers import compare_layers
    from edgekit.results import envelope

    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(common.progress_bar())
        named = None
        if find_model(reference)[1] is Format.KERAS:
            from edgekit.converters.float_file import write_float_file

            folder = Path(stack.enter_context(scratch_folder()))
            formats = {find_model(path)[1] for path in files}
            fmt = Format.TFLITE if Format.TFLITE in formats else Format.ONNX
            named = write_float_file(reference, folder, data, fmt=fmt, progress=progress, **options)
        report = compare_layers(
            reference, files, data, named=named, samples=samples, threads=threads, progress=progress, **options
        )
    common.say_left_out(report.left_out, report.count + report.left_out)
    for entry in report.entries:
        if entry.by_position and len(entry.artifact.card.outputs) > 1:
            _say_by_position(entry.given)

    def show() -> None:
        for title, columns, rows, marked in report.tables():
            print_table(title, columns, rows, marked=marked)
        for entry in report.entries:
            click.echo(entry.advice())

    common.emit(envelope("compare", report.results(), host=host_facts()), json_file, show)
