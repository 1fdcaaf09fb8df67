"""Learning to classify layer by layer: each is a Boltzmann machine before all of them are a classifier."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgekit.errors import InputError
from edgekit.models.batches import Share
from edgekit.models.classification_lesson import ClassificationLesson, classification_course
from edgekit.models.cluster import Together
from edgekit.models.contrastive import HIDDEN, Machine, divergence
from edgekit.models.fitting import training_step
from edgekit.models.lesson import Course, Setting, Teaching
from edgekit.models.phases import HEAD, Phase, optimizer_for
from edgekit.models.spec import TrainingPreset, Value

_LARGEST_SEED = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class GreedyLesson:
    """Images for a stack of ``depth`` machines; see `edgekit.models.lesson.Lesson`.

    Each machine learns for ``pretraining`` epochs by ``steps`` of Gibbs sampling at the ``rate``, from what the layers
    below make of the images (Hinton, Osindero and Teh 2006, section 4). In the epochs after these the stack learns the
    classes, or with ``head_alone`` the layer "logits" does.
    """

    images: ClassificationLesson
    depth: int
    pretraining: int
    rate: float
    steps_of_chains: int
    head_alone: bool

    @property
    def preset(self) -> TrainingPreset:
        """That of the images."""
        return self.images.preset

    @property
    def share(self) -> Share:
        """All of every batch."""
        return self.images.share

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return self.images.steps

    def stage(self, epoch: int) -> int:
        """The machine that learns in ``epoch``, from 0, or ``depth`` where all learn the classes."""
        return min((epoch - 1) // self.pretraining, self.depth)

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """As those of the images, with the stage and the seed of all that is drawn."""
        random, stage = np.random.default_rng([self.images.seed, epoch, 1]), np.int32(self.stage(epoch))
        for *arrays, size in self.images.batches(epoch):
            yield *arrays, stage, random.integers(_LARGEST_SEED, size=2).astype(np.int32), size

    def targets(self, model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """Those of the images, a number and a seed."""
        return (*self.images.targets(model), ((), np.int32), ((2,), np.int32))

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """Cross-entropy and accuracy on the validation images, in every stage."""
        return self.images.judge(model)


def teach_greedily(model: Any, lesson: GreedyLesson, phase: Phase, together: Together) -> Teaching:
    """Plain steps along the contrastive divergence of one machine, and then those of a classifier.

    Visible units of the first machine are pixels from 0 to 1, those of others the probabilities of the units below. The
    figure "reconstruction" is the mean squared error of one there and back through the machine that learns, or in the
    end through the top one.
    """
    import tensorflow as tf

    layers = [model.get_layer(f"{HIDDEN}_{index + 1}") for index in range(lesson.depth)]
    biases = [
        tf.Variable(tf.zeros(layer.kernel.shape[0]), trainable=False, name=f"visible_bias_{index + 1}")
        for index, layer in enumerate(layers)
    ]
    for layer in layers if lesson.head_alone else ():
        layer.trainable = False  # `edgekit.models.phases.learning` turns it back
    optimizer = optimizer_for(lesson.preset, replace(phase, start=lesson.depth * lesson.pretraining), lesson.steps)
    optimizer.build(model.trainable_variables)
    classify = training_step(model, optimizer, lesson.images, together)
    machines = [_machine_step(lesson, layers[: index + 1], biases[index]) for index in range(lesson.depth)]

    def step(images: Any, *rest: Any) -> tuple[Any, ...]:
        *targets, stage, seed, size = rest
        number = int(stage)
        if number == lesson.depth:
            loss, right = classify(images, *targets, size)
            return loss, right, size * machines[-1](images, seed, learn=False)
        loss, right = lesson.images.loss(model(images), *targets)
        return loss, right, size * machines[number](images, seed, learn=True)

    return Teaching(step=step, figures=("accuracy", "reconstruction"), variables=[*biases, *optimizer.variables])


def _machine_step(lesson: GreedyLesson, layers: Any, bias: Any) -> Callable[..., Any]:
    """A compiled function that lets the last of ``layers`` ``learn`` from images; its error before that."""
    import tensorflow as tf

    *below, own = layers

    def learned(images: Any, seed: Any, *, learn: bool) -> Any:
        seen = tf.reshape(images, (tf.shape(images)[0], -1))
        for layer in below:
            seen = layer(seen)
        machine = Machine(kernel=own.kernel.value, visible_bias=bias, hidden_bias=own.bias.value, normal=False)
        error = tf.reduce_mean(tf.square(machine.visible(machine.hidden(seen)) - seen))
        if learn:
            found = divergence(machine, seen, tf.ones_like(seen), steps=lesson.steps_of_chains, seed=seed)
            own.kernel.assign_add(lesson.rate * found.kernel)
            own.bias.assign_add(lesson.rate * found.hidden_bias)
            bias.assign_add(lesson.rate * found.visible_bias)
        return error

    compiled: Callable[..., Any] = tf.function(learned, autograph=False, reduce_retracing=True)
    return compiled


def greedy_course(setting: Setting, arguments: Mapping[str, Value]) -> Course:
    """Images as for other classifiers, learned stage by stage; `InputError` where none is left for the classes."""
    if setting.share.count > 1:
        raise InputError(f"dbn learns in one process; TF_CONFIG names {setting.share.count} workers: unset it.")
    depth, pretraining = int(arguments["depth"]), int(arguments["pretraining"])
    if setting.preset.epochs <= depth * pretraining:
        raise InputError(
            f"dbn takes {depth * pretraining} epochs to learn {depth} layers by themselves, and then learns the "
            f"classes; got {setting.preset.epochs} epochs: give --epochs {depth * pretraining + 1} or "
            f"more, or with --set pretraining=1 {depth + 1} or more."
        )
    course = classification_course(setting)
    images = course.lesson
    assert isinstance(images, ClassificationLesson)  # noqa: S101 - by the course
    lesson = GreedyLesson(
        images=images,
        depth=depth,
        pretraining=pretraining,
        rate=float(arguments["rate"]),
        steps_of_chains=int(arguments["steps"]),
        head_alone=arguments["tuned"] == HEAD,
    )
    return replace(course, lesson=lesson, teacher=teach_greedily)
