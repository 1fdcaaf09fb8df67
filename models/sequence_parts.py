"""What the materials of sequences share: how their data are divided, and checks of what they hold."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import ModelCard
from edgekit.data import Dataset, item_digest
from edgekit.errors import DataError
from edgekit.models.images import split
from edgekit.models.parts import TEST_FRACTION, Parts, read_parts
from edgekit.models.spec import ModelSpec

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """A training and a test part; ``held_out`` tells that the data have none of their own."""

    train: Dataset
    test: Dataset
    held_out: bool

    @property
    def classes(self) -> int:
        """Number of classes."""
        return Parts(train=self.train, test=self.test).classes

    @property
    def test_name(self) -> str:
        """What the test metric was measured on."""
        return f"{self.train.name}, {TEST_FRACTION:.0%} held out" if self.held_out else self.train.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Items to learn from, to validate on and to test with; no item of a later one is in one before."""

    training: Dataset
    validation: Dataset
    test: Dataset

    @property
    def learned(self) -> tuple[str, ...]:
        """The digests of all items but the test's."""
        return tuple(item_digest(item) for part in (self.training, self.validation) for item in part)


def divided(halves: Halves, fraction: float, seed: int) -> Division:
    """``fraction`` of every class of the training part of ``halves``, or of all its items, is for validation.

    Of copies in two parts the later one has its own.
    """
    learn = _apart(halves.train, halves.test)
    kept, held = split(_groups(learn), fraction, seed, purpose="validation", names=learn.class_names)
    validation = learn.subset(held.tolist())
    return Division(training=_apart(learn.subset(kept.tolist()), validation), validation=validation, test=halves.test)


def _groups(data: Dataset) -> Indices:
    """Class ids, or one number for all."""
    return data.labels if data.labels is not None else np.zeros(len(data), np.int64)


def _apart(data: Dataset, held_out: Dataset) -> Dataset:
    seen = {item_digest(item) for item in held_out}
    others = [index for index, item in enumerate(data) if item_digest(item) not in seen]
    if not others:
        raise DataError(
            f"All {len(data)} texts to learn from are copies of texts that were set aside; add other texts."
        )
    return data.subset(others)


def texts_of(data: Dataset) -> list[str]:
    """The items of ``data``, which are texts."""
    return [str(item) for item in data]


def read_sequences(spec: ModelSpec, data: str, data_dir: Path | None, has: Callable[[Dataset], bool]) -> Halves:
    """The parts of the data set called ``data``; `DataError` unless it ``has`` what the task of ``spec`` needs.

    Where it has no test part, a share of every class, the same in every training, is set aside.
    """
    parts = read_parts(data, data_dir)
    if not has(parts.train):
        raise DataError(f"{data} is no data for {spec.name}; expected {NEEDS[spec.task]}.")
    train = parts.train
    if parts.test is not None:
        return Halves(train=train, test=parts.test, held_out=False)
    kept, held = split(_groups(train), TEST_FRACTION, 0, purpose="test", names=train.class_names)
    return Halves(train=train.subset(kept.tolist()), test=train.subset(held.tolist()), held_out=True)


NEEDS = {
    "text-generation": "a long text: a .txt file, warpeace or shakespeare",
    "text-classification": "texts with classes: a .csv with the columns text and label, imdb or rt_polarity",
    "forecasting": "a series: a .csv with dates and numbers, prices.csv:Close to choose a column, or dow_jones",
    "recommendation": "ratings: a .csv with the columns user, item and rating, or movielens",
    "sequence-to-sequence": "texts with answers: a .csv with the columns input and output, sums or number_names",
}
"""What is learned, for each task of sequences and of ratings."""


def end_of(steps: int, fraction: float) -> int:
    """Where the last ``fraction`` of ``steps`` steps begins."""
    return steps - max(1, round(steps * fraction))


def outputs_of(model: Any, inputs: Array) -> Array:
    """What ``model`` makes of ``inputs``, in order and in parts, which take less memory."""
    parts = [inputs[i : i + _BATCH] for i in range(0, len(inputs), _BATCH)]
    return np.concatenate([np.asarray(model.predict_on_batch(part)) for part in parts])


def length_of(card: ModelCard) -> int:
    """The steps that the model of ``card`` was built for."""
    length = card.provenance.arguments["length"]
    assert isinstance(length, int)  # noqa: S101 - as its argument says
    return length
