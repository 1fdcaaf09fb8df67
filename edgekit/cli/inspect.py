"""``edgekit inspect``."""

from pathlib import Path

import click

from edgekit.cli.common import EXISTING, emit, json_option, say
from edgekit.cli.tables import print_table


@click.command("inspect")
@click.argument("file", type=EXISTING)
@click.option(
    "--target",
    metavar="T",
    help="Device or engine that the file must run on: pi3-32, pi4, pi5, android, browser, micro, litert-X.Y, "
    "tflite-runtime-2.14, ort-X.Y; exit 1 when it does not.",
)
@json_option
def command(file: Path, target: str | None, json_file: str | None) -> None:
    """Show what is inside a model file: tensors, operators, MACs, sizes and the card.

    MACs are multiply-adds of convolutions, dense and recurrent layers. Peak activations are the largest sum of tensors
    alive at once, in the file's order.
    """
    from edgekit.measure import inspect_table
    from edgekit.measure.inspect import inspect, require_fit, to_row
    from edgekit.results import envelope

    found = inspect(file, target=target)

    def table() -> None:
        print_table(str(file), ["what", "value"], inspect_table.facts(found))
        print_table("Tensors", ["kind", "name", "shape", "dtype", "real value"], inspect_table.tensor_rows(found))
        print_table("Operators", ["operator", "version", "count"], inspect_table.operator_rows(found))
        if target is not None:
            title, rows = inspect_table.target_title(found), inspect_table.finding_rows(found)
            print_table(title, ["", "finding", "remedy"], rows)

    emit(envelope("inspect", [to_row(found, file)]), json_file, table)
    if found.unknown:
        say(f"Not told by the file: {', '.join(found.unknown)}.")
    require_fit(found, told=json_file != "-")
