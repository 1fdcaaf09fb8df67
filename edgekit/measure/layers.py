"""The error of every layer of model files beside a float reference, in the real engines: which layer broke it?"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.artifact import Artifact, Format, open_artifact
from edgekit.codec import to_jsonable
from edgekit.data import Dataset, npy
from edgekit.errors import ArtifactError, InputError
from edgekit.feeding import feeder_of, resolve_preprocessing
from edgekit.files import scratch_folder
from edgekit.formats import onnx, tflite
from edgekit.formats.graph import Graph
from edgekit.measure.choices import largest_is_chosen
from edgekit.measure.compare import pair_outputs
from edgekit.measure.data_for import data_for
from edgekit.measure.held_out import HeldOut
from edgekit.recipe import Precision
from edgekit.workers import Json, Progress, Worker, WorkerCrashError, silent

WORKER = "edgekit.measure.layer_worker"
ITEMS = 32
"""Items that layers are compared on, where nobody says how many: figures of layers move little beyond."""
SHARE_ITEMS = 8
"""Items on which shares of the output error are found: each runs the network once for every layer."""
NAMED = 3
"""Layers that the advice names at most."""
WORTH_NAMING = 0.5
"""The advice names layers as long as each has at least this part of the largest share."""
BROKEN_DB = 6.0
"""Own errors and errors of weights over a quarter of the signal are no rounding, even to few bits."""
WITHOUT_EFFECT = 0.01
"""A layer with a smaller share of the output error is not called broken: dead channels have errors and no signal."""
GOOD_DB = 30.0
"""Outputs whose noise is below a thousandth of the energy have no layer that is to blame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError:
    """One layer of a file beside the same layer of the reference; ``None`` where it cannot be told.

    ``weight_sqnr_db`` compares kernels, ``activation_sqnr_db`` values with all errors of earlier layers in them; the
    scales of equalized channels, which the file's card records, are undone in both. ``own_sqnr_db`` compares with what
    the float layer makes of the inputs that this file's layer had, so that errors of earlier layers do not count.
    ``saturation`` is the fraction of values at an end of the integer range while the reference's is beyond it.
    ``share`` is the layer's part of the output error: what its own error alone leaves at the outputs of the float
    network, over the sum for all layers (`edgekit.measure.layer_worker`). ``finite`` is whether all values are numbers,
    ``integer`` whether the file holds them as integers. ``readers`` are the layers that read them.
    """

    name: str
    readers: tuple[str, ...]
    weight_sqnr_db: float | None
    activation_sqnr_db: float | None
    own_sqnr_db: float | None
    saturation: float | None
    share: float | None
    finite: bool
    integer: bool

    @property
    def broken(self) -> bool:
        """Whether its values or weights are off by more than rounding, and not without effect."""
        known = [db for db in (self.own_sqnr_db, self.weight_sqnr_db) if db is not None]
        return min(known, default=BROKEN_DB) < BROKEN_DB and (self.share or 0.0) >= WITHOUT_EFFECT


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerComparison:
    """The layers of one file in the order of execution, and how well their shares add up.

    ``metrics`` are those of the worst output, by JSON name, and empty where a layer has a NaN or infinity.
    ``explained`` is the sum of what the layers leave at the outputs one at a time over what they leave together: 1 for
    independent errors, more where later ones cancel earlier ones, as corrected biases do. ``by_position`` says that
    outputs are named otherwise in the reference, so that their order paired them.
    """

    given: Path
    artifact: Artifact
    layers: tuple[LayerError, ...]
    metrics: Mapping[str, float]
    explained: float | None
    by_position: bool

    @property
    def first_nan(self) -> str | None:
        """The first layer with a NaN or infinity."""
        return next((layer.name for layer in self.layers if not layer.finite), None)

    @property
    def first_broken(self) -> str | None:
        """The first layer that makes something else of its inputs than the reference does, not just less exact."""
        return next((layer.name for layer in self.layers if layer.broken), None)

    def worst(self) -> tuple[LayerError, ...]:
        """The layers with the largest shares, the largest first; none in a file as good as the reference."""
        if not self.metrics or self.metrics["sqnr_db"] >= GOOD_DB:
            return ()
        ranked = sorted((la for la in self.layers if la.share), key=lambda la: la.share or 0.0, reverse=True)
        return tuple(la for la in ranked[:NAMED] if (la.share or 0.0) >= WORTH_NAMING * (ranked[0].share or 0.0))

    def advice(self) -> str:
        """One sentence: the layers to look at, and the option that keeps them in float where that can help.

        It keeps their readers too, or else their values would be rounded all the same, before they are read.
        """
        if self.first_nan is not None:
            return f"{self.given}: the first NaN or infinity is in {self.first_nan}; look at its weights and its input."
        if self.first_broken is not None:
            return (
                f"{self.given}: {self.first_broken} makes something else of its inputs than the reference does; "
                "look at its weights, and convert again."
            )
        worst = self.worst()
        if not worst:
            return (
                f"{self.given}: the noise at the outputs is {self.metrics['sqnr_db']:.0f} dB below the signal; "
                "no layer needs to stay in float."
            )
        names = [layer.name for layer in worst]
        percent = 100 * sum(layer.share or 0.0 for layer in worst)
        said = (
            f"{self.given}: {' and '.join(names)} {'has' if len(names) == 1 else 'have'} {percent:.0f} % of the error"
        )
        if self.artifact.recipe == Precision.FP32:
            return f"{said}."
        kept = dict.fromkeys([*names, *(reader for layer in worst for reader in layer.readers)])
        pattern = shlex.quote(f"^({'|'.join(map(re.escape, kept))})$")
        one = "it" if len(names) == 1 else "them"
        return f"{said}; to keep {one} and what reads {one} in float: convert --keep-float {pattern}."


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    """Files beside ``reference`` on ``count`` items of ``data``, layer by layer."""

    reference: Path
    reference_sha256: str
    data: str
    count: int
    share_count: int
    left_out: int
    seed: int
    entries: tuple[LayerComparison, ...]

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each file: its ``layers`` in the order of execution, and what follows from them."""
        return [
            {
                "artifact": str(entry.given),
                "sha256": entry.artifact.sha256,
                "format": entry.artifact.format.value,
                "recipe": entry.artifact.recipe,
                "reference": str(self.reference),
                "reference_sha256": self.reference_sha256,
                "data": self.data,
                "n": self.count,
                "share_n": self.share_count,
                "left_out": self.left_out,
                "seed": self.seed,
                "matched": "position" if entry.by_position else "name",
                "metrics": dict(entry.metrics),
                "layers": [
                    {
                        "name": layer.name,
                        "readers": list(layer.readers),
                        "weight_sqnr_db": layer.weight_sqnr_db,
                        "activation_sqnr_db": layer.activation_sqnr_db,
                        "own_sqnr_db": layer.own_sqnr_db,
                        "saturation": layer.saturation,
                        "share": layer.share,
                        "finite": layer.finite,
                        "integer": layer.integer,
                    }
                    for layer in entry.layers
                ],
                "first_nan": entry.first_nan,
                "first_broken": entry.first_broken,
                "explained": entry.explained,
                "advice": entry.advice(),
            }
            for entry in self.entries
        ]

    def tables(self) -> list[tuple[str, list[str], list[list[str]], set[int]]]:
        """(title, columns, rows, positions of the worst rows) for people, one table for each file."""
        columns = ["layer", "weights dB", "values dB", "own dB", "saturated %", "share of error %", "note"]
        return [
            (
                f"Layers of {entry.given} beside {self.reference} on {self.count:,} items of {self.data}",
                columns,
                [_cells(entry, layer) for layer in entry.layers],
                {i for i, layer in enumerate(entry.layers) if _mark(entry, layer)},
            )
            for entry in self.entries
        ]


def _cells(entry: LayerComparison, layer: LayerError) -> list[str]:
    decibels = (layer.weight_sqnr_db, layer.activation_sqnr_db, layer.own_sqnr_db)
    return [
        layer.name,
        *("-" if db is None else f"{db:.1f}" for db in decibels),
        "-" if layer.saturation is None else f"{100 * layer.saturation:.3f}",
        "-" if layer.share is None else f"{100 * layer.share:.1f}",
        _mark(entry, layer),
    ]


def _mark(entry: LayerComparison, layer: LayerError) -> str:
    if layer.name == entry.first_nan:
        return "first NaN"
    if not layer.finite:
        return "NaN"
    if layer.broken:
        return "broken"
    return "worst" if layer in entry.worst() else ""


def _require_same_noise(source: Artifact, artifacts: Sequence[Artifact]) -> None:
    """`InputError` where the reference takes noise and a file does not, or the other way round."""
    noisy = [a.card.uncertainty is not None and bool(a.card.uncertainty.noises) for a in (source, *artifacts)]
    for artifact, drawn in zip(artifacts, noisy[1:], strict=True):
        if drawn != noisy[0]:
            taker, other = (artifact, source) if drawn else (source, artifact)
            raise InputError(
                f"{taker.path} takes noise and {other.path} none, by which their layers differ; compare a file .sample "
                "with the .sample it was made from."
            )


def compare_layers(
    reference: Path,
    paths: Sequence[Path],
    data: Dataset | str,
    *,
    named: Path | None = None,
    data_dir: Path | None = None,
    preprocess: str | None = None,
    samples: int | None = None,
    threads: int = 1,
    seed: int = 0,
    progress: Progress = silent,
) -> LayerReport:
    """Run ``reference`` and each TFLite or ONNX file of ``paths`` on the same items and measure the error by layer.

    The reference is an fp32 file, whose tensors are called after Keras layers as in every file that edgekit converts;
    for a Keras model, ``named`` is such a file made of it. ``samples`` items of ``data``, `ITEMS` without it, are drawn
    with ``seed``; those that calibrated or trained a file are left out. `InputError` when files have no layers in
    common, `ArtifactError` for one that its engine does not take.
    """
    dataset = data_for([reference, *paths], data, data_dir=data_dir)
    source, *artifacts = [open_artifact(path) for path in (reference, *paths)]
    _require_same_noise(source, artifacts)
    float_file = named or source.path
    for path, kind in ((float_file, open_artifact(float_file).format), *((a.path, a.format) for a in artifacts)):
        if kind is Format.KERAS:
            raise InputError(f"{path} is a Keras model; only REFERENCE may be one where layers are compared.")
    graphs = [_read_graph(path) for path in (float_file, *(a.path for a in artifacts))]
    feeders = [
        feeder_of(own.card, graph.inputs, resolve_preprocessing(own.card, preprocess))
        for graph, own in zip(graphs, (source, *artifacts), strict=True)
    ]
    outputs = [
        {
            theirs: ours
            for ours, theirs in pair_outputs(graphs[0].outputs, graph.outputs, files=(str(reference), str(p)))[0]
        }
        for graph, p in zip(graphs[1:], paths, strict=True)
    ]
    chosen = HeldOut(dataset, [source, *artifacts], samples=samples or ITEMS, seed=seed)
    entries = []
    with scratch_folder() as folder:
        count = 0
        for item in chosen:
            for number, feeder in enumerate(feeders):
                feed = {name: value[None] for name, value in feeder.feed(item).items()}
                npy.write_npz(Path(folder) / f"{number}.{count}.npz", feed)
            count += 1
        for number, (given, artifact, names) in enumerate(zip(paths, artifacts, outputs, strict=True), 1):
            request = {
                "reference": str(float_file),
                "path": str(artifact.path),
                "folder": str(folder),
                "number": number,
                "count": count,
                "share_count": min(SHARE_ITEMS, count),
                "outputs": names,
                "scales": artifact.card.provenance.channel_scales,
                "copies": to_jsonable(artifact.card.provenance.channel_copies),
                "threads": threads,
            }
            answer = _measured(request, given, progress)
            entries.append(
                LayerComparison(
                    given=given,
                    artifact=artifact,
                    layers=tuple(LayerError(**{**la, "readers": tuple(la["readers"])}) for la in answer["layers"]),
                    metrics=_told(answer["metrics"], artifact),
                    explained=answer["explained"],
                    by_position=any(theirs != ours for theirs, ours in names.items()),
                )
            )
    return LayerReport(
        reference=reference,
        reference_sha256=source.sha256,
        data=dataset.name,
        count=count,
        share_count=min(SHARE_ITEMS, count),
        left_out=chosen.left_out,
        seed=seed,
        entries=tuple(entries),
    )


def _told(metrics: Mapping[str, float], artifact: Artifact) -> dict[str, float]:
    """``metrics`` of outputs, without an agreement where the largest value is no choice."""
    return {n: value for n, value in metrics.items() if n != "agreement" or largest_is_chosen(artifact.card)}


def _read_graph(path: Path) -> Graph:
    return tflite.read_graph(path) if path.suffix.lower() == ".tflite" else onnx.read_graph(path)


def _measured(request: Json, given: Path, progress: Progress) -> Json:
    with Worker(WORKER) as worker:
        try:
            return worker.call("measure", request, progress=progress)
        except WorkerCrashError as crash:
            raise ArtifactError(f"{given} cannot be compared layer by layer: {crash}.") from None
