"""Contrastive divergence: how a restricted Boltzmann machine learns (Hinton 2002, Neural Computation 14(8)).

Its weights follow how often a visible and a hidden unit are on together when data are shown, less how often they are
when the machine has run by itself for some steps: from the data (CD-k), or from where it was left the last time, which
makes chains persistent (Tieleman 2008, ICML).
"""

from dataclasses import dataclass
from typing import Any

STANDARDIZED, HIDDEN, VISIBLE = "standardized", "hidden", "visible"
"""Layers of a machine of ratings whose values its training sets; a stack has "hidden_1" and so on."""
SIX = 6.0
"""What the layer `VISIBLE` multiplies ratings by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """``kernel`` (visible, hidden), and a bias for each unit, as TensorFlow's tensors.

    Visible units are ``normal`` with a variance of 1, or else on or off.
    """

    kernel: Any
    visible_bias: Any
    hidden_bias: Any
    normal: bool

    def hidden(self, visible: Any) -> Any:
        """The probability of each hidden unit to be on, (count, hidden), for ``visible`` (count, visible)."""
        import tensorflow as tf

        return tf.sigmoid(tf.matmul(visible, self.kernel) + self.hidden_bias)

    def visible(self, hidden: Any) -> Any:
        """The mean of each visible unit, (count, visible)."""
        import tensorflow as tf

        total = tf.matmul(hidden, self.kernel, transpose_b=True) + self.visible_bias
        return total if self.normal else tf.sigmoid(total)

    def fantasy(self, hidden: Any, rated: Any, seed: Any) -> Any:
        """Visible units drawn for the states ``hidden``; those without a 1 in ``rated`` are 0 and say nothing."""
        import tensorflow as tf

        mean = self.visible(hidden)
        if self.normal:
            return rated * (mean + tf.random.stateless_normal(tf.shape(mean), seed))
        return rated * drawn(mean, seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """By how much data speak for other weights than the machine's own: means over a batch. ``chains`` go on later."""

    kernel: Any
    visible_bias: Any
    hidden_bias: Any
    chains: Any


def divergence(machine: Machine, seen: Any, rated: Any, *, steps: int, seed: Any, chains: Any = None) -> Divergence:
    """The update by ``steps`` of Gibbs sampling for ``seen`` (count, visible), whose values are 0 where not ``rated``.

    Every row has a machine of its own: weights are shared, and units without a rating take no part in energy, update
    or chain (Salakhutdinov, Mnih and Hinton 2007, section 2). Chains start at ``chains``, states of the hidden units
    (count, hidden) from 0 to 1, else at the data. ``seed`` (2,) int32 decides all that is drawn.
    """
    import tensorflow as tf

    def seeds(number: int) -> Any:
        return seed + tf.constant([0, number])

    positive = machine.hidden(seen)
    states = drawn(positive, seeds(0)) if chains is None else chains
    for step in range(steps):
        made = machine.fantasy(states, rated, seeds(2 * step + 1))
        negative = machine.hidden(made)
        states = drawn(negative, seeds(2 * step + 2))
    count = tf.cast(tf.shape(seen)[0], tf.float32)
    kernel = tf.matmul(seen, positive, transpose_a=True) - tf.matmul(made, negative, transpose_a=True)
    return Divergence(
        kernel=kernel / count,
        visible_bias=tf.reduce_mean(seen - made, axis=0),
        hidden_bias=tf.reduce_mean(positive - negative, axis=0),
        chains=states,
    )


def drawn(probabilities: Any, seed: Any) -> Any:
    """1 with each of ``probabilities``, 0 else."""
    import tensorflow as tf

    return tf.cast(tf.random.stateless_uniform(tf.shape(probabilities), seed) < probabilities, tf.float32)
