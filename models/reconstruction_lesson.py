"""Learning to make normal items again, so that others are not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError
from edgekit.models.batches import Share
from edgekit.models.code_penalties import Penalty
from edgekit.models.corruption import Corruption
from edgekit.models.fitting import batch_signature
from edgekit.models.lesson import Teaching
from edgekit.models.phases import Phase, optimizer_for
from edgekit.models.spec import TrainingPreset
from edgekit.models.turns import Turns
from edgekit.preprocessing import Preprocessing, normalize
from edgekit.tasks.anomalies import average_precision

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_BATCH = 256
_RECONSTRUCTION = 1
"""The place of what is made again among the outputs of a model, and of its learner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Items ``values`` (count, ...): standardized rows float32, or images uint8 that ``preprocessing`` makes an input.

    ``anomalous`` is (count,) bool; ``digests`` recognise the items as they were read.
    """

    values: Array
    anomalous: npt.NDArray[np.bool_]
    digests: tuple[str, ...]
    preprocessing: Preprocessing | None = None

    def __len__(self) -> int:
        return len(self.values)

    def at(self, places: Indices | slice) -> Array:
        """The inputs of the items at ``places``."""
        values = self.values[places]
        return values if self.preprocessing is None else normalize(values, self.preprocessing)

    def subset(self, places: Indices) -> Self:
        """The items at ``places``, in that order."""
        digests = tuple(self.digests[place] for place in places)
        return replace(self, values=self.values[places], anomalous=self.anomalous[places], digests=digests)

    def normal(self) -> Self:
        """The normal ones."""
        return self.subset(np.flatnonzero(~self.anomalous))

    def apart_from(self, held_out: "Rows") -> Self:
        """Those that are not the same as one of ``held_out``; `DataError` where no normal one is left."""
        seen = set(held_out.digests)
        others = self.subset(np.array([i for i, digest in enumerate(self.digests) if digest not in seen], np.int64))
        if others.anomalous.all():
            raise DataError(
                f"All {int((~self.anomalous).sum()):,} normal items to learn from are copies of items that were set "
                "aside; add other items."
            )
        return others


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionLesson:
    """Normal items to make again; see `edgekit.models.lesson.Lesson`. ``validation`` may hold anomalies too.

    With a ``corruption`` they are to be made of damaged ones; with ``noise`` that many numbers are drawn for each item.
    """

    training: Rows
    validation: Rows
    preset: TrainingPreset
    seed: int
    share: Share
    penalty: Penalty | None = None
    corruption: Corruption | None = None
    noise: int = 0

    @property
    def plan(self) -> Turns:
        """How the batches are made."""
        return Turns(count=len(self.training), batch_size=self.preset.batch_size, seed=self.seed, share=self.share)

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return self.plan.steps

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """What is given, what it is to become, noise if any, and the number of items."""
        for step, (chosen, size) in enumerate(self.plan.of_epoch(epoch)):
            random = np.random.default_rng([self.seed, epoch, step, self.share.index])
            whole = self.training.at(chosen)
            given = whole if self.corruption is None else self.corruption.damaged(whole, random)
            drawn = [random.standard_normal((len(chosen), self.noise), np.float32)] if self.noise else []
            yield given, whole, *drawn, float(size)

    def targets(self, model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """What is given, again, and noise if any."""
        return tuple((tuple(tensor.shape), np.float32) for tensor in (model.inputs[0], *model.inputs[1:]))

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """The mean error of the normal validation items, and how well errors tell the anomalies among them, if any."""
        errors, anomalous = errors_of(model, self.validation), self.validation.anomalous
        figures = {}
        if anomalous.any():
            figures["pr_auc"] = average_precision(errors, anomalous)
        return float(errors[~anomalous].mean()), figures


def errors_of(model: Any, rows: Rows) -> Floats:
    """The mean of the squared errors of every item of ``rows``, (count,); of the learner of noise without it."""
    found = []
    for start in range(0, len(rows), _BATCH):
        given = rows.at(slice(start, start + _BATCH))
        still = [np.zeros((len(given), *tensor.shape[1:]), np.float32) for tensor in model.inputs[1:]]
        made = np.asarray(model.predict_on_batch([given, *still] if still else given)[_RECONSTRUCTION])
        found.append(np.square(given.astype(np.float64) - made).reshape(len(given), -1).mean(axis=1))
    return np.concatenate(found)


def reconstruct(model: Any, lesson: ReconstructionLesson, phase: Phase, together: Any) -> Teaching:
    """The teaching of autoencoders: the loss is the error of every item and what its code costs."""
    import tensorflow as tf

    optimizer = optimizer_for(lesson.preset, phase, lesson.steps)
    variables = model.trainable_variables
    optimizer.build(variables)

    def own(given: Any, whole: Any, *rest: Any) -> tuple[Any, Any]:
        *noise, size = rest
        with tf.GradientTape() as tape:
            outputs = model([given, *noise] if noise else given, training=True)
            squares = tf.square(outputs[_RECONSTRUCTION] - whole)
            error = tf.reduce_sum(tf.reduce_mean(squares, axis=range(1, squares.shape.rank)))
            cost = error if lesson.penalty is None else error + lesson.penalty(model, given, outputs)
            mean = cost / size
        optimizer.apply(tape.gradient(mean, [v.value for v in variables]), variables)
        return cost, error

    step: Callable[..., Any] = tf.function(
        together.summed(own), input_signature=batch_signature(model, lesson), autograph=False
    )
    return Teaching(step=step, figures=("reconstruction_error",), variables=optimizer.variables)
