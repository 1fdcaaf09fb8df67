"""A float network with the real items on which it is observed, and on which each accuracy step is judged."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from edgekit.converters.accuracy.network import Network, Weights
from edgekit.converters.accuracy.observe import Observed, observe
from edgekit.converters.accuracy.simulate import Ranges, run
from edgekit.converters.samples import Samples
from edgekit.measure.metrics import sqnr_db
from edgekit.workers import Progress

BATCH = 8
"""Items in memory at a time."""
CORRECTED_ITEMS = 32
"""Items on which biases are corrected; all their values of one activation are in memory."""
JUDGED_ITEMS = 24
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

            def batches() -> Iterator[Mapping[str, Any]]:
                for start in range(0, count, BATCH):
                    yield self._samples.items(start, start + BATCH)
                    progress("observing activations", min(start + BATCH, count), count)

            self._observed = observe(self.network, batches(), count, self._seed)
        return self._observed

    def for_biases(self) -> dict[str, Any]:
        """The items on which biases are corrected."""
        return self._samples.items(0, CORRECTED_ITEMS)

    def sqnr_db(self, network: Network, kernels: Mapping[str, Weights], ranges: Ranges) -> float:
        """SQNR of a quantized network against the float one on the judged items; of the worst output."""
        if not self._wanted:
            self._wanted = _outputs(self.network, self._judged())
        found = _outputs(network, self._judged(), kernels=kernels, ranges=ranges)
        pairs = zip(self.network.outputs, network.outputs, strict=True)
        return min(sqnr_db(self._wanted[ours], found[theirs]) for ours, theirs in pairs)

    def _judged(self) -> Iterator[Mapping[str, Any]]:
        first = min(CORRECTED_ITEMS, max(0, self._samples.count - JUDGED_ITEMS))
        end = min(first + JUDGED_ITEMS, self._samples.count)
        for start in range(first, end, BATCH):
            yield self._samples.items(start, min(start + BATCH, end))


def _outputs(network: Network, batches: Iterable[Mapping[str, Any]], **options: Any) -> dict[str, Any]:
    parts: dict[str, list[Any]] = {name: [] for name in network.outputs}
    for batch in batches:
        for name, value in run(network, batch, **options).items():
            parts[name].append(value.numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}
