"""Learning to make pictures like those of a data set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric
from edgekit.data.noise import draws
from edgekit.errors import InputError
from edgekit.generation import Generator
from edgekit.models.adversarial import (
    AVERAGED,
    Adversaries,
    adversaries,
    compete,
    deceiving_loss,
    guesses,
    in_order,
    information_loss,
    opponent,
    seen,
    telling_loss,
)
from edgekit.models.batches import ALONE, Share, one_hot
from edgekit.models.generator_judging import judging
from edgekit.models.images import Images, split
from edgekit.models.lesson import Course, Terms
from edgekit.models.parts import Parts
from edgekit.models.sample_sheets import write_sheet
from edgekit.models.spec import ModelSpec, TrainingPreset
from edgekit.preprocessing import Preprocessing, normalize

Array = npt.NDArray[Any]

_BATCH = 256
_JUDGED = 0
"""The number of the epoch, before the first one, whose chance judges all epochs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdversarialLesson:
    """Pictures to make others like them; see `edgekit.models.lesson.Lesson`."""

    training: Images
    validation: Images
    preprocessing: Preprocessing
    generator: Generator
    preset: TrainingPreset
    seed: int
    share: Share = ALONE

    @property
    def size(self) -> int:
        """Pictures of every batch: the rest of an epoch is left out, so that all batches are of one size."""
        return min(self.preset.batch_size, len(self.training))

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return len(self.training) // self.size

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Real pictures, the inputs of the generator for as many, and their number."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.training))[: self.steps * self.size]
        inputs = self._inputs(self.training, order, epoch)
        for start in range(0, len(order), self.size):
            rows = slice(start, start + self.size)
            images = normalize(self.training.at(order[rows]), self.preprocessing)
            yield (images, *(values[rows] for values in inputs.values()), float(self.size))

    def targets(self, model: Adversaries) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """The inputs of the generator."""
        return tuple((tuple(tensor.shape), np.float32) for tensor in model.generator.inputs)

    def judge(self, model: Adversaries) -> tuple[float, Mapping[str, float]]:
        """The losses on the validation pictures and as many made by the generator that is kept."""
        figures = self.losses(model, self.validation)
        return figures.pop("discriminator_loss"), figures

    def losses(self, model: Adversaries, images: Images) -> dict[str, float]:
        """The loss of each network on real ``images`` and as many made ones, by its name."""
        places = np.arange(len(images))
        inputs = self._inputs(images, places, _JUDGED)
        sums: dict[str, float] = {}
        for start in range(0, len(places), _BATCH):
            rows = slice(start, start + _BATCH)
            own = {name: values[rows] for name, values in inputs.items()}
            made = made_by(model.kept, own)
            real = normalize(images.at(places[rows]), self.preprocessing)
            told = [
                {name: np.asarray(values) for name, values in model.discriminator.predict_on_batch(looked).items()}
                for looked in (seen(pictures, own, model.discriminator) for pictures in (real, made))
            ]
            losses = {
                "discriminator_loss": telling_loss(told[0]["real"], told[1]["real"]),
                "generator_loss": deceiving_loss(told[1]["real"]),
                **({"information_loss": information_loss(told[1], own)} if guesses(model) else {}),
            }
            for name, values in losses.items():
                sums[name] = sums.get(name, 0.0) + float(np.sum(values))
        return {name: total / len(places) for name, total in sums.items()}

    def _inputs(self, images: Images, places: npt.NDArray[np.int64], epoch: int) -> dict[str, Array]:
        """Inputs of the generator for the ``images`` at ``places``, whose classes it is asked for if it takes any."""
        inputs = draws(self.generator, len(places), [self.seed, epoch])
        condition = self.generator.condition
        if condition is not None and condition.asked:
            inputs[condition.name] = one_hot(images.labels[places], condition.classes)
        return inputs


def made_by(generator: Any, inputs: Mapping[str, Array]) -> Array:
    """The pictures that the Keras model ``generator`` makes of ``inputs`` by name."""
    return np.asarray(generator.predict_on_batch(in_order(inputs, generator)))


def adversarial_course(spec: ModelSpec, parts: Parts, preprocessing: Preprocessing, terms: Terms) -> Course:
    """Pictures of the training part, a share of them for validation; the test is both losses on the others."""
    if terms.share.count > 1:
        raise InputError(f"{spec.name} learns in one process; TF_CONFIG names {terms.share.count} workers: unset it.")
    generator = spec.generator(terms.arguments)
    assert generator is not None  # noqa: S101 - an entry of this task has one
    learn, test = parts.images(preprocessing, terms.seed, progress=terms.progress)
    kept, held = split(
        learn.labels, terms.preset.validation_fraction, terms.seed, purpose="validation", names=parts.train.class_names
    )
    validation = learn.subset(held)
    lesson = AdversarialLesson(
        training=learn.subset(kept).apart_from(validation),
        validation=validation,
        preprocessing=preprocessing,
        generator=generator,
        preset=terms.preset,
        seed=terms.seed,
    )
    discriminator = opponent(spec, terms.arguments)
    judged = None if terms.judge is None else judging(terms.judge, generator, parts, test, model=spec.name)

    def tested(model: Any) -> tuple[Metric, ...]:
        both = Adversaries(kept=model, generator=model, discriminator=discriminator)
        losses = tuple(
            Metric(name=name, value=value, data=parts.test_name, count=len(test))
            for name, value in lesson.losses(both, test).items()
        )
        return losses if judged is None else (*losses, *judged(lambda inputs: made_by(model, inputs)))

    def show(learner: Adversaries, epoch: int, run_dir: Path) -> None:
        write_sheet(run_dir, epoch, generator, lambda inputs: made_by(learner.kept, inputs), seed=terms.seed)

    return Course(
        lesson=lesson,
        learned=learn.digests,
        test=tested,
        learner=lambda model: adversaries(model, discriminator),
        teacher=compete,
        show=show,
        last_kept=f"last epoch, moving average of the weights with a decay of {AVERAGED:g} a step",
    )
