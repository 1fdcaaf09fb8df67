"""What every activation of a float `Network` does on real items: extremes and means by channel, and a seeded sample."""

import math
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
    look: _Look | None = None
    total: _Total | None = None
    for number, batch in enumerate(batches):
        look = look or _Look(network, batch, keep=-(-SAMPLES_PER_TENSOR // items))
        drawn = np.random.SeedSequence([seed, number]).generate_state(2).view(np.int32)
        seen = look(batch, drawn)
        total = total or _Total(seen, look.places, items=items, means_of=means_of)
        total.add(seen)
    return total.observed() if total is not None else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """All activations in one batch, one after the other: by channel, sampled values, and item means (items, channels).

    Few arrays, as every tensor that is handed to Python waits for the threads that use it.
    """

    low: Weights
    high: Weights
    total: Weights
    values: Weights
    positions: np.ndarray[Any, np.dtype[np.int64]]
    item_means: Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where an activation lies in `_Seen`, and how many values are ``kept`` of each item."""

    channels: slice
    means: slice
    kept: int

    @property
    def width(self) -> int:
        """The number of channels."""
        return int(self.channels.stop - self.channels.start)

    def samples(self, items: int) -> int:
        """How many values are sampled from a batch of ``items``."""
        return self.kept * items


class _Look:
    """A network as one TensorFlow function from a batch like ``example`` and a seed to `_Seen`.

    As a graph it takes half the time of running operator by operator, and leaves Python to others meanwhile.
    """

    def __init__(self, network: Network, example: Mapping[str, Any], keep: int) -> None:
        import tensorflow as tf

        self.places: dict[str, _Place] = {}
        self._network, self._keep = network, keep
        feed = {name: tf.TensorSpec((None, *values.shape[1:]), values.dtype) for name, values in example.items()}
        signature = [feed, tf.TensorSpec((2,), tf.int32)]
        self._graph = tf.function(self._looked, input_signature=signature, autograph=False)

    def __call__(self, batch: Mapping[str, Any], seed: Any) -> _Seen:
        return _Seen(**{name: value.numpy() for name, value in self._graph(batch, seed).items()})

    def _looked(self, batch: dict[str, Any], seed: Any) -> dict[str, Any]:
        import tensorflow as tf

        items = tf.shape(next(iter(batch.values())), out_type=tf.int64)[0]
        drawn: dict[tuple[int, ...], Any] = {}
        found: dict[str, list[Any]] = {name: [] for name in _Seen.__dataclass_fields__}

        def positions_of(value: Any) -> Any:
            """Where a value of this shape is sampled, in the flattened batch."""
            shape = tuple(value.shape[1:])
            if shape not in drawn:
                size = tf.size(value, out_type=tf.int64)
                count = tf.minimum(self._keep * items, size)
                drawn[shape] = tf.random.stateless_uniform([count], seed, maxval=size, dtype=tf.int64)
            return drawn[shape]

        channels = means = 0

        def visit(op: Op, before: Any, after: Any) -> None:
            nonlocal channels, means
            if after.dtype != tf.float32 or len(after.shape) < 2:
                return
            width, outer = after.shape[-1], tuple(range(len(after.shape) - 1))
            bounded = op.rectifier is not Rectifier.NONE
            own = item_means(after)
            found["low"].append(tf.zeros(width) if bounded else tf.reduce_min(after, outer))
            found["high"].append(tf.reduce_max(after, outer))
            found["total"].append(tf.reduce_sum(own, 0))
            found["values"].append(tf.gather(tf.reshape(after, [-1]), positions_of(after)))
            found["positions"].append(positions_of(after))
            if op.weighted:
                found["item_means"].append(item_means(before) if bounded else own)
            self.places[op.name] = _Place(
                channels=slice(channels, channels + width),
                means=slice(means, means + width * op.weighted),
                kept=min(self._keep, math.prod(after.shape[1:])),
            )
            channels, means = channels + width, means + width * op.weighted

        run(self._network, batch, visit=visit)
        found["item_means"].append(tf.zeros(tf.stack([items, 0])))  # where nothing is weighted, it tells their number
        return {name: tf.concat(parts, -1) for name, parts in found.items()}


class _Total:
    """All batches, in arrays made once: small new ones between large freed ones would pin memory."""

    def __init__(self, first: _Seen, places: Mapping[str, _Place], *, items: int, means_of: int) -> None:
        self._places, self._items = places, items
        self._low, self._high = first.low.copy(), first.high.copy()
        self._total = np.zeros_like(first.total)
        self._values = {name: np.empty(place.samples(items), np.float32) for name, place in places.items()}
        self._channels = {name: np.empty(place.samples(items), np.int32) for name, place in places.items()}
        self._item_means = np.empty((means_of, first.item_means.shape[1]), np.float32)
        self._done = 0

    def add(self, part: _Seen) -> None:
        items = len(part.item_means)
        np.minimum(self._low, part.low, out=self._low)
        np.maximum(self._high, part.high, out=self._high)
        self._total += part.total
        start = 0
        for name, place in self._places.items():
            count, done = place.samples(items), place.samples(self._done)
            self._values[name][done : done + count] = part.values[start : start + count]
            self._channels[name][done : done + count] = part.positions[start : start + count] % place.width
            start += count
        means = part.item_means[: max(len(self._item_means) - self._done, 0)]
        self._item_means[self._done : self._done + len(means)] = means
        self._done += items

    def observed(self) -> dict[str, Observed]:
        return {name: self._of(name, place) for name, place in self._places.items()}

    def _of(self, name: str, place: _Place) -> Observed:
        count = place.samples(self._done)
        means = self._item_means[: self._done, place.means]
        return Observed(
            low=self._low[place.channels],
            high=self._high[place.channels],
            mean=(self._total[place.channels] / self._items).astype(np.float32),
            values=self._values[name][:count],
            channels=self._channels[name][:count],
            item_means=means if means.shape[1] else np.empty((0, place.width), np.float32),
        )


def item_means(value: Any) -> Any:
    """Means over positions, (items, channels)."""
    import tensorflow as tf

    return tf.reduce_mean(value, tuple(range(1, len(value.shape) - 1)))
