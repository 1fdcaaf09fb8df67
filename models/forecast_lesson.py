"""Learning to forecast the next value of a series."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric, ModelCard
from edgekit.data import Dataset, item_digest
from edgekit.data.windows import windows
from edgekit.models.batches import Share
from edgekit.models.lesson import Course, Terms
from edgekit.models.sequence_parts import Halves, end_of, length_of, outputs_of, read_sequences
from edgekit.models.spec import ModelSpec, TrainingPreset, Value
from edgekit.models.turns import Turns
from edgekit.sequences import Scaling, Sequences, Series
from edgekit.tasks.series import encode_window, scale_of

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """Windows (count, length, columns) and the value after each, (count, 1), divided by each window's last value."""

    windows: Array
    following: Array

    @property
    def persistence_mse(self) -> float:
        """The mean square error of forecasting that nothing changes."""
        return self.mse(self.windows[:, -1, :1])

    def mse(self, forecasts: Array) -> float:
        """The mean square error of ``forecasts`` (count, 1)."""
        return float(np.mean((forecasts.astype(np.float64) - self.following) ** 2))


def scaled(data: Dataset, how: Series) -> Scaled:
    """All windows of the series ``data``."""
    cut = [np.asarray(item) for item in windows(data, how.length)]
    following = [[window[how.length, 0] / scale_of(window, how)] for window in cut]
    return Scaled(
        windows=np.stack([encode_window(window, how) for window in cut]), following=np.array(following, np.float32)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastLesson:
    """Windows of a series; see `edgekit.models.lesson.Lesson`."""

    training: Scaled
    validation: Scaled
    preset: TrainingPreset
    seed: int
    share: Share
    counted = "direction"

    @property
    def plan(self) -> Turns:
        """How the batches are made."""
        count = len(self.training.windows)
        return Turns(count=count, batch_size=self.preset.batch_size, seed=self.seed, share=self.share)

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return self.plan.steps

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Windows, what follows each, their last values, and the number of windows."""
        for chosen, size in self.plan.of_epoch(epoch):
            own = self.training.windows[chosen]
            yield own, self.training.following[chosen], own[:, -1, :1], float(size)

    def targets(self, _model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """The following and the last values."""
        return ((None, 1), np.float32), ((None, 1), np.float32)

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """The squared errors' sum, and how many forecasts say rightly whether the value rises."""
        import tensorflow as tf

        following, last = targets
        right = tf.equal(outputs > last, following > last)
        return tf.reduce_sum(tf.square(outputs - following)), tf.reduce_sum(tf.cast(right, tf.int32))

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """The mean square error on the validation part, and that of forecasting no change."""
        mse = self.validation.mse(outputs_of(model, self.validation.windows))
        return mse, {"persistence_mse": self.validation.persistence_mse}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastMaterial:
    """A series; see `edgekit.models.lesson.Material`."""

    parts: Halves
    labels = None
    keeps_items = False

    @property
    def arguments(self) -> Mapping[str, Value]:
        """The number of columns."""
        return {"columns": len(self.parts.train.columns)}

    def course(self, terms: Terms) -> Course:
        """The end of the training part validates; the test compares with forecasting no change."""
        how = self._series(int(terms.arguments["length"]))
        train, test = self.parts.train, self.parts.test
        assert isinstance(train.whole, np.ndarray)  # noqa: S101
        cut = end_of(len(train.whole), terms.preset.validation_fraction)
        lesson = ForecastLesson(
            training=scaled(replace(train, name=f"{train.name}'s training part", whole=train.whole[:cut]), how),
            validation=scaled(replace(train, name=f"{train.name}'s validation part", whole=train.whole[cut:]), how),
            preset=terms.preset,
            seed=terms.seed,
            share=terms.share,
        )
        held_out = scaled(replace(test, name=f"{test.name}'s test part"), how)

        def tested(model: Any) -> tuple[Metric, ...]:
            forecasts = outputs_of(model, held_out.windows)
            mse, persistence = held_out.mse(forecasts), held_out.persistence_mse
            mae = float(np.mean(np.abs(forecasts.astype(np.float64) - held_out.following)))
            figures = {"mse": mse, "mae": mae, "persistence_mse": persistence}
            if persistence > 0:  # else the test part never changes
                figures["mse_ratio"] = mse / persistence
            count = len(forecasts)
            return tuple(Metric(name=n, value=v, data=train.name, count=count) for n, v in figures.items())

        return Course(lesson=lesson, learned=(item_digest(train.whole),), test=tested)

    def completed(self, card: ModelCard) -> ModelCard:
        """``card`` with the columns and the scaling."""
        return replace(card, sequences=Sequences(series=self._series(length_of(card))))

    def _series(self, length: int) -> Series:
        return Series(length=length, columns=self.parts.train.columns, scaling=Scaling.LAST)


def forecast_material(spec: ModelSpec, data: str, data_dir: Path | None) -> ForecastMaterial:
    """The series called ``data``."""
    return ForecastMaterial(parts=read_sequences(spec, data, data_dir, _is_series))


def _is_series(data: Dataset) -> bool:
    return data.whole is not None and bool(data.columns)
