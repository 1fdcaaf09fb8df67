"""The process that prepares and quantizes ONNX files by ONNX Runtime's tools, without TensorFlow."""

import logging
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.onnx_names import canonical
from edgekit.converters.portable import portable_overrides, require_portable
from edgekit.converters.ranges import RangeFinder
from edgekit.converters.samples import Samples
from edgekit.converters.weight_scales import weight_overrides
from edgekit.errors import ConversionError, need
from edgekit.formats import onnx as onnx_format
from edgekit.workers import Json, Progress, serve

MAX_IR_VERSION = 10  # what onnxruntime 1.19 reads
MIN_OPSET = 13  # the first in which QuantizeLinear takes a scale for each channel


def prepare(request: Json, _progress: Progress) -> Json:
    """Write ``path``: the float file ``source`` with BatchNorm folded, shapes fixed and stable names."""
    onnx = need("onnx", extra="convert")
    shape_inference = need("onnxruntime.quantization.shape_inference", extra="convert")
    path = Path(request["path"])
    model = _at_least(onnx.load(request["source"]), MIN_OPSET)
    if request["batch"] is not None:
        _fix_batch(model, int(request["batch"]))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        raw, folded = Path(folder) / "raw.onnx", Path(folder) / "folded.onnx"
        onnx.save(canonical(model), str(raw))
        # ONNX Runtime's basic level stays within standard operators, so that any engine reads the result.
        shape_inference.quant_pre_process(str(raw), str(folded), skip_symbolic_shape=True)
        result = canonical(onnx.load(str(folded)))
    _save(result, path)
    return {}


def quantize(request: Json, progress: Progress) -> Json:
    """Write ``path`` from the prepared float file ``source`` in ``precision``."""
    onnx = need("onnx", extra="convert")
    path = Path(request["path"])
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = _MAKERS[request["precision"]](request, Path(folder) / "made.onnx", progress)
        _save(canonical(made if made is not None else onnx.load(str(Path(folder) / "made.onnx"))), path)
    return {}


def _float16(request: Json, _path: Path, _progress: Progress) -> Any:
    onnx = need("onnx", extra="convert")
    float16 = need("onnxruntime.transformers.float16", extra="convert")
    model = onnx.load(request["source"])
    return float16.convert_float_to_float16(
        model, keep_io_types=True, node_block_list=_matching(model, request["keep_float"])
    )


def _dynamic(request: Json, path: Path, _progress: Progress) -> None:
    onnx = need("onnx", extra="convert")
    quantization = need("onnxruntime.quantization", extra="convert")
    quantization.quantize_dynamic(
        request["source"],
        str(path),
        weight_type=quantization.QuantType.QInt8,
        per_channel=request["granularity"] == "per-channel",
        reduce_range=True,
        nodes_to_exclude=_matching(onnx.load(request["source"]), request["keep_float"]),
    )


def _static(request: Json, path: Path, progress: Progress) -> None:
    onnx = need("onnx", extra="convert")
    quantization = need("onnxruntime.quantization", extra="convert")
    per_channel = request["granularity"] == "per-channel"
    model = onnx.load(request["source"])
    calibrated = path.with_name("ranges.json")
    measured = _measure(request, progress)
    ranges = {name: tuple(map(np.float32, ends)) for name, ends in measured.items()}
    overrides = weight_overrides(model) if per_channel else {}
    if request["portable"]:
        overrides |= portable_overrides(model, measured)
    quantization.save_tensors_data(
        quantization.TensorsData(quantization.CalibrationMethod.MinMax, ranges), str(calibrated)
    )
    quantization.quantize_static(
        request["source"],
        str(path),
        calibration_cache_path=str(calibrated),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=per_channel,
        # Weights without a scale of `weight_scales` get seven bits: eight overflow on x86 without VNNI.
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.MinMax,
        nodes_to_exclude=_matching(model, request["keep_float"]),
        extra_options={"TensorQuantOverrides": overrides},
    )
    if request["portable"]:
        require_portable(onnx.load(str(path)), Path(request["path"]).name)


def _measure(request: Json, progress: Progress) -> dict[str, tuple[float, float]]:
    """The range of every float activation of ``source`` on ``samples``, by tensor name."""
    samples = Samples.open(Path(request["samples"]))
    source = Path(request["source"])
    graph = onnx_format.read_graph(source)
    inner = [out for node in graph.nodes if not node.subgraph for out in node.outputs if out]
    names = [name for name in dict.fromkeys(inner) if name not in graph.output_tensors.values()]
    options = need("onnxruntime", extra="convert").SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = os.cpu_count() or 1
    data = onnx_format.with_outputs(source.read_bytes(), names, where=str(source))
    session = need("onnxruntime", extra="convert").InferenceSession(data, options, providers=["CPUExecutionProvider"])
    told = [output.name for output in session.get_outputs()]
    finder = RangeFinder(samples.count, int(request["seed"]))
    for done, feed in enumerate(samples.batches(1), 1):
        for name, values in {**feed, **dict(zip(told, session.run(told, feed), strict=True))}.items():
            if values.dtype == np.float32:
                finder.see(name, values)
        progress("finding ranges", done, samples.count)
    return finder.best(graph) if request["ranges"] == "mse" else finder.extremes()


_MAKERS = {"fp16": _float16, "dynamic": _dynamic, "int8": _static}


def _matching(model: Any, patterns: list[str]) -> list[str]:
    """Names of the nodes whose name or output matches one of ``patterns``."""
    return [
        node.name
        for node in model.graph.node
        if any(re.search(p, text) for p in patterns for text in (node.name, *node.output))
    ]


def _at_least(model: Any, opset: int) -> Any:
    """``model``, rewritten for operator set ``opset`` where it has an older one."""
    if all(entry.version >= opset for entry in model.opset_import if entry.domain in ("", "ai.onnx")):
        return model
    try:
        return need("onnx.version_converter", extra="convert").convert_version(model, opset)
    except RuntimeError as error:
        raise ConversionError(
            f"the ONNX file is of an operator set before {opset} and cannot be raised to it: "
            f"{str(error).splitlines()[0].rstrip('.')}; export it again with operator set {opset} or later."
        ) from None


def _fix_batch(model: Any, batch: int) -> None:
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if len(dims) and not dims[0].HasField("dim_value"):
            dims[0].dim_value = batch


def _save(model: Any, path: Path) -> None:
    if model.ir_version > MAX_IR_VERSION:
        model.ir_version = MAX_IR_VERSION
    try:
        need("onnx", extra="convert").checker.check_model(model)
    except need("onnx", extra="convert").checker.ValidationError as error:
        raise ConversionError(f"the ONNX file is not valid: {str(error).splitlines()[0].rstrip('.')}.") from None
    path.write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.ERROR)  # the quantizer advises on what has been done already
    serve({"prepare": prepare, "quantize": quantize})
