"""The data that files are measured on, opened as they take it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from edgekit.artifact import open_artifact
from edgekit.card import ModelCard
from edgekit.data import Dataset, Part, open_data
from edgekit.data.table_rows import rows_for


def data_for(paths: Sequence[Path], data: Dataset | str, *, data_dir: Path | None) -> Dataset:
    """The evaluation part of what ``data`` names, or ``data`` itself, for the files at ``paths``.

    Where one of them takes rows of a table, its columns alone are read, see `edgekit.data.open_data`.
    """
    if not isinstance(data, str):
        return data
    return data_of((open_artifact(path).card for path in paths), data, data_dir=data_dir)


def data_of(cards: Iterable[ModelCard], data: str, *, data_dir: Path | None) -> Dataset:
    """As `data_for`, for the files with these ``cards``."""
    how = next((card.tabular for card in cards if card.tabular is not None), None)
    columns = () if how is None else how.names
    return rows_for(open_data(data, part=Part.EVALUATION, data_dir=data_dir, columns=columns), how)
