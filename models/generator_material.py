"""Pictures that a generator learns to make more of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgekit.card import ModelCard
from edgekit.data import Dataset
from edgekit.models.adversarial_lesson import adversarial_course
from edgekit.models.lesson import Course, Terms
from edgekit.models.parts import Parts, read_parts
from edgekit.models.spec import ModelSpec, Value
from edgekit.preprocessing import Colour, Preprocessing, Resize

_SIDE = 28
PICTURES = Preprocessing(
    size_hw=(_SIDE, _SIDE), resize=Resize.STRETCH, colour=Colour.GRAY, scale=(1 / 127.5,), offset=(-1.0,)
)
"""How the pictures to learn from become gray ones of the size and the range that generators make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorMaterial:
    """Pictures, whose classes count where the generator is asked for one; see `edgekit.models.lesson.Material`."""

    spec: ModelSpec
    parts: Parts

    @property
    def arguments(self) -> Mapping[str, Value]:
        """The number of classes, where they count."""
        return {"classes": self.parts.classes} if "classes" in self.spec.defaults else {}

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes, where they count."""
        return self.parts.train.class_names if "classes" in self.spec.defaults else None

    @property
    def keeps_items(self) -> bool:
        """Whether there is no test part."""
        return self.parts.test is None

    def course(self, terms: Terms) -> Course:
        """Learning against a discriminator."""
        return adversarial_course(self.spec, self.parts, PICTURES, terms)

    def completed(self, card: ModelCard) -> ModelCard:
        """``card``, which says all already."""
        return card


def generator_material(spec: ModelSpec, data: str, data_dir: Path | None) -> GeneratorMaterial:
    """The pictures of the data set called ``data``."""
    parts = read_parts(data, data_dir)
    if "classes" not in spec.defaults:
        parts = Parts(train=_of_one_class(parts.train), test=_of_one_class(parts.test) if parts.test else None)
    return GeneratorMaterial(spec=spec, parts=parts)


def _of_one_class(data: Dataset) -> Dataset:
    """``data`` where nothing tells the pictures apart, labelled or not."""
    return replace(data, labels=np.zeros(len(data), np.int64), class_names=None)
