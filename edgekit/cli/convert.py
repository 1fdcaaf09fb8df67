"""``edgekit convert``: a model to verified TFLite and ONNX files."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from edgekit.artifact import Format
from edgekit.cli import common
from edgekit.cli.tables import print_table
from edgekit.errors import InputError
from edgekit.recipe import AccuracyStep, Batch, Granularity, InterfaceType, Nms, Precision, Recipe, Rnn, parse_precision
from edgekit.results import envelope

_NAMED = 6
"""Operators of one reason that are told by name."""
_WITH_MANIFEST = {"source", "output_dir", "force", "json_file"}


@click.command()
@click.argument("source", type=common.EXISTING)
@click.option(
    "-p", "--precision", "recipes", multiple=True, metavar="RECIPE", help="fp32, fp16, dynamic, int8, int16x8."
)
@click.option("--int8", is_flag=True, help="The same as -p int8, which is the default.")
@click.option("-f", "--format", "formats", multiple=True, type=click.Choice(["tflite", "onnx"]), help="[default: both]")
@click.option(
    "--calibration",
    metavar="DATA",
    help="Real data to measure ranges on. [default: the training data; for generators noise]",
)
@click.option(
    "--samples", type=click.IntRange(min=1), help="Calibration items. [default: 200; of rows of a table 2,000]"
)
@click.option(
    "--granularity", type=click.Choice([g.value for g in Granularity]), default="per-channel", show_default=True
)
@click.option("--plain", is_flag=True, help="int8 without accuracy steps, as stock converters do it, to compare.")
@click.option("--portable", is_flag=True, help="int8 files that give the same bits on every CPU.")
@click.option("--io", type=click.Choice([i.value for i in InterfaceType]), default="int8", show_default=True,
              help="Inputs and outputs of integer TFLite files.")  # fmt: skip
@click.option("--batch", type=click.Choice([b.value for b in Batch]), default="static", show_default=True,
              help="One item at a time, or any number.")  # fmt: skip
@click.option("--nms", type=click.Choice([n.value for n in Nms]), default="device", show_default=True,
              help="Where the boxes of a detector with anchors are decoded and chosen.")  # fmt: skip
@click.option("--rnn", type=click.Choice([r.value for r in Rnn]), default="auto", show_default=True,
              help="What recurrent layers become; step is a model of one time step.")  # fmt: skip
@click.option("--keep-float", multiple=True, metavar="REGEX", help="Layers that stay in float.")
@click.option("--exclude", multiple=True, metavar="REGEX", help="Layers whose weights the accuracy steps leave alone.")
@click.option("-o", "output_dir", type=common.EXISTING, metavar="DIR", help="[default: beside the source]")
@common.force_option
@common.preprocess_option
@common.labels_option
@common.data_dir_option
@common.seed_option
@common.json_option
@click.pass_context
def command(ctx: click.Context, /, source: Path, json_file: str | None, **options: Any) -> None:
    """Quantize and export SOURCE to TFLite and ONNX files, each proven against it in the real runtime.

    SOURCE is a .keras or .h5 file, a SavedModel or run folder, a float .onnx or .tflite file, or the .manifest.json of
    an earlier conversion, which is then repeated.
    """
    from edgekit.converters import convert

    with common.progress_bar() as progress:
        report = convert(_request(ctx, source, options), progress=progress)
    for note in report.notes:
        common.say(note)
    for row in report.artifacts:
        for note in row.notes:
            common.say(f"{row.path.name}: {note}.")
    results = [row.to_result() for row in report.artifacts]
    told = envelope("convert", results) | {"notes": list(report.notes)}
    common.emit(told, json_file, lambda: _tables(results))


def _request(ctx: click.Context, source: Path, options: dict[str, Any]) -> Any:
    from edgekit.converters import Request
    from edgekit.converters.calibration import default_samples
    from edgekit.tasks import read_labels

    if source.name.endswith(".manifest.json"):
        given = [
            n for n in options if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE and n not in _WITH_MANIFEST
        ]
        if given:
            raise InputError(
                f"A manifest repeats a conversion as it was; --{given[0].replace('_', '-')} cannot change it: "
                "convert the model itself instead."
            )
        return Request(source=source, output_dir=options["output_dir"], force=options["force"])
    if options["plain"] and options["exclude"]:
        raise InputError("--plain leaves all accuracy steps out, so that --exclude excludes nothing; leave one out.")
    codes = [*options["recipes"], *(["int8"] if options["int8"] or not options["recipes"] else [])]
    precisions = tuple(dict.fromkeys(map(parse_precision, codes)))
    if options["portable"] and Precision.INT8 not in precisions:
        raise InputError(f"--portable is for int8; got {', '.join(codes)}: add --int8, or leave it out.")
    if options["exclude"] and Precision.INT8 not in precisions:
        raise InputError(
            f"--exclude is for the accuracy steps of int8; got {', '.join(codes)}: add --int8, or leave it out."
        )
    recipes = tuple(
        Recipe(
            precision=precision,
            granularity=Granularity(options["granularity"]),
            steps=() if options["plain"] else tuple(AccuracyStep),
            interface=InterfaceType(options["io"]),
            batch=Batch(options["batch"]),
            portable=options["portable"] and precision is Precision.INT8,
            nms=Nms(options["nms"]),
            rnn=Rnn(options["rnn"]),
            keep_float=options["keep_float"],
            exclude=options["exclude"],
            calibration_samples=options["samples"] or default_samples(source),
            seed=options["seed"],
        )
        for precision in precisions
    )
    return Request(
        source=source,
        recipes=recipes,
        formats=tuple(Format(f) for f in dict.fromkeys(options["formats"])),
        calibration=options["calibration"],
        data_dir=options["data_dir"],
        preprocess=options["preprocess"],
        labels=read_labels(options["labels"]) if options["labels"] is not None else None,
        output_dir=options["output_dir"],
        force=options["force"],
    )


def _tables(results: list[dict[str, Any]]) -> None:
    _table(results)
    rows = [
        [Path(row["artifact"]).name, step["step"], f"{step['sqnr_db']:.1f}", step["note"]]
        for row in results
        for step in row["steps"]
    ]
    if rows:
        print_table("Accuracy steps, simulated on calibration items", ["file", "after", "SQNR dB", "note"], rows)


def _table(results: list[dict[str, Any]]) -> None:
    rows = []
    reasons: dict[str, dict[str, None]] = {}
    for row in results:
        metrics = row["metrics"]
        for left in row["float_ops"]:
            reasons.setdefault(left["reason"], {})[left["op"]] = None
        rows.append(
            [
                Path(row["artifact"]).name,
                f"{row['model_bytes'] / 1e6:.3f}",
                f"{row['ratio']:.2f}",
                f"{metrics['max_abs']:.2g}",
                f"{metrics['sqnr_db']:.1f}",
                f"{metrics['cosine']:.4f}",
                f"{metrics['agreement']:.3f}" if "agreement" in metrics else "-",
                ", ".join(sorted({f["op"] for f in row["float_ops"]})) or "-",
                row["engine"],
                f"{row['seconds']:.1f}",
            ]
        )
    columns = ["file", "MB", "ratio", "max-abs", "SQNR dB", "cosine", "agree", "in float", "engine", "s"]
    print_table("Converted, and compared with the source", columns, rows)
    for reason, ops in reasons.items():
        click.echo(f"{_few(list(ops))} in float: {reason}.")


def _few(ops: list[str]) -> str:
    """The first of the operators ``ops``, and how many more stay."""
    if len(ops) == 1:
        return f"{ops[0]} stays"
    more = f" and {len(ops) - _NAMED} more" if len(ops) > _NAMED else ""
    return f"{', '.join(ops[:_NAMED])}{more} stay"
