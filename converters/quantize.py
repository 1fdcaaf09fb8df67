"""From an fp32 file to one of another recipe, by the engine that the measured table names."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgekit.artifact import Format
from edgekit.converters.engines import Engine, choose, load_table
from edgekit.converters.float_ops import kept_tensors, refuse_loops
from edgekit.converters.lower import Lowered
from edgekit.converters.plan import Job, matching
from edgekit.converters.samples import Samples
from edgekit.converters.source import Source, SourceKind
from edgekit.converters.workshop import Workshop
from edgekit.errors import ConversionError, InputError
from edgekit.recipe import Batch, Precision
from edgekit.workers import Json

_ONNX_SLOW = (
    "convolutions become ConvInteger, many times slower than float on most CPUs: for networks of dense layers only"
)
_INT16_SLOW = "no fast kernels exist for int16x8, many times slower than float: for studies of accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A file of the right recipe, without card, not yet verified."""

    path: Path
    engine: str
    reason: str
    notes: tuple[str, ...] = ()


class Calibrated:
    """Whether the TFLite ranges have been measured; several recipes share one calibration."""

    def __init__(self) -> None:
        self.done = False


def quantize(
    job: Job, lowered: Lowered, source: Source, samples: Samples, shop: Workshop, calibrated: Calibrated
) -> Draft:
    """The file of ``job``; `ConversionError` when its engine cannot; there is no second try by another."""
    recipe, path = job.recipe, shop.folder / job.file_name
    if recipe.keep_float and not _anything_kept(job, lowered):
        raise InputError(
            f"--keep-float {recipe.keep_float[0]!r} matches no layer of {source.path}; "
            "look up the names with `edgekit inspect`."
        )
    request: Json = {
        "source": str(lowered.path),
        "path": str(path),
        "precision": recipe.precision.value,
        "granularity": recipe.granularity.value,
        "ranges": recipe.ranges.value,
        "portable": recipe.portable,
        "interface": recipe.interface.value,
        "seed": recipe.seed,
        "samples": str(samples.folder),
        "keep_float": list(recipe.keep_float),
        "batch": 1 if recipe.batch is Batch.STATIC else None,
    }
    if recipe.precision is Precision.FP32:
        shutil.copyfile(lowered.path, path)
        maker = "onnxruntime" if job.format is Format.ONNX else "tflite-converter"
        if source.kind is SourceKind.TFLITE:
            return Draft(path=path, engine="none", reason="the source is fp32 already")
        return Draft(path=path, engine=maker, reason="lowering alone makes fp32")
    if job.format is Format.ONNX:
        shop.once("onnx_worker", "quantize", request)
        return Draft(path=path, engine="onnxruntime", reason="the only engine for ONNX", notes=_notes(job, lowered))
    refuse_loops(lowered.graph, recipe)
    kept = kept_tensors(lowered.graph, recipe.keep_float)
    operators = [n.op for n in lowered.graph.nodes if not set(n.outputs) & set(kept)]
    choice = choose(operators, recipe.precision, load_table())
    if choice.engine is Engine.TFLITE_CONVERTER:
        _require_tensorflow(source, job, choice.operators)
        shop.tensorflow("quantize_tflite", request)
    else:
        if recipe.needs_calibration and not calibrated.done:
            shop.litert("calibrate", request)
            calibrated.done = True
        shop.litert("quantize", {**request, "keep_float": list(kept)})
    return Draft(path=path, engine=choice.engine.value, reason=choice.reason, notes=_notes(job, lowered))


def _anything_kept(job: Job, lowered: Lowered) -> bool:
    names = [t for n in lowered.graph.nodes for t in (n.name, *n.inputs, *n.outputs)]
    return all(matching([pattern], names) for pattern in job.recipe.keep_float)


def _require_tensorflow(source: Source, job: Job, operators: tuple[str, ...]) -> None:
    if not source.needs_tensorflow:
        raise ConversionError(
            f"{job.recipe.code} of {', '.join(operators)} is made by TFLiteConverter, which needs the Keras model that "
            f"{source.path} was made from; start from that, or take the recipe dynamic."
        )
    if job.recipe.keep_float:
        raise ConversionError(
            f"--keep-float works through litert-quantizer, and {job.recipe.code} of {', '.join(operators)} is made by "
            "TFLiteConverter; keep these operators in float too, or leave the flag out."
        )


def _notes(job: Job, lowered: Lowered) -> tuple[str, ...]:
    convolutional = any(n.op in ("Conv", "ConvTranspose") for n in lowered.graph.nodes)
    if job.format is Format.ONNX and job.recipe.precision is Precision.DYNAMIC and convolutional:
        return (_ONNX_SLOW,)
    return (_INT16_SLOW,) if job.recipe.precision is Precision.INT16X8 else ()
