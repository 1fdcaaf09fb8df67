"""The process that runs a float file and another one side by side and measures the error of every layer.

A layer's *own error* is its value in the file's run less what the float layer makes of the very inputs that the file's
run gave it. Its *share* of the output error: own errors are put into the float run one at a time, and the noise energy
that each leaves at the outputs is divided by the sum over all layers. Both the file and the parts of the float file run
in their real engines.
"""

import math
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgekit.card import ChannelCopy
from edgekit.channel_scales import unpack
from edgekit.errors import InputError
from edgekit.measure.layer_alignment import Aligned, Channels, aligned_to, changed_kernel
from edgekit.measure.layer_segments import kernel, take_apart
from edgekit.measure.layer_taps import Array
from edgekit.measure.metrics import Totals, totals
from edgekit.measure.watched import Part, Watched, open_watched
from edgekit.workers import Json, Progress, serve

_SAME = Channels()


@dataclass(slots=True)
class Figures:
    """What is summed up for one layer. ``noise`` is what its own error alone leaves at the outputs.

    ``signal`` and ``error`` are energies, and so are those of its own error alone; ``totals`` and ``agreed`` are of
    outputs only. ``agreed`` counts items with the largest value in the same place, ``None`` where a value is not one
    vector an item.
    """

    signal: float = 0.0
    error: float = 0.0
    clipped: int = 0
    values: int = 0
    finite: bool = True
    own_signal: float = 0.0
    own_error: float = 0.0
    noise: float = 0.0
    totals: Totals = field(default_factory=Totals)
    agreed: int | None = 0


class Pair:
    """A float file and another one with the same layers."""

    def __init__(
        self, reference: Watched, other: Watched, names: dict[str, str], channels: Mapping[str, Channels]
    ) -> None:
        self.reference, self.other, self._names = reference, other, names
        # In the reference's order of execution: the file may make an output, which others read there, at its end.
        place = {name: position for position, name in enumerate(reference.taps)}
        known = [name for name in other.taps if self.in_reference(name) in place]
        self.layers = sorted(known, key=lambda name: place[self.in_reference(name)])
        self._channels = channels
        self.figures = {name: Figures() for name in self.layers}
        self.aligned: dict[str, Aligned] = {}
        reference.watch([self.in_reference(name) for name in self.layers])
        other.watch(self.layers)

    @property
    def outputs(self) -> list[str]:
        """The layers that are outputs of the file."""
        return [layer for layer in self.layers if layer in self._names]

    def channels(self, layer: str) -> Channels:
        """How the layer's channels differ from the reference's."""
        return self._channels.get(layer, _SAME)

    def in_reference(self, layer: str) -> str:
        """The layer's name in the reference; outputs may be named otherwise there."""
        return self._names.get(layer, layer)

    def run(self, feeds: tuple[Mapping[str, Array], Mapping[str, Array]]) -> tuple[dict[str, Array], dict[str, Array]]:
        """(float values of the reference, values of the file as it has them) by layer, for one item."""
        wanted = self.reference.run(feeds[0])
        found = self.other.run(feeds[1])
        reals = {n: self.reference.taps[self.in_reference(n)].real(wanted[self.in_reference(n)]) for n in self.layers}
        if not self.aligned:
            self._align(reals, found)
        return reals, found

    def real(self, layer: str, found: Array, shape: tuple[int, ...]) -> Array:
        """A value of the file as real numbers in the order and scale of the reference."""
        return self.aligned[layer].of_file(self.other.taps[layer].real(found), shape)

    def _align(self, wanted: Mapping[str, Array], found: Mapping[str, Array]) -> None:
        """Choose for each layer the order of axes that fits; drop layers whose shapes have nothing in common."""
        kept = []
        for layer in self.layers:
            aligned = aligned_to(wanted[layer], self.other.taps[layer].real(found[layer]), self.channels(layer))
            if aligned is not None:
                self.aligned[layer] = aligned
                kept.append(layer)
        for layer in self.outputs:
            if layer not in self.aligned:
                raise InputError(
                    f"The output {layer!r} has not the shape {wanted[layer].shape} of the reference's, or not the "
                    "channels that its card tells of; compare files of one model."
                )
        self.layers = kept


