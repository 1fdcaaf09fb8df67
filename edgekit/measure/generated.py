"""What a judge says of the pictures of one generator, beside real ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric
from edgekit.data.base import Dataset
from edgekit.data.noise import draws
from edgekit.errors import DataError, InputError
from edgekit.feeding import is_image
from edgekit.generation import Generator
from edgekit.measure.held_out import HeldOut
from edgekit.measure.metrics import require_finite
from edgekit.measure.picture_judge import PictureJudge, Seen
from edgekit.tasks.generation import (
    NEIGHBOURS,
    Gaussian,
    Neighbourhood,
    Purity,
    Share,
    category_purity,
    conditional_accuracy,
    frechet_distance,
    gaussian,
    neighbourhood,
    precision_recall,
)
from edgekit.tasks.labels import match_labels
from edgekit.tasks.pictures import pixels_of

Array = npt.NDArray[Any]

SAMPLES = 10_000
"""Pictures that a generator makes to be judged, as many as MNIST has for tests."""
Make = Callable[[Mapping[str, Array]], Array]
_CHUNK = 256  # pictures looked at together


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationResult:
    """What was found of ``count`` pictures, beside ``real`` ones; ``none`` where the generator has no such input."""

    frechet: float
    precision: float
    recall: float
    conditional_accuracy: Share | None
    purity: Purity | None
    count: int
    real: int

    def metrics(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        figures = {"frechet": self.frechet, "precision": self.precision, "recall": self.recall}
        if self.conditional_accuracy is not None:
            share = self.conditional_accuracy
            figures["conditional_accuracy"] = share.value
            figures |= {"conditional_accuracy_low": share.low, "conditional_accuracy_high": share.high}
        if self.purity is not None:
            figures |= {"purity": self.purity.purity, "purity_matched": self.purity.matched}
        return figures

    def for_card(self, data: str, judge: PictureJudge) -> tuple[Metric, ...]:
        """The figures for a card; what they were measured on names the ``judge`` by the start of its digest."""
        on = f"{data}, judge {judge.artifact.sha256[:12]}"
        plain = [
            Metric(name=name, value=value, data=on, count=self.count)
            for name, value in self.metrics().items()
            if not name.startswith("conditional_accuracy")
        ]
        share = self.conditional_accuracy
        if share is None:
            return tuple(plain)
        name = "conditional_accuracy"
        asked = Metric(name=name, value=share.value, data=on, count=share.count, low=share.low, high=share.high)
        return (*plain, asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reality:
    """Real pictures as the judge sees them. ``accuracy`` is the judge's own on them, None where they have no labels."""

    shape: Gaussian
    around: Neighbourhood
    accuracy: Share | None

    def __len__(self) -> int:
        return len(self.around.points)


def look_at_real(judge: PictureJudge, data: Dataset, chosen: HeldOut) -> Reality:
    """The ``chosen`` items of ``data`` as the ``judge`` sees them.

    `DataError` for items that are no images, and for fewer than four.
    """
    looked: list[Seen] = []
    chunk: list[npt.NDArray[np.uint8]] = []
    for item in chosen:
        if isinstance(item, (Mapping, str)) or not is_image(item):
            raise DataError(
                f"The data set {data.name} holds no images; a generator is judged beside real pictures: name such data."
            )
        chunk.append(item)
        if len(chunk) == _CHUNK:
            looked.append(judge.look(chunk))
            chunk = []
    looked += [judge.look(chunk)] if chunk else []
    count = sum(map(len, looked))
    if count <= NEIGHBOURS:
        raise DataError(f"The data set {data.name} gives {count} real pictures; expected at least {NEIGHBOURS + 1}.")
    seen = _joined(looked)
    accuracy = None
    if data.labels is not None:
        names = match_labels(data, judge.classes, judge.artifact.card.labels, model=f"the judge {judge.given}")
        accuracy = conditional_accuracy(names.outputs(data.labels[chosen.indices]), seen.classes)
    return Reality(shape=gaussian(seen.features), around=neighbourhood(seen.features), accuracy=accuracy)


