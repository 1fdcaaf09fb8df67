"""What every activation of a float `Network` does on real items: extremes and means by channel, and a seeded sample."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    network: Network, batches: Sequence[Callable[[], Mapping[str, Any]]], *, items: int, means_of: int, seed: int
) -> dict[str, Observed]:
    """Every operator's output over ``batches`` of ``items`` in all, by operator name, with the means of the first ones.

    A batch is asked for when it is its turn; as many are in memory as there are CPUs.
    """
    keep = -(-SAMPLES_PER_TENSOR // items)
    per_batch = -(-items // len(batches))

    def look(number: int) -> dict[str, _Seen]:
        means = number * per_batch < means_of
        return _look(network, batches[number](), keep, [seed, number], means)

    totals: dict[str, _Total] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(look, range(len(batches))):
            for name, part in found.items():
                if name not in totals:
                    totals[name] = _Total(part, capacity=keep * items)
                totals[name].add(part)
    return {name: total.observed(items, means_of) for name, total in totals.items()}


@dataclass(frozen=True, slots=True)
class _Seen:
    """One activation in one batch."""

    low: Weights
    high: Weights
    total: Weights
    values: Weights
    channels: np.ndarray[Any, np.dtype[np.int32]]
    item_means: Weights


def _look(network: Network, batch: Mapping[str, Any], keep: int, seed: list[int], means: bool) -> dict[str, _Seen]:
    random = np.random.default_rng(seed)
    seen: dict[str, _Seen] = {}

    def visit(op: Op, before: Any, after: Any) -> None:
        if after.dtype.name != "float32" or len(after.shape) < 2:
            return
        value = np.asarray(memoryview(after))  # .numpy() would copy
        rows = value.reshape(-1, value.shape[-1])
        chosen = random.integers(0, value.size, min(keep * len(value), value.size))
        bounded = op.rectifier is not Rectifier.NONE
        seen[op.name] = _Seen(
            low=np.zeros(rows.shape[1], np.float32) if bounded else rows.min(axis=0),
            high=rows.max(axis=0),
            total=rows.mean(axis=0) * len(value),
            values=value.reshape(-1)[chosen],
            channels=(chosen % value.shape[-1]).astype(np.int32),
            item_means=item_means(before) if op.weighted and means else np.zeros((0, op.channels), np.float32),
        )

    run(network, batch, visit=visit)
    return seen


class _Total:
    """All batches of one activation, in arrays made once: small new ones between large freed ones would pin memory."""

    def __init__(self, first: _Seen, capacity: int) -> None:
        self._low, self._high = first.low.copy(), first.high.copy()
        self._total = np.zeros_like(first.total)
        self._values = np.empty(capacity, np.float32)
        self._channels = np.empty(capacity, np.int32)
        self._count = 0
        self._item_means: list[Weights] = []

    def add(self, part: _Seen) -> None:
        np.minimum(self._low, part.low, out=self._low)
        np.maximum(self._high, part.high, out=self._high)
        self._total += part.total
        end = self._count + part.values.size
        self._values[self._count : end] = part.values
        self._channels[self._count : end] = part.channels
        self._count = end
        self._item_means.append(part.item_means)

    def observed(self, items: int, means_of: int) -> Observed:
        return Observed(
            low=self._low,
            high=self._high,
            mean=(self._total / items).astype(np.float32),
            values=self._values[: self._count],
            channels=self._channels[: self._count],
            item_means=np.concatenate(self._item_means)[:means_of],
        )


def item_means(value: Any) -> Weights:
    """Means over positions, (items, channels)."""
    inner = tuple(range(1, len(value.shape) - 1))
    means: Weights = np.asarray(memoryview(value)).mean(axis=inner) if inner else value.numpy()
    return means
