"""Which output of a classifier stands for which class of a data set."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgekit.card import BACKGROUND
from edgekit.data.base import Dataset
from edgekit.errors import DataError, InputError

_WITH_BACKGROUND = 1001
"""Outputs of an ImageNet classifier in TensorFlow-Slim's convention, where 0 is the background."""


@dataclass(frozen=True, slots=True)
class LabelMap:
    """``to_output[class id of the data]`` is the index of the model's output for that class."""

    to_output: tuple[int, ...]

    def outputs(self, class_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """``class_ids`` (count,) of the data as indexes of the model's output, (count,) int64."""
        return np.asarray(self.to_output, np.int64)[class_ids]

    def class_ids(self, outputs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The reverse: class ids for indexes of the model's output; -1 - index where the data has no such class."""
        known = {output: class_id for class_id, output in enumerate(self.to_output)}
        return np.array([known[o] if o in known else -1 - o for o in outputs.tolist()], np.int64)


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names from a text file, one a line, or from a ``.csv`` with the columns class_id and name.

    Empty lines at the end do not count.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8; expected one class name a line.") from None
    except OSError as error:
        raise InputError(f"The labels file {path} cannot be read: {error.strerror}.") from None
    if not lines:
        raise InputError(f"The labels file {path} is empty; expected one class name a line.")
    if path.suffix.lower() == ".csv":
        return _from_csv(lines, path)
    return tuple(line.strip() for line in lines)


def _from_csv(lines: list[str], path: Path) -> tuple[str, ...]:
    reader = csv.DictReader(lines)
    if not {"class_id", "name"} <= set(reader.fieldnames or ()):
        raise InputError(f"{path} has the columns {', '.join(reader.fieldnames or ())}; expected class_id and name.")
    names = {row["class_id"]: row["name"] for row in reader}
    ids = [str(i) for i in range(len(names))]
    if set(names) != set(ids):
        raise InputError(f"{path} names {len(names)} classes whose ids are not 0..{len(names) - 1}, each once.")
    return tuple(names[i] for i in ids)


def require_labels(data: Dataset) -> npt.NDArray[np.int64]:
    """The class ids of ``data``, (count,); `DataError` when it has none."""
    if data.labels is None:
        raise DataError(
            f"The data set {data.name} has no labels; expected a sub-folder for each class, labels.csv, y in an .npz, "
            "or for texts a .csv with text and label."
        )
    return data.labels


def match_labels(data: Dataset, outputs: int, names: Sequence[str] | None, *, model: str) -> LabelMap:
    """The output of a model with ``outputs`` classes called ``names`` for each class of ``data``.

    By position when the counts are equal and no name speaks against it; one further when the model has one class more
    and its first is the background; by name where all the names of the data are found once each. Nothing is guessed:
    `InputError` naming ``--labels`` when none applies, `DataError` when the data has no labels.
    """
    labels = require_labels(data)
    if names is not None and len(names) != outputs:
        raise InputError(f"{model} has {outputs} outputs and {len(names)} labels; give as many with --labels.")
    own = None if names is None else [_plain(n) for n in names]
    if data.class_names is None:
        return _by_id(int(labels.max()), outputs, own, data.name, model)
    return match_names(data.class_names, names, outputs, data=data.name, model=model)


def match_names(
    class_names: Sequence[str], names: Sequence[str] | None, outputs: int, *, data: str, model: str
) -> LabelMap:
    """The output, of ``outputs`` called ``names``, for each of the ``class_names`` of a data set, as `match_labels`."""
    wanted = [_plain(name) for name in class_names]
    own = None if names is None else [_plain(name) for name in names]
    if own is None or own == wanted:
        if len(wanted) == outputs:
            return LabelMap(tuple(range(outputs)))
        raise _unmatched(len(wanted), outputs, data, model)
    places = {name: i for i, name in enumerate(own) if own.count(name) == 1}
    shift = 1 if len(own) == len(wanted) + 1 and own[0] == BACKGROUND else 0
    if len(own) == len(wanted) + shift and not any(
        n in places and places[n] != i for i, n in enumerate(wanted, start=shift)
    ):
        return LabelMap(tuple(range(shift, shift + len(wanted))))
    if len(set(wanted)) == len(wanted) and all(n in places for n in wanted):
        return LabelMap(tuple(places[n] for n in wanted))
    raise _unmatched(len(wanted), outputs, data, model)


def _by_id(largest: int, outputs: int, own: list[str] | None, data: str, model: str) -> LabelMap:
    if largest >= outputs:
        raise DataError(f"The data set {data} has the class id {largest}; {model} has outputs 0..{outputs - 1}.")
    background = outputs == _WITH_BACKGROUND if own is None else own[0] == BACKGROUND
    if background:
        raise InputError(
            f"{model} counts the background as class 0 and the data set {data} does not name its classes: "
            "give their names with classes.csv beside labels.csv, and the model's with --labels."
        )
    return LabelMap(tuple(range(outputs)))


def _unmatched(classes: int, outputs: int, data: str, model: str) -> InputError:
    return InputError(
        f"The {classes} classes of the data set {data} cannot be matched with the {outputs} outputs of {model}: "
        "give the names of its outputs, in their order, with --labels."
    )


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()
