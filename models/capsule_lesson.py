"""Learning to name what is in an image by the lengths of capsules, which must also show what it looks like."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.errors import InputError
from edgekit.models.batches import Share, one_hot
from edgekit.models.classification_lesson import ClassificationLesson, classification_course, predict
from edgekit.models.framework import load_keras
from edgekit.models.learner import Learner
from edgekit.models.lesson import Course, Setting, Teaching
from edgekit.models.phases import Phase, optimizer_for
from edgekit.models.spec import TrainingPreset

PRESENT, ABSENT = 0.9, 0.1
"""The length beyond which a capsule of a class that is there, or below which one of another, is as it should be."""
ABSENT_WEIGHT = 0.5
RECONSTRUCTION_WEIGHT = 0.0005
"""How much the sum of squared errors of all pixels counts beside the margins (Sabour et al. 2017, sections 3, 4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapsuleLesson:
    """The images of the lesson ``plain``, judged by margins; see `edgekit.models.lesson.Lesson`."""

    plain: ClassificationLesson

    @property
    def preset(self) -> TrainingPreset:
        """That of the images."""
        return self.plain.preset

    @property
    def share(self) -> Share:
        """That of the images."""
        return self.plain.share

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return self.plain.steps

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Inputs, one-hot targets, the weight of each image, and the number of images."""
        return self.plain.batches(epoch)

    def targets(self, model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """One-hot targets and weights."""
        return self.plain.targets(model)

    def judge(self, model: "Capsules") -> tuple[float, Mapping[str, float]]:
        """The margins and the accuracy on the validation images."""
        images = self.plain.validation
        lengths = predict(model.kept, images, self.plain.preprocessing)
        losses = np.asarray(margin_loss(lengths, one_hot(images.labels, self.plain.classes)))
        return float(losses.mean()), {"accuracy": float(np.mean(lengths.argmax(axis=1) == images.labels))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capsules(Learner):
    """The network that is ``kept``, ``looking``, its layers up to the capsules too, and the ``decoder`` of these."""

    looking: Any
    decoder: Any

    @property
    def inputs(self) -> Sequence[Any]:
        """Images."""
        return list(self.kept.inputs)

    @property
    def outputs(self) -> Sequence[Any]:
        """Lengths."""
        return list(self.kept.outputs)

    @property
    def variables(self) -> Sequence[Any]:
        """Those of both networks."""
        return [*self.kept.variables, *self.decoder.variables]

    @property
    def trainable_variables(self) -> Sequence[Any]:
        """Those of both networks that learn."""
        return [*self.kept.trainable_variables, *self.decoder.trainable_variables]


def with_decoder(model: Any, decoder: Any) -> Capsules:
    """``model`` with the ``decoder`` that learns beside it."""
    keras = load_keras()
    *_, last = (layer for layer in model.layers if re.fullmatch(r"routing_\d+_capsules", layer.name))
    looking = keras.Model(model.inputs[0], [model.outputs[0], last.output])
    return Capsules(kept=model, looking=looking, decoder=decoder)


def margin_loss(lengths: Any, classes: Any) -> Any:
    """What lacks to `PRESENT`, squared, and by how much others are above `ABSENT`, for each item (equation 4).

    ``lengths`` and one-hot ``classes`` are (count, classes).
    """
    import tensorflow as tf

    there = classes * tf.maximum(0.0, PRESENT - lengths) ** 2
    others = (1 - classes) * tf.maximum(0.0, lengths - ABSENT) ** 2
    return tf.reduce_sum(there + ABSENT_WEIGHT * others, axis=1)


def descend(model: Capsules, lesson: CapsuleLesson, phase: Phase, _together: Any) -> Teaching:
    """The teaching that follows the gradient of margins and of what the decoder makes of the right capsule."""
    optimizer = optimizer_for(lesson.preset, phase, lesson.steps)
    optimizer.build(model.trainable_variables)
    return Teaching(
        step=_step(model, optimizer), figures=("reconstruction_loss", "accuracy"), variables=optimizer.variables
    )


def _step(model: Capsules, optimizer: Any) -> Callable[..., Any]:
    import tensorflow as tf

    variables = model.trainable_variables

    def own(images: Any, classes: Any, weights: Any, size: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            lengths, sums = model.looking(images, training=True)
            # Their direction at their length, all but those of the class that is there hidden.
            shown = tf.math.l2_normalize(sums, axis=-1) * (lengths * classes)[..., None]
            errors = tf.reduce_sum((model.decoder(shown, training=True) - images) ** 2, axis=(1, 2, 3))
            margins = margin_loss(lengths, classes)
            loss = tf.reduce_sum(weights * (margins + RECONSTRUCTION_WEIGHT * errors)) / size
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        right = tf.equal(tf.argmax(lengths, axis=1), tf.argmax(classes, axis=1))
        return tf.reduce_sum(weights * margins), tf.reduce_sum(errors), tf.reduce_sum(tf.cast(right, tf.float32))

    compiled: Callable[..., Any] = tf.function(own, autograph=False)
    return compiled


def capsule_course(setting: Setting, decoder: Any) -> Course:
    """The course of a classifier, taken with a ``decoder`` beside it."""
    if setting.share.count > 1:
        raise InputError(f"Capsules learn in one process; TF_CONFIG names {setting.share.count} workers: unset it.")
    plain = classification_course(setting)
    assert isinstance(plain.lesson, ClassificationLesson)  # noqa: S101
    return Course(
        lesson=CapsuleLesson(plain=plain.lesson),
        learned=plain.learned,
        test=plain.test,
        learner=lambda model: with_decoder(model, decoder),
        teacher=descend,
    )
