"""A float network with the real items on which it is observed, and on which each accuracy step is judged."""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from edgekit.converters.accuracy.network import Network, Weights
from edgekit.converters.accuracy.observe import Observed, observe
from edgekit.converters.accuracy.simulate import Ranges, run
from edgekit.converters.memory import give_back
from edgekit.converters.samples import Samples
from edgekit.measure.metrics import sqnr_db
from edgekit.workers import Progress

BATCH = 4
"""Items in memory at a time."""
CORRECTED_ITEMS = 24
"""Items on which operators are corrected; their values of an activation are all in memory at once."""
JUDGED_ITEMS = 16
"""Items on which a step must help: others than those for the biases, where there are enough."""


class Scene:
    """What the steps look at; each look is taken once."""

    def __init__(self, network: Network, samples: Samples, seed: int) -> None:
        self.network = network
        self._samples = samples
        self._seed = seed
        self._observed: dict[str, Observed] = {}
        self._wanted: dict[str, Any] = {}

    def observed(self, progress: Progress) -> Mapping[str, Observed]:
        """What every activation does on all items."""
        if not self._observed:
            count = self._samples.count

            def batch(start: int) -> Mapping[str, Any]:
                progress("observing activations", min(start + BATCH, count), count)
                return self._samples.items(start, start + BATCH)

            batches = [functools.partial(batch, start) for start in range(0, count, BATCH)]
            self._observed = observe(self.network, batches, items=count, means_of=CORRECTED_ITEMS, seed=self._seed)
            give_back()
        return self._observed

    def for_correction(self) -> list[Mapping[str, Any]]:
        """Batches of the items on which operators are corrected."""
        return list(self._batches(0, CORRECTED_ITEMS))

    def sqnr_db(self, network: Network, kernels: Mapping[str, Weights], ranges: Ranges) -> float:
        """SQNR of a quantized network against the float one on the judged items; of the worst output."""
        if not self._wanted:
            self._wanted = _outputs(self.network, self._judged())
        found = _outputs(network, self._judged(), kernels=kernels, ranges=ranges)
        pairs = zip(self.network.outputs, network.outputs, strict=True)
        return min(sqnr_db(self._wanted[ours], found[theirs]) for ours, theirs in pairs)

    def _judged(self) -> list[Mapping[str, Any]]:
        first = min(CORRECTED_ITEMS, max(0, self._samples.count - JUDGED_ITEMS))
        return list(self._batches(first, first + JUDGED_ITEMS))

    def _batches(self, first: int, end: int) -> Iterator[Mapping[str, Any]]:
        end = min(end, self._samples.count)
        for start in range(first, end, BATCH):
            yield self._samples.items(start, min(start + BATCH, end))


def _outputs(network: Network, batches: Sequence[Mapping[str, Any]], **options: Any) -> dict[str, Any]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(lambda batch: run(network, batch, **options), batches))
    return {name: np.concatenate([values[name].numpy() for values in runs]) for name in network.outputs}
