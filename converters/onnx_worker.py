"""The process that prepares and quantizes ONNX files by ONNX Runtime's tools, without TensorFlow."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.codec import from_jsonable
from edgekit.converters import nms_onnx, onnx_edit
from edgekit.converters.accuracy.probe import Probe, name_tensors
from edgekit.converters.layers import layer_values, match_weights, require_values
from edgekit.converters.onnx_kept import pass_unhalved, read_unrounded, stay_float
from edgekit.converters.onnx_names import canonical
from edgekit.converters.onnx_rnn import narrow, recurrent_names
from edgekit.converters.portable import portable_overrides, require_portable
from edgekit.converters.ranges import Ends, RangeFinder, known_ranges, tied
from edgekit.converters.samples import Samples
from edgekit.converters.weight_scales import weight_overrides
from edgekit.detection import Detection
from edgekit.errors import ConversionError, need
from edgekit.formats import onnx as onnx_format
from edgekit.workers import Json, Progress, serve

MAX_IR_VERSION = 10  # what onnxruntime 1.19 reads
MIN_OPSET = 13  # the first in which QuantizeLinear takes a scale for each channel


def fold(request: Json, _progress: Progress) -> Json:
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


def name(request: Json, _progress: Progress) -> Json:
    """Call the tensors of ``path`` after the layers of ``probe``; where each layer's weights are, or why nowhere."""
    onnx = need("onnx", extra="convert")
    path, probe = Path(request["path"]), Probe.load(Path(request["probe"]))
    values = onnx_edit.activations(path.read_bytes(), probe.feeds)
    model = onnx.load(str(path))
    onnx_edit.rename(model, name_tensors(values, layer_values(probe, before_first=True)))
    weights, missing = match_weights(
        probe,
        onnx_edit.weighted_operators(model),
        lambda node: onnx_edit.kernel_of(model, node),
        onnx_edit.file_order,
    )
    _save(model, path)
    return {"weights": weights, "missing": missing}


def install(request: Json, _progress: Progress) -> Json:
    """Write ``path``: the file ``source`` with the weights of ``probe``, at the operators of ``weights``."""
    onnx = need("onnx", extra="convert")
    path, probe = Path(request["path"]), Probe.load(Path(request["probe"]))
    model = onnx.load(request["source"])
    operators = onnx_edit.weighted_operators(model)
    for layer, tensor in request["weights"].items():
        kind, node = operators[tensor]
        _, kernel, bias = probe.weights[layer]
        onnx_edit.set_weights(model, node, onnx_edit.file_order(kernel, kind, node), bias, layer)
    _save(model, path)
    require_values(onnx_edit.activations(path.read_bytes(), probe.feeds), probe, path.name)
    return {}


def quantize(request: Json, progress: Progress) -> Json:
    """Write ``path`` from the prepared float file ``source`` in ``precision``."""
    path = Path(request["path"])
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = _MAKERS[request["precision"]](request, Path(folder) / "made.onnx", progress)
        _save(canonical(made), path)
    return {}


def _float16(request: Json, _path: Path, _progress: Progress) -> Any:
    onnx = need("onnx", extra="convert")
    float16 = need("onnxruntime.transformers.float16", extra="convert")
    model = onnx.load(request["source"])
    made = float16.convert_float_to_float16(model, keep_io_types=True, node_block_list=request["keep_float"])
    if request["keep_float"]:
        pass_unhalved(made)
    return made


def _dynamic(request: Json, path: Path, _progress: Progress) -> Any:
    onnx = need("onnx", extra="convert")
    quantization = need("onnxruntime.quantization", extra="convert")
    kept, per_channel = request["keep_float"], request["granularity"] == "per-channel"
    recurrent = recurrent_names(onnx.load(request["source"]))
    quantization.quantize_dynamic(
        request["source"],
        str(path),
        weight_type=quantization.QuantType.QInt8,
        per_channel=per_channel,
        reduce_range=True,
        nodes_to_exclude=[*kept, *recurrent],
    )
    made = onnx.load(str(path))
    narrow(made, per_channel=per_channel, kept=kept, widen=True)
    return made


def _static(request: Json, path: Path, progress: Progress) -> Any:
    onnx = need("onnx", extra="convert")
    quantization = need("onnxruntime.quantization", extra="convert")
    per_channel = request["granularity"] == "per-channel"
    model = onnx.load(request["source"])
    calibrated = path.with_name("ranges.json")
    measured = _ranges(request, progress)
    ranges = {name: tuple(map(np.float32, ends)) for name, ends in measured.items()}
    overrides = weight_overrides(model, request["scales"]) if per_channel and request["pairs"] else {}
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
        nodes_to_exclude=request["keep_float"],
        extra_options={"TensorQuantOverrides": overrides},
    )
    made = onnx.load(str(path))
    narrow(made, per_channel=per_channel, kept=request["keep_float"], widen=False)
    stay_float(made, request["keep_float"])
    read_unrounded(made, request["keep_float"])
    if request["portable"]:
        require_portable(made, Path(request["path"]).name)
    return made


def _ranges(request: Json, progress: Progress) -> Ends:
    """The range of every float activation of ``source``, by tensor name; those that are not known are measured."""
    source, samples = Path(request["source"]), Samples.open(Path(request["samples"]))
    graph = onnx_format.read_graph(source)
    ends = known_ranges(graph, request["ranges"])
    named = {out for node in graph.nodes if not node.subgraph for out in node.outputs if out}
    if all(graph.tensors[name].dtype != "float32" for name in named - set(ends)):
        return tied(ends, graph, request["states"])
    session = onnx_edit.WatchedSession(source.read_bytes())
    finder = RangeFinder(samples.count, int(request["seed"]))
    for done, feed in enumerate(samples.batches(1), 1):
        for tensor, values in session.run(feed).items():
            finder.see(tensor, values)
        progress("finding ranges", done, samples.count)
    found = {**(finder.best(graph) if request["clip"] else finder.extremes()), **ends}
    return tied(found, graph, request["states"])


_MAKERS = {"fp16": _float16, "dynamic": _dynamic, "int8": _static}


def suppress(request: Json, _progress: Progress) -> Json:
    """Write ``path``: the file ``source``, with decoding and suppression of its boxes behind its two outputs."""
    model = need("onnx", extra="convert").load(request["source"])
    spec = from_jsonable(Detection, request["detection"])
    nms_onnx.append_nms(model, spec, request["offsets"], request["scores"])
    _save(model, Path(request["path"]))
    return {}


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
    serve({"fold": fold, "name": name, "install": install, "quantize": quantize, "suppress": suppress})
