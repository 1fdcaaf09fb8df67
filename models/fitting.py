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
from edgekit.models.batches import Augmentation, Images, training_batches
from edgekit.models.checkpoint import Checkpoint, EpochRecord, assign, read_checkpoint, values, write_checkpoint
from edgekit.models.framework import load_keras
from edgekit.models.spec import Optimizer, Schedule, TrainingPreset
from edgekit.preprocessing import Preprocessing, normalize
from edgekit.workers import Progress

Array = npt.NDArray[Any]
Step = Callable[[Array, Array], tuple[Any, Any]]
EpochReport = Callable[[EpochRecord, int], None]
"""Called after each epoch with its figures and the number of epochs in all."""

_MOMENTUM = 0.9


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
    is the same as without the interruption, bit for bit on the same machine. `InputError` where memory does not do.
    """
    import tensorflow as tf

    try:
        return _fit(model, plan, checkpoint, progress, on_epoch, tensorboard)
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        told = [line.partition(" on /job")[0].strip() for line in str(error).splitlines() if "allocat" in line]
        reason = f" ({told[0]})" if told else ""
        raise InputError(
            f"There is not enough memory to train {model.name}{reason}: train with a smaller --batch-size."
        ) from None


def _fit(
    model: Any, plan: Fit, checkpoint: Path, progress: Progress, on_epoch: EpochReport, tensorboard: Path | None
) -> Checkpoint:
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    optimizer = _optimizer(plan)
    optimizer.build(model.trainable_variables)
    state = read_checkpoint(checkpoint) if checkpoint.exists() else Checkpoint()
    if state.epoch:
        try:
            assign(model.variables, state.model)
            assign(optimizer.variables, state.optimizer)
        except ValueError:
            raise InputError(
                f"{checkpoint} is damaged: it does not fit {model.name}; use --force to start again."
            ) from None
    step = _training_step(model, optimizer, plan.preset.label_smoothing)
    epochs, patience = plan.preset.epochs, plan.preset.patience
    while state.epoch < epochs and not (patience and state.epochs_without_progress >= patience):
        record = _one_epoch(model, step, plan, state.epoch + 1, progress)
        state = state.after(record, values(model.variables), values(optimizer.variables))
        write_checkpoint(checkpoint, state)
        if tensorboard is not None:
            _log(tensorboard, record)
        on_epoch(record, epochs)
    assign(model.variables, state.best)
    return state


def predict(model: Any, images: Images, preprocessing: Preprocessing, *, batch_size: int = 256) -> Array:
    """Logits (count, classes) float32 of ``images``, in order."""
    starts = range(0, len(images), batch_size)
    batches = (normalize(images.pixels[i : i + batch_size], preprocessing) for i in starts)
    return np.concatenate([np.asarray(model.predict_on_batch(batch)) for batch in batches])


def cross_entropy(logits: Array, labels: npt.NDArray[np.int64], label_smoothing: float = 0.0) -> float:
    """Mean of -sum(q log softmax(logits)), where q gives the label 1 - s, and each class s / classes besides.

    Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7, with s for their epsilon.

    >>> round(cross_entropy(np.array([[0.0, 0.0]]), np.array([1])), 4)  # ln 2
    0.6931
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    of_label = np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    return float(-((1 - label_smoothing) * of_label + label_smoothing * log_p.mean(axis=1)).mean())


def _training_step(model: Any, optimizer: Any, label_smoothing: float) -> Step:
    """A compiled function of (inputs, one-hot labels) that changes the weights; (mean loss, number correct) before."""
    import tensorflow as tf

    loss_of = load_keras().losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    variables = model.trainable_variables
    # One signature for every batch size: tracing a MobileNet takes seconds.
    shapes = [tf.TensorSpec(model.inputs[0].shape, tf.float32), tf.TensorSpec(model.outputs[0].shape, tf.float32)]

    @tf.function(input_signature=shapes)  # type: ignore[untyped-decorator]
    def step(inputs: Any, targets: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = loss_of(targets, logits)
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        correct = tf.equal(tf.argmax(logits, axis=1), tf.argmax(targets, axis=1))
        return loss, tf.reduce_sum(tf.cast(correct, tf.int32))

    compiled: Step = step
    return compiled


def _optimizer(plan: Fit) -> Any:
    keras = load_keras()
    preset = plan.preset
    total = plan.steps * preset.epochs
    match preset.schedule:
        case Schedule.CONSTANT:
            rate: Any = preset.learning_rate
        case Schedule.COSINE:
            rate = keras.optimizers.schedules.CosineDecay(preset.learning_rate, total)
        case Schedule.EXPONENTIAL:
            rate = keras.optimizers.schedules.ExponentialDecay(
                preset.learning_rate, plan.steps, preset.decay_per_epoch, staircase=True
            )
        case Schedule.STEP:
            # Keras changes to the next value after a boundary, not at it.
            rate = keras.optimizers.schedules.PiecewiseConstantDecay(
                [total * quarter // 4 - 1 for quarter in (1, 2, 3)],
                [preset.learning_rate * preset.decay_per_step**times for times in range(4)],
            )
    decay = preset.weight_decay or None
    match preset.optimizer:
        case Optimizer.ADAM:
            return keras.optimizers.Adam(rate, weight_decay=decay)
        case Optimizer.RMSPROP:
            return keras.optimizers.RMSprop(rate, rho=0.9, momentum=_MOMENTUM, epsilon=1.0, weight_decay=decay)
        case Optimizer.SGD:
            # Keras shrinks the weights beside the gradient, where momentum does not add up the decay as in the papers.
            return keras.optimizers.SGD(rate, momentum=_MOMENTUM, weight_decay=decay and decay / (1 - _MOMENTUM))


def _one_epoch(model: Any, step: Step, plan: Fit, epoch: int, progress: Progress) -> EpochRecord:
    start = time.perf_counter()
    what = f"epoch {epoch} of {plan.preset.epochs}"
    batches = training_batches(
        plan.training,
        plan.preprocessing,
        classes=plan.classes,
        batch_size=plan.preset.batch_size,
        augmentation=Augmentation(shift_pixels=plan.preset.shift_pixels, flip=plan.preset.flip),
        seed=plan.seed,
        epoch=epoch,
    )
    loss_sum, correct, seen = 0.0, 0, 0
    for done, (inputs, targets) in enumerate(batches, 1):
        loss, right = step(inputs, targets)
        loss_sum, correct, seen = loss_sum + float(loss) * len(inputs), correct + int(right), seen + len(inputs)
        progress(what, done, plan.steps)
    if not math.isfinite(loss_sum):
        raise InputError(
            f"The loss of {model.name} became {loss_sum} in epoch {epoch}; expected a finite number: "
            "train with other settings, such as a larger --batch-size."
        )
    logits = predict(model, plan.validation, plan.preprocessing)
    return EpochRecord(
        epoch=epoch,
        loss=loss_sum / seen,
        accuracy=correct / seen,
        val_loss=cross_entropy(logits, plan.validation.labels, plan.preset.label_smoothing),
        val_accuracy=float(np.mean(logits.argmax(axis=1) == plan.validation.labels)),
        seconds=time.perf_counter() - start,
    )


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
