"""The phases of a training: which layers learn, until when, and by which rule."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edgekit.models.framework import load_keras
from edgekit.models.spec import Optimizer, Schedule, TrainingPreset

HEAD = "logits"
"""The layer that learns alone while the others are frozen."""

_MOMENTUM = 0.9


class Learning(StrEnum):
    """Which layers learn."""

    ALL = "all"
    HEAD = "head"
    UNNORMALISED = "all but normalisation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """The epochs after ``start`` up to ``end``, and which layers learn in them."""

    start: int
    end: int
    learning_rate: float
    layers: Learning


def phases(preset: TrainingPreset) -> tuple[Phase, ...]:
    """One phase, or with frozen epochs two."""
    frozen = min(preset.frozen_epochs, preset.epochs)
    if not frozen:
        return (Phase(start=0, end=preset.epochs, learning_rate=preset.learning_rate, layers=Learning.ALL),)
    head = Phase(start=0, end=frozen, learning_rate=preset.learning_rate, layers=Learning.HEAD)
    rest = Phase(start=frozen, end=preset.epochs, learning_rate=preset.fine_tuning_rate, layers=Learning.UNNORMALISED)
    return (head, rest) if rest.end > rest.start else (head,)


@contextlib.contextmanager
def learning(model: Any, phase: Phase) -> Iterator[None]:
    """Inside the block only the layers of ``phase`` learn; frozen batch normalisation keeps its statistics."""
    norm = load_keras().layers.BatchNormalization
    before = [layer.trainable for layer in model.layers]
    for layer in model.layers:
        if phase.layers is Learning.HEAD:
            layer.trainable = layer.name == HEAD
        elif phase.layers is not Learning.ALL:
            layer.trainable = not isinstance(layer, norm)
    try:
        yield
    finally:
        for layer, trainable in zip(model.layers, before, strict=True):
            layer.trainable = trainable


def rate_for(preset: TrainingPreset, phase: Phase, steps_per_epoch: int) -> Any:
    """The learning rate in ``phase``, a number or one of Keras' schedules, which ends with the phase."""
    schedules = load_keras().optimizers.schedules
    total = steps_per_epoch * (phase.end - phase.start)
    match preset.schedule:
        case Schedule.CONSTANT:
            return phase.learning_rate
        case Schedule.COSINE:
            return schedules.CosineDecay(phase.learning_rate, total)
        case Schedule.EXPONENTIAL:
            return schedules.ExponentialDecay(
                phase.learning_rate, steps_per_epoch, preset.decay_per_epoch, staircase=True
            )
        case Schedule.STEP:
            # Keras changes to the next value after a boundary, not at it.
            return schedules.PiecewiseConstantDecay(
                [total * quarter // 4 - 1 for quarter in (1, 2, 3)],
                [phase.learning_rate * preset.decay_per_step**times for times in range(4)],
            )


def optimizer_for(preset: TrainingPreset, phase: Phase, steps_per_epoch: int) -> Any:
    """The Keras optimizer of ``phase``."""
    keras = load_keras()
    rate = rate_for(preset, phase, steps_per_epoch)
    decay = preset.weight_decay or None
    clip = preset.clip or None
    match preset.optimizer:
        case Optimizer.ADAM:
            return keras.optimizers.Adam(rate, weight_decay=decay, global_clipnorm=clip)
        case Optimizer.RMSPROP:
            return keras.optimizers.RMSprop(
                rate, rho=0.9, momentum=_MOMENTUM, epsilon=1.0, weight_decay=decay, global_clipnorm=clip
            )
        case Optimizer.SGD:
            # Keras shrinks the weights beside the gradient, where momentum does not add up the decay as in the papers.
            return keras.optimizers.SGD(
                rate,
                momentum=_MOMENTUM,
                weight_decay=decay and decay / (1 - _MOMENTUM),
                global_clipnorm=clip,
            )
