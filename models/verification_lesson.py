"""Learning to tell whether two pictures show the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric, ModelCard
from edgekit.errors import DataError, InputError
from edgekit.measure.auroc import roc_auc
from edgekit.measure.few import few_people
from edgekit.models.augmentation import Augmentation
from edgekit.models.batches import ALONE, Share
from edgekit.models.images import Images, split
from edgekit.models.lesson import Course, Terms
from edgekit.models.pair_losses import PAIR_LOSSES
from edgekit.models.parts import Parts, read_parts
from edgekit.models.spec import ModelSpec, TrainingPreset, Value
from edgekit.models.twins import Twins, kinds_of, pair_up
from edgekit.preprocessing import Preprocessing, normalize
from edgekit.tasks.trials import Pairs, draw_pairs, require_pairs
from edgekit.tasks.verification import eer_interval, equal_error_rate

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

PICTURES = 4
"""Of each person in a batch, where there are as many."""
LEAST = 2
"""Pictures of each person in every part: one alone is never the same as another."""
_BATCH = 128
_AT_ONCE = 1024  # pairs, whose embeddings may be of thousands of numbers each


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationLesson:
    """Pictures of people, with their numbers as classes; see `edgekit.models.lesson.Lesson`."""

    training: Images
    validation: Images
    preprocessing: Preprocessing
    loss_name: str
    preset: TrainingPreset
    seed: int
    share: Share = ALONE

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return self.preset.epoch_steps or max(1, round(len(self.training) / self.preset.batch_size))

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Pictures, `PICTURES` of each of some people, whom they show, and their number."""
        random = np.random.default_rng([self.seed, epoch])
        preset = self.preset
        augmentation = Augmentation(
            shift_pixels=preset.shift_pixels, flip=preset.flip, zoom=preset.zoom, brightness=preset.brightness
        )
        members = [np.flatnonzero(self.training.labels == person) for person in np.unique(self.training.labels)]
        people = max(2, preset.batch_size // PICTURES)
        for _ in range(self.steps):
            asked = random.permutation(len(members))[:people]
            chosen = np.concatenate([random.permutation(members[person])[:PICTURES] for person in asked])
            images = normalize(augmentation.apply(self.training.at(chosen), random), self.preprocessing)
            yield images, self.training.labels[chosen].astype(np.int32), float(len(chosen))

    def targets(self, _model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """Whom the pictures show."""
        return (((None,), np.int32),)

    def judge(self, model: Twins) -> tuple[float, Mapping[str, float]]:
        """The loss and the equal error rate on the validation pictures."""
        embeddings = embedded(model, self.validation, self.preprocessing)
        order = np.argsort(self.validation.labels, kind="stable")  # so that parts have pictures of the same
        losses = []
        for start in range(0, len(order), _BATCH):
            own = order[start : start + _BATCH]
            first, second = np.divmod(np.arange(len(own) ** 2), len(own))
            told = _told(model, embeddings, own[first], own[second]).reshape(len(own), len(own))
            people = self.validation.labels[own].astype(np.int32)
            losses.append(len(own) * float(PAIR_LOSSES[self.loss_name](told, *kinds_of(people))))
        pairs = draw_pairs(self.validation.labels, self.seed)
        rate, _ = equal_error_rate(likeness(model, embeddings, pairs, self.loss_name), pairs.same)
        return sum(losses) / len(order), {"eer": rate}


def embedded(model: Twins, images: Images, preprocessing: Preprocessing) -> Array:
    """What the tower makes of ``images``, (count, size) float32."""
    starts = range(0, len(images), _BATCH)
    batches = (normalize(images.at(slice(i, i + _BATCH)), preprocessing) for i in starts)
    return np.concatenate([np.asarray(model.tower(batch, training=False)) for batch in batches])


def likeness(model: Twins, embeddings: Array, pairs: Pairs, loss_name: str) -> Floats:
    """How alike the pictures of ``pairs`` are by ``embeddings`` (count, size), (pairs,): more is more."""
    sign = 1 if loss_name == "logistic" else -1
    return np.asarray(sign * _told(model, embeddings, pairs.first, pairs.second), np.float64)


def _told(model: Twins, embeddings: Array, first: Indices, second: Indices) -> Array:
    """What the head tells of the pictures ``first`` beside ``second``, (pairs,) float32."""
    parts = (slice(i, i + _AT_ONCE) for i in range(0, len(first), _AT_ONCE))
    pairs = ([embeddings[first[part]], embeddings[second[part]]] for part in parts)
    return np.concatenate([np.asarray(model.head(pair))[:, 0] for pair in pairs])


def verification_course(spec: ModelSpec, parts: Parts, terms: Terms) -> Course:
    """Pictures of the training part, two or more of each person of them for validation; the test is on the others.

    The people are the same in all parts.
    """
    if terms.share.count > 1:
        raise InputError(f"{spec.name} learns in one process; TF_CONFIG names {terms.share.count} workers: unset it.")
    preprocessing, preset = terms.preprocessing, terms.preset
    assert preprocessing is not None  # noqa: S101 - an entry of this task has one
    _require_pictures(parts)
    learn, test = parts.images(preprocessing, terms.seed, progress=terms.progress, least=LEAST)
    kept, held = split(
        learn.labels,
        preset.validation_fraction,
        terms.seed,
        purpose="validation",
        names=parts.train.class_names,
        least=LEAST,
    )
    validation = learn.subset(held)
    training = learn.subset(kept).apart_from(validation)
    # Copies of others are left out by now; told before the training where too few are left.
    for images, what in ((training, "to learn from"), (validation, "to validate"), (test, "to test")):
        require_pairs(images.labels, what)
    loss_name = str(terms.arguments["loss"])
    lesson = VerificationLesson(
        training=training,
        validation=validation,
        preprocessing=preprocessing,
        loss_name=loss_name,
        preset=preset,
        seed=terms.seed,
    )

    def scores(model: Any, images: Images) -> tuple[Floats, Pairs]:
        twins, pairs = Twins.of(model), draw_pairs(images.labels, terms.seed)
        return likeness(twins, embedded(twins, images, preprocessing), pairs, loss_name), pairs

    def tested(model: Any) -> tuple[Metric, ...]:
        told, pairs = scores(model, test)
        low, high = eer_interval(told, pairs, seed=terms.seed)
        rate, _ = equal_error_rate(told, pairs.same)
        data, count = parts.test_name, len(test)
        return (
            Metric(name="eer", value=rate, data=data, count=count, low=low, high=high),
            Metric(name="auc", value=roc_auc(told[~pairs.same], told[pairs.same]), data=data, count=count),
        )

    def stated(model: Any, card: ModelCard) -> ModelCard:
        assert card.verification is not None  # noqa: S101 - an entry of this task has one
        told, pairs = scores(model, validation)
        _, threshold = equal_error_rate(told, pairs.same)
        # The sign of likeness is its own inverse.
        return replace(card, verification=replace(card.verification, threshold=card.verification.likeness(threshold)))

    return Course(
        lesson=lesson,
        learned=learn.digests,
        test=tested,
        learner=Twins.of,
        teacher=pair_up,
        stated=stated,
        remarks=few_people(len(np.unique(test.labels)), what="The pictures of the test"),
        last_kept="last epoch, since the loss of a few pairs tells no epoch from another",
    )


def _require_pictures(parts: Parts) -> None:
    """`DataError` where a person has too few pictures to be in every part, or the test part makes no pairs."""
    labels = parts.train.labels
    if labels is None:
        return  # `Parts.images` tells that
    if parts.test is not None and parts.test.labels is not None:
        require_pairs(parts.test.labels, f"of the test part of {parts.test.name}")
    uses = ("to learn from", "to validate", *(() if parts.test is not None else ("to test",)))
    needed = LEAST * len(uses)
    for person, count in zip(*np.unique(labels, return_counts=True), strict=True):
        if count < needed:
            raise DataError(
                f"{parts.train.name} has {count} pictures of {parts.names[int(person)]}; expected {needed} or more of "
                f"each: {LEAST} {f', {LEAST} '.join(uses)}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationMaterial:
    """Pictures of people; see `edgekit.models.lesson.Material`. The model knows none of them."""

    spec: ModelSpec
    parts: Parts
    labels = None

    @property
    def arguments(self) -> Mapping[str, Value]:
        """None: pictures decide nothing of the network."""
        return {}

    @property
    def keeps_items(self) -> bool:
        """Whether there is no test part."""
        return self.parts.test is None

    def course(self, terms: Terms) -> Course:
        """Comparing pictures."""
        return verification_course(self.spec, self.parts, terms)

    def completed(self, card: ModelCard) -> ModelCard:
        """``card``, to which the trained model adds its threshold."""
        return card


def verification_material(spec: ModelSpec, data: str, data_dir: Path | None) -> VerificationMaterial:
    """The pictures of the data set called ``data``, whose classes are people."""
    return VerificationMaterial(spec=spec, parts=read_parts(data, data_dir))
