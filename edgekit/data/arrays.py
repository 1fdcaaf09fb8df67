"""Arrays in memory as items, and the ``.npz`` files they come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data import npy
from edgekit.data.base import Dataset, Part
from edgekit.errors import DataError

Array = npt.NDArray[Any]

CLASS_NAMES = "class_names"
_LABEL_KEYS = ("y", "y_train", "y_test")
_SPLIT_KEYS = {Part.TRAIN: "train", Part.CALIBRATION: "train", Part.EVALUATION: "test"}


@dataclass(frozen=True, slots=True)
class ArrayItems:
    """Items that are the rows of one array."""

    values: Array

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int, /) -> Array:
        return np.asarray(self.values[index])


@dataclass(frozen=True, slots=True)
class NamedArrayItems:
    """Items that are the rows of several arrays of one length, by input name."""

    arrays: Mapping[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, index: int, /) -> Mapping[str, Array]:
        return {name: np.asarray(values[index]) for name, values in self.arrays.items()}


def read_npz(path: Path, part: Part) -> Dataset:
    """One part of an ``.npz``: ``x_train`` or ``x`` to train and calibrate, ``x_test`` or ``x`` to evaluate.

    Labels are ``y_train``, ``y_test`` or ``y``. A file without these holds arrays by input name, for models of several
    inputs. ``class_names`` may name the classes. Nothing pickled is opened.
    """
    arrays = load_npz(path, part)
    return dataset_of(arrays, part, name=path.stem, where=str(path))


def load_npz(path: Path, part: Part) -> dict[str, Array]:
    """The arrays of an ``.npz`` by name, without the other part's where ``part`` has its own.

    `DataError` when the file is damaged or holds pickled objects.
    """
    split = _SPLIT_KEYS[part]
    other = "test" if split == "train" else "train"

    def wanted(names: frozenset[str]) -> frozenset[str]:
        return names - {f"x_{other}", f"y_{other}"} if f"x_{split}" in names else names

    try:
        if npy.is_bare_array(path):
            raise DataError(f"{path} holds one bare array; expected an .npz with named arrays.")
        return npy.read_npz(path, wanted=wanted)
    except npy.BROKEN as error:
        raise DataError(f"{path} is not a readable .npz of plain arrays: {npy.reason(error)}.") from None


def dataset_of(
    arrays: Mapping[str, Array], part: Part, *, name: str, where: str, class_names: tuple[str, ...] | None = None
) -> Dataset:
    """The ``part`` of a set held in ``arrays``, named as in an ``.npz``; ``where`` begins error messages."""
    split = _SPLIT_KEYS[part]
    extra = sorted(set(arrays) - {"x", "x_train", "x_test", *_LABEL_KEYS, CLASS_NAMES})
    if CLASS_NAMES in arrays:
        class_names = tuple(str(n) for n in arrays[CLASS_NAMES].ravel())
    if f"x_{split}" in arrays:
        values, labels = arrays[f"x_{split}"], arrays.get(f"y_{split}")
        return _single(values, labels, name, where, class_names, f"x_{split}")
    if "x" in arrays and not extra:
        return _single(arrays["x"], arrays.get("y"), name, where, class_names, "x")
    if part is Part.EVALUATION and "x_train" in arrays and not extra:  # one part serves for all, as a folder does
        return _single(arrays["x_train"], arrays.get("y_train"), name, where, class_names, "x_train")
    if not extra:
        raise DataError(f"{where} has no x_{split} or x; it holds: {', '.join(sorted(arrays)) or 'nothing'}.")
    return _named(
        {k: arrays[k] for k in arrays if k not in (*_LABEL_KEYS, CLASS_NAMES)},
        arrays.get("y"),
        name,
        where,
        class_names,
    )


def require_finite_items(values: Array, where: str) -> None:
    """`DataError` naming the first row that holds NaN or infinity."""
    if not np.issubdtype(values.dtype, np.inexact):
        return
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{where} holds NaN or infinite values, first in item {int(np.argmin(finite))}; expected finite ones."
        )


def _single(
    values: Array, labels: Array | None, name: str, where: str, class_names: tuple[str, ...] | None, key: str
) -> Dataset:
    values = _checked(values, f"{key} in {where}")
    return Dataset(
        name=name,
        items=ArrayItems(values),
        labels=None if labels is None else _checked_labels(labels, len(values), where, class_names),
        class_names=class_names,
        sources=tuple(f"{key}[{place}]" for place in range(len(values))),
    )


def _named(
    arrays: Mapping[str, Array], labels: Array | None, name: str, where: str, class_names: tuple[str, ...] | None
) -> Dataset:
    checked = {key: _checked(values, f"{key} in {where}") for key, values in arrays.items()}
    lengths = {key: len(values) for key, values in checked.items()}
    if len(set(lengths.values())) != 1:
        listed = ", ".join(f"{k} {n}" for k, n in sorted(lengths.items()))
        raise DataError(f"The arrays in {where} have different numbers of items ({listed}); expected one number.")
    items = NamedArrayItems(checked)
    return Dataset(
        name=name,
        items=items,
        labels=None if labels is None else _checked_labels(labels, len(items), where, class_names),
        class_names=class_names,
    )


def _checked(values: Array, where: str) -> Array:
    """``values`` as items: not empty, finite, numeric; gray images (n, h, w) uint8 get their channel axis."""
    if values.ndim == 0 or values.size == 0:
        raise DataError(f"{where} has shape {values.shape}, which holds no items; expected one item a row.")
    if not (np.issubdtype(values.dtype, np.number) or values.dtype == np.bool_):
        raise DataError(f"{where} is {values.dtype}; expected numbers.")
    require_finite_items(values, where)
    return values[..., None] if values.dtype == np.uint8 and values.ndim == 3 else values


def _checked_labels(
    labels: Array, count: int, where: str, class_names: tuple[str, ...] | None
) -> npt.NDArray[np.int64]:
    if labels.ndim == 2 and labels.shape[1] == 1:  # as Keras gives those of CIFAR-10
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iuf":
        raise DataError(f"The labels in {where} are {labels.shape} {labels.dtype}; expected one class id an item.")
    if len(labels) != count:
        raise DataError(f"{where} has {count} items and {len(labels)} labels; expected as many of both.")
    with np.errstate(invalid="ignore"):  # NaN becomes a number that differs from it
        ids = labels.astype(np.int64)
    if not np.array_equal(ids, labels) or ids.min() < 0:
        raise DataError(f"The labels in {where} are not class ids; expected whole numbers, zero or more.")
    if class_names is not None and ids.max() >= len(class_names):
        raise DataError(f"{where} has the class id {ids.max()}; there are names for {len(class_names)} classes.")
    return ids
