"""Learning to find objects."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric
from edgekit.data import Boxes
from edgekit.detection import LEAST_SCORE, Detection
from edgekit.errors import require_installed
from edgekit.models.batches import ALONE, Share
from edgekit.models.box_augmentation import BoxAugmentation
from edgekit.models.images import BoxedImages, split_boxed
from edgekit.models.lesson import Course, Setting
from edgekit.models.objectives import Objective, objective_of
from edgekit.models.spec import TrainingPreset
from edgekit.preprocessing import Preprocessing, Resize, normalize
from edgekit.tasks.coco_metrics import evaluate_detections
from edgekit.tasks.detection import Decoder
from edgekit.tasks.heads import Detections

Array = npt.NDArray[Any]

_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionLesson:
    """Images with boxes, found as ``detection`` says; see `edgekit.models.lesson.Lesson`."""

    training: BoxedImages
    validation: BoxedImages
    class_names: tuple[str, ...]
    detection: Detection
    preprocessing: Preprocessing
    preset: TrainingPreset
    seed: int
    share: Share = ALONE

    @property
    def objective(self) -> Objective:
        """What the outputs must be."""
        return objective_of(self.detection)

    @property
    def counted(self) -> str:
        """See the objective."""
        return self.objective.counted

    @property
    def steps(self) -> int:
        """Batches of one epoch: all are full, but where there is only one."""
        return max(1, len(self.training) // self.preset.batch_size)

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Inputs, what the objective compares the outputs with, and the number by which it divides."""
        random = np.random.default_rng([self.seed, epoch])
        order, objective = random.permutation(len(self.training)), self.objective
        augmentation = self.preset.boxes or BoxAugmentation()
        for step in range(self.steps):
            chosen = order[step * self.preset.batch_size : (step + 1) * self.preset.batch_size]
            boxes = [self.training.boxes[i] for i in chosen]
            pixels, boxes = augmentation.apply(self.training.at(chosen), boxes, random)  # whole, so that all draw alike
            targets = objective.targets(boxes)
            own = slice(self.share.index, None, self.share.count)
            inputs = normalize(pixels[own], self.preprocessing)
            yield inputs, *(values[own] for values in targets), objective.size(targets)

    def targets(self, model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """Those of the objective."""
        return self.objective.shapes(model)

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """That of the objective."""
        return self.objective.loss(outputs, *targets)

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """The loss, and the mean average precision at an overlap of one half."""
        import tensorflow as tf

        loss, size, objective = 0.0, 0.0, self.objective
        detections: list[Detections] = []
        for outputs, boxes in self._predicted(model, self.validation):
            targets = objective.targets(boxes)
            given = [tf.constant(values) for values in outputs]
            each, _ = objective.loss(given[0] if len(given) == 1 else given, *targets)
            loss, size = loss + float(each), size + objective.size(targets)
            detections += self._decoded(model, outputs, boxes)
        figures = evaluate_detections(detections, self.validation.boxes, self.class_names).figures
        return loss / size, {"map50": figures["map50"]}

    def found(self, model: Any, images: BoxedImages) -> Mapping[str, float]:
        """COCO's figures of what ``model`` finds in ``images``, as `edgekit evaluate` has them."""
        detections = [d for batch in self._predicted(model, images) for d in self._decoded(model, *batch)]
        return evaluate_detections(detections, images.boxes, self.class_names).figures

    def _predicted(self, model: Any, images: BoxedImages) -> Iterator[tuple[list[Array], Sequence[Boxes]]]:
        """The outputs for ``images`` and their boxes, batch by batch: those of all would not fit into memory."""
        for start in range(0, len(images), _BATCH):
            rows = slice(start, start + _BATCH)
            outputs = model.predict_on_batch(normalize(images.at(rows), self.preprocessing))
            listed = outputs if isinstance(outputs, list) else [outputs]
            yield [np.asarray(values) for values in listed], images.boxes[rows]

    def _decoded(self, model: Any, outputs: list[Array], boxes: Sequence[Boxes]) -> list[Detections]:
        names = tuple(model.output_names)
        decoder = Decoder(spec=self.detection, names=names, preprocessing=self.preprocessing, model=model.name)
        return [
            decoder(dict(zip(names, values, strict=True)), own.image_hw, least_score=LEAST_SCORE)
            for *values, own in zip(*outputs, boxes, strict=True)
        ]


def detection_course(setting: Setting) -> Course:
    """Images of the training part, a share of them for validation; the test is COCO's metric on the others."""
    parts, preset = setting.parts, setting.preset
    require_installed(("pycocotools",), extra="train")  # or it would be missed after the first epoch
    assert setting.detection is not None  # noqa: S101 - a detector's spec tells it
    assert setting.preprocessing.resize is Resize.STRETCH  # noqa: S101 - so that boxes are where they were
    if setting.detection.search is not None:
        from edgekit.models.rcnn_lesson import region_course

        return region_course(setting)
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

    def learner(model: Any) -> Any:
        if lesson.detection.proposals is None:
            return model
        from edgekit.models.region_learner import learner

        return learner(model, lesson.detection)

    def tested(model: Any) -> tuple[Metric, ...]:
        figures = lesson.found(learner(model), test)
        return tuple(
            Metric(name=name, value=figures[name], data=parts.test_name, count=len(test)) for name in ("map", "map50")
        )

    return Course(lesson=lesson, learned=learn.digests, test=tested, learner=learner)
