"""How a generator learns: in turns with a network that tells its pictures from real ones (Goodfellow et al. 2014)."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.models.framework import load_keras
from edgekit.models.learner import Learner
from edgekit.models.lesson import Teaching
from edgekit.models.phases import Phase, rate_for
from edgekit.models.spec import ModelSpec, Value

GENERATOR_STEPS = 2
"""Steps of the generator for each one of its opponent, as in the book."""
BETA_1 = 0.5
"""Adam's memory of gradients: with the usual 0.9 such trainings swing (Radford et al. 2015, section 4)."""
AVERAGED = 0.999
"""How much of the average of a generator's weights stays at each step.

The average makes better pictures than the weights themselves, which circle around it (Yazıcı et al. 2018,
arXiv:1806.04498).
"""
CATEGORY_WEIGHT = 1.0
CODE_WEIGHT = 1.0
"""How much a guess of the generator's category and code counts beside telling real from made (Chen et al. 2016)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adversaries(Learner):
    """A ``generator`` learns against a ``discriminator``; ``kept`` is the average of its weights over the steps."""

    generator: Any
    discriminator: Any

    @property
    def inputs(self) -> Sequence[Any]:
        """Real pictures."""
        return list(self.discriminator.inputs[:1])

    @property
    def variables(self) -> Sequence[Any]:
        """Those of all three."""
        return [*self.kept.variables, *self.generator.variables, *self.discriminator.variables]


def opponent(spec: ModelSpec, arguments: Mapping[str, Value]) -> Any:
    """The discriminator that the generator of ``spec`` learns against."""
    module, function = spec.opponent.split(":")
    return getattr(importlib.import_module(module), function)(**arguments)


def adversaries(model: Any, discriminator: Any) -> Adversaries:
    """``model``, which will hold the average, with a copy of it that learns against ``discriminator``."""
    learning = load_keras().models.clone_model(model)
    learning.set_weights(model.get_weights())
    return Adversaries(kept=model, generator=learning, discriminator=discriminator)


def telling_loss(real: Any, made: Any, smoothing: float = 0.0) -> Any:
    """The discriminator's loss of each logit of ``real`` pictures, which it takes for 1 - ``smoothing``, and ``made``.

    Salimans et al. 2016, section 3.4, for one-sided smoothing.
    """
    import tensorflow as tf

    loss_of = tf.nn.sigmoid_cross_entropy_with_logits
    return loss_of(tf.ones_like(real) - smoothing, real) + loss_of(tf.zeros_like(made), made)


def deceiving_loss(made: Any) -> Any:
    """The generator's loss of each logit of ``made`` pictures: low where they are taken for real."""
    import tensorflow as tf

    return tf.nn.sigmoid_cross_entropy_with_logits(tf.ones_like(made), made)


def information_loss(guessed: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
    """How far category and code are from what the discriminator guessed, for each picture.

    Cross-entropy and squared error, an upper bound of what is not known of them, for a normal distribution of constant
    width (Chen et al. 2016, section 5).
    """
    import tensorflow as tf

    category = tf.nn.softmax_cross_entropy_with_logits(inputs["condition"], guessed["category"])
    code = tf.reduce_sum(tf.square(guessed["code"] - inputs["code"]), axis=1)
    return CATEGORY_WEIGHT * category + CODE_WEIGHT * code


def compete(model: Adversaries, lesson: Any, phase: Phase, _together: Any) -> Teaching:
    """The teaching of adversaries: a step of the discriminator, `GENERATOR_STEPS` of the generator, and the average."""
    keras = load_keras()
    optimizers = []
    for network, steps in ((model.generator, GENERATOR_STEPS), (model.discriminator, 1)):
        rate = rate_for(lesson.preset, phase, steps * lesson.steps)
        optimizer = keras.optimizers.Adam(rate, beta_1=BETA_1)
        optimizer.build(network.trainable_variables)
        optimizers.append(optimizer)
    step = _step(model, *optimizers, smoothing=lesson.preset.label_smoothing)
    figures = ("generator_loss", *(("information_loss",) if guesses(model) else ()))
    return Teaching(step=step, figures=figures, variables=[v for o in optimizers for v in o.variables])


def guesses(model: Adversaries) -> bool:
    """Whether the discriminator guesses the generator's inputs."""
    return len(model.discriminator.outputs) > 1


def seen(images: Any, inputs: Mapping[str, Any], discriminator: Any) -> Any:
    """What ``discriminator`` looks at: ``images``, and with them the classes asked for where it takes these."""
    return in_order({"image": images, **inputs}, discriminator)


def in_order(arrays: Mapping[str, Any], network: Any) -> Any:
    """Those of ``arrays`` by name that the Keras model ``network`` takes, as it takes them."""
    found = [arrays[tensor.name] for tensor in network.inputs]
    return found if len(found) > 1 else found[0]


def _step(model: Adversaries, of_generator: Any, of_discriminator: Any, *, smoothing: float) -> Callable[..., Any]:
    import tensorflow as tf

    generator, discriminator = model.generator, model.discriminator
    informed = guesses(model)

    def judged(images: Any, inputs: Mapping[str, Any]) -> Any:
        return discriminator(seen(images, inputs, discriminator), training=True)

    def information(told: Any, inputs: Mapping[str, Any]) -> Any:
        return tf.reduce_mean(information_loss(told, inputs)) if informed else 0.0

    def discriminate(images: Any, inputs: Mapping[str, Any], made: Any) -> Any:
        with tf.GradientTape() as tape:
            real, fake = judged(images, inputs), judged(made, inputs)
            loss = tf.reduce_mean(telling_loss(real["real"], fake["real"], smoothing))
            whole = loss + information(fake, inputs)
        _follow(tape, whole, of_discriminator, discriminator.trainable_variables)
        return loss

    def deceive(inputs: Mapping[str, Any]) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            told = judged(generator(in_order(inputs, generator), training=True), inputs)
            loss, known = tf.reduce_mean(deceiving_loss(told["real"])), information(told, inputs)
            whole = loss + known
        _follow(tape, whole, of_generator, generator.trainable_variables)
        return loss, known

    def own(images: Any, *rest: Any) -> tuple[Any, ...]:
        *arrays, size = rest
        inputs = dict(zip((tensor.name for tensor in generator.inputs), arrays, strict=True))
        telling = discriminate(images, inputs, generator(in_order(inputs, generator), training=True))
        for _ in range(GENERATOR_STEPS):
            deceiving, known = deceive(inputs)
        _average(model.kept, generator, of_generator.iterations)
        return tuple(size * loss for loss in (telling, deceiving, *((known,) if informed else ())))

    # Not by XLA, which takes twice as long for these small networks as TensorFlow's own kernels for CPUs.
    compiled: Callable[..., Any] = tf.function(own, autograph=False)
    return compiled


def _follow(tape: Any, loss: Any, optimizer: Any, variables: Sequence[Any]) -> None:
    optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)


def _average(kept: Any, generator: Any, iterations: Any) -> None:
    """Bring ``kept`` nearer to ``generator``: at first by much, so that the first weights are soon forgotten."""
    import tensorflow as tf

    steps = tf.cast(iterations, tf.float32) / GENERATOR_STEPS
    stays = tf.minimum(AVERAGED, (1 + steps) / (10 + steps))
    for average, value in zip(kept.variables, generator.variables, strict=True):
        average.assign(stays * average + (1 - stays) * value)
