"""Results to one self-contained HTML page."""

from pathlib import Path

from edgekit.files import refuse_existing, write_atomic
from edgekit.report.page import render
from edgekit.report.read import Results, read_results

__all__ = ["Results", "read_results", "render", "write_report"]


def write_report(directory: Path, output: Path, *, force: bool = False) -> Path:
    """Draw the results in ``directory`` as the page ``output``: ``*.json`` of the commands in `read.READ`."""
    refuse_existing([output], force=force)
    results = read_results(directory)
    write_atomic(output, render(results, title=f"edgekit: {directory.resolve().name}").encode())
    return output
