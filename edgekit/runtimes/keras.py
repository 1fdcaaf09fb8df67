"""Keras models in Keras itself, on TensorFlow."""

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from edgekit.card import TensorSpec
from edgekit.errors import ArtifactError, InputError, need
from edgekit.formats.keras import read_model
from edgekit.limits import TENSORFLOW_BYTES, require_address_space
from edgekit.runtimes.base import Array, Feed, Inputs, by_name, first_line
from edgekit.runtimes.quiet import quiet_stderr


class KerasRuntime:
    """One ``.keras`` or ``.h5`` file. TensorFlow's threads are those of the process: only its first user sets them."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        read_model(path)  # a damaged file is noticed before TensorFlow is loaded
        tensorflow, keras = load_framework()
        _set_threads(tensorflow, threads)
        self.name = "keras"
        self.delegation = None
        self.version: str = keras.__version__
        self._path = path
        self._errors: type[Exception] = tensorflow.errors.OpError
        self._model = load_model(keras, path)
        names = self._output_names(keras)
        self.inputs = tuple(_spec(t.name, t) for t in self._model.inputs)
        self.outputs = tuple(_spec(n, t) for n, t in zip(names, self._model.outputs, strict=True))
        self._checks = Inputs(self.inputs)
        self._function = self._traced(tensorflow, keras)

    def _output_names(self, keras: Any) -> list[str]:
        structure = self._model.output
        if isinstance(structure, dict):
            return sorted(structure)
        owners = [t._keras_history.operation.name for t in keras.tree.flatten(structure)]
        return [n if owners.count(n) == 1 else f"{n}_{i}" for i, n in enumerate(owners)]

    def _traced(self, tensorflow: Any, keras: Any) -> Any:
        model = self._model
        signature = [tensorflow.TensorSpec(t.shape, t.dtype, name=t.name) for t in model.inputs]

        def call(*tensors: Any) -> list[Any]:
            given = keras.tree.pack_sequence_as(model.input, list(tensors))
            return list(keras.tree.flatten(model(given, training=False)))

        return tensorflow.function(call, input_signature=signature)

    def run(self, feed: Feed, *, as_float: bool = False) -> dict[str, Array]:
        """Outputs by name, as `Runtime.run`."""
        return by_name(self.bind(feed)(), self.outputs, as_float=as_float)

    def bind(self, feed: Feed) -> Callable[[], list[Array]]:
        """As `Runtime.bind`; a call gives the outputs in the order of ``outputs``."""
        arguments = self._checks.checked(feed)

        def call() -> list[Array]:
            try:
                return [o.numpy() for o in self._function(*arguments)]
            except self._errors as error:
                raise ArtifactError(f"{self._path} failed in keras {self.version}: {first_line(error)}.") from None

        return call


def load_framework() -> tuple[ModuleType, ModuleType]:
    """TensorFlow, and Keras running on it; `MissingExtraError` or `InputError` where that cannot be had."""
    require_address_space(TENSORFLOW_BYTES, "TensorFlow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_stderr():  # TensorFlow's C++ side speaks before it heeds the level
        tensorflow, keras = need("tensorflow", extra="train"), need("keras", extra="train")
    if keras.backend.backend() != "tensorflow":
        raise InputError(f"Keras runs on {keras.backend.backend()}; edgekit needs TensorFlow: unset KERAS_BACKEND.")
    return tensorflow, keras


def _set_threads(tensorflow: Any, threads: int) -> None:
    threading = tensorflow.config.threading
    if threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # TensorFlow has run in this process, as in training, and keeps the threads it started with
        return


def load_model(keras: Any, path: Path) -> Any:
    """The Keras model in ``path``, not compiled; `ArtifactError` for whatever keeps Keras from loading it."""
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # noqa: BLE001 - Keras raises whatever the layers of the file raise
        raise ArtifactError(f"{path} cannot be loaded by Keras {keras.__version__}: {_reason(error)}") from None
    if not getattr(model, "inputs", None):
        raise ArtifactError(f"{path} has no fixed inputs; call the model once before saving it.")
    if isinstance(model, keras.Sequential):  # which tells no structure of its inputs and outputs
        return keras.Model(model.inputs, model.outputs, name=model.name)
    return model


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "ambda" in text and "safe_mode" in text:
        return "it holds a Lambda layer, which is code that edgekit does not run; use a Layer of Keras instead."
    if "Could not locate class" in text or "Unknown layer" in text:
        return "it holds a custom layer, whose code is not in the file; use layers of Keras instead."
    first = text.split(". ")[0].rstrip(".")
    return f"{type(error).__name__}: {first}."


def _spec(name: str, tensor: Any) -> TensorSpec:
    return TensorSpec(name=name, shape=tuple(tensor.shape), dtype=str(tensor.dtype))
