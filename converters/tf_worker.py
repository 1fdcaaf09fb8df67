"""The process that holds TensorFlow: loads the source once, lowers it to both formats, and computes its outputs.

Beside `step_worker.py` only this file of the package and what it calls import TensorFlow; `edgekit.workers` runs it.
"""

import gc
import json
import re
import sys
import threading
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.accuracy.worker import Accuracy
from edgekit.converters.keras_ready import make_ready, pack_inputs, paddings
from edgekit.converters.memory import collecting, give_back
from edgekit.converters.random_ops import random_ops
from edgekit.converters.rnn_forms import Form
from edgekit.converters.rnn_keras import calibrate_as_run, describe, shape
from edgekit.converters.rnn_onnx import drop_unread, trace_operators
from edgekit.converters.samples import Samples
from edgekit.errors import ArtifactError, ConversionError, InputError
from edgekit.workers import Json, Operation, Progress, serve

ONNX_OPSET = 17  # onnxruntime 1.19 reads it, and tf2onnx writes 18 at most

_GENERATED = re.compile(r"keras_tensor(_\d+)?")
_UNSAFE = re.compile(r"[^A-Za-z0-9_]")
_BOLD = re.compile(r"\x1b\[1m(.*?)\x1b\[0m", re.DOTALL)  # what Keras says, between where and with what
_AUTOGRAPH = re.compile(r"^\s*\w*(?:Error|Exception): (.+)", re.MULTILINE)  # below the lines of code
_RECURRENT = re.compile(r'"class_name": "(LSTM|GRU|SimpleRNN|RNN|Bidirectional)"')


class Loaded:
    """The source as one function of named tensors, with the variables that it uses."""

    def __init__(
        self,
        path: Path,
        inputs: Sequence[Any],
        call: Callable[..., dict[str, Any]],
        variables: list[Any],
        *,
        recurrent: bool = False,
        loops: bool = False,
    ) -> None:
        self.path = path
        self.inputs = tuple(inputs)  # tf.TensorSpec with a batch axis of None or a fixed size
        self.call = call
        self._traced: dict[int | None, Any] = {}
        self.variables = variables
        self.recurrent = recurrent  # it has layers of Keras that are
        self.loops = loops  # of a graph without layers
        self.accuracy: Accuracy | None = None  # for models that are layers of Keras
        self.layers: list[Json] = []  # its recurrent layers, where it is of Keras
        self.padding: dict[str, float] = {}  # of inputs that it masks
        self._shaped: dict[tuple[Form, ...], Loaded] = {}
        self._shaping = threading.Lock()

    def function(self, batch: int | None) -> Any:
        """The concrete function for ``batch`` items (None: any number); `InputError` where it draws random numbers."""
        function = self.concrete(self.traced(batch), batch)
        self.require_certain(function)
        return function

    def concrete(self, function: Any, batch: int | None) -> Any:
        """The TensorFlow ``function`` traced for ``batch`` items; `ConversionError` where it cannot be."""
        import tensorflow as tf

        try:
            return function.get_concrete_function(*self.signature(batch))
        except (ValueError, TypeError, AttributeError, LookupError, RuntimeError, tf.errors.OpError) as error:
            raise ConversionError(f"TensorFlow cannot compute {self.path}: {_first_line(error)}") from None

    def require_certain(self, function: Any) -> None:
        """`InputError` where an output of the concrete ``function`` depends on random numbers."""
        drawn = random_ops(function)
        if drawn:
            raise InputError(
                f"{self.path} draws random numbers ({', '.join(drawn)}), which a converted file would freeze to "
                "constants; make the noise an input of the model."
            )

    def shaped(self, forms: Sequence[str]) -> "Loaded":
        """The source with its recurrent layers in ``forms``, read anew, as it stays what files are compared with."""
        wanted = tuple(Form(form) for form in forms)
        with self._shaping:
            if wanted and wanted not in self._shaped:
                model = load_model(self.path)
                shape(model, wanted)
                self._shaped[wanted] = _named(self.path, model, recurrent=self.recurrent)
        return self._shaped[wanted] if wanted else self

    def traced(self, batch: int | None) -> Any:
        """The TensorFlow function for ``batch`` items; one each, as a general one would serve for all."""
        import tensorflow as tf

        return self._traced.setdefault(batch, tf.function(self.call))

    def signature(self, batch: int | None) -> list[Any]:
        """What the model takes of ``batch`` items, as TensorFlow's specs."""
        import tensorflow as tf

        return [tf.TensorSpec((batch, *spec.shape[1:]), spec.dtype, name=spec.name) for spec in self.inputs]


