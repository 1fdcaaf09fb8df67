"""Learning to tell what regions of images show, R-CNN's way: a network first, linear machines on it after."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric
from edgekit.data import Boxes, draw
from edgekit.detection import LEAST_SCORE, Detection
from edgekit.errors import require_installed
from edgekit.models.batches import ALONE, Share
from edgekit.models.box_augmentation import BoxAugmentation
from edgekit.models.framework import load_keras
from edgekit.models.images import BoxedImages, split_boxed
from edgekit.models.lesson import Course, Setting
from edgekit.models.machines import Linear, machines, regressors
from edgekit.models.rcnn import FEATURES, MACHINES, PLACES, REGRESSORS
from edgekit.models.region_samples import Samples, sampled
from edgekit.models.spec import TrainingPreset
from edgekit.preprocessing import Preprocessing, normalize
from edgekit.tasks.anchors import encode
from edgekit.tasks.boxes import centred
from edgekit.tasks.coco_metrics import evaluate_detections
from edgekit.tasks.detection import REGION_OUTPUTS, Decoder

Array = npt.NDArray[Any]

MOST_SEARCHED = 1200
"""Training images in which regions are searched: each takes a fifth of a second."""
OBJECT_SHARE = 0.25
"""Of the regions of a batch, those with an object (Girshick et al. 2014, section 2.3)."""
_FAR, _NEAR = 0.3, 0.6
"""Regions that overlap all objects by less are of no class; those that overlap one by so much learn its box."""
_MOST_OTHERS = 40_000
"""Regions without an object from which the machines learn."""
_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionLesson:
    """Regions with a class each, 0 for none; see `edgekit.models.lesson.Lesson`. An epoch has each object once."""

    training: Samples
    validation: Samples
    preprocessing: Preprocessing
    preset: TrainingPreset
    context: float
    seed: int
    share: Share = ALONE
    counted = "accuracy"

    @property
    def _objects(self) -> int:
        return max(1, round(self.preset.batch_size * OBJECT_SHARE))

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return max(1, len(np.unique(self.training.objects[self.training.classes > 0])) // self._objects)

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Images of regions, their classes, and the number of regions."""
        random = np.random.default_rng([self.seed, epoch])
        changes = replace(self.preset.boxes or BoxAugmentation(), crop=0.0, expand=1.0, mosaic=0.0)
        nothing = np.flatnonzero(self.training.classes == 0)
        own = slice(self.share.index, None, self.share.count)
        chosen = self.training.one_of_each_object(random)
        for step in range(self.steps):
            some = chosen[step * self._objects : (step + 1) * self._objects]
            places = np.concatenate([some, random.permutation(nothing)[: self.preset.batch_size - len(some)]])
            pixels, _ = changes.apply(self.pixels(self.training, places), [_NOTHING] * len(places), random)
            classes = self.training.classes[places].astype(np.int32)
            yield normalize(pixels[own], self.preprocessing), classes[own], float(len(places))

    def pixels(self, samples: Samples, places: Array) -> npt.NDArray[np.uint8]:
        """What the regions at ``places`` show."""
        return samples.warped(places, self.preprocessing.size_hw, self.context)

    def targets(self, _model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """The class of each region."""
        return (((None,), np.int32),)

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """The cross-entropies' sum, and how many regions are told right."""
        import tensorflow as tf

        (classes,) = targets
        loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(classes, outputs))
        right = tf.equal(tf.argmax(outputs, axis=1, output_type=tf.int32), classes)
        return loss, tf.reduce_sum(tf.cast(right, tf.int32))

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """Cross-entropy and accuracy on the validation regions."""
        import tensorflow as tf

        loss, right, count = 0.0, 0, len(self.validation.classes)
        for start in range(0, count, _BATCH):
            places = np.arange(start, min(start + _BATCH, count))
            given = normalize(self.pixels(self.validation, places), self.preprocessing)
            outputs = tf.constant(model.predict_on_batch(given))
            each, known = self.loss(outputs, self.validation.classes[places].astype(np.int32))
            loss, right = loss + float(each), right + int(known)
        return loss / count, {"accuracy": right / count}

    def outputs(self, model: Any, samples: Samples, places: Array) -> list[Array]:
        """Those of ``model`` for the regions at ``places``, in order."""
        each = []
        for start in range(0, len(places), _BATCH):
            given = normalize(self.pixels(samples, places[start : start + _BATCH]), self.preprocessing)
            each.append([np.asarray(values) for values in model.predict_on_batch(given)])
        return [np.concatenate(values) for values in zip(*each, strict=True)]


_NOTHING = Boxes(
    image_hw=(1, 1), corners=np.zeros((0, 4), np.float32), classes=np.zeros(0, np.int64), crowd=np.zeros(0, bool)
)


