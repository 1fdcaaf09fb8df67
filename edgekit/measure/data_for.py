"""The data that files are measured on, opened as they take it."""

from collections.abc import Sequence
from pathlib import Path

from edgekit.artifact import open_artifact
from edgekit.data import Dataset, Part, open_data
from edgekit.data.table_rows import rows_for


def data_for(paths: Sequence[Path], data: Dataset | str, *, data_dir: Path | None) -> Dataset:
    """The evaluation part of what ``data`` names, or ``data`` itself, for the files at ``paths``.

    Where one of them takes rows of a table, its columns alone are read, see `edgekit.data.open_data`.
    """
    if not isinstance(data, str):
        return data
    tables = (open_artifact(path).card.tabular for path in paths)
    how = next((table for table in tables if table is not None), None)
    columns = () if how is None else how.names
    return rows_for(open_data(data, part=Part.EVALUATION, data_dir=data_dir, columns=columns), how)
