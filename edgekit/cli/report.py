"""``edgekit report``."""

from pathlib import Path

import click

from edgekit.cli.common import EXISTING, force_option, say
from edgekit.report import write_report


@click.command("report")
@click.argument("directory", type=EXISTING, metavar="DIR")
@click.option(
    "-o", "--output", type=EXISTING, default=Path("report.html"), show_default=True, help="The page to write."
)
@force_option
def command(directory: Path, output: Path, force: bool) -> None:
    """Draw the results in DIR as one HTML page.

    DIR holds what edgekit train, convert, evaluate, benchmark and compare (with layers) wrote with --json, or is that
    of a sweep, joined by the sha256 of the model files. The page needs no network and no other file.
    """
    written = write_report(directory, output, force=force)
    say(f"Open {written} in a browser.")
