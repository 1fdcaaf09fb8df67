"""What a code costs beside the error of what is made of it: sums over a batch, as TensorFlow's scalars."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgekit.models.framework import load_keras
from edgekit.models.spec import Value

Penalty = Callable[[Any, Any, Sequence[Any]], Any]
"""The cost of a batch: of the model, what it was given, and its outputs, of which the code is the first."""


def penalty_of(arguments: Mapping[str, Value]) -> Penalty | None:
    """What the arguments of an entry ask for; none where the error is all that counts."""
    for name, make in _PENALTIES.items():
        if arguments.get(name):
            return make(float(arguments[name]))
    return None


def sparse(weight: float) -> Penalty:
    """``weight`` times the sum of the code's absolute values."""
    import tensorflow as tf

    return lambda _model, _given, outputs: weight * tf.reduce_sum(tf.abs(outputs[0]))


def contractive(weight: float) -> Penalty:
    """``weight`` times the squared Frobenius norm of the Jacobian of the code (Rifai et al. 2011, equation 2)."""
    import tensorflow as tf

    def cost(model: Any, given: Any, _outputs: Sequence[Any]) -> Any:
        encoder = load_keras().Model(model.inputs[0], model.get_layer("code").output)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(given)
            numbers = tf.unstack(encoder(given, training=True), axis=1)
        # One by one: TensorFlow's own jacobian works out places in int32, of which oneDNN complains on stderr.
        return weight * tf.add_n([tf.reduce_sum(tf.square(tape.gradient(number, given))) for number in numbers])

    return cost


def divergent(weight: float) -> Penalty:
    """How far the code's normal distributions are from a standard one (Kingma and Welling 2014, appendix B).

    ``weight`` 1 is the evidence lower bound of a normal likelihood of deviation 1 for an error that is a mean over the
    numbers of an input; others are the beta of Higgins et al. 2017 (beta-VAE, ICLR).
    """
    import tensorflow as tf

    def cost(model: Any, _given: Any, outputs: Sequence[Any]) -> Any:
        mean, _, log_variance = outputs
        divergence = -0.5 * tf.reduce_sum(1 + log_variance - tf.square(mean) - tf.exp(log_variance))
        return 2 * weight / model.inputs[0].shape[1] * divergence

    return cost


_PENALTIES: Mapping[str, Callable[[float], Penalty]] = {
    "sparsity": sparse,
    "contraction": contractive,
    "beta": divergent,
}
"""By the argument that weighs each."""
