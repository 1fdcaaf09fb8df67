"""The epoch loop: go on from the last checkpoint, stop early, keep the best weights."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import InputError
from edgekit.models.augmentation import Augmentation
from edgekit.models.batches import ALONE, Batches, Share, class_weights
from edgekit.models.checkpoint import Checkpoint, EpochRecord, assign, read_checkpoint, values, write_checkpoint
from edgekit.models.cluster import Together
from edgekit.models.framework import load_keras
from edgekit.models.images import Images
from edgekit.models.phases import learning, optimizer_for, phases
from edgekit.models.spec import TrainingPreset
from edgekit.preprocessing import Preprocessing, normalize
from edgekit.workers import Progress

Array = npt.NDArray[Any]
EpochReport = Callable[[EpochRecord, int], None]
"""Called after each epoch with its figures and the number of epochs in all."""

_AHEAD = 2
"""Batches that are made while the model learns from the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """All that decides the result of a training, but for the model's first weights."""

    training: Images
    validation: Images
    preprocessing: Preprocessing
    classes: int
    preset: TrainingPreset
    seed: int
    share: Share = ALONE

    @property
    def batches(self) -> Batches:
        """The batches to learn from."""
        preset = self.preset
        return Batches(
            images=self.training,
            preprocessing=self.preprocessing,
            classes=self.classes,
            batch_size=preset.batch_size,
            augmentation=Augmentation(
                shift_pixels=preset.shift_pixels, flip=preset.flip, zoom=preset.zoom, brightness=preset.brightness
            ),
            balanced=preset.balanced,
            seed=self.seed,
            share=self.share,
        )


def fit(
    model: Any,
    plan: Fit,
    *,
    checkpoint: Path,
    progress: Progress,
    on_epoch: EpochReport,
    tensorboard: Path | None = None,
    together: Together = Together(),  # noqa: B008 - frozen
) -> tuple[Checkpoint, Any]:
    """Train ``model`` in place; the last state, and the model with the best epoch's weights: ``model``, or its twin.

    ``checkpoint`` is replaced after every epoch by the first worker, and where it exists training goes on after its
    last epoch: the result is the same as without the interruption, bit for bit on the same machine. `InputError` where
    memory does not do.
    """
    import tensorflow as tf

    try:
        return _fit(model, plan, checkpoint, progress, on_epoch, tensorboard, together)
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        told = [line.partition(" on /job")[0].strip() for line in str(error).splitlines() if "allocat" in line]
        reason = f" ({told[0]})" if told else ""
        raise InputError(
            f"There is not enough memory to train {model.name}{reason}: train with a smaller --batch-size."
        ) from None


def _fit(
    model: Any,
    plan: Fit,
    checkpoint: Path,
    progress: Progress,
    on_epoch: EpochReport,
    tensorboard: Path | None,
    together: Together,
) -> tuple[Checkpoint, Any]:
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    together.agree(0)  # the first worker may have made the folder ready a moment ago
    state = read_checkpoint(checkpoint) if checkpoint.exists() else Checkpoint()
    if not together.agree(state.epoch):
        raise InputError(
            f"{checkpoint} is not the same for all workers; give a RUN_DIR on a disk that they share, or use --force "
            "to start again."
        )
    twin = together.twin(model)
    _restore(model.variables, state.model, checkpoint, model.name)
    preset, batches = plan.preset, plan.batches
    for phase in phases(preset):
        if state.epoch >= phase.end:
            continue
        with learning(model, phase):
            with together.scope():
                optimizer = optimizer_for(preset, phase, batches.steps)
                optimizer.build(model.trainable_variables)
            if state.epoch > phase.start:
                _restore(optimizer.variables, state.optimizer, checkpoint, model.name)
            step = training_step(model, optimizer, preset.label_smoothing, together)
            while state.epoch < phase.end and not _idle(state, preset.patience):
                learned = _learn(model, step, batches, state.epoch + 1, preset.epochs, progress)
                now = values(model.variables)
                if twin is not model:
                    assign(twin.variables, now)
                record = _judged(twin, plan, learned)
                state = state.after(record, now, values(optimizer.variables))
                if plan.share.index == 0:
                    write_checkpoint(checkpoint, state)
                    if tensorboard is not None:
                        _log(tensorboard, record)
                on_epoch(record, preset.epochs)
    _restore(twin.variables, state.best, checkpoint, model.name)
    return state, twin


def _idle(state: Checkpoint, patience: int) -> bool:
    return bool(patience and state.epochs_without_progress >= patience)


def _restore(variables: Any, arrays: tuple[Array, ...], checkpoint: Path, name: str) -> None:
    """Put the values of a checkpoint into ``variables``; nothing before the first epoch."""
    try:
        if arrays:
            assign(variables, arrays)
    except ValueError:
        raise InputError(f"{checkpoint} is damaged: it does not fit {name}; use --force to start again.") from None