class Judging:
    """The pictures of one generator before the judge, some at a time.

    ``labels`` are those of the generator's card, ``model`` its name; `InputError` where the judge has other classes.
    """

    def __init__(
        self, judge: PictureJudge, real: Reality, generator: Generator, labels: Sequence[str] | None, *, model: str
    ) -> None:
        self._judge, self._real, self._generator, self._model = judge, real, generator, model
        self._to_output = _classes(judge, generator, labels, model)
        self._asked: list[int] = []
        self._looked: list[Seen] = []

    def add(self, pictures: Array, asked: Array | None) -> None:
        """Judge ``pictures`` (count, height, width, channels) in the generator's range, of the classes ``asked``."""
        require_finite(pictures, f"A picture of {self._model}")
        self._looked.append(self._judge.look(list(pixels_of(pictures, self._generator))))
        if asked is not None:
            self._asked += asked.tolist()

    def result(self) -> GenerationResult:
        """The figures over all pictures; `DataError` for fewer than four."""
        if (count := sum(map(len, self._looked))) <= NEIGHBOURS:
            raise DataError(f"There are {count} pictures of {self._model}; expected at least {NEIGHBOURS + 1}.")
        seen = _joined(self._looked)
        precision, recall = precision_recall(self._real.around, neighbourhood(seen.features))
        condition, asked = self._generator.condition, np.array(self._asked, np.int64)
        share = purity = None
        if condition is not None and condition.asked:
            share = conditional_accuracy(np.asarray(self._to_output, np.int64)[asked], seen.classes)
        elif condition is not None:
            purity = category_purity(asked, seen.classes, shape=(condition.classes, self._judge.classes))
        return GenerationResult(
            frechet=frechet_distance(self._real.shape, gaussian(seen.features)),
            precision=precision,
            recall=recall,
            conditional_accuracy=share,
            purity=purity,
            count=len(seen),
            real=len(self._real),
        )


def judge_generator(
    make: Make,
    generator: Generator,
    judge: PictureJudge,
    real: Reality,
    *,
    labels: Sequence[str] | None,
    samples: int = SAMPLES,
    seed: int = 0,
    model: str = "the generator",
) -> GenerationResult:
    """What ``judge`` says of ``samples`` pictures that ``make`` makes of noise drawn with ``seed``.

    ``make`` takes inputs by name, each (count, ...), and gives pictures (count, height, width, channels), such as a
    Keras model in training.
    """
    judging, inputs = Judging(judge, real, generator, labels, model=model), draws(generator, samples, seed)
    condition = generator.condition
    for start in range(0, samples, _CHUNK):
        part = {name: values[start : start + _CHUNK] for name, values in inputs.items()}
        judging.add(make(part), None if condition is None else part[condition.name].argmax(axis=1))
    return judging.result()


def _classes(judge: PictureJudge, generator: Generator, labels: Sequence[str] | None, model: str) -> tuple[int, ...]:
    """The judge's output for every class that the generator can be asked for; empty where it cannot."""
    condition = generator.condition
    if condition is None or not condition.asked:
        return ()
    known, count = judge.artifact.card.labels, condition.classes
    if labels is not None and known is not None and len(labels) == count and set(labels) <= set(known):
        return tuple(known.index(label) for label in labels)
    if (labels is None or known is None) and judge.classes == count:
        return tuple(range(count))
    raise InputError(
        f"The {count} classes of {model} are not among the {judge.classes} of the judge {judge.given}; expected one "
        "that was trained on the same data."
    )


def _joined(looked: Sequence[Seen]) -> Seen:
    return Seen(
        features=np.concatenate([seen.features for seen in looked]),
        classes=np.concatenate([seen.classes for seen in looked]),
    )
