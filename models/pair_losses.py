"""How wrong it is what a head tells of all pairs of a batch."""

from collections.abc import Callable, Mapping
from typing import Any

MARGIN = 1.0
"""The distance from which on different pictures need not be farther apart (Hadsell et al. 2006, equation 4)."""
TRIPLET_MARGIN = 0.5
"""By how much a different picture is to be farther, in squared distances (Schroff et al. 2015, equation 1)."""

PairLoss = Callable[[Any, Any, Any], Any]
"""Takes what the head tells (count, count) of each picture with each, and which pairs are the same and which are
different, (count, count) of 0 and 1, both 0 on the diagonal; gives a mean.
"""


def logistic(told: Any, same: Any, different: Any) -> Any:
    """Cross-entropy of logits (Koch et al. 2015, section 3.2) of all same pairs and as many different ones.

    These are the most wrong ones: nearly all different pairs are soon told apart, and teach nothing.
    """
    import tensorflow as tf

    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=same, logits=told)
    count = tf.cast(tf.maximum(1.0, tf.reduce_sum(same)), tf.int32)
    hardest = tf.math.top_k(tf.reshape(losses * different, [-1]), tf.minimum(count, tf.size(losses))).values
    return (_mean(losses, same) + tf.reduce_mean(hardest)) / 2


def contrastive(told: Any, same: Any, different: Any) -> Any:
    """Half the squared distance of same pictures, and of different ones half the square of what lacks to the margin.

    Hadsell et al. 2006, equation 4; both kinds weigh the same together.
    """
    import tensorflow as tf

    # The root has no finite slope at 0, where pictures are equal.
    lacking = tf.nn.relu(MARGIN - tf.sqrt(tf.maximum(told, 1e-9)))
    return (_mean(told / 2, same) + _mean(lacking**2 / 2, different)) / 2


def triplet(told: Any, same: Any, different: Any) -> Any:
    """By how much a different picture is too near beside a same one, over all triplets of which that is true.

    Schroff et al. 2015, equation 1, without their normalisation of embeddings; all triplets of a batch, and the mean of
    those that are wrong, as Hermans, Beyer and Leibe 2017 (arXiv:1703.07737, section 2).
    """
    import tensorflow as tf

    hinge = tf.nn.relu(told[:, :, None] - told[:, None, :] + TRIPLET_MARGIN)
    hinge *= same[:, :, None] * different[:, None, :]
    return tf.reduce_sum(hinge) / tf.maximum(1.0, tf.reduce_sum(tf.cast(hinge > 0, tf.float32)))


def _mean(losses: Any, kind: Any) -> Any:
    import tensorflow as tf

    return tf.reduce_sum(losses * kind) / tf.maximum(1.0, tf.reduce_sum(kind))


PAIR_LOSSES: Mapping[str, PairLoss] = {"logistic": logistic, "contrastive": contrastive, "triplet": triplet}
