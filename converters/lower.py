"""From a source to fp32 files of both formats, and the source's own outputs to compare with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgekit.artifact import Format
from edgekit.card import TensorSpec
from edgekit.converters.float_ops import refuse_unrunnable
from edgekit.converters.rnn_forms import Form, RecurrentLayer
from edgekit.converters.samples import Samples
from edgekit.converters.source import Source, SourceKind
from edgekit.converters.workshop import Workshop
from edgekit.errors import ArtifactError, ConversionError
from edgekit.formats import onnx, tflite
from edgekit.formats.graph import Graph
from edgekit.formats.keras import require_readable_weights
from edgekit.recipe import Batch
from edgekit.runtimes.probe import probe

VERIFIED_ITEMS = 100
"""Outputs are compared on this many items at most: figures move little beyond, and time does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What the source takes, and the versions of the packages that read it; where Keras has it, its recurrent layers,
    and by input the value of time steps that it masks.
    """

    inputs: tuple[TensorSpec, ...]
    tools: Mapping[str, str]
    recurrent: tuple[RecurrentLayer, ...] = ()
    padding: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """The fp32 file of one format, without card, and what is in it. ``layers`` are those that a tensor stands for,
    ``forms`` those of the recurrent layers.
    """

    path: Path
    graph: Graph
    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    forms: tuple[Form, ...] = ()


def load(source: Source, shop: Workshop) -> Loaded:
    """The inputs of ``source``. A Keras model or SavedModel is held by the TensorFlow process from here on."""
    if source.kind in (SourceKind.KERAS, SourceKind.H5):
        require_readable_weights(source.path)
    if source.needs_tensorflow:
        answer = shop.tensorflow("load", {"path": str(source.path), "kind": source.kind.value})
        inputs = tuple(TensorSpec(name=i["name"], shape=tuple(i["shape"]), dtype=i["dtype"]) for i in answer["inputs"])
        recurrent = tuple(RecurrentLayer(**layer) for layer in answer["recurrent"])
        return Loaded(inputs=inputs, tools=answer["tools"], recurrent=recurrent, padding=answer["padding"])
    if source.card is None:
        raise ArtifactError(f"{source.path} cannot be read; expected a {source.kind.value} file.")
    for spec in source.card.inputs:
        if any(d is None for d in spec.shape[1:]):
            raise ArtifactError(
                f"Input {spec.name!r} of {source.path} has free dimensions after the batch axis; expected fixed sizes."
            )
    probe(source.path)
    return Loaded(inputs=source.card.inputs, tools={})


def lower(source: Source, fmt: Format, batch: Batch, shop: Workshop, forms: tuple[Form, ...] = ()) -> Lowered:
    """The fp32 file of ``fmt``, recurrent layers in ``forms`` (none: as the source has them); `ConversionError` for
    operators that no stock runtime has.
    """
    size = _size(batch)
    path = shop.folder / ".".join(["lowered", *forms, fmt.value])
    if fmt is Format.ONNX:
        raw = source.path
        if source.kind is not SourceKind.ONNX:
            raw = shop.folder / "raw.onnx"
            shop.tensorflow("lower_onnx", {"path": str(raw), "batch": size})
        shop.engine(fmt, "fold", {"source": str(raw), "path": str(path), "batch": size})
    elif source.kind is SourceKind.TFLITE:
        shop.engine(fmt, "sign", {"source": str(source.path), "path": str(path)})
    else:
        shop.tensorflow("lower_tflite", {"path": str(path), "batch": size, "forms": list(forms)})
        if forms:
            shop.engine(fmt, "mend", {"path": str(path)})
    return replace(read_lowered(path, fmt), forms=forms)


def _size(batch: Batch) -> int | None:
    return 1 if batch is Batch.STATIC else None


def reference(source: Source, samples: Samples, batch: Batch, shop: Workshop) -> Samples:
    """The source's outputs on the first `VERIFIED_ITEMS` of ``samples``, by output name."""
    outputs = shop.folder / "reference"
    request = {"samples": str(samples.folder), "outputs": str(outputs), "count": VERIFIED_ITEMS}
    if source.needs_tensorflow:
        shop.tensorflow("reference", {**request, "batch": _size(batch)})
    else:
        shop.once("run_worker", "run", {**request, "path": str(source.path)})
    return Samples.open(outputs)


def read_lowered(path: Path, fmt: Format, layers: Mapping[str, tuple[str, ...]] | None = None) -> Lowered:
    """The lowered file at ``path``; `ConversionError` for operators that no stock runtime has."""
    graph = tflite.read_graph(path) if fmt is Format.TFLITE else onnx.read_graph(path)
    refuse_unrunnable(graph, path.name)
    if not graph.outputs:
        raise ConversionError(f"{path.name} has no outputs; expected at least one.")
    return Lowered(path=path, graph=graph, layers=layers or {})
