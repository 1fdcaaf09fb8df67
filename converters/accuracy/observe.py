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
    """One activation over all items: ``low``, ``high``, ``mean`` by channel, and sampled ``values`` of ``channels``."""

    low: Weights
    high: Weights
    mean: Weights
    values: Weights
    channels: np.ndarray[Any, np.dtype[np.int32]]

    def scaled(self, scales: Weights, ceiling: float = np.inf) -> "Observed":
        """The same activation with each channel multiplied by its scale and cut off at ``ceiling``."""
        return Observed(
            low=np.minimum(self.low * scales, ceiling),
            high=np.minimum(self.high * scales, ceiling),
            mean=self.mean * scales,
            values=np.minimum(self.values * scales[self.channels], ceiling),
            channels=self.channels,
        )


def observe(network: Network, batches: Iterable[Mapping[str, Any]], items: int, seed: int) -> dict[str, Observed]:
    """Every operator's output over ``batches`` of ``items`` in all, by operator name; one batch is in memory."""
    random = np.random.default_rng(seed)
    keep = -(-SAMPLES_PER_TENSOR // items)
    seen: dict[str, list[tuple[Any, ...]]] = {op.name: [] for op in network.ops}

    def visit(op: Op, _before: Any, after: Any) -> None:
        if after.dtype.name != "float32" or len(after.shape) < 2:
            return
        value = np.asarray(memoryview(after))  # .numpy() would copy
        rows = value.reshape(-1, value.shape[-1])
        chosen = random.integers(0, value.size, min(keep * len(value), value.size))
        seen[op.name].append(
            (
                np.zeros(rows.shape[1], np.float32) if op.rectifier is not Rectifier.NONE else rows.min(axis=0),
                rows.max(axis=0),
                rows.mean(axis=0) * len(value),
                value.reshape(-1)[chosen],
                (chosen % value.shape[-1]).astype(np.int32),
            )
        )

    for batch in batches:
        run(network, batch, visit=visit)
    return {name: _joined(parts, items) for name, parts in seen.items() if parts}


def _joined(parts: list[tuple[Any, ...]], items: int) -> Observed:
    low, high, mean, values, channels = zip(*parts, strict=True)
    return Observed(
        low=np.min(low, axis=0),
        high=np.max(high, axis=0),
        mean=(np.sum(mean, axis=0) / items).astype(np.float32),
        values=np.concatenate(values),
        channels=np.concatenate(channels),
    )
