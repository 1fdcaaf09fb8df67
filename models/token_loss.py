"""The loss of tokens that are to be foretold, one at each step."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.models.classification_lesson import cross_entropy

Array = npt.NDArray[Any]


def token_loss(logits: Any, targets: Any) -> tuple[Any, Any]:
    """The cross-entropies' sum and how many tokens are right: of (batch, steps, tokens) and (batch, steps) int32."""
    import tensorflow as tf

    loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
    right = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), targets)
    return loss, tf.reduce_sum(tf.cast(right, tf.int32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """How well ``tokens`` tokens were foretold: ``nats`` each, ``top1`` of them right, and ``exact`` whole rows."""

    nats: float
    top1: float
    tokens: int
    exact: float
    rows: int


def foretold(model: Any, batches: Iterable[tuple[Array, Array]]) -> Foretold:
    """What ``model`` makes of inputs and their targets (rows, steps)."""
    nats, right, tokens, exact, rows = 0.0, 0, 0, 0, 0
    for inputs, targets in batches:
        logits = np.asarray(model.predict_on_batch(inputs))
        nats += cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)) * targets.size
        hits = logits.argmax(axis=-1) == targets
        right, tokens = right + int(hits.sum()), tokens + targets.size
        exact, rows = exact + int(hits.all(axis=1).sum()), rows + len(targets)
    return Foretold(nats=nats / tokens, top1=right / tokens, tokens=tokens, exact=exact / rows, rows=rows)
