"""The values that a `Network` computes on a few items, and its weights, in a file that other processes read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edgekit.converters.accuracy.network import Kind

Array = npt.NDArray[Any]

PROBED_ITEMS = 2
"""Two different items tell apart almost all tensors of one shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """``feeds`` are the items, ``values`` what each layer made of them (items, ...), in an order of execution.

    ``weights`` holds kernel and bias by operator, and ``before`` the name that its value has before its rectifier.
    """

    feeds: tuple[dict[str, Array], ...]
    values: Mapping[str, Array]
    weights: Mapping[str, tuple[Kind, Array, Array]]
    before: Mapping[str, str]

    def save(self, path: Path) -> None:
        """Write the file `load` reads."""
        arrays: dict[str, Array] = {}

        def put(array: Array) -> str:
            arrays[f"a{len(arrays)}"] = array
            return f"a{len(arrays) - 1}"

        index = {
            "feeds": [{name: put(array) for name, array in feed.items()} for feed in self.feeds],
            "values": {name: put(array) for name, array in self.values.items()},
            "weights": {
                name: [kind.value, put(kernel), put(bias)] for name, (kind, kernel, bias) in self.weights.items()
            },
            "before": dict(self.before),
        }
        np.savez(path, allow_pickle=False, index=np.array(json.dumps(index)), **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            index = json.loads(str(file["index"]))
            return cls(
                feeds=tuple({name: file[key] for name, key in feed.items()} for feed in index["feeds"]),
                values={name: file[key] for name, key in index["values"].items()},
                weights={
                    n: (Kind(kind), file[kernel], file[bias]) for n, (kind, kernel, bias) in index["weights"].items()
                },
                before=index["before"],
            )


def same(found: Array, wanted: Array, tolerance: float = 1e-4) -> bool:
    """Whether two tensors hold the same values up to float rounding, the channels of ``found`` last or first.

    ``tolerance`` times the largest value, or 1, is allowed.
    """
    if found.size != wanted.size or found.dtype != wanted.dtype:
        return False
    limit = tolerance * max(1.0, float(np.abs(wanted).max(initial=0.0)))
    orders = [wanted] if wanted.ndim < 3 else [wanted, np.moveaxis(wanted, -1, 1)]
    return any(bool(np.all(np.abs(found.reshape(-1) - order.reshape(-1)) <= limit)) for order in orders)


def stacked(runs: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The values of several runs by tensor name, one after the other along the first axis."""
    return {name: np.concatenate([np.atleast_1d(run[name]) for run in runs]) for name in runs[0]}


def name_tensors(tensors: Mapping[str, Array], layers: Sequence[tuple[str, Array]]) -> dict[str, str]:
    """For each tensor of a file, in the order of execution, the first layer with the same values that has none yet."""
    free = list(layers)
    names: dict[str, str] = {}
    for tensor, found in tensors.items():
        for position, (layer, wanted) in enumerate(free):
            if same(found, wanted):
                names[tensor] = layer
                del free[position]
                break
    return names
