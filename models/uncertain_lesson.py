"""Learning to name what is in an image, and to know when that is not known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric
from edgekit.errors import InputError
from edgekit.models.batches import Share
from edgekit.models.classification_lesson import ClassificationLesson, accuracy, predict, take
from edgekit.models.images import Images
from edgekit.models.lesson import Course, Setting
from edgekit.models.passes import PASSES, VARIANCE, Sampled, build_sample, in_passes, noises_of, pass_of
from edgekit.models.spec import ModelSpec, TrainingPreset, Value
from edgekit.models.variational import Posterior, begin, settle, teach
from edgekit.models.weights import copy_weights
from edgekit.tasks.classification import as_probabilities, entropy_of, negative_log_likelihood
from edgekit.uncertainty import Uncertainty

Floats = npt.NDArray[np.float64]

SURE = 0.95
"""Share of the validation images whose entropy is below the threshold."""
_JUDGED_PASSES = 5
"""Over the validation images after each epoch."""
_JUDGED = 1 << 30
"""The seed by which epochs are judged, and the thresholds and the test found: no step's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariationalLesson:
    """A lesson ``known`` from networks with plain weights, with noise; see `edgekit.models.lesson.Lesson`."""

    known: ClassificationLesson
    counted = "accuracy"

    @property
    def preset(self) -> TrainingPreset:
        """Its settings."""
        return self.known.preset

    @property
    def share(self) -> Share:
        """All of every batch."""
        return self.known.share

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return self.known.steps

    @property
    def count(self) -> int:
        """Images to learn from."""
        return len(self.known.training)

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Those of the plain lesson, each with the seed of its noise before the number of its images."""
        for step, (*arrays, size) in enumerate(self.known.batches(epoch)):
            yield (*arrays, np.array([self.known.seed % _JUDGED, epoch * self.steps + step], np.int32), size)

    def targets(self, model: Posterior) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """One-hot targets, weights, and a seed."""
        return (*self.known.targets(model.kept), ((2,), np.int32))

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """The weighted cross-entropies' sum, and how many images are classified right."""
        return self.known.loss(outputs, *targets)

    def judge(self, model: Posterior) -> tuple[float, Mapping[str, float]]:
        """The negative log-likelihood of several passes over the validation images, and their accuracy."""
        known = self.known
        found, _ = in_passes(model.logits, known.validation, known.preprocessing, passes=_JUDGED_PASSES, seed=_JUDGED)
        labels = known.validation.labels
        loss = float(negative_log_likelihood(found, labels).mean())
        return loss, {"accuracy": float(np.mean(found.argmax(axis=1) == labels))}


def uncertain_course(setting: Setting, spec: ModelSpec, arguments: Mapping[str, Value]) -> Course:
    """As `classification_course`, for two networks; their thresholds come from the validation images.

    A network whose weights become distributions learns in a way of its own, the others as they always do.
    """
    if setting.share.count > 1:
        raise InputError(f"{spec.name} learns in one process; TF_CONFIG names {setting.share.count} workers: unset it.")
    taken = take(setting)
    lesson, images = taken.lesson, (taken.lesson.validation, taken.test)
    sample = build_sample(spec, arguments)
    noises = noises_of(sample, arguments)

    def tested(model: Any) -> tuple[Metric, ...]:
        return _figures(as_probabilities(predict(model, taken.test, setting.preprocessing)), taken.test, setting)

    def sampled(model: Any) -> Sampled:
        copy_weights(model, sample, anew=f".*{VARIANCE}")
        alone = as_probabilities(predict(model, lesson.validation, setting.preprocessing))
        run = pass_of(sample, noises)
        held, test = (in_passes(run, each, setting.preprocessing, passes=PASSES, seed=_JUDGED)[0] for each in images)
        return Sampled(
            model=sample,
            uncertainty=Uncertainty(noises=noises, passes=PASSES, threshold=_threshold(held)),
            metrics=_figures(test, taken.test, setting),
            mean=Uncertainty(threshold=_threshold(alone)),
        )

    if not any(layer.name.endswith(VARIANCE) for layer in sample.layers):
        return Course(lesson=lesson, learned=taken.learned, test=tested, sampled=sampled)

    def begun(model: Any) -> Posterior:
        copy_weights(model, sample, anew=f".*{VARIANCE}")
        return begin(sample, noises)

    def finish(model: Any) -> Any:
        settle(Posterior(kept=sample, noises=noises))
        copy_weights(sample, model)
        return model

    return Course(
        lesson=VariationalLesson(known=lesson),
        learned=taken.learned,
        test=tested,
        learner=begun,
        finish=finish,
        teacher=teach,
        sampled=sampled,
    )


def _threshold(probabilities: Floats) -> float:
    """The entropy that `SURE` of the items with these ``probabilities`` (count, classes) stay below, in nats."""
    return float(np.quantile(entropy_of(probabilities), SURE))


def _figures(probabilities: Floats, images: Images, setting: Setting) -> tuple[Metric, ...]:
    loss = float(negative_log_likelihood(probabilities, images.labels).mean())
    return (
        accuracy(probabilities, images.labels, setting),
        Metric(name="nll", value=loss, data=setting.parts.test_name, count=len(images)),
    )
