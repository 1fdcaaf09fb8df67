"""Learning to name what is in an image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric
from edgekit.models.augmentation import Augmentation
from edgekit.models.batches import ALONE, Batches, Share, class_weights
from edgekit.models.framework import load_keras
from edgekit.models.images import Images, split
from edgekit.models.lesson import Course, Setting
from edgekit.models.spec import TrainingPreset
from edgekit.preprocessing import Preprocessing, normalize
from edgekit.tasks.classification import evaluate_classification

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationLesson:
    """Images with a class each; see `edgekit.models.lesson.Lesson`."""

    training: Images
    validation: Images
    preprocessing: Preprocessing
    classes: int
    preset: TrainingPreset
    seed: int
    share: Share = ALONE
    counted = "accuracy"

    @property
    def plan(self) -> Batches:
        """How the batches are made."""
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

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return self.plan.steps

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Inputs, one-hot targets, the weight of each image, and the number of images."""
        return ((b.inputs, b.targets, b.weights, float(b.size)) for b in self.plan.of_epoch(epoch))

    def targets(self, model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """One-hot targets and weights."""
        return ((tuple(model.outputs[0].shape), np.float32), ((None,), np.float32))

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """The weighted cross-entropies' sum, and how many images are classified right."""
        import tensorflow as tf

        classes, weights = targets
        loss_of = load_keras().losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=self.preset.label_smoothing, reduction=None
        )
        loss = tf.reduce_sum(weights * loss_of(classes, outputs))
        right = tf.equal(tf.argmax(outputs, axis=1), tf.argmax(classes, axis=1))
        return loss, tf.reduce_sum(tf.cast(right, tf.int32))

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """Cross-entropy and accuracy on the validation images."""
        logits = predict(model, self.validation, self.preprocessing)
        labels, weights = self.validation.labels, None
        if self.preset.balanced:
            weights = class_weights(labels, self.classes)[labels]
        loss = cross_entropy(logits, labels, self.preset.label_smoothing, weights)
        return loss, {"accuracy": float(np.mean(logits.argmax(axis=1) == labels))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A lesson, the images of its ``test``, and the digests of those ``learned`` from or validated on."""

    lesson: ClassificationLesson
    test: Images
    learned: tuple[str, ...]


def take(setting: Setting) -> Taken:
    """Images of the training part, a stratified share of them for validation, and the others for the test."""
    parts, preset = setting.parts, setting.preset
    learn, test = parts.images(setting.preprocessing, setting.seed, progress=setting.progress)
    kept, held = split(
        learn.labels, preset.validation_fraction, setting.seed, purpose="validation", names=parts.train.class_names
    )
    validation = learn.subset(held)
    lesson = ClassificationLesson(
        training=learn.subset(kept).apart_from(validation),
        validation=validation,
        preprocessing=setting.preprocessing,
        classes=parts.classes,
        preset=preset,
        seed=setting.seed,
        share=setting.share,
    )
    return Taken(lesson=lesson, test=test, learned=learn.digests)


def classification_course(setting: Setting) -> Course:
    """What `take` gives; the test is accuracy."""
    taken = take(setting)

    def tested(model: Any) -> tuple[Metric, ...]:
        return (accuracy(predict(model, taken.test, setting.preprocessing), taken.test.labels, setting),)

    return Course(lesson=taken.lesson, learned=taken.learned, test=tested)


def accuracy(scores: Array, labels: npt.NDArray[np.int64], setting: Setting) -> Metric:
    """The share of test images that ``scores`` (count, classes) classify right, with its interval."""
    result = evaluate_classification(scores, labels)
    figures = {"value": result.top1, "low": result.top1_low, "high": result.top1_high}
    return Metric(name="top1", data=setting.parts.test_name, count=result.count, **figures)


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
