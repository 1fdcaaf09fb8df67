"""The epoch loop: compile, go on from the last checkpoint, stop early, keep the best weights."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import InputError
from edgekit.models.batches import Augmentation, Images, plain_batches, training_batches
from edgekit.models.checkpoint import Checkpoint, EpochRecord, assign, read_checkpoint, values, write_checkpoint
from edgekit.models.framework import load_keras
from edgekit.models.registry import Optimizer, Schedule, TrainingPreset
from edgekit.preprocessing import Preprocessing
from edgekit.workers import Progress

EpochReport = Callable[[EpochRecord, int], None]
"""Called after each epoch with its figures and the number of epochs in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """All that decides the result of a training, but for the model's first weights."""

    training: Images
    validation: Images
    preprocessing: Preprocessing
    classes: int
    preset: TrainingPreset
    seed: int

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        full, rest = divmod(len(self.training), self.preset.batch_size)
        return full + (rest > 1 or full == 0)


def fit(
    model: Any,
    plan: Fit,
    *,
    checkpoint: Path,
    progress: Progress,
    on_epoch: EpochReport,
    tensorboard: Path | None = None,
) -> Checkpoint:
    """Train ``model`` in place and leave the best epoch's weights in it; the last state.

    ``checkpoint`` is replaced after every epoch, and where it exists training goes on after its last epoch: the result
    is the same as without the interruption, bit for bit on the same machine.
    """
    _compile(model, plan)
    state = read_checkpoint(checkpoint) if checkpoint.exists() else Checkpoint()
    if state.epoch:
        assign(model.variables, state.model)
        assign(model.optimizer.variables, state.optimizer)
    epochs, patience = plan.preset.epochs, plan.preset.patience
    while state.epoch < epochs and not (patience and state.epochs_without_progress >= patience):
        record = _one_epoch(model, plan, state.epoch + 1, progress)
        state = state.after(record, values(model.variables), values(model.optimizer.variables))
        write_checkpoint(checkpoint, state)
        if tensorboard is not None:
            _log(tensorboard, record)
        on_epoch(record, epochs)
    assign(model.variables, state.best)
    return state


def _compile(model: Any, plan: Fit) -> None:
    import tensorflow as tf

    keras = load_keras()
    tf.config.experimental.enable_op_determinism()
    model.compile(
        optimizer=_optimizer(plan),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=plan.preset.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    model.optimizer.build(model.trainable_variables)


def _optimizer(plan: Fit) -> Any:
    keras = load_keras()
    preset = plan.preset
    match preset.schedule:
        case Schedule.CONSTANT:
            rate: Any = preset.learning_rate
        case Schedule.COSINE:
            rate = keras.optimizers.schedules.CosineDecay(preset.learning_rate, plan.steps * preset.epochs)
        case Schedule.EXPONENTIAL:
            rate = keras.optimizers.schedules.ExponentialDecay(
                preset.learning_rate, plan.steps, preset.decay_per_epoch, staircase=True
            )
    decay = preset.weight_decay or None
    match preset.optimizer:
        case Optimizer.ADAM:
            return keras.optimizers.Adam(rate, weight_decay=decay)
        case Optimizer.RMSPROP:
            return keras.optimizers.RMSprop(rate, rho=0.9, momentum=0.9, epsilon=1.0, weight_decay=decay)


def _one_epoch(model: Any, plan: Fit, epoch: int, progress: Progress) -> EpochRecord:
    start = time.perf_counter()
    what = f"epoch {epoch} of {plan.preset.epochs}"
    augmentation = Augmentation(shift_pixels=plan.preset.shift_pixels, flip=plan.preset.flip)
    batches = training_batches(
        plan.training,
        plan.preprocessing,
        classes=plan.classes,
        batch_size=plan.preset.batch_size,
        augmentation=augmentation,
        seed=plan.seed,
        epoch=epoch,
    )
    model.reset_metrics()
    trained: dict[str, Any] = {}
    for step, (inputs, targets) in enumerate(batches, 1):
        trained = model.train_on_batch(inputs, targets, return_dict=True)
        progress(what, step, plan.steps)
    if not trained["loss"] < float("inf"):
        raise InputError(
            f"The loss of {model.name} became {trained['loss']} in epoch {epoch}; expected a finite number: "
            "train with other settings, such as a larger --batch-size."
        )
    model.reset_metrics()
    tested: dict[str, Any] = {}
    for inputs, targets in plain_batches(plan.validation, plan.preprocessing, classes=plan.classes):
        tested = model.test_on_batch(inputs, targets, return_dict=True)
    return EpochRecord(
        epoch=epoch,
        loss=float(trained["loss"]),
        accuracy=float(trained["accuracy"]),
        val_loss=float(tested["loss"]),
        val_accuracy=float(tested["accuracy"]),
        seconds=time.perf_counter() - start,
    )


def _log(folder: Path, record: EpochRecord) -> None:
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step=record.epoch):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            tf.summary.scalar(name, getattr(record, name))
    writer.close()
