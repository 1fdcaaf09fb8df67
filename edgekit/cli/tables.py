"""Tables on stdout that stay readable where they are wider than the terminal."""

import os
from collections.abc import Collection, Sequence

from edgekit.errors import printable

PIPED_WIDTH = 200
"""Columns of a table whose output is no terminal, where ``COLUMNS`` does not say otherwise."""
LEAST_WIDTH = 40
WRAPPED = 24
"""A cell of several words is wrapped to no less than this, so that it does not become a tower of words."""
FRAME = 3
"""What the borders and the padding add to every column; one more for the table."""


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, marked: Collection[int] = ()
) -> None:
    """A table on stdout, in several parts that repeat the first column where the terminal is too narrow for one.

    Parts after the first are called "continued" below a title.
    The rows at the positions ``marked`` stand out. What is no sign, such as a command for a terminal in a name that
    comes from a file, is replaced.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    title, columns, rows = _harmless(title), [_harmless(c) for c in columns], [[_harmless(c) for c in r] for r in rows]
    console = Console()
    width = console.width if console.is_terminal else _asked_width()
    console = Console(width=max(width, LEAST_WIDTH))
    for part in fit([[column, *(row[i] for row in rows)] for i, column in enumerate(columns)], console.width):
        table = Table(title=Text(title), title_justify="left")
        for index, column_width in part.items():
            table.add_column(
                Text(columns[index]), justify="left" if index == 0 else "right", overflow="fold", width=column_width
            )
        for position, row in enumerate(rows):
            cells = (Text(row[index]) for index in part)  # not markup: names may hold square brackets
            table.add_row(*cells, style="bold red" if position in marked else None)
        console.print(table)
        title = "continued" if title else ""


def fit(columns: Sequence[Sequence[str]], width: int) -> list[dict[int, int]]:
    """The parts of a table no wider than ``width``: each the numbers of its columns with their widths.

    ``columns`` are the cells of each column, its heading first. Columns of words are wrapped before the table is cut.
    """
    from rich.cells import cell_len

    natural = [max(cell_len(line) for cell in column for line in cell.split("\n")) for column in columns]
    least = [min(n, _least(column)) for n, column in zip(natural, columns, strict=True)]
    least[0] = min(least[0], width // 2)
    room = width - 1 - FRAME  # what is left beside the first column, or for it alone
    least[1:] = [min(n, room - FRAME - least[0]) for n in least[1:]]
    parts: list[list[int]] = [[0]]
    for index in range(1, len(columns)):
        if sum(least[i] + FRAME for i in (*parts[-1], index)) + 1 > width:
            parts.append([0])
        parts[-1].append(index)
    return [_widths(part, natural, least, width) for part in parts]


def _least(column: Sequence[str]) -> int:
    from rich.cells import cell_len

    heading, *cells = column
    words = [cell_len(word) for cell in column for word in cell.split()]
    return max([*words, min(WRAPPED, max(map(cell_len, cells), default=0)), min(1, len(heading))])


def _widths(part: Sequence[int], natural: Sequence[int], least: Sequence[int], width: int) -> dict[int, int]:
    """Widths of the columns of one part: the natural ones, and where these are too wide the widest give first."""
    widths = {index: natural[index] for index in part}
    while sum(widths.values()) + FRAME * len(part) + 1 > width:
        giving = max((i for i in part if widths[i] > least[i]), key=widths.__getitem__)
        widths[giving] -= 1
    return widths


def _harmless(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _asked_width() -> int:
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdigit() and int(asked) else PIPED_WIDTH
