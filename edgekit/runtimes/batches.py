"""Many single items through a runtime, in batches where the model takes them."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from edgekit.errors import ArtifactError, DataError
from edgekit.runtimes.base import Array, Runtime


def run_items(runtime: Runtime, items: Iterable[dict[str, Array]], *, batch: int = 32) -> Iterator[dict[str, Array]]:
    """Outputs for each of ``items``, in order; neither has a batch axis, quantized outputs come as float32.

    Items are stacked, up to ``batch`` at a time, when the leading axis of every input and output is free, and run one
    by one otherwise.
    """
    free = all(s.shape[:1] == (None,) for s in (*runtime.inputs, *runtime.outputs))
    size = batch if free else 1
    remaining = iter(items)
    while group := list(islice(remaining, size)):
        feed = {spec.name: _stack(group, spec.name) for spec in runtime.inputs}
        outputs = runtime.run(feed, as_float=True)
        for name, values in outputs.items():
            if values.shape[:1] != (len(group),):
                raise ArtifactError(
                    f"Output {name!r} has shape {values.shape} for {len(group)} items; expected one row for each item."
                )
        for index in range(len(group)):
            yield {name: values[index] for name, values in outputs.items()}


def _stack(group: list[dict[str, Array]], name: str) -> Array:
    missing = [item for item in group if name not in item]
    if missing:
        raise DataError(f"An item has the inputs {sorted(missing[0])}; the model also takes {name!r}.")
    shapes = {item[name].shape for item in group}
    if len(shapes) > 1:
        raise DataError(f"Items for {name!r} have different shapes: {sorted(shapes)}; make them equal.")
    return np.stack([item[name] for item in group])
