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

    seen: dict[str, list[_Seen]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(look, range(len(batches))):
            for name, part in found.items():
                seen.setdefault(name, []).append(part)
    return {name: _joined(parts, items, means_of) for name, parts in seen.items()}


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


def _joined(parts: list[_Seen], items: int, means_of: int) -> Observed:
    return Observed(
        low=np.min([p.low for p in parts], axis=0),
        high=np.max([p.high for p in parts], axis=0),
        mean=(np.sum([p.total for p in parts], axis=0) / items).astype(np.float32),
        values=np.concatenate([p.values for p in parts]),
        channels=np.concatenate([p.channels for p in parts]),
        item_means=np.concatenate([p.item_means for p in parts])[:means_of],
    )


def item_means(value: Any) -> Weights:
    """Means over positions, (items, channels)."""
    inner = tuple(range(1, len(value.shape) - 1))
    means: Weights = np.asarray(memoryview(value)).mean(axis=inner) if inner else value.numpy()
    return means
