"""From an fp32 file to one of another recipe, by the engine that the measured table names."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.artifact import Format
from edgekit.card import ChannelCopy, StepRecord
from edgekit.converters.engines import Engine, choose_engine
from edgekit.converters.float_ops import kept_nodes
from edgekit.converters.lower import Lowered
from edgekit.converters.one_channel import one_channel_note
from edgekit.converters.plan import Job, refuse_unmatched
from edgekit.converters.prepare import Prepared
from edgekit.converters.samples import Samples
from edgekit.converters.source import Source, SourceKind
from edgekit.converters.workshop import Workshop
from edgekit.errors import ConversionError, InputError
from edgekit.recipe import AccuracyStep, Batch, Precision
from edgekit.runtimes.litert import keeps_state
from edgekit.workers import Json

_ONNX_SLOW = (
    "convolutions become ConvInteger, many times slower than float on most CPUs: for networks of dense layers only"
)
_ONNX_LSTM = (
    "LSTM layers become DynamicQuantizeLSTM, an operator of ONNX Runtime alone: its products are int8, with ranges "
    "taken at run time, its states float"
)
_ONNX_WIDENED = (
    "GRU and RNN operators compute in float, from weights that are int8 in the file: for size, not for speed"
)
_FUSED_SLOW = (
    "a fused LSTM in int8 is slower than in float on x86, where LiteRT has no fast kernel of it as on ARM: there "
    "--rnn unrolled, --rnn step or the recipe dynamic takes less time"
)
_INT16_SLOW = "no fast kernels exist for int16x8, many times slower than float: for studies of accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A file of the right recipe, without card, not yet verified."""

    path: Path
    engine: str
    reason: str
    notes: tuple[str, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    channel_scales: str = ""
    channel_copies: Mapping[str, tuple[ChannelCopy, ...]] = field(default_factory=dict)


def quantize(job: Job, prepared: Prepared, source: Source, samples: Samples, shop: Workshop) -> Draft:
    """The file of ``job``; `ConversionError` when its engine cannot; there is no second try by another."""
    recipe, path, lowered = job.recipe, shop.folder / job.file_name, prepared.lowered
    _require_kept(job, lowered)
    request: Json = {
        "source": str(lowered.path),
        "path": str(path),
        "precision": recipe.precision.value,
        "granularity": recipe.granularity.value,
        "ranges": {name: list(ends) for name, ends in prepared.ranges.items()},
        "clip": AccuracyStep.RANGES in recipe.steps and recipe.precision is Precision.INT8,
        "pairs": prepared.pairs,
        "scales": {f"{layer}/kernel": list(scales) for layer, scales in prepared.scales.items()},
        "portable": recipe.portable,
        "interface": recipe.interface.value,
        "seed": recipe.seed,
        "samples": str(samples.folder),
        "keep_float": [],
        "batch": 1 if recipe.batch is Batch.STATIC else None,
        "states": _states(source),
        "forms": list(lowered.forms),
        "stateful": job.format is Format.TFLITE and keeps_state(lowered.graph),
    }
    notes = (*((prepared.note,) if prepared.note else ()), *_notes(job, lowered))
    if recipe.precision is Precision.FP32:
        shutil.copyfile(lowered.path, path)
        maker = "onnxruntime" if job.format is Format.ONNX else "tflite-converter"
        if source.kind is SourceKind.TFLITE:
            return Draft(path=path, engine="none", reason="the source is fp32 already")
        return Draft(path=path, engine=maker, reason="lowering alone makes fp32")
    kept = kept_nodes(lowered.graph, lowered.layers, recipe.keep_float)
    if job.format is Format.ONNX:
        shop.engine(Format.ONNX, "quantize", {**request, "keep_float": [node.name for node in kept]})
        return Draft(
            path=path, engine="onnxruntime", reason="the only engine for ONNX", notes=notes, steps=prepared.records,
            channel_scales=prepared.channel_scales, channel_copies=prepared.channel_copies,
        )  # fmt: skip
    choice = choose_engine(lowered, recipe)
    if choice.engine is Engine.TFLITE_CONVERTER:
        _require_tensorflow(source, job, choice.operators)
        shop.tensorflow("quantize_tflite", request)
        if request["stateful"] or lowered.forms:
            shop.engine(Format.TFLITE, "mend", {"path": str(path)})
    else:
        tensors = [output for node in kept for output in node.outputs]
        shop.engine(Format.TFLITE, "quantize", {**request, "keep_float": tensors})
    return Draft(
        path=path, engine=choice.engine.value, reason=choice.reason, notes=notes, steps=prepared.records,
        channel_scales=prepared.channel_scales, channel_copies=prepared.channel_copies,
    )  # fmt: skip


def _states(source: Source) -> list[list[str]]:
    """The input and output of each state of a model of one time step."""
    told = source.card.sequences if source.card is not None else None
    return [[state.input, state.output] for state in told.states] if told is not None else []


def _require_kept(job: Job, lowered: Lowered) -> None:
    nodes, layers = lowered.graph.nodes, lowered.layers
    for pattern in job.recipe.keep_float:
        if not kept_nodes(lowered.graph, layers, [pattern]):
            known = [layer for node in nodes for output in node.outputs for layer in layers.get(output, ())]
            refuse_unmatched("--keep-float", pattern, dict.fromkeys(known or [node.name for node in nodes]))
    kept = kept_nodes(lowered.graph, layers, job.recipe.keep_float)
    if job.recipe.needs_calibration and len(kept) == len(nodes):
        raise InputError(
            f"--keep-float {job.recipe.keep_float[0]!r} keeps every layer in float; take the recipe fp32, or a "
            "narrower expression."
        )


def _require_tensorflow(source: Source, job: Job, operators: tuple[str, ...]) -> None:
    if not source.needs_tensorflow:
        nearest = Precision.DYNAMIC if job.recipe.needs_calibration else Precision.FP32
        raise ConversionError(
            f"{job.recipe.code} of {', '.join(operators)} is made by TFLiteConverter, which needs the Keras model that "
            f"{source.path} was made from; start from that, or take the recipe {nearest}."
        )
    if job.recipe.keep_float:
        raise ConversionError(
            f"--keep-float works through litert-quantizer, and {job.recipe.code} of {', '.join(operators)} is made by "
            "TFLiteConverter; keep these operators in float too, or leave the flag out."
        )


def _notes(job: Job, lowered: Lowered) -> tuple[str, ...]:
    precision, kept = job.recipe.precision, kept_nodes(lowered.graph, lowered.layers, job.recipe.keep_float)
    operators = {node.op for node in lowered.graph.nodes if node not in kept}
    onnx, dynamic, int8 = job.format is Format.ONNX, precision is Precision.DYNAMIC, precision is Precision.INT8
    notes = {
        _INT16_SLOW: precision is Precision.INT16X8,
        _FUSED_SLOW: not onnx and int8 and "UNIDIRECTIONAL_SEQUENCE_LSTM" in operators,
        _ONNX_SLOW: onnx and dynamic and operators & {"Conv", "ConvTranspose"},
        _ONNX_LSTM: onnx and (dynamic or int8) and "LSTM" in operators,
        _ONNX_WIDENED: onnx and dynamic and operators & {"GRU", "RNN"},
    }
    single = one_channel_note(lowered.graph, lowered.layers, kept) if int8 and not onnx else ""
    return (*(note for note, said in notes.items() if said), *([single] if single else []))
