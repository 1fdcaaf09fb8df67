"""A float network with the real items on which it is observed, and on which each accuracy step is judged."""

import functools
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from edgekit.converters.accuracy.network import Network, Op, Weights
from edgekit.converters.accuracy.observe import Observed, observe
from edgekit.converters.accuracy.simulate import Ranges, run, with_zero
from edgekit.converters.samples import Samples
from edgekit.measure.metrics import sqnr_db
from edgekit.workers import Progress

BATCH = 4
"""Items that run at a time."""
CORRECTED_ITEMS = 96
"""Items on which operators are corrected, where their values of an activation fit into `CORRECTED_BYTES`."""
CORRECTED_BYTES = 120_000_000
"""What the values of the largest activation may take on all of these items, as they are in memory at once."""
LEAST_CORRECTED_ITEMS = 8
"""However large the activations are: a median of fewer items would follow one of them."""
CORRECTED_BATCHES = 6
"""In as many parts these items run, of `BATCH` or more items: each costs a call of every operator."""
JUDGED_ITEMS = 16
"""Items on which a step must help: others than those for the biases, where there are enough."""


class Scene:
    """What the steps look at; each look is taken once, whichever thread asks first."""

    def __init__(self, network: Network, samples: Samples, seed: int) -> None:
        self.network = network
        self._samples = samples
        self._seed = seed
        self._observed: dict[str, Observed] = {}
        self._wanted: dict[str, Any] = {}
        self._graph: Any = None
        self._lock = threading.Lock()

    def observed(self, progress: Progress) -> Mapping[str, Observed]:
        """What every activation does on all items."""
        count = self._samples.count

        def batches() -> Iterator[Mapping[str, Any]]:
            for start in range(0, count, BATCH):
                progress("observing activations", min(start + BATCH, count), count)
                yield self._samples.items(start, start + BATCH)

        with self._lock:
            if not self._observed:
                seen = observe(self.network, batches(), items=count, means_of=self._corrected, seed=self._seed)
                self._observed = seen
        return self._observed

    @functools.cached_property
    def _corrected(self) -> int:
        """On how many items operators are corrected."""
        sizes: list[int] = []

        def visit(_op: Op, _before: Any, after: Any) -> None:
            sizes.append(after.numpy().nbytes)

        run(self.network, self._samples.items(0, 1), visit=visit)
        return min(CORRECTED_ITEMS, max(LEAST_CORRECTED_ITEMS, CORRECTED_BYTES // max(sizes)))

    def for_correction(self) -> list[Mapping[str, Any]]:
        """Batches of the items on which operators are corrected."""
        return list(self._batches(0, self._corrected, size=max(BATCH, self._corrected // CORRECTED_BATCHES)))

    def sqnr_db(self, network: Network, kernels: Mapping[str, Weights], ranges: Ranges) -> float:
        """SQNR of a quantized network against the float one on the judged items; of the worst output."""
        with self._lock:
            if not self._wanted:
                self._wanted = self._outputs(self.network, {}, {})
        found = self._outputs(network, kernels, with_zero(ranges))
        return min(sqnr_db(self._wanted[name], found[name]) for name in network.outputs)

    def _outputs(self, network: Network, kernels: Mapping[str, Weights], ranges: Ranges) -> dict[str, Any]:
        """What ``network``, of the operators of the float one, computes on the judged items."""
        first = min(self._corrected, max(0, self._samples.count - JUDGED_ITEMS))
        weights = {op.name: (kernels.get(op.name, op.kernel), op.bias) for op in network.ops if op.weighted}
        batches = self._batches(first, first + JUDGED_ITEMS)
        runs = [self._judge(batch, weights, ranges) for batch in batches]
        return {name: np.concatenate([values[name].numpy() for values in runs]) for name in network.outputs}

    def _judge(self, batch: Mapping[str, Any], weights: Mapping[str, Any], ranges: Ranges) -> Any:
        """The outputs for a batch, as a graph that is made once for all ``weights`` and ``ranges``."""
        import tensorflow as tf

        if self._graph is None:
            self._graph = tf.function(
                lambda items, new, ends: run(self.network.with_weights(new), items, ranges=ends), autograph=False
            )
        return self._graph(*tf.nest.map_structure(tf.constant, (dict(batch), dict(weights), dict(ranges))))

    def _batches(self, first: int, end: int, size: int = BATCH) -> Iterator[Mapping[str, Any]]:
        end = min(end, self._samples.count)
        for start in range(first, end, size):
            yield self._samples.items(start, min(start + size, end))
