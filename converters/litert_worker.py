"""The process that quantizes TFLite files by litert-quantizer, without TensorFlow."""

import os
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.ranges import RangeFinder
from edgekit.converters.samples import Samples
from edgekit.errors import ConversionError, need
from edgekit.formats import tflite
from edgekit.workers import Json, Progress, serve

_BITS = {"int8": 8, "int16x8": 16}


def sign(request: Json, _progress: Progress) -> Json:
    """Write ``path``: the file ``source``, with a signature that gives inputs and outputs the names of their tensors.

    The quantizer addresses inputs by signature, which older converters did not write; a file with one is copied.
    """
    schema = need("ai_edge_litert.schema_py_generated", extra="convert")
    data = Path(request["source"]).read_bytes()
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    if not model.signatureDefs:
        for buffer in model.buffers:
            if buffer.offset > 1:  # the content stands behind the tables, which are about to move
                buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
        model.signatureDefs = [_signature(schema, model.subgraphs[0])]
        builder = need("flatbuffers", extra="convert").Builder(len(data))
        builder.Finish(model.Pack(builder), b"TFL3")
        data = bytes(builder.Output())
    Path(request["path"]).write_bytes(data)
    return {}


def _signature(schema: Any, graph: Any) -> Any:
    def named(indices: Iterable[int]) -> list[Any]:
        maps = []
        for index in indices:
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = graph.tensors[index].name, int(index)
            maps.append(entry)
        return maps

    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs, signature.outputs = named(graph.inputs), named(graph.outputs)
    return signature


def calibrate(request: Json, progress: Progress) -> Json:
    """Measure the range of every tensor of the float file ``source`` on ``samples``, in both ways of `Ranges`.

    Never the quantizer's own moving average, which depends on the order of the items and clips.
    """
    calibrator = need("litert_quantizer.calibrator", extra="convert")
    qsv_utils = need("litert_quantizer.utils.qsv_utils", extra="convert")
    samples = Samples.open(Path(request["samples"]))
    with warnings.catch_warnings():
        # Keeping all tensors is what calibration is; the interpreter's warning is about memory.
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
        interpreter = calibrator.CalibrationInterpreter(
            request["source"],
            mode=calibrator.CalibrationMode.CALIBRATION_PROFILER_BASED,
            qsv_update_func=qsv_utils.min_max_update,
        )
    runner = interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))
    for done, feed in enumerate(samples.batches(1), 1):
        runner(**feed)
        progress("calibrating", done, samples.count)
    extremes = interpreter.get_calibration_results()
    best = _best_ranges(Path(request["source"]), samples, int(request["seed"]), progress)
    _state["minmax"] = extremes
    _state["mse"] = {name: _narrowed(found, best[name]) if name in best else found for name, found in extremes.items()}
    return {}


_state: dict[str, Any] = {}


def _best_ranges(path: Path, samples: Samples, seed: int, progress: Progress) -> dict[str, tuple[float, float]]:
    """The least-error range of every float activation of the file at ``path``, by tensor name."""
    litert = need("ai_edge_litert.interpreter", extra="convert")
    graph = tflite.read_graph(path)
    activations = {
        name: info.index
        for name, info in graph.tensors.items()
        if info.dtype == "float32" and not info.constant and not info.variable
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
        interpreter = litert.Interpreter(str(path), experimental_preserve_all_tensors=True, num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    finder = RangeFinder(samples.count, seed)
    for done, feed in enumerate(samples.batches(1), 1):
        for name, values in feed.items():
            interpreter.set_tensor(graph.tensors[graph.input_tensors[name]].index, values)
        interpreter.invoke()
        for name, index in activations.items():
            finder.see(name, interpreter.get_tensor(index))
        progress("finding ranges", done, samples.count)
    return finder.best(graph)


def _narrowed(found: Mapping[str, Any], ends: tuple[float, float]) -> dict[str, Any]:
    """A tensor's statistics with other ends."""
    low, high = (np.full_like(found[key], end) for key, end in zip(("min", "max"), ends, strict=True))
    return {**found, "min": low, "max": high}


def quantize(request: Json, _progress: Progress) -> Json:
    """Write ``path`` from the float file ``source`` in ``precision``; integer activations need `calibrate` first."""
    quantizer = need("litert_quantizer.quantizer", extra="convert")
    precision = request["precision"]
    worker = quantizer.Quantizer(request["source"])
    worker.load_quantization_recipe(_recipe(request).get_quantization_recipe())
    try:
        result = worker.quantize(_ranges(request))
    except (ValueError, RuntimeError, KeyError, IndexError, NotImplementedError) as error:
        raise ConversionError(f"litert-quantizer cannot make {precision} of this model: {_sentence(error)}") from None
    result.export_model(request["path"], overwrite=True)
    return {}


def _ranges(request: Json) -> Any:
    match request["precision"]:
        case "int8":
            return _state[request["ranges"]]
        case "int16x8":
            return _state["minmax"]  # 65,536 levels have no need to clip
    return None


def _recipe(request: Json) -> Any:
    manager = need("litert_quantizer.recipe_manager", extra="convert")
    qtyping = need("litert_quantizer.qtyping", extra="convert")
    names = need("litert_quantizer.algorithm_manager", extra="convert").AlgorithmName
    operators, precision = qtyping.TFLOperationName, request["precision"]
    grain = qtyping.QuantGranularity
    granularity = grain.TENSORWISE if request["granularity"] == "per-tensor" else grain.CHANNELWISE
    recipe = manager.RecipeManager()
    match precision:
        case "fp16":
            recipe.add_weight_only_config(".*", operators.ALL_SUPPORTED, 16, grain.TENSORWISE, names.FLOAT_CASTING)
        case "dynamic":
            recipe.add_dynamic_config(".*", operators.ALL_SUPPORTED, 8, granularity)
        case _:
            recipe.add_static_config(".*", operators.ALL_SUPPORTED, _BITS[precision], 8, granularity)
    # The quantizer knows a layer by the names of its output tensors.
    for tensor in request["keep_float"]:
        recipe.add_quantization_config(
            f"(^|;){re.escape(tensor)};", operators.ALL_SUPPORTED, algorithm_key=names.NO_QUANTIZE
        )
    if precision in _BITS and request["interface"] == "float":
        for end in (operators.INPUT, operators.OUTPUT):
            recipe.add_quantization_config(".*", end, algorithm_key=names.NO_QUANTIZE)
    return recipe


def _sentence(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."


if __name__ == "__main__":
    serve({"calibrate": calibrate, "quantize": quantize, "sign": sign})
