"""The process that quantizes TFLite files by litert-quantizer, without TensorFlow."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.codec import from_jsonable
from edgekit.converters import nms_tflite, tflite_edit, tflite_rnn
from edgekit.converters.accuracy.probe import Probe, name_tensors
from edgekit.converters.bias_room import make_room
from edgekit.converters.layers import layer_values, match_weights, require_values
from edgekit.converters.ranges import Ends, RangeFinder, known_ranges, tied
from edgekit.converters.samples import Samples
from edgekit.converters.signatures import add_signatures, signature
from edgekit.converters.state_ends import join_states, part_states
from edgekit.detection import Detection
from edgekit.errors import ConversionError, need
from edgekit.formats import tflite
from edgekit.workers import Json, Progress, serve

_BITS = {"int8": 8, "int16x8": 16}


def sign(request: Json, _progress: Progress) -> Json:
    """Write ``path``: the file ``source``, with a signature that gives inputs and outputs the names of their tensors.

    The quantizer addresses inputs by signature, which older converters did not write; a file with one is copied.
    """
    source, path = Path(request["source"]), Path(request["path"])
    model = tflite_edit.open_model(source)
    if model.signatureDefs:
        path.write_bytes(source.read_bytes())
        return {}
    graph = model.subgraphs[0]
    inputs, outputs = ([graph.tensors[i].name for i in indices] for indices in (graph.inputs, graph.outputs))
    model.signatureDefs = [signature("serving_default", 0, graph, inputs, outputs)]
    tflite_edit.save_model(model, path)
    return {}


def mend(request: Json, _progress: Progress) -> Json:
    """Mend the recurrent layers of the file ``path``, which TFLiteConverter made."""
    path = Path(request["path"])
    model = tflite_edit.open_model(path)
    tflite_rnn.shorten_names(model)
    tflite_rnn.unclip(model)
    tflite_rnn.part_states(model)
    tflite_rnn.agree_on_states(model)
    tflite_edit.save_model(model, path)
    return {}


def name(request: Json, _progress: Progress) -> Json:
    """Call the tensors of ``path`` after the layers of ``probe``; where each layer's weights are, or why nowhere."""
    path, probe = Path(request["path"]), Probe.load(Path(request["probe"]))
    values = tflite_edit.activations(path, probe.feeds)
    model = tflite_edit.open_model(path)
    tflite_edit.rename(model, name_tensors(values, layer_values(probe, before_first=False)))
    weights, missing = match_weights(
        probe,
        tflite_edit.weighted_operators(model),
        lambda operator: tflite_edit.kernel_of(model, operator),
        lambda kernel, kind, _: tflite_edit.file_order(kernel, kind),
    )
    tflite_edit.save_model(model, path)
    return {"weights": weights, "missing": missing}


def install(request: Json, _progress: Progress) -> Json:
    """Write ``path``: the file ``source`` with the weights of ``probe``, at the operators of ``weights``."""
    source, path, probe = Path(request["source"]), Path(request["path"]), Probe.load(Path(request["probe"]))
    model = tflite_edit.open_model(source)
    operators = tflite_edit.weighted_operators(model)
    for layer, tensor in request["weights"].items():
        kind, operator = operators[tensor]
        _, kernel, bias = probe.weights[layer]
        tflite_edit.set_weights(model, operator, tflite_edit.file_order(kernel, kind), bias, layer)
    tflite_edit.save_model(model, path)
    require_values(tflite_edit.activations(path, probe.feeds), probe, path.name)
    return {}


def _measure(request: Json, progress: Progress) -> Ends:
    """The range of every float activation of the file ``source`` on ``samples``, by tensor name."""
    path, samples = Path(request["source"]), Samples.open(Path(request["samples"]))
    finder = RangeFinder(samples.count, int(request["seed"]))
    interpreter = tflite_edit.WatchedInterpreter(path)
    for done, feed in enumerate(samples.batches(1), 1):
        for tensor, values in interpreter.run(feed).items():
            finder.see(tensor, values)
        progress("finding ranges", done, samples.count)
    return finder.best(tflite.read_graph(path)) if request["clip"] else finder.extremes()


