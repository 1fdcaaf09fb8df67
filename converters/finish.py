"""From a draft to a finished file: card embedded, operators read back, outputs compared with those of the source."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.artifact import Format, with_card
from edgekit.card import DataRef, ModelCard, Provenance, TensorSpec
from edgekit.converters.float_ops import float_ops, refuse_unrunnable, require_integer
from edgekit.converters.lower import VERIFIED_ITEMS, Loaded, Lowered
from edgekit.converters.parity import compare_outputs, remarks, require_tolerance
from edgekit.converters.plan import Job
from edgekit.converters.quantize import Draft
from edgekit.converters.report import Converted, FloatOp, Parity
from edgekit.converters.samples import Samples
from edgekit.converters.source import Source
from edgekit.converters.workshop import Workshop
from edgekit.files import sha256_file
from edgekit.formats import onnx, tflite
from edgekit.formats.graph import Graph
from edgekit.preprocessing import Preprocessing
from edgekit.recipe import Precision, Recipe

SLOW_ITEMS = 24
"""Outputs of files for which the engines have no fast kernels are compared on this many items at most."""
_SLOW = {(Format.TFLITE, Precision.INT16X8), (Format.ONNX, Precision.DYNAMIC)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The final bytes of a job in ``path``, with the ``card`` in them, not yet proven."""

    job: Job
    path: Path
    card: ModelCard
    draft: Draft
    ratio: float
    float_ops: tuple[FloatOp, ...]


def base_card(
    source: Source, loaded: Loaded, *, preprocessing: Preprocessing | None, labels: tuple[str, ...] | None
) -> ModelCard:
    """The card that all files of the conversion share, before their tensors are known."""
    card = source.card or ModelCard(name=source.name, inputs=loaded.inputs, outputs=())
    return replace(
        card,
        inputs=loaded.inputs,
        preprocessing=preprocessing if preprocessing is not None else card.preprocessing,
        labels=labels if labels is not None else card.labels,
        metrics=(),  # measured on the source, not on the files made from it
    )


def embed_card(
    job: Job,
    draft: Draft,
    lowered: Lowered,
    base: ModelCard,
    source: Source,
    calibration: DataRef | None,
    tools: Mapping[str, str],
    folder: Path,
) -> Finished:
    """The draft with its card in ``folder``; `ConversionError` for operators left in float that nobody allowed."""
    graph = read_graph(draft.path, job.format)
    refuse_unrunnable(graph, job.file_name)
    left = float_ops(graph, lowered.layers, job.recipe, job.format, draft.engine, stated=base.keep_float)
    require_integer(left, job.recipe, job.format)
    used = calibration if job.recipe.needs_calibration else None
    card = _card(base, graph, source, job.recipe, used, tools)
    float_recipe = replace(job.recipe, precision=Precision.FP32, portable=False, keep_float=(), exclude=())
    provenance = replace(
        card.provenance, steps=draft.steps, channel_scales=draft.channel_scales, channel_copies=draft.channel_copies
    )
    card = replace(card, provenance=provenance)
    float_card = _card(base, lowered.graph, source, float_recipe, None, tools)
    data = with_card(draft.path.read_bytes(), card, job.format)
    path = folder / job.file_name
    path.write_bytes(data)
    float_bytes = len(with_card(lowered.path.read_bytes(), float_card, job.format))
    return Finished(job=job, path=path, card=card, draft=draft, ratio=float_bytes / len(data), float_ops=left)


def verify(finished: Finished, samples: Samples, expected: Samples, shop: Workshop, *, synthetic: bool) -> Parity:
    """The parity of the final bytes with the source, in the real runtime; `CheckFailedError` outside the tolerance."""
    name = finished.job.file_name
    outputs = outputs_folder(name, shop)
    slow = (finished.job.format, finished.job.recipe.precision) in _SLOW
    count = min(expected.count, SLOW_ITEMS if slow else VERIFIED_ITEMS)
    request = {"path": str(finished.path), "samples": str(samples.folder), "outputs": str(outputs), "count": count}
    shop.once("run_worker", "run", request)
    reference = {name: values[:count] for name, values in expected.arrays().items()}
    other = Samples.open(outputs).arrays()
    parity = compare_outputs(reference, other, what=name, synthetic=synthetic, card=finished.card)
    require_tolerance(reference, other, parity, finished.job.recipe.precision, what=name)
    return parity


def outputs_folder(name: str, shop: Workshop) -> Path:
    """Where the outputs of the file called ``name`` are, once it has run."""
    return shop.folder / f"{name}.outputs"


def converted(finished: Finished, parity: Parity, target: Path, started: float) -> Converted:
    """The row of the report for a file that will be published in ``target``."""
    return Converted(
        path=target / finished.job.file_name,
        sha256=sha256_file(finished.path),
        format=finished.job.format,
        recipe=finished.job.recipe,
        model_bytes=finished.path.stat().st_size,
        ratio=finished.ratio,
        parity=parity,
        float_ops=finished.float_ops,
        engine=finished.draft.engine,
        engine_reason=finished.draft.reason,
        notes=(*finished.draft.notes, *remarks(parity)),
        steps=finished.draft.steps,
        seconds=time.perf_counter() - started,
    )


def read_graph(path: Path, fmt: Format) -> Graph:
    """What is in the file."""
    return tflite.read_graph(path) if fmt is Format.TFLITE else onnx.read_graph(path)


def _card(
    base: ModelCard,
    graph: Graph,
    source: Source,
    recipe: Recipe,
    calibration: DataRef | None,
    tools: Mapping[str, str],
) -> ModelCard:
    old: Provenance = base.provenance
    provenance = replace(
        old,
        source_sha256=source.sha256,
        source_format=source.kind.value,
        recipe=recipe,
        calibration=calibration,
        tools={**old.tools, **tools},
    )
    by_name = {spec.name: spec for spec in graph.inputs}
    inputs: tuple[TensorSpec, ...] = tuple(by_name[s.name] for s in base.inputs if s.name in by_name) or graph.inputs
    return replace(base, inputs=inputs, outputs=graph.outputs, provenance=provenance)
