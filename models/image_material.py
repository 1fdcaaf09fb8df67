"""Images to learn from, for classifiers and detectors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.card import ModelCard
from edgekit.models.adversarial import opponent
from edgekit.models.capsule_lesson import capsule_course
from edgekit.models.classification_lesson import classification_course
from edgekit.models.detection_lesson import detection_course
from edgekit.models.greedy_lesson import greedy_course
from edgekit.models.lesson import Course, Setting, Terms
from edgekit.models.parts import Parts, read_parts
from edgekit.models.spec import ModelSpec, Value
from edgekit.models.uncertain_lesson import uncertain_course

_COURSES: Mapping[str, Callable[[Setting], Course]] = {
    "classification": classification_course,
    "detection": detection_course,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMaterial:
    """Images with classes or boxes; see `edgekit.models.lesson.Material`."""

    spec: ModelSpec
    parts: Parts

    @property
    def arguments(self) -> Mapping[str, Value]:
        """The number of classes."""
        return {"classes": self.parts.classes}

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes."""
        return self.parts.train.class_names

    @property
    def keeps_items(self) -> bool:
        """Whether there is no test part."""
        return self.parts.test is None

    def course(self, terms: Terms) -> Course:
        """That of the task."""
        assert terms.preprocessing is not None  # noqa: S101 - an entry of these tasks has one
        setting = Setting(
            parts=self.parts,
            preprocessing=terms.preprocessing,
            preset=terms.preset,
            detection=self.spec.detection(terms.arguments),
            seed=terms.seed,
            share=terms.share,
            progress=terms.progress,
        )
        if self.spec.sampler:
            return uncertain_course(setting, self.spec, terms.arguments)
        if self.spec.opponent:
            return capsule_course(setting, opponent(self.spec, terms.arguments))
        if "pretraining" in self.spec.defaults:
            return greedy_course(setting, terms.arguments)
        return _COURSES[self.spec.task](setting)

    def completed(self, card: ModelCard) -> ModelCard:
        """``card``, which says all already."""
        return card


def image_material(spec: ModelSpec, data: str, data_dir: Path | None) -> ImageMaterial:
    """The images of the data set called ``data``."""
    return ImageMaterial(spec=spec, parts=read_parts(data, data_dir))