def quantize(request: Json, progress: Progress) -> Json:
    """Write ``path`` from the float file ``source`` in ``precision``, with the ``ranges`` that are known."""
    quantizer = need("litert_quantizer.quantizer", extra="convert")
    precision, states = request["precision"], request["states"]
    if precision in _BITS and (states or request["forms"]):
        request = {**request, "source": str(_parted(request))}
    ranges = _ranges(request, progress)
    worker = quantizer.Quantizer(str(_roomy(request, ranges) if precision == "int8" else request["source"]))
    worker.load_quantization_recipe(_recipe(request).get_quantization_recipe())
    try:
        result = worker.quantize(ranges)
    except (ValueError, RuntimeError, KeyError, IndexError, NotImplementedError) as error:
        raise ConversionError(f"litert-quantizer cannot make {precision} of this model: {_sentence(error)}") from None
    result.export_model(request["path"], overwrite=True)
    if precision in _BITS and states:
        model = tflite_edit.open_model(Path(request["path"]))
        join_states(model, states)
        tflite_edit.save_model(model, Path(request["path"]))
    return {}


def _parted(request: Json) -> Path:
    """The source whose states have outputs of their own: of a step, or answers of a layer whose steps are written out.

    The latter stay copies in the file.
    """
    model = tflite_edit.open_model(Path(request["source"]))
    shared = tflite_rnn.shared_outputs(model) if request["forms"] else []
    part_states(model, [*request["states"], *(("", name) for name in shared)])
    path = Path(request["path"]).with_suffix(".parted")
    tflite_edit.save_model(model, path)
    return path


def _roomy(request: Json, ranges: Any) -> Path:
    """The source with room for its biases: itself where there is enough."""
    source = Path(request["source"])
    model = tflite_edit.open_model(source)
    ends = {name: (float(known["min"][0]), float(known["max"][0])) for name, known in ranges.items()}
    if not make_room(model, ends):
        return source
    path = Path(request["path"]).with_suffix(".roomy")
    tflite_edit.save_model(model, path)
    return path


def _ranges(request: Json, progress: Progress) -> Any:
    """The ranges as litert-quantizer wants them; those that are not known are measured, unless none are needed.

    Never by the quantizer's own moving average, which depends on the order of the items and clips.
    """
    if request["precision"] not in _BITS:
        return None
    graph = tflite.read_graph(Path(request["source"]))
    activations = {n for n, i in graph.tensors.items() if i.dtype == "float32" and not i.constant and not i.variable}
    ends = known_ranges(graph, request["ranges"])
    if activations - set(ends):
        ends = {**_measure(request, progress), **ends}
    ends = tied(ends, graph, request["states"])
    return {n: {"min": np.array([ends[n][0]], np.float32), "max": np.array([ends[n][1]], np.float32)} for n in ends}


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


def suppress(request: Json, _progress: Progress) -> Json:
    """Write ``path``: the file ``source``, with decoding and suppression of its boxes behind its two outputs."""
    model = tflite_edit.open_model(Path(request["source"]))
    spec = from_jsonable(Detection, request["detection"])
    nms_tflite.append_nms(model, spec, request["offsets"], request["scores"])
    tflite_edit.save_model(model, Path(request["path"]))
    return {}


def use(request: Json, _progress: Progress) -> Json:
    """Give the file ``path`` a signature for each of ``signatures``, which name outputs."""
    path = Path(request["path"])
    model = tflite_edit.open_model(path)
    add_signatures(model, request["signatures"])
    tflite_edit.save_model(model, path)
    return {}


def _sentence(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."


if __name__ == "__main__":
    operations = {"sign": sign, "mend": mend, "name": name, "install": install, "suppress": suppress}
    serve({**operations, "quantize": quantize, "use": use})