_state: dict[str, Loaded] = {}


def load(request: Json, _progress: Progress) -> Json:
    """Load ``path`` of ``kind``; its inputs, batch axis first."""
    path, kind = Path(request["path"]), request["kind"]
    loaded = _load_saved_model(path) if kind == "saved_model" else _load_keras(path)
    _state["loaded"] = loaded
    inputs = [_spec(s.name, s.shape, s.dtype) for s in loaded.inputs]
    return {"inputs": inputs, "tools": _tools(), "recurrent": loaded.layers, "padding": loaded.padding}


def lower_tflite(request: Json, _progress: Progress) -> Json:
    """Write the fp32 TFLite file ``path`` for ``batch`` items (null: any number), recurrent layers in ``forms``."""
    return _convert(request, lambda _converter: None)


def quantize_tflite(request: Json, progress: Progress) -> Json:
    """Write the TFLite file ``path`` in ``precision`` by TFLiteConverter, ranges from ``samples``."""
    import tensorflow as tf

    precision, ops = request["precision"], tf.lite.OpsSet
    if request["stateful"]:
        calibrate_as_run()

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if request["granularity"] == "per-tensor":
            converter._experimental_disable_per_channel = True
        if precision == "fp16":
            converter.target_spec.supported_types = [tf.float16]
        if precision not in ("int8", "int16x8"):
            return
        samples = Samples.open(Path(request["samples"]))

        def representative() -> Any:
            for done, feed in enumerate(samples.batches(1), 1):
                progress("calibrating", done, samples.count)
                yield feed

        converter.representative_dataset = representative
        integer = (
            ops.TFLITE_BUILTINS_INT8
            if precision == "int8"
            else ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        )
        # Whatever has no integer form stays float, and the report then decides whether that is allowed.
        converter.target_spec.supported_ops = [integer, ops.TFLITE_BUILTINS]
        if request["interface"] == "int8":
            kind = tf.int8 if precision == "int8" else tf.int16
            converter.inference_input_type = converter.inference_output_type = kind

    return _convert(request, configure)


def lower_onnx(request: Json, _progress: Progress) -> Json:
    """Write the fp32 ONNX file ``path``; a SavedModel's loops with a free batch axis, in which tf2onnx finds LSTMs."""
    import tensorflow as tf
    import tf2onnx

    loaded = _state["loaded"]
    batch = None if loaded.loops else request["batch"]
    signature, handlers = loaded.signature(batch), None
    if loaded.recurrent:  # traced apart from what computes: the source's own outputs
        function = tf.function(loaded.call)
        handlers = trace_operators(lambda: loaded.concrete(function, batch))
        loaded.require_certain(loaded.concrete(function, batch))
    else:
        function = loaded.traced(batch)
        loaded.function(batch)
    try:
        with collecting():  # tf2onnx copies the graph before each of its passes, weights included
            model, _ = tf2onnx.convert.from_function(
                function, input_signature=signature, opset=ONNX_OPSET, custom_op_handlers=handlers
            )
    except (ValueError, RuntimeError, NotImplementedError, KeyError) as error:
        raise ConversionError(f"tf2onnx cannot lower the model: {_first_line(error)}") from None
    drop_unread(model)
    Path(request["path"]).write_bytes(model.SerializeToString())
    return {}


def reference(request: Json, progress: Progress) -> Json:
    """Write the source's outputs on the first ``count`` of ``samples`` into the folder ``outputs``.

    They run through the function for ``batch`` items that was lowered: tracing another one takes longer than they do.
    """
    loaded, samples = _state["loaded"], Samples.open(Path(request["samples"]))
    fixed = any(spec.shape[0] is not None for spec in loaded.inputs)
    batch = 1 if fixed else None if loaded.loops else request["batch"]
    function = loaded.function(batch)
    names = [spec.name for spec in loaded.inputs]
    count = min(int(request["count"]), samples.count)

    def results() -> Any:
        import tensorflow as tf

        for feed in samples.batches(batch or 16, count):
            outputs = function(*[tf.constant(feed[name]) for name in names])
            arrays = {name: tensor.numpy() for name, tensor in outputs.items()}
            for i in range(len(next(iter(feed.values())))):
                yield {name: values[i] for name, values in arrays.items()}

    def counted() -> Any:
        for done, item in enumerate(results(), 1):
            progress("running the source", done, count)
            yield item

    Samples.write(Path(request["outputs"]), counted(), count)
    return {}