def predict(model: Any, images: Images, preprocessing: Preprocessing, *, batch_size: int = 256) -> Array:
    """Logits (count, classes) float32 of ``images``, in order."""
    starts = range(0, len(images), batch_size)
    batches = (normalize(images.at(slice(i, i + batch_size)), preprocessing) for i in starts)
    return np.concatenate([np.asarray(model.predict_on_batch(batch)) for batch in batches])


def cross_entropy(
    logits: Array, labels: npt.NDArray[np.int64], label_smoothing: float = 0.0, weights: Array | None = None
) -> float:
    """Mean of -sum(q log softmax(logits)), where q gives the label 1 - s, and each class s / classes besides.

    ``weights`` (count,) tell how much each item counts.

    Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7, with s for their epsilon.

    >>> round(cross_entropy(np.array([[0.0, 0.0]]), np.array([1])), 4)  # ln 2
    0.6931
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    of_label = np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    losses = -((1 - label_smoothing) * of_label + label_smoothing * log_p.mean(axis=1))
    return float(np.average(losses, weights=weights))


def training_step(model: Any, optimizer: Any, label_smoothing: float, together: Together) -> Callable[..., Any]:
    """A compiled function of a batch that changes the weights; (sum of losses, number correct) before the change."""
    import tensorflow as tf

    loss_of = load_keras().losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=label_smoothing, reduction=None
    )
    variables = model.trainable_variables

    def own(inputs: Any, targets: Any, weights: Any, size: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = tf.reduce_sum(weights * loss_of(targets, logits))
            mean = loss / size
        optimizer.apply(tape.gradient(mean, [v.value for v in variables]), variables)
        correct = tf.equal(tf.argmax(logits, axis=1), tf.argmax(targets, axis=1))
        return loss, tf.reduce_sum(tf.cast(correct, tf.int32))

    # One signature for every batch size: tracing a MobileNet takes seconds.
    compiled: Callable[..., Any] = tf.function(together.summed(own), input_signature=_signature(model))
    return compiled


def _signature(model: Any) -> tuple[Any, ...]:
    """Inputs, targets, weights and size of a batch for ``model``, as TensorFlow's specs."""
    import tensorflow as tf

    shapes = (model.inputs[0].shape, model.outputs[0].shape, (None,), ())
    return tuple(tf.TensorSpec(shape, tf.float32) for shape in shapes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    """An epoch's figures on the images learned from, and when it began."""

    epoch: int
    loss: float
    accuracy: float
    start_s: float


def _learn(
    model: Any, step: Callable[..., Any], batches: Batches, epoch: int, epochs: int, progress: Progress
) -> _Learned:
    start_s = time.perf_counter()
    loss_sum, correct, seen = 0.0, 0, 0
    for done, batch in enumerate(ahead(batches, epoch, model), 1):
        loss, right = step(*batch)
        loss_sum, correct, seen = loss_sum + float(loss), correct + int(right), seen + int(batch[-1])
        progress(f"epoch {epoch} of {epochs}", done, batches.steps)
    _require_finite(loss_sum, model, epoch)
    return _Learned(epoch=epoch, loss=loss_sum / seen, accuracy=correct / seen, start_s=start_s)


def _require_finite(loss: float, model: Any, epoch: int) -> None:
    if not math.isfinite(loss):
        raise InputError(
            f"The loss of {model.name} became {loss} in epoch {epoch}; expected a finite number: "
            "train with other settings, such as a larger --batch-size."
        )


def _judged(model: Any, plan: Fit, learned: _Learned) -> EpochRecord:
    logits = predict(model, plan.validation, plan.preprocessing)
    labels, weights = plan.validation.labels, None
    if plan.preset.balanced:
        weights = class_weights(labels, plan.classes)[labels]
    loss = cross_entropy(logits, labels, plan.preset.label_smoothing, weights)
    _require_finite(loss, model, learned.epoch)
    return EpochRecord(
        epoch=learned.epoch,
        loss=learned.loss,
        accuracy=learned.accuracy,
        val_loss=loss,
        val_accuracy=float(np.mean(logits.argmax(axis=1) == plan.validation.labels)),
        seconds=time.perf_counter() - learned.start_s,
    )


def ahead(batches: Batches, epoch: int, model: Any) -> Any:
    """The batches of ``epoch`` as (inputs, targets, weights, size) for ``model``, made while it learns."""
    import tensorflow as tf

    def rows() -> Any:
        return ((b.inputs, b.targets, b.weights, float(b.size)) for b in batches.of_epoch(epoch))

    return tf.data.Dataset.from_generator(rows, output_signature=_signature(model)).prefetch(_AHEAD)


def _log(folder: Path, record: EpochRecord) -> None:
    """Append the epoch's figures to an event file. TensorBoard reads it; writing needs TensorFlow alone."""
    import tensorflow as tf

    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "scalars"
    metadata.data_class = 1  # DATA_CLASS_SCALAR
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step=record.epoch):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            tf.summary.write(name, tf.constant(getattr(record, name), tf.float32), metadata=metadata)
    writer.close()