def measure(request: Json, progress: Progress) -> Json:
    """The figures of every layer of the file ``path`` beside the float file ``reference``, on items of ``folder``."""
    reference, other = (open_watched(Path(request[k]), threads=request["threads"]) for k in ("reference", "path"))
    quantized = [name for name, tap in reference.taps.items() if tap.scale is not None]
    if quantized:
        raise InputError(
            f"{request['reference']} computes {quantized[0]!r} in integers; layers are compared with a float file: "
            "give the Keras model, or the fp32 file of the same conversion."
        )
    scales = unpack(request["scales"], where=f"the card in {request['path']}")
    copies = {layer: tuple(ChannelCopy(**copy) for copy in found) for layer, found in request["copies"].items()}
    channels = {n: Channels(scales=scales.get(n), copies=copies.get(n, ())) for n in {**scales, **copies}}
    pair = Pair(reference, other, request["outputs"], channels)
    if not pair.layers or len(pair.layers) <= len(request["outputs"]) < len(reference.taps):
        raise InputError(
            f"{request['path']} and {request['reference']} have no layer of the same name; convert both with this "
            "edgekit."
        )
    for done, feeds in enumerate(_feeds(request), 1):
        _add(pair, *pair.run(feeds))
        progress("comparing layers", done, request["count"])
    figures = pair.figures
    finite = all(figures[layer].finite for layer in pair.layers)
    explained = _shares(pair, request, progress) if finite else None
    weights, readers = _weights(pair), _readers(pair)
    noise = sum(figures[layer].noise for layer in pair.layers)
    return {
        "layers": [
            {
                "name": pair.in_reference(layer),
                "readers": readers[layer],
                "weight_sqnr_db": weights.get(layer),
                **_jsonable(figures[layer], pair.other.taps[layer].scale is not None, noise if finite else None),
            }
            for layer in pair.layers
        ],
        "metrics": _metrics([figures[n] for n in pair.outputs], request["count"]) if finite else {},
        "explained": explained,
    }


def _jsonable(figure: Figures, integer: bool, noise: float | None) -> Json:
    """What is told of one layer; ``noise`` is the sum over all layers, ``None`` where shares were not found."""
    return {
        "activation_sqnr_db": _decibels(figure.signal, figure.error) if figure.finite else None,
        "own_sqnr_db": _decibels(figure.own_signal, figure.own_error) if noise is not None else None,
        "saturation": figure.clipped / max(figure.values, 1) if integer else None,
        "share": None if noise is None else figure.noise / noise if noise > 0 else 0.0,
        "finite": figure.finite,
        "integer": integer,
    }


def _decibels(signal: float, error: float) -> float:
    return Totals(reference_energy=signal, noise_energy=error).sqnr_db


def _metrics(outputs: list[Figures], count: int) -> dict[str, float]:
    """The worst figure over all outputs, by JSON name."""
    found = {name: max(getattr(o.totals, name) for o in outputs) for name in ("max_abs", "mean_abs")}
    found |= {name: min(getattr(o.totals, name) for o in outputs) for name in ("sqnr_db", "cosine")}
    agreed = [o.agreed for o in outputs if o.agreed is not None]
    return found | {"agreement": min(agreed) / count} if agreed else found


def _feeds(request: Json) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
    """(inputs of the reference, inputs of the file) of each item, with batch axis."""
    for index in range(request["count"]):
        one, two = (np.load(Path(request["folder"]) / f"{n}.{index}.npz") for n in (0, request["number"]))
        with one, two:
            yield {n: one[n] for n in one.files}, {n: two[n] for n in two.files}


def _add(pair: Pair, wanted: Mapping[str, Array], found: Mapping[str, Array]) -> None:
    for layer in pair.layers:
        figure, tap, aligned = pair.figures[layer], pair.other.taps[layer], pair.aligned[layer]
        want = wanted[layer]
        figure.values += want.size
        real = pair.real(layer, found[layer], want.shape)
        error = energy(real - want)
        if not math.isfinite(error):
            figure.finite = False
            continue
        figure.signal += energy(want)
        figure.error += error
        if tap.scale is not None:
            raw = aligned.to_reference(found[layer], want.shape)
            figure.clipped += tap.clipped(raw, aligned.of_reference(want))
        if layer in pair.outputs:
            figure.totals += totals(want, real)
            if want.ndim != 2 or want.shape[1] < 2:
                figure.agreed = None
            elif figure.agreed is not None:
                figure.agreed += int(np.sum(want.argmax(axis=1) == real.argmax(axis=1)))


def energy(values: Array) -> float:
    """The sum of squares; not finite when a value is not. In float32, which is fast, where that is enough."""
    flat = values.reshape(-1)
    found = float(np.vdot(flat, flat))
    return found if math.isfinite(found) else float(np.vdot(flat.astype(np.float64), flat.astype(np.float64)))


