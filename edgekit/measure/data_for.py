"""The data that files are measured on, opened as they take it."""

from collections.abc import Sequence
from pathlib import Path

from edgekit.artifact import open_artifact
from edgekit.data import Dataset, Part, open_data


def data_for(paths: Sequence[Path], data: Dataset | str, *, data_dir: Path | None) -> Dataset:
    """The evaluation part of what ``data`` names, or ``data`` itself, for the files at ``paths``.

    Where one of them takes rows of a table, its columns alone are read, see `edgekit.data.open_data`.
    """
    if not isinstance(data, str):
        return data
    tables = (open_artifact(path).card.tabular for path in paths)
    taken = next((table.names for table in tables if table is not None), ())
    return open_data(data, part=Part.EVALUATION, data_dir=data_dir, columns=taken)
