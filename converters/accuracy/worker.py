"""What the process that holds the source does for the accuracy steps."""

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from edgekit.artifact import Format
from edgekit.channel_scales import pack
from edgekit.codec import to_jsonable
from edgekit.converters.accuracy.choose_ranges import extreme_ranges
from edgekit.converters.accuracy.from_keras import NotPreparedError, read_network
from edgekit.converters.accuracy.kernel_scales import WeightBits
from edgekit.converters.accuracy.network import Kind, Network, Op, Rectifier
from edgekit.converters.accuracy.probe import PROBED_ITEMS, Array, Probe
from edgekit.converters.accuracy.scene import Scene
from edgekit.converters.accuracy.simulate import run
from edgekit.converters.accuracy.steps import Setup, prepare
from edgekit.converters.samples import Samples
from edgekit.recipe import AccuracyStep
from edgekit.workers import Json, Progress

T = TypeVar("T")


class Accuracy:
    """The operations on one Keras ``model``; what they look at is looked at once."""

    def __init__(self, model: Any, input_names: tuple[str, ...]) -> None:
        self._model = model
        self._input_names = input_names
        self._scene: Scene | None = None
        self._lock = threading.Lock()

    def outline(self, request: Json, _progress: Progress) -> Json:
        """Write the probe of the float network to ``path``; the layers of each operator, or the reason for none."""
        samples = Samples.open(Path(request["samples"]))
        try:
            network = read_network(self._model, self._input_names)
        except NotPreparedError as error:
            return {"reason": str(error), "layers": {}}
        probe_of(network, samples).save(Path(request["path"]))
        layers = {op.name: op.members or (op.name,) for op in network.ops}
        layers |= {_before(op): op.members for op in network.ops if _before(op) != op.name}
        return {"reason": "", "layers": layers}

    def observe(self, request: Json, progress: Progress) -> Json:
        """Smallest to largest value of every activation of the float network on ``samples``."""
        scene = self._look(request)
        return {"ranges": _with_before(scene.network, extreme_ranges(scene.network, scene.observed(progress)))}

    def prepare(self, request: Json, progress: Progress) -> Json:
        """Write the probe of the prepared network to ``path``; its ranges, and the record of the steps."""
        scene = self._look(request)
        kept = _matching(scene.network, request["keep_float"])
        excluded = _matching(scene.network, request["exclude"])
        setup = Setup(
            format=Format(request["format"]),
            per_channel=request["per_channel"],
            steps=tuple(AccuracyStep(step) for step in request["steps"]),
            float_ops=frozenset(kept),
            portable=request["portable"],
        )
        done = prepare(scene, {**excluded, **request["fixed"]}, setup, progress)
        probe_of(done.network, Samples.open(Path(request["samples"]))).save(Path(request["path"]))
        return {
            "ranges": _with_before(done.network, done.ranges),
            "channel_scales": pack(_with_before(done.network, done.channel_scales)),
            "channel_copies": to_jsonable(done.channel_copies),
            "pairs": done.bits is WeightBits.PAIRS,
            "scales": {name: scales.tolist() for name, scales in done.scales.items()},
            "records": [asdict(record) for record in done.records],
        }

    def _look(self, request: Json) -> Scene:
        with self._lock:
            if self._scene is None:
                network = read_network(self._model, self._input_names)
                self._scene = Scene(network, Samples.open(Path(request["samples"])), int(request["seed"]))
            return self._scene


def probe_of(network: Network, samples: Samples) -> Probe:
    """What ``network`` computes on the first items."""
    feeds = tuple(samples.batches(1, PROBED_ITEMS))
    values: dict[str, Array] = {}

    def visit(op: Op, before: Any, after: Any) -> None:
        for name, value in ((_before(op), before), (op.name, after)):
            if value.dtype.name == "float32":
                values[name] = value.numpy()

    run(network, samples.items(0, PROBED_ITEMS), visit=visit)
    return Probe(
        feeds=feeds,
        values=values,
        weights={
            op.name: (op.kind, op.kernel, op.bias)
            for op in network.ops
            if op.kernel is not None and op.bias is not None
        },
        before={op.name: _before(op) for op in network.ops if _before(op) != op.name},
    )


def _matching(network: Network, patterns: Sequence[str]) -> dict[str, str]:
    """Operators of which a layer's name matches one of ``patterns``, and the pattern as the option that gave it."""
    names = [(op.name, (op.name, *op.members)) for op in network.ops]
    return {op: f"--exclude {p!r}" for op, known in names for p in patterns for n in known if re.search(p, n)}


def _before(op: Op) -> str:
    """The name of the value of ``op`` before its rectifier."""
    if op.rectifier is Rectifier.NONE or op.kind is Kind.RECTIFIER:
        return op.name
    own_layer = len(op.members) > 1
    return op.members[-2] if own_layer else f"{op.name}/linear"


def _with_before(network: Network, known: Mapping[str, T]) -> dict[str, T]:
    more = {_before(op): known[op.name] for op in network.ops if op.name in known}
    return {**more, **known}
