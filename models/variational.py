"""How the weights of a network become distributions: Bayes by backprop (Blundell et al. 2015, arXiv:1505.05424)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.models.learner import Learner
from edgekit.models.lesson import Teaching
from edgekit.models.passes import FIRST_DEVIATION, VARIANCE, draw
from edgekit.models.phases import Phase, optimizer_for
from edgekit.uncertainty import Noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior(Learner):
    """What learns: the network ``kept`` of one pass, which is fed with ``noises``.

    Until `settle` its layers of variances hold numbers rho, of which softplus makes the deviations of the weights, so
    that none is ever negative (section 3.2).
    """

    noises: tuple[Noise, ...]

    @property
    def inputs(self) -> Sequence[Any]:
        """Images; noise is drawn where they are looked at."""
        return list(self.kept.inputs[:1])

    @property
    def variables(self) -> Sequence[Any]:
        """Means and rhos, a list of Keras' variables."""
        return list(self.kept.trainable_variables)

    def weights(self) -> list[Any]:
        """What `variables` stand for: means and variances, as tensors."""
        import tensorflow as tf

        return [tf.square(tf.nn.softplus(v.value)) if of_variances(v) else v.value for v in self.variables]

    def logits(self, images: Any, seed: Any) -> Any:
        """What one pass with noise of ``seed`` (2,) int32 tells of ``images``."""
        import tensorflow as tf

        inputs = [images, *draw(self.noises, self.kept, tf.shape(images)[0], seed)]
        outputs, _ = self.kept.stateless_call(self.weights(), [], inputs)
        return outputs

    def divergence(self, prior: float) -> Any:
        """The Kullback-Leibler divergence of all weights from normal ones of mean 0 and the deviation ``prior``.

        In nats, as a scalar: the sum of log(prior / s) + (s^2 + m^2) / (2 prior^2) - 1/2 over means m and deviations s.
        """
        import tensorflow as tf

        found = tf.constant(0.0)
        for variable in self.variables:
            if of_variances(variable):
                deviation = tf.nn.softplus(variable.value)
                each = math.log(prior) - tf.math.log(deviation) + tf.square(deviation) / (2 * prior**2) - 0.5
            else:
                each = tf.square(variable.value) / (2 * prior**2)
            found += tf.reduce_sum(each)
        return found


def of_variances(variable: Any) -> bool:
    """Whether ``variable`` belongs to a layer that holds the variances of another one's weights."""
    return str(variable.path).split("/")[-2].endswith(VARIANCE)


def begin(sample: Any, noises: tuple[Noise, ...]) -> Posterior:
    """``sample`` ready to learn, all weights with the deviation `FIRST_DEVIATION`."""
    posterior = Posterior(kept=sample, noises=noises)
    for variable in posterior.variables:
        if of_variances(variable):
            variable.assign(np.full(variable.shape, math.log(math.expm1(FIRST_DEVIATION)), np.float32))
    return posterior


def settle(posterior: Posterior) -> None:
    """Put the variances that were learned into the layers of variances, for good."""
    for variable, value in zip(posterior.variables, posterior.weights(), strict=True):
        variable.assign(value)


def teach(model: Posterior, lesson: Any, phase: Phase, _together: Any) -> Teaching:
    """The teaching that follows the gradient of the evidence lower bound, by one draw of noise for each image.

    The divergence counts by an image's share in all that is learned from (section 3.4, with equal shares).
    """
    optimizer = optimizer_for(lesson.preset, phase, lesson.steps)
    optimizer.build(model.variables)
    return Teaching(step=_step(model, lesson, optimizer), figures=(lesson.counted, "kl"), variables=optimizer.variables)


def _step(model: Posterior, lesson: Any, optimizer: Any) -> Callable[..., Any]:
    import tensorflow as tf

    variables, share = model.variables, 1 / lesson.count
    prior = lesson.preset.prior_deviation

    def own(images: Any, classes: Any, weights: Any, seed: Any, size: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            loss, right = lesson.loss(model.logits(images, seed), classes, weights)
            divergence = size * share * model.divergence(prior)
            bound = loss + divergence
            mean = bound / size
        optimizer.apply(tape.gradient(mean, [v.value for v in variables]), variables)
        return bound, right, divergence

    # One signature for every batch size, as `edgekit.models.fitting.training_step` has.
    compiled: Callable[..., Any] = tf.function(own, autograph=False, reduce_retracing=True)
    return compiled
