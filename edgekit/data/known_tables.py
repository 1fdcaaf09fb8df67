"""How the known sets with anomalies are read: which items are normal, and which ones test."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgekit.data.arrays import ArrayItems, load_npz
from edgekit.data.base import Dataset, Part
from edgekit.data.csv_table import parse_table, require_columns
from edgekit.data.packed import unpacked
from edgekit.errors import DataError

NAMES = ("normal", "anomaly")
"""What the class ids 0 and 1 are called."""
TEST_FRACTION = 0.4
"""Of the normal and of the anomalous rows of a table, drawn once and for all."""
_SEED = 0
_FRAUD = (*(f"V{number}" for number in range(1, 29)), "Amount")

Values = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def fraud(path: Path, part: Part, name: str) -> Dataset:
    """Payments by card, without the time of each: a third of the normal ones are of the first hour."""
    table = parse_table(unpacked(path), str(path))
    require_columns(table, *_FRAUD, "Class")
    values = np.array([table.numbers(column) for column in _FRAUD], np.float32).T
    return _part_of(values, table.class_ids("Class"), part, name=name, columns=_FRAUD)


def odds(path: Path, part: Part, name: str) -> Dataset:
    """A table of the library ODDS: ``x`` (rows, columns) float32 and ``y``, 1 for an anomaly."""
    arrays = load_npz(path, part)
    return _part_of(arrays["x"].astype(np.float32), arrays["y"].astype(np.int64), part, name=name)


def digits_or_letters(path: Path, part: Part, name: str) -> Dataset:
    """MNIST's training digits, all normal; for evaluation its test digits, and as anomalies letters of notMNIST."""
    digits = path.parent.parent / "mnist" / "mnist.npz"
    if not digits.is_file():
        raise DataError(f"There is no file {digits}, whose digits {name} takes beside {path}; put it there.")
    key = "x_test" if part is Part.EVALUATION else "x_train"
    parts = [load_npz(file, part)[key] for file in ((digits, path) if part is Part.EVALUATION else (digits,))]
    labels = np.repeat(np.arange(len(parts)), [len(images) for images in parts])
    return Dataset(name=name, items=ArrayItems(np.concatenate(parts)[..., None]), labels=labels, class_names=NAMES)


def _part_of(values: Values, labels: Labels, part: Part, *, name: str, columns: tuple[str, ...] = ()) -> Dataset:
    """The rows of ``part``; of rows that are the same the test has its own, and the training part none."""
    random, drawn = np.random.default_rng(_SEED), []
    for label in range(len(NAMES)):
        members = random.permutation(np.flatnonzero(labels == label))
        drawn.append(members[: round(len(members) * TEST_FRACTION)])
    test = np.sort(np.concatenate(drawn))
    chosen = test
    if part is not Part.EVALUATION:
        seen = {values[row].tobytes() for row in test}
        chosen = np.array([row for row in range(len(values)) if values[row].tobytes() not in seen], np.int64)
    return Dataset(
        name=name, items=ArrayItems(values[chosen]), labels=labels[chosen], class_names=NAMES, columns=columns
    )
