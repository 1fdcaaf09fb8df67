"""One word or path to a data set: by name, by what kind of folder or file it is."""

from dataclasses import replace
from pathlib import Path

from edgekit.data.arrays import read_npz
from edgekit.data.base import Dataset, Part
from edgekit.data.folders import read_folder
from edgekit.data.images import is_image_name
from edgekit.data.known import KNOWN, open_known
from edgekit.data.packed import kind_of
from edgekit.data.series_table import chosen_columns, read_series
from edgekit.data.tables import read_csv, read_rows
from edgekit.data.text_files import read_text
from edgekit.data.zips import read_zip
from edgekit.errors import DataError, suggest


def open_data(spec: str, *, part: Part, data_dir: Path | None, columns: tuple[str, ...] = ()) -> Dataset:
    """The ``part`` of the data set that ``spec`` names: a name of `KNOWN`, a folder, or a file that is one.

    Files are ``.zip``, ``.npz``, ``.csv`` and ``.txt``, the last two also in gzip; ``prices.csv:Close,Volume`` chooses
    columns of a series, of which the first is forecast.
    Known sets, ``.npz`` files, and folders with ``train`` and ``test`` (or ``val``) in them, have parts of their own;
    texts and series are divided in time; other folders, zips and tables give all their items for every part.
    Known sets are looked for in ``data_dir``, then in the folder that ``EDGEKIT_DATA`` names, then in Keras' cache.
    With the ``columns`` that a model takes, a ``.csv`` is a table of rows, of which these alone are read.
    `DataError` says what is wrong with the data.
    """
    if spec in KNOWN:
        return open_known(KNOWN[spec], part=part, data_dir=data_dir)
    path = Path(spec)
    if not path.exists():
        table, forecast = chosen_columns(spec)
        if forecast and table.is_file():
            return read_series(table, part, forecast)
        if path.name != spec or path.suffix:
            raise DataError(f"There is no file or folder {spec}.")
        raise DataError(f"There is no data set or path {spec!r}; {suggest(spec, KNOWN)}")
    if path.is_dir():
        return replace(read_folder(_part_of(path, part)), name=path.resolve().name)
    match kind_of(path):
        case ".npz":
            return read_npz(path, part)
        case ".csv":
            return read_rows(path, columns) if columns else read_csv(path, part)
        case ".txt":
            return read_text(path, part)
        case ".zip":
            return read_zip(path)
    if is_image_name(path.name):
        raise DataError(f"{spec} is one image; expected a data set: give the folder that it is in.")
    raise DataError(
        f"{spec} is no data set; expected a folder, a .zip, a .csv, an .npz, a .txt or one of: {', '.join(KNOWN)}."
    )


def _part_of(folder: Path, part: Part) -> Path:
    """The folder inside ``folder`` that holds the ``part``, or ``folder`` itself where it is not divided."""
    tests = [folder / name for name in ("test", "val", "valid", "validation") if (folder / name).is_dir()]
    if not tests or not (folder / "train").is_dir():
        return folder  # a class may be called train, or test
    return tests[0] if part is Part.EVALUATION else folder / "train"