def _shares(pair: Pair, request: Json, progress: Progress) -> float | None:
    """Sum up the noise that each layer's own error leaves at the outputs, over the first ``share_count`` items.

    The result is the sum of these over the noise of the whole file: 1 where errors add up as independent ones do.
    """
    tensors = {layer: pair.reference.taps[pair.in_reference(layer)].tensor for layer in pair.layers}
    segments = take_apart(pair.reference.graph, tensors.values())
    parts: dict[str, Part] = {}
    together = whole = 0.0
    count = min(request["share_count"], request["count"])
    for done, feeds in enumerate(_feeds(request), 1):
        if done > count:
            break
        wanted, found = pair.run(feeds)
        given = {pair.reference.graph.input_tensors[n]: v for n, v in feeds[0].items()}
        shapes = {**{tensors[n]: v.shape for n, v in wanted.items()}, **{n: v.shape for n, v in given.items()}}
        parts = parts or {n: pair.reference.part(segments[tensors[n]], shapes) for n in pair.layers}
        exact: dict[str, Array] = dict(given)
        coarse: dict[str, Array] = dict(given)
        own: dict[str, Array] = {}
        for layer in pair.layers:
            tensor = tensors[layer]
            exact[tensor] = parts[layer](exact)
            coarse[tensor] = pair.real(layer, found[layer], wanted[layer].shape).astype(np.float32)
            made = parts[layer](coarse)
            own[layer] = coarse[tensor] - made
            pair.figures[layer].own_signal += energy(made)
            pair.figures[layer].own_error += energy(own[layer])
        signal = {n: max(energy(exact[tensors[n]]), 1e-30) for n in pair.outputs}
        for layer in pair.layers:
            changed = {tensors[layer]: exact[tensors[layer]] + own[layer]}
            for later in pair.layers:
                segment = segments[tensors[later]]
                if later != layer and any(name in changed for name in segment.reads):
                    changed[tensors[later]] = parts[later](ChainMap(changed, exact))
            noise = sum(_noise(changed.get(tensors[n]), exact[tensors[n]]) / signal[n] for n in pair.outputs)
            pair.figures[layer].noise += noise
            together += noise
        whole += sum(_noise(coarse[tensors[n]], exact[tensors[n]]) / signal[n] for n in pair.outputs)
        progress("finding shares of the error", done, count)
    return together / whole if whole > 0 else None


def _noise(value: Array | None, exact: Array) -> float:
    return 0.0 if value is None else energy(value - exact)


def _readers(pair: Pair) -> dict[str, list[str]]:
    """By layer, the names of the layers that read its value."""
    tensors = {layer: pair.reference.taps[pair.in_reference(layer)].tensor for layer in pair.layers}
    segments = take_apart(pair.reference.graph, tensors.values())
    return {
        layer: [pair.in_reference(n) for n in pair.layers if n != layer and tensor in segments[tensors[n]].reads]
        for layer, tensor in tensors.items()
    }


def _weights(pair: Pair) -> dict[str, float]:
    """By layer, SQNR of the file's kernel against the reference's, with the channels of the file.

    Absent where one of the two has no single kernel, or where they cannot be brought to one shape.
    """
    ours = {n: pair.reference.taps[pair.in_reference(n)].tensor for n in pair.layers}
    theirs = {n: pair.other.taps[n].tensor for n in pair.layers}
    by_tensor = {tensor: layer for layer, tensor in theirs.items()}
    references = take_apart(pair.reference.graph, ours.values())
    others = take_apart(pair.other.graph, theirs.values())
    found: dict[str, float] = {}
    for layer in pair.layers:
        wanted = kernel(pair.reference.graph, references[ours[layer]], pair.reference.constant)
        held = kernel(pair.other.graph, others[theirs[layer]], pair.other.constant)
        if wanted is None or held is None or wanted.shape != held.shape:
            continue
        read = [by_tensor[name] for name in others[theirs[layer]].reads if name in by_tensor]
        changed = changed_kernel(wanted, pair.channels(layer), pair.channels(read[0]) if len(read) == 1 else _SAME)
        if changed is not None and np.isfinite(held).all() and np.isfinite(changed).all():
            found[layer] = totals(changed, held.astype(np.float32)).sqnr_db
    return found


if __name__ == "__main__":
    serve({"measure": measure})
