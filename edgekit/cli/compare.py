"""``edgekit compare``."""

import contextlib
from pathlib import Path
from typing import Any

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table
from edgekit.errors import DataError, InputError


@click.command("compare")
@click.argument("reference", type=common.EXISTING)
@click.argument("files", nargs=-1, required=True, type=common.EXISTING, metavar="FILE...")
@click.option(
    "--data", required=True, metavar="DATA", help="A known name, folder, .zip, .csv or .npz; without labels too."
)
@click.option(
    "--samples", type=click.IntRange(min=1), metavar="N", help="Compare on N items. [default: all; with --layers 32]"
)
@common.ood_option
@common.passes_option
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
    ood: str | None,
    passes: int | None,
    layers: bool,
    data_dir: Path | None,
    preprocess: str | None,
    threads: int | None,
    engines: tuple[str, ...],
    device: str,
    seed: int,
    json_file: str | None,
) -> None:
    """Compare the outputs of models on the same inputs, and what their task loses.

    REFERENCE is the model that the others should equal, usually the one that they were converted from. It runs here,
    the others on --device: a file beside itself shows what another machine makes of it.

    Where the data has what the metric of the task needs, that is told too: of anomalies, ratings, pairs of pictures,
    texts and series, and of Bayesian classifiers, whose files .sample see every item in --passes passes for it, with
    --ood of others too. On another device, `evaluate` tells it.
    """
    from edgekit.data import Part, open_data
    from edgekit.measure.compare import compare
    from edgekit.measure.compare_task import compare_task, told_with
    from edgekit.measure.data_for import data_for
    from edgekit.results import envelope

    options: dict[str, Any] = {"data_dir": data_dir, "preprocess": preprocess, "seed": seed}
    asked = ood is not None or passes is not None
    if layers:
        if engines or device != "local" or asked:
            raise InputError(
                "--layers looks into files here by their own engines; leave --engine, --device, --ood and --passes out."
            )
        _layers(reference, files, data, samples, threads or 1, json_file, options)
        return
    if asked and (engines or device != "local"):
        raise InputError("--ood and --passes look at files here by their own engines; leave --engine and --device out.")
    dataset = data_for([reference, *files], data, data_dir=data_dir)
    strange = None if ood is None else open_data(ood, part=Part.EVALUATION, data_dir=data_dir)
    chosen: dict[str, Any] = {"preprocess": preprocess, "seed": seed, "samples": samples, "threads": threads or 1}
    with common.progress_bar() as progress:
        report = compare(reference, files, dataset, engines=engines, device=device, progress=progress, **chosen)
        lost, untold = None, ""
        if not engines and device == "local":
            try:
                lost = compare_task(reference, files, dataset, ood=strange, passes=passes, progress=progress, **chosen)
            except (DataError, InputError) as error:
                if asked:
                    raise
                untold = f"What the task loses is not told: {error}"
    common.say_left_out(report.left_out, report.count + report.left_out)
    if lost is not None:
        common.say_strange_left_out(lost)
    if untold:
        common.say(untold)
    for entry in report.entries:
        if entry.by_position and len(entry.outputs) > 1:
            _say_by_position(entry.subject.given)
    for note in report.notes():
        common.say(note)
    results = report.results() if lost is None else told_with(report.results(), lost)

    def show() -> None:
        print_table(*report.table())
        if lost is not None:
            print_table(*lost.table())

    common.emit(envelope("compare", results, host=dict(report.host)), json_file, show)


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
