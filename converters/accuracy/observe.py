"""What every activation of a float `Network` does on real items: extremes and means by channel, and a seeded sample."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.converters.accuracy.network import Network, Op, Rectifier, Weights
from edgekit.converters.accuracy.simulate import run
from edgekit.converters.ranges import SAMPLES_PER_TENSOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One activation over all items: ``low``, ``high``, ``mean`` by channel, and sampled ``values`` of ``channels``.

    ``item_means`` is (items, channels): the mean over positions before the rectifier, of the first items.
    """

    low: Weights
    high: Weights
    mean: Weights
    values: Weights
    channels: np.ndarray[Any, np.dtype[np.int32]]
    item_means: Weights

    def scaled(self, scales: Weights, ceiling: float = np.inf) -> "Observed":
        """The same activation with each channel multiplied by its scale and cut off at ``ceiling``."""
        return Observed(
            low=np.minimum(self.low * scales, ceiling),
            high=np.minimum(self.high * scales, ceiling),
            mean=self.mean * scales,
            values=np.minimum(self.values * scales[self.channels], ceiling),
            channels=self.channels,
            item_means=self.item_means * scales if self.item_means.size else self.item_means,
        )


def observe(
    network: Network, batches: Iterable[Mapping[str, Any]], *, items: int, means_of: int, seed: int
) -> dict[str, Observed]:
    """Every operator's output over ``batches`` of ``items`` in all, by operator name, with the means of the first ones.

    One batch is in memory at a time.
    """
    keep = -(-SAMPLES_PER_TENSOR // items)
    look: Any = None
    totals: dict[str, _Total] = {}
    for number, batch in enumerate(batches):
        look = look or _looking(network, batch, keep)
        drawn = np.random.SeedSequence([seed, number]).generate_state(2).view(np.int32)
        for name, part in look(batch, drawn).items():
            seen = _Seen(*(value.numpy() for value in part))
            if name not in totals:
                totals[name] = _Total(seen, capacity=keep * items, means_of=means_of)
            totals[name].add(seen)
    return {name: total.observed(items) for name, total in totals.items()}


@dataclass(frozen=True, slots=True)
class _Seen:
    """One activation in one batch: extremes and sum by channel, sampled values and where they lie, and item means."""

    low: Weights
    high: Weights
    total: Weights
    values: Weights
    places: np.ndarray[Any, np.dtype[np.int64]]
    item_means: Weights


def _looking(network: Network, example: Mapping[str, Any], keep: int) -> Any:
    """A TensorFlow function from a batch like ``example`` and a seed to the fields of `_Seen` by operator name.

    As a graph it takes half the time of running operator by operator, and leaves Python to others meanwhile.
    """
    import tensorflow as tf

    feed = {name: tf.TensorSpec((None, *values.shape[1:]), values.dtype) for name, values in example.items()}

    def look(batch: Mapping[str, Any], seed: Any) -> dict[str, tuple[Any, ...]]:
        seen: dict[str, tuple[Any, ...]] = {}
        places: dict[tuple[int, ...], Any] = {}

        def places_of(value: Any) -> Any:
            """Where a value of this shape is sampled, as positions in the flattened batch."""
            shape = tuple(value.shape[1:])
            if shape not in places:
                size = tf.size(value, out_type=tf.int64)
                items = tf.shape(next(iter(batch.values())), out_type=tf.int64)[0]
                count = tf.minimum(keep * items, size)
                places[shape] = tf.random.stateless_uniform([count], seed, maxval=size, dtype=tf.int64)
            return places[shape]

        def visit(op: Op, before: Any, after: Any) -> None:
            if after.dtype != tf.float32 or len(after.shape) < 2:
                return
            channels, outer = after.shape[-1], tuple(range(len(after.shape) - 1))
            bounded = op.rectifier is not Rectifier.NONE
            means = item_means(after)
            seen[op.name] = (
                tf.zeros(channels) if bounded else tf.reduce_min(after, outer),
                tf.reduce_max(after, outer),
                tf.reduce_sum(means, 0),
                tf.gather(tf.reshape(after, [-1]), places_of(after)),
                places_of(after),
                (item_means(before) if bounded else means) if op.weighted else tf.zeros((0, channels)),
            )

        run(network, batch, visit=visit)
        return seen

    return tf.function(look, input_signature=[feed, tf.TensorSpec((2,), tf.int32)], autograph=False)


class _Total:
    """All batches of one activation, in arrays made once: small new ones between large freed ones would pin memory."""

    def __init__(self, first: _Seen, capacity: int, means_of: int) -> None:
        self._low, self._high = first.low.copy(), first.high.copy()
        self._total = np.zeros_like(first.total)
        self._values = np.empty(capacity, np.float32)
        self._channels = np.empty(capacity, np.int32)
        self._count = 0
        self._item_means = np.empty((means_of if len(first.item_means) else 0, len(first.low)), np.float32)
        self._items = 0

    def add(self, part: _Seen) -> None:
        np.minimum(self._low, part.low, out=self._low)
        np.maximum(self._high, part.high, out=self._high)
        self._total += part.total
        end = self._count + part.values.size
        self._values[self._count : end] = part.values
        self._channels[self._count : end] = part.places % len(part.low)
        self._count = end
        means = part.item_means[: len(self._item_means) - self._items]
        self._item_means[self._items : self._items + len(means)] = means
        self._items += len(means)

    def observed(self, items: int) -> Observed:
        return Observed(
            low=self._low,
            high=self._high,
            mean=(self._total / items).astype(np.float32),
            values=self._values[: self._count],
            channels=self._channels[: self._count],
            item_means=self._item_means[: self._items],
        )


def item_means(value: Any) -> Any:
    """Means over positions, (items, channels)."""
    import tensorflow as tf

    return tf.reduce_mean(value, tuple(range(1, len(value.shape) - 1)))
