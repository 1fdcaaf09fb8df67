"""The process that prepares and quantizes ONNX files by ONNX Runtime's tools, without TensorFlow."""

import logging
import re
import tempfile
from pathlib import Path
from typing import Any

from edgekit.converters.onnx_names import canonical
from edgekit.converters.samples import Samples
from edgekit.errors import ConversionError, need
from edgekit.workers import Json, Progress, serve

MAX_IR_VERSION = 10  # what onnxruntime 1.19 reads


def prepare(request: Json, _progress: Progress) -> Json:
    """Write ``path``: the float file ``source`` with BatchNorm folded, shapes fixed and stable names."""
    onnx = need("onnx", extra="convert")
    shape_inference = need("onnxruntime.quantization.shape_inference", extra="convert")
    path = Path(request["path"])
    model = onnx.load(request["source"])
    if request["batch"] is not None:
        _fix_batch(model, int(request["batch"]))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        raw, folded = Path(folder) / "raw.onnx", Path(folder) / "folded.onnx"
        onnx.save(canonical(model), str(raw))
        # ONNX Runtime's basic level stays within standard operators, so that any engine reads the result.
        shape_inference.quant_pre_process(str(raw), str(folded), skip_symbolic_shape=True)
        result = canonical(onnx.load(str(folded)))
    _save(result, path)
    return {"operators": [node.op_type for node in result.graph.node]}


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
    samples = Samples.open(Path(request["samples"]))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.feeds = enumerate(samples.batches(1), 1)

        def get_next(self) -> dict[str, Any] | None:
            step = next(self.feeds, None)
            if step is None:
                return None
            progress("calibrating", step[0], samples.count)
            return step[1]

    quantization.quantize_static(
        request["source"],
        str(path),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=request["granularity"] == "per-channel",
        # Seven-bit weights: eight-bit ones saturate on x86 without VNNI and would give another answer there.
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.MinMax,
        nodes_to_exclude=_matching(onnx.load(request["source"]), request["keep_float"]),
    )


_MAKERS = {"fp16": _float16, "dynamic": _dynamic, "int8": _static}


def _matching(model: Any, patterns: list[str]) -> list[str]:
    """Names of the nodes whose name or output matches one of ``patterns``."""
    return [
        node.name
        for node in model.graph.node
        if any(re.search(p, text) for p in patterns for text in (node.name, *node.output))
    ]


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
