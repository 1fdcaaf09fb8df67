"""Model files in the one engine that the device has: LiteRT, tflite-runtime or ONNX Runtime."""

import importlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from edgekit.bundle.runner.manifest import Entry
from edgekit.errors import ArtifactError, MissingExtraError
from edgekit.runtimes.base import Array, first_line
from edgekit.runtimes.delegation import delegated_operators
from edgekit.runtimes.quiet import quiet_stderr

_TFLITE = {
    "litert": ("ai-edge-litert", "ai_edge_litert.interpreter"),
    "tflite-runtime": ("tflite-runtime", "tflite_runtime.interpreter"),
}
"""The packages that run TFLite files, the first that is installed counts: distribution and module."""

XNNPACK, BUILT_IN = "xnnpack", "built-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model ready to run: ``run`` takes the inputs in the manifest's order and gives the outputs so.

    ``engine`` is name and version; ``kernels`` says what runs a TFLite file's operators, nothing of an ONNX file.
    """

    engine: str
    kernels: str
    run: Callable[[Sequence[Array]], list[Array]]


def load(entry: Entry, data: bytes, *, threads: int = 1) -> Loaded:
    """The model in ``data``; `ArtifactError` where it cannot be loaded, `MissingExtraError` where no engine is."""
    return (_load_tflite if entry.format == "tflite" else _load_onnx)(entry, data, threads)


def _load_tflite(entry: Entry, data: bytes, threads: int) -> Loaded:
    name, module = _tflite_engine()
    try:
        with quiet_stderr():
            interpreter = module.Interpreter(model_content=data, num_threads=threads)
            interpreter.allocate_tensors()
    except SystemError:
        raise ArtifactError(
            f"{entry.name} cannot be loaded: this tflite-runtime does not work with numpy {np.__version__}; "
            "run: pip install 'numpy<2'"
        ) from None
    except (RuntimeError, ValueError) as error:
        raise ArtifactError(f"{entry.name} cannot be loaded in {name}: {first_line(error)}.") from None
    taken, _ = delegated_operators(interpreter._get_ops_details())
    return Loaded(engine=name, kernels=XNNPACK if taken else BUILT_IN, run=_Invoke(entry, interpreter, name))


def _tflite_engine() -> tuple[str, ModuleType]:
    for name, (distribution, module) in _TFLITE.items():
        if importlib.util.find_spec(module.partition(".")[0]) is not None:
            return f"{name} {importlib.metadata.version(distribution)}", importlib.import_module(module)
    raise MissingExtraError(
        "No engine for .tflite files is installed. Run: pip install ai-edge-litert, or where there is no such wheel: "
        "pip install tflite-runtime 'numpy<2'"
    )


class _Invoke:
    """Sets inputs, runs, gets outputs; memory is planned again only when a shape changes."""

    def __init__(self, entry: Entry, interpreter: Any, engine: str) -> None:
        self._entry, self._interpreter, self._engine = entry, interpreter, engine
        self._shapes: list[tuple[int, ...]] = []

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        entry, interpreter = self._entry, self._interpreter
        try:
            shapes = [array.shape for array in inputs]
            if shapes != self._shapes:
                for index, shape in zip(entry.input_tensors, shapes, strict=True):
                    interpreter.resize_tensor_input(index, shape)
                with quiet_stderr():
                    interpreter.allocate_tensors()
                self._shapes = shapes
            if entry.stateful:
                interpreter.reset_all_variables()
            for index, array in zip(entry.input_tensors, inputs, strict=True):
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in entry.output_tensors]
        except (RuntimeError, ValueError) as error:
            raise ArtifactError(f"{entry.name} failed in {self._engine}: {first_line(error)}.") from None


def _load_onnx(entry: Entry, data: bytes, threads: int) -> Loaded:
    if importlib.util.find_spec("onnxruntime") is None:
        raise MissingExtraError("No engine for .onnx files is installed. Run: pip install onnxruntime")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    module: Any = importlib.import_module("onnxruntime")
    name = f"onnxruntime {module.__version__}"
    binding = vars(module.capi.onnxruntime_pybind11_state).values()
    own = [kind for kind in binding if isinstance(kind, type) and issubclass(kind, Exception)]
    errors: tuple[type[Exception], ...] = (*own, RuntimeError, ValueError)
    options = module.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        session = module.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except errors as error:
        raise ArtifactError(f"{entry.name} cannot be loaded in {name}: {first_line(error)}.") from None
    outputs = [spec.name for spec in entry.card.outputs]
    inputs = [spec.name for spec in entry.card.inputs]

    def run(arrays: Sequence[Array]) -> list[Array]:
        try:
            found: list[Array] = session.run(outputs, dict(zip(inputs, arrays, strict=True)))
        except errors as error:
            raise ArtifactError(f"{entry.name} failed in {name}: {first_line(error)}.") from None
        return found

    return Loaded(engine=name, kernels="", run=run)