def _accuracy(operation: str) -> Operation:
    def call(request: Json, progress: Progress) -> Json:
        accuracy = _state["loaded"].accuracy
        if accuracy is None:
            raise ConversionError("the source is not a graph of Keras layers.")
        result: Json = getattr(accuracy, operation)(request, progress)
        return result

    return call


def _convert(request: Json, configure: Callable[[Any], None]) -> Json:
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    loaded = _state["loaded"].shaped(request["forms"])
    function = loaded.function(request["batch"])
    # The converter finds the weights through a module that tracks them; the Keras model itself would lose them.
    module = tf.Module()
    module.variables_used = loaded.variables
    module.function = function
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    configure(converter)
    try:
        data = converter.convert()
    except (ConverterError, ValueError, RuntimeError) as error:
        raise ConversionError(f"TFLiteConverter cannot write the model: {_first_line(error)}") from None
    Path(request["path"]).write_bytes(data)
    return {}


def _load_keras(path: Path) -> Loaded:
    model, config = load_model(path), _keras_config(path)
    recurrent = config is not None and _RECURRENT.search(config) is not None
    loaded = _named(path, model, recurrent=recurrent)
    loaded.accuracy = Accuracy(model, tuple(spec.name for spec in loaded.inputs))
    loaded.layers = describe(model, lambda: loaded.concrete(loaded.traced(1), 1))
    loaded.padding = paddings(model, [spec.name for spec in loaded.inputs])
    return loaded


def load_model(path: Path) -> Any:
    """The Keras model at ``path``, without running any code of its own."""
    import keras

    config = _keras_config(path)
    if config is not None and '"class_name": "Lambda"' in config:
        raise InputError(
            f"{path} has a Lambda layer, which is arbitrary Python code and is not run: replace it by stock layers and "
            "save the model again."
        )
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError, EOFError) as error:
        if re.search(r"[Ll]ambda", str(error)):
            raise InputError(
                f"{path} has a Lambda layer, which is arbitrary Python code and is not run: replace it by stock layers "
                "and save the model again."
            ) from None
        if custom := re.search(r"Could not locate class '(\w+)'|Unknown layer: '?(\w+)", str(error)):
            raise ArtifactError(
                f"{path} has the custom layer {custom[1] or custom[2]}, whose code is not in the file: give the "
                "SavedModel folder that model.export writes."
            ) from None
        raise ArtifactError(f"Keras cannot load {path}: {_first_line(error)}") from None
    if not getattr(model, "inputs", None):
        raise ArtifactError(f"{path} was saved before its input shapes were known: call the model once, then save it.")
    _refuse_stateful(path, model)
    make_ready(path, model)
    return model


def ends(model: Any) -> tuple[list[str], list[str]]:
    """The names of the inputs and outputs of a Keras model, as files have them."""
    names = _unique([_input_name(t.name, i, len(model.inputs)) for i, t in enumerate(model.inputs)], taken=())
    labels = list(getattr(model, "output_names", [])) or [model.layers[-1].name]
    return names, _unique([_safe(label) for label in labels], names)


def _named(path: Path, model: Any, *, recurrent: bool) -> Loaded:
    """``model`` as a function whose inputs and outputs have names that files can have."""
    import tensorflow as tf

    names, labels = ends(model)
    specs = [tf.TensorSpec(t.shape, t.dtype, name=n) for t, n in zip(model.inputs, names, strict=True)]
    _refuse_unfit_inputs(path, specs)

    def call(*tensors: Any) -> dict[str, Any]:
        result = model(pack_inputs(model, tensors), training=False)
        pairs = result.items() if isinstance(result, dict) else zip(labels, tf.nest.flatten(result), strict=True)
        keys, values = zip(*pairs, strict=True)
        # Identity: an output that is also an input of another layer would lose its name.
        return {
            n: tf.identity(v, name=n) for n, v in zip(_unique([_safe(k) for k in keys], names), values, strict=True)
        }

    return Loaded(path, specs, call, [v.value for v in model.variables], recurrent=recurrent)


