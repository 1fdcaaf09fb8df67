"""The epoch loop: go on from the last checkpoint, stop early, keep the best weights."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import InputError
from edgekit.models.checkpoint import (
    Array,
    Checkpoint,
    EpochRecord,
    assign,
    read_checkpoint,
    values,
    write_checkpoint,
)
from edgekit.models.cluster import Together
from edgekit.models.lesson import Graded, Lesson, Teacher, Teaching, nothing
from edgekit.models.phases import Phase, learning, optimizer_for, phases
from edgekit.workers import Progress

EpochReport = Callable[[EpochRecord, int], None]
"""Called after each epoch with its figures and the number of epochs in all."""

_AHEAD = 2
"""Batches that are made while the model learns from the one before."""


def fit(
    model: Any,
    lesson: Lesson,
    *,
    checkpoint: Path,
    progress: Progress,
    on_epoch: EpochReport,
    tensorboard: Path | None = None,
    together: Together = Together(),  # noqa: B008 - frozen
    teacher: Teacher | None = None,
    show: Callable[[int], None] = nothing,
    last: bool = False,
) -> tuple[Checkpoint, Any]:
    """Train ``model`` in place; the last state, and the model with the best epoch's weights: ``model``, or its twin.

    Without a ``teacher`` the lesson is `Graded`. With ``last`` the last epoch is the best one. ``show`` writes what is
    to be seen of an epoch, by its number, before the checkpoint says that the epoch is done.

    ``checkpoint`` is replaced after every epoch by the first worker, and where it exists training goes on after its
    last epoch: the result is the same as without the interruption, bit for bit on the same machine. `InputError` where
    memory does not do.
    """
    import tensorflow as tf

    try:
        return _fit(
            model, lesson, checkpoint, progress, on_epoch, tensorboard, together, teacher or descend, show, last
        )
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        told = [line.partition(" on /job")[0].strip() for line in str(error).splitlines() if "allocat" in line]
        reason = f" ({told[0]})" if told else ""
        raise InputError(
            f"There is not enough memory to train {model.name}{reason}: train with a smaller --batch-size."
        ) from None


def _fit(
    model: Any,
    lesson: Lesson,
    checkpoint: Path,
    progress: Progress,
    on_epoch: EpochReport,
    tensorboard: Path | None,
    together: Together,
    teacher: Teacher,
    show: Callable[[int], None],
    last: bool,
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
    preset = lesson.preset
    for phase in phases(preset):
        if state.epoch >= phase.end:
            continue
        with learning(model, phase):
            with together.scope():
                teaching = teacher(model, lesson, phase, together)
            if state.epoch > phase.start:
                _restore(teaching.variables, state.optimizer, checkpoint, model.name)
            while state.epoch < phase.end and not _idle(state, preset.patience):
                learned = _learn(model, teaching, lesson, state.epoch + 1, progress)
                now = values(model.variables)
                if twin is not model:
                    assign(twin.variables, now)
                record = _judged(twin, lesson, learned)
                state = state.after(record, now, values(teaching.variables), last=last)
                if lesson.share.index == 0:
                    show(record.epoch)
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


def descend(model: Any, lesson: Graded, phase: Phase, together: Together) -> Teaching:
    """The teaching that follows the gradient of the lesson's loss."""
    optimizer = optimizer_for(lesson.preset, phase, lesson.steps)
    optimizer.build(model.trainable_variables)
    step = training_step(model, optimizer, lesson, together)
    return Teaching(step=step, figures=(lesson.counted,), variables=optimizer.variables)


def training_step(model: Any, optimizer: Any, lesson: Graded, together: Together) -> Callable[..., Any]:
    """A compiled function of a batch that changes the weights; (sum of losses, how much is right) before the change."""
    import tensorflow as tf

    variables = model.trainable_variables

    def own(inputs: Any, *rest: Any) -> tuple[Any, Any]:
        *targets, size = rest
        with tf.GradientTape() as tape:
            loss, right = lesson.loss(model(inputs, training=True), *targets)
            mean = loss / size
        optimizer.apply(tape.gradient(mean, [v.value for v in variables]), variables)
        return loss, right

    # One signature for every batch size: tracing a MobileNet takes seconds. No Python statement is to become a graph.
    signature = batch_signature(model, lesson)
    compiled: Callable[..., Any] = tf.function(together.summed(own), input_signature=signature, autograph=False)
    return compiled


def batch_signature(model: Any, lesson: Lesson) -> tuple[Any, ...]:
    """Inputs, targets and size of a batch for ``model``, as TensorFlow's specs."""
    import tensorflow as tf

    inputs = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
    return (inputs, *(tf.TensorSpec(*target) for target in lesson.targets(model)), tf.TensorSpec((), tf.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    """An epoch's figures on the images learned from, and when it began."""

    epoch: int
    loss: float
    figures: Mapping[str, float]
    start_s: float


def _learn(model: Any, teaching: Teaching, lesson: Lesson, epoch: int, progress: Progress) -> _Learned:
    start_s = time.perf_counter()
    sums, seen = [0.0] * (1 + len(teaching.figures)), 0
    for done, batch in enumerate(ahead(lesson, epoch, model), 1):
        sums = [earlier + float(value) for earlier, value in zip(sums, teaching.step(*batch), strict=True)]
        seen += int(batch[-1])
        progress(f"epoch {epoch} of {lesson.preset.epochs}", done, lesson.steps)
    _require_finite(sums[0], model, epoch)
    loss, *others = (value / seen for value in sums)
    return _Learned(epoch=epoch, loss=loss, figures=dict(zip(teaching.figures, others, strict=True)), start_s=start_s)


def _require_finite(loss: float, model: Any, epoch: int) -> None:
    if not math.isfinite(loss):
        raise InputError(
            f"The loss of {model.name} became {loss} in epoch {epoch}; expected a finite number: "
            "train with other settings, such as a larger --batch-size."
        )


def _judged(model: Any, lesson: Lesson, learned: _Learned) -> EpochRecord:
    loss, figures = lesson.judge(model)
    _require_finite(loss, model, learned.epoch)
    return EpochRecord(
        epoch=learned.epoch,
        loss=learned.loss,
        val_loss=loss,
        metrics={**learned.figures, **{f"val_{name}": value for name, value in figures.items()}},
        seconds=time.perf_counter() - learned.start_s,
    )


def ahead(lesson: Lesson, epoch: int, model: Any) -> Any:
    """The batches of ``epoch`` for ``model``, made while it learns."""
    import tensorflow as tf

    def rows() -> Any:
        return lesson.batches(epoch)

    return tf.data.Dataset.from_generator(rows, output_signature=batch_signature(model, lesson)).prefetch(_AHEAD)


def _log(folder: Path, record: EpochRecord) -> None:
    """Append the epoch's figures to an event file. TensorBoard reads it; writing needs TensorFlow alone."""
    import tensorflow as tf

    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "scalars"
    metadata.data_class = 1  # DATA_CLASS_SCALAR
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step=record.epoch):
        for name, value in record.figures().items():
            tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
    writer.close()