def region_course(setting: Setting) -> Course:
    """Regions of some training images; when the network has learned them, machines and regressors do (section 2.3)."""
    detection, preset = setting.detection, setting.preset
    assert detection is not None  # noqa: S101 - a detector
    assert detection.search is not None  # noqa: S101
    how = detection.search
    require_installed(("skimage",), extra="regions")
    require_installed(("sklearn",), extra="train")  # or it would be missed after the last epoch
    whole = replace(setting.preprocessing, size_hw=how.size_hw)
    parts = setting.parts
    if len(parts.train) > MOST_SEARCHED:
        parts = replace(parts, train=parts.train.subset(draw(len(parts.train), MOST_SEARCHED, setting.seed)))
    learn, test = parts.boxed_images(whole, setting.seed, progress=setting.progress)
    kept, held = split_boxed(
        learn, preset.validation_fraction, setting.seed, purpose="validation", name=parts.train.name
    )
    training = learn.subset(kept).apart_from(learn.subset(held))
    lesson = RegionLesson(
        training=sampled(training, how, progress=setting.progress),
        validation=sampled(learn.subset(held), how, progress=setting.progress),
        preprocessing=setting.preprocessing,
        preset=preset,
        context=how.context,
        seed=setting.seed,
        share=setting.share,
    )

    def finish(model: Any) -> Any:
        _teach_machines(model, lesson, detection, len(parts.names))
        return model

    def tested(model: Any) -> tuple[Metric, ...]:
        looked = sampled(test, how, progress=setting.progress, truth=False)
        figures = found(model, lesson, looked, detection, test, parts.names)
        return tuple(
            Metric(name=name, value=figures[name], data=parts.test_name, count=len(test)) for name in ("map", "map50")
        )

    return Course(lesson=lesson, learned=learn.digests, test=tested, learner=_scoring, finish=finish)


def _scoring(model: Any) -> Any:
    """The network without its box regressors, which learn later."""
    return load_keras().Model(model.inputs[0], model.get_layer(MACHINES).output, name=model.name)


def found(
    model: Any, lesson: RegionLesson, samples: Samples, detection: Detection, images: BoxedImages, names: Sequence[str]
) -> Mapping[str, float]:
    """COCO's figures of what ``model`` finds among ``samples``, all regions of ``images``."""
    scores, offsets = lesson.outputs(model, samples, np.arange(len(samples.classes)))
    decoder = Decoder(spec=detection, names=REGION_OUTPUTS, preprocessing=lesson.preprocessing, model=model.name)
    detections = []
    for index, boxes in enumerate(images.boxes):
        own = samples.images == index
        outputs = dict(zip(REGION_OUTPUTS, (samples.regions[own], scores[own], offsets[own]), strict=True))
        detections.append(decoder(outputs, boxes.image_hw, least_score=LEAST_SCORE))
    return evaluate_detections(detections, images.boxes, names).figures


def _teach_machines(model: Any, lesson: RegionLesson, detection: Detection, count: int) -> None:
    """Put linear machines and box regressors for ``count`` classes into ``model``, learned from its own features."""
    samples = lesson.training
    reading = load_keras().Model(
        model.inputs[0], [model.get_layer(FEATURES).output, model.get_layer(PLACES).output], name="reading"
    )
    true, far, near = studied(samples, np.random.default_rng([lesson.seed, count]))
    places = np.concatenate([true, far, near])
    features, cells = lesson.outputs(reading, samples, places)
    objects = samples.classes[true] - 1
    # A region beside all objects is unlike each class, and an object unlike every class but its own.
    others = features[: len(true) + len(far)]
    unlike = np.ones((len(others), count), bool)
    unlike[np.arange(len(true)), objects] = False
    _assign(model, MACHINES, machines(features[: len(true)], objects, others, unlike, count=count, seed=lesson.seed))
    regions, truth = samples.regions[near], samples.truth[near]
    moves = encode(centred(truth), centred(regions), detection.variances)
    _assign(model, REGRESSORS, regressors(cells[len(others) :], moves, samples.nearest[near], count))


def studied(samples: Samples, random: np.random.Generator) -> tuple[Array, Array, Array]:
    """Places of the objects themselves, of regions that show none, and of those that teach where objects are."""
    far = random.permutation(np.flatnonzero(samples.overlaps < _FAR))[:_MOST_OTHERS]
    return np.flatnonzero(samples.true), far, np.flatnonzero(samples.overlaps >= _NEAR)


def _assign(model: Any, layer: str, linear: Linear) -> None:
    model.get_layer(layer).set_weights([linear.kernel, linear.bias])