def _load_saved_model(path: Path) -> Loaded:
    import tensorflow as tf

    try:
        saved = tf.saved_model.load(str(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ArtifactError(f"TensorFlow cannot load {path}: {_first_line(error)}") from None
    if "serving_default" not in saved.signatures:
        raise ArtifactError(
            f"{path} has no signature serving_default; it has {', '.join(saved.signatures) or 'none'}: "
            "export it with one."
        )
    signature = saved.signatures["serving_default"]
    keyed = signature.structured_input_signature[1]
    specs = [tf.TensorSpec(s.shape, s.dtype, name=key) for key, s in sorted(keyed.items())]
    _refuse_unfit_inputs(path, specs)
    names = [s.name for s in specs]

    def call(*tensors: Any) -> dict[str, Any]:
        result = signature(**dict(zip(names, tensors, strict=True)))
        keys = _unique([_safe(k) for k in result], names)
        return {key: tf.identity(value, name=key) for key, value in zip(keys, result.values(), strict=True)}

    loops = any(op.type in ("While", "StatelessWhile") for op in signature.graph.get_operations())
    loaded = Loaded(path, specs, call, list(saved.variables) if hasattr(saved, "variables") else [], loops=loops)
    loaded.variables.append(saved)  # signatures live as long as the object they came from
    return loaded


def _refuse_stateful(path: Path, model: Any) -> None:
    import keras

    recurrent = (keras.layers.RNN, keras.layers.Bidirectional)
    for layer in model._flatten_layers():  # those of models inside too
        if isinstance(layer, recurrent) and layer.stateful:
            raise InputError(
                f"{path} has the stateful layer {layer.name}, which answers by what it was asked before: build it with "
                "stateful=False, and its state as an input and an output."
            )


def _keras_config(path: Path) -> str | None:
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return json.dumps(json.loads(archive.read("config.json")))
    import h5py

    with h5py.File(path) as file:
        if "model_config" not in file.attrs:
            raise ArtifactError(f"{path} holds weights only; save the whole model with model.save.")
        return json.dumps(json.loads(file.attrs["model_config"]))


def _refuse_unfit_inputs(path: Path, specs: Sequence[Any]) -> None:
    for spec in specs:
        if spec.dtype.name == "float64":
            raise InputError(
                f"Input {spec.name!r} of {path} is float64, which the converted files do not compute in: build the "
                "model in float32."
            )
        if spec.shape.rank is None or any(d is None for d in spec.shape[1:]):
            raise InputError(
                f"Input {spec.name!r} of {path} has the shape {spec.shape}; expected fixed sizes after the batch axis: "
                "build the model with a fixed input shape."
            )


def _input_name(name: str, index: int, count: int) -> str:
    if _GENERATED.fullmatch(name):  # numbered anew in every process
        return "input" if count == 1 else f"input_{index + 1}"
    return _safe(name)


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name.split(":")[0])


def _unique(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    result: list[str] = []
    for name in names:
        candidate = f"{name}_output" if name in taken else name
        number = 1
        while candidate in result:
            candidate, number = f"{name}_{number}", number + 1
        result.append(candidate)
    return result


def _spec(name: str, shape: Any, dtype: Any) -> Json:
    return {"name": name, "shape": [None if d is None else int(d) for d in shape], "dtype": np.dtype(dtype.name).name}


def _tools() -> dict[str, str]:
    from importlib.metadata import version

    import keras
    import tensorflow as tf

    return {"tensorflow": tf.__version__, "keras": keras.__version__, "tf2onnx": version("tf2onnx")}


def _first_line(error: BaseException) -> str:
    text = str(error)
    if bold := _BOLD.findall(text):
        text = bold[-1]
    elif text.startswith("in user code") and (named := _AUTOGRAPH.findall(text)):
        text = named[-1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."


def _tidy(operation: Operation) -> Operation:
    """``operation``, with its garbage given back: tf2onnx alone leaves a gigabyte."""

    def call(request: Json, progress: Progress) -> Json:
        try:
            return operation(request, progress)
        finally:
            give_back()

    return call


if __name__ == "__main__":
    operations: dict[str, Operation] = {
        "load": load,
        "lower_tflite": lower_tflite,
        "lower_onnx": lower_onnx,
        "quantize_tflite": quantize_tflite,
        "reference": reference,
        **{name: _accuracy(name) for name in ("outline", "observe", "prepare")},
    }
    gc.disable()  # it would look for garbage among all that the package builds
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # Keras has wrappers for it, which take a second to load
    import tensorflow  # noqa: F401 - it takes seconds, in which the parent looks at the source

    gc.enable()
    gc.freeze()
    sys.setswitchinterval(0.0005)  # the thread that runs the source asks for Python once for every operator

    # Lowering is work of Python and of one thread: beside it the source runs, and weights are prepared.
    serve({name: _tidy(operation) for name, operation in operations.items()}, at_once=4)
