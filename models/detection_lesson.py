"""Learning to find objects with anchors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric
from edgekit.detection import Detection
from edgekit.errors import InputError
from edgekit.measure.evaluate_detection import LEAST_SCORE
from edgekit.models.batches import ALONE, Share
from edgekit.models.box_augmentation import BoxAugmentation
from edgekit.models.images import BoxedImages, split_boxed
from edgekit.models.lesson import Course, Setting
from edgekit.models.matching import BACKGROUND, Matcher
from edgekit.models.spec import TrainingPreset
from edgekit.models.ssd_heads import BOXES, SCORES
from edgekit.preprocessing import Preprocessing, Resize, normalize
from edgekit.tasks.coco_metrics import evaluate_detections
from edgekit.tasks.detection import Decoder

Array = npt.NDArray[Any]

_NEGATIVES = 3
"""Anchors without an object that count for each one with one, those that are wrong most first (Liu et al., 2.2)."""
_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionLesson:
    """Images with boxes, found from the anchors of ``detection``; see `edgekit.models.lesson.Lesson`."""

    training: BoxedImages
    validation: BoxedImages
    class_names: tuple[str, ...]
    detection: Detection
    preprocessing: Preprocessing
    preset: TrainingPreset
    seed: int
    share: Share = ALONE
    counted = "anchor_accuracy"

    @property
    def steps(self) -> int:
        """Batches of one epoch: all are full, but where there is only one."""
        return max(1, len(self.training) // self.preset.batch_size)

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Inputs, offsets and classes of the anchors, and the number of anchors with an object."""
        random = np.random.default_rng([self.seed, epoch])
        order, matcher = random.permutation(len(self.training)), Matcher.of(self.detection)
        augmentation = self.preset.boxes or BoxAugmentation()
        for step in range(self.steps):
            chosen = order[step * self.preset.batch_size : (step + 1) * self.preset.batch_size]
            boxes = [self.training.boxes[i] for i in chosen]
            pixels, boxes = augmentation.apply(self.training.at(chosen), boxes, random)  # whole, so that all draw alike
            offsets, classes = matcher.batch(boxes)
            own = slice(self.share.index, None, self.share.count)
            matched = float(max(1, np.count_nonzero(classes != BACKGROUND)))
            yield normalize(pixels[own], self.preprocessing), offsets[own], classes[own], matched

    def targets(self, model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """Offsets and classes."""
        offsets = tuple(model.outputs[0].shape)
        return (offsets, np.float32), (offsets[:2], np.int32)

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """Smooth L1 of the offsets and cross-entropy of the classes (Liu et al. 2016, equations 1 to 3), summed.

        The second figure is how many anchors with an object have the right class.
        """
        import tensorflow as tf

        (found, logits), (offsets, classes) = outputs, targets
        matched = tf.not_equal(classes, BACKGROUND)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
        negatives = tf.where(matched, tf.zeros_like(entropy), entropy)
        rank = tf.argsort(tf.argsort(negatives, direction="DESCENDING", stable=True), stable=True)
        wanted = _NEGATIVES * tf.maximum(1, tf.reduce_sum(tf.cast(matched, tf.int32), axis=1, keepdims=True))
        counts = tf.logical_or(matched, rank < wanted)
        difference = tf.abs(found - offsets)
        smooth = tf.where(difference < 1, 0.5 * difference**2, difference - 0.5)
        loss = tf.reduce_sum(tf.boolean_mask(entropy, counts)) + tf.reduce_sum(tf.boolean_mask(smooth, matched))
        right = tf.logical_and(matched, tf.equal(tf.argmax(logits, axis=2, output_type=tf.int32), classes))
        return loss, tf.reduce_sum(tf.cast(right, tf.int32))

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """The loss, and the mean average precision at an overlap of one half."""
        import tensorflow as tf

        loss, matched = 0.0, 0
        outputs, matcher = self.predict(model, self.validation), Matcher.of(self.detection)
        for start in range(0, len(self.validation), _BATCH):
            rows = slice(start, start + _BATCH)
            offsets, classes = matcher.batch(self.validation.boxes[rows])
            each, _ = self.loss([tf.constant(values[rows]) for values in outputs], offsets, classes)
            loss, matched = loss + float(each), matched + np.count_nonzero(classes != BACKGROUND)
        return loss / max(1, matched), {"map50": self.found(model, self.validation, outputs)["map50"]}

    def predict(self, model: Any, images: BoxedImages) -> list[Array]:
        """Offsets and logits of ``images``, in order."""
        starts = range(0, len(images), _BATCH)
        batches = (normalize(images.at(slice(i, i + _BATCH)), self.preprocessing) for i in starts)
        each = [[np.asarray(values) for values in model.predict_on_batch(batch)] for batch in batches]
        return [np.concatenate(values) for values in zip(*each, strict=True)]

    def found(self, model: Any, images: BoxedImages, outputs: list[Array]) -> Mapping[str, float]:
        """COCO's figures of the ``outputs`` for ``images``, as `edgekit evaluate` has them."""
        decoder = Decoder(
            spec=self.detection, names=(BOXES, SCORES), preprocessing=self.preprocessing, model=model.name
        )
        detections = [
            decoder({BOXES: offsets, SCORES: logits}, boxes.image_hw, least_score=LEAST_SCORE)
            for offsets, logits, boxes in zip(*outputs, images.boxes, strict=True)
        ]
        return evaluate_detections(detections, images.boxes, self.class_names).figures


def detection_course(setting: Setting) -> Course:
    """Images of the training part, a share of them for validation; the test is COCO's metric on the others."""
    parts, preset = setting.parts, setting.preset
    if setting.preprocessing.resize is not Resize.STRETCH:
        raise InputError("Detectors are trained on whole images; leave the resize rule out.")
    assert setting.detection is not None  # noqa: S101 - a detector's spec tells it
    learn, test = parts.boxed_images(setting.preprocessing, setting.seed, progress=setting.progress)
    kept, held = split_boxed(
        learn, preset.validation_fraction, setting.seed, purpose="validation", name=parts.train.name
    )
    lesson = DetectionLesson(
        training=learn.subset(kept).apart_from(learn.subset(held)),
        validation=learn.subset(held),
        class_names=parts.names,
        detection=setting.detection,
        preprocessing=setting.preprocessing,
        preset=preset,
        seed=setting.seed,
        share=setting.share,
    )

    def tested(model: Any) -> tuple[Metric, ...]:
        figures = lesson.found(model, test, lesson.predict(model, test))
        return tuple(
            Metric(name=name, value=figures[name], data=parts.test_name, count=len(test)) for name in ("map", "map50")
        )

    return Course(lesson=lesson, learned=learn.digests, test=tested)
