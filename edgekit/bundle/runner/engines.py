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
from edgekit.errors import ArtifactError, InputError, MissingExtraError
from edgekit.runtimes.base import Array, Delegation, first_line
from edgekit.runtimes.delegation import delegated_operators
from edgekit.runtimes.quiet import quiet_stderr
from edgekit.runtimes.smallest import RELU_TFLITE

_ENGINES = {
    "tflite": {
        "litert": ("ai-edge-litert", "ai_edge_litert.interpreter"),
        "tflite-runtime": ("tflite-runtime", "tflite_runtime.interpreter"),
    },
    "onnx": {"onnxruntime": ("onnxruntime", "onnxruntime")},
}
"""The packages that run files of a format, the first that is installed counts: distribution and module."""

_INSTALL = {
    "tflite": "Run: pip install ai-edge-litert, or where there is no such wheel: pip install tflite-runtime 'numpy<2'",
    "onnx": "Run: pip install onnxruntime",
}

XNNPACK, BUILT_IN = "xnnpack", "built-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An installed engine, imported."""

    name: str
    version: str
    module: ModuleType

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model ready to run: ``run`` takes the inputs in the manifest's order and gives the outputs so.

    ``delegation`` says which operators of a TFLite file XNNPACK runs; None for an ONNX file.
    """

    by: Engine
    delegation: Delegation | None
    run: Callable[[Sequence[Array]], list[Array]]

    @property
    def engine(self) -> str:
        """Name and version of what runs the model."""
        return str(self.by)

    @property
    def kernels(self) -> str:
        """What runs a TFLite file's operators, nothing of an ONNX file."""
        if self.delegation is None:
            return ""
        return XNNPACK if self.delegation.operators else BUILT_IN


def find_engine(kind: str, wanted: str | None = None) -> Engine:
    """The engine for files of the format ``kind``, the one called ``wanted`` where a name is given.

    `MissingExtraError` where there is none, `InputError` where there is another.
    """
    for name, (distribution, module) in _ENGINES[kind].items():
        if wanted in (None, name) and importlib.util.find_spec(module.partition(".")[0]) is not None:
            os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
            return Engine(
                name=name, version=importlib.metadata.version(distribution), module=importlib.import_module(module)
            )
    if wanted is not None:
        known = " or ".join(_ENGINES[kind])
        raise InputError(
            f"There is no {wanted} for .{kind} files here, which run in {known}; install it, or name another."
        )
    raise MissingExtraError(f"No engine for .{kind} files is installed. {_INSTALL[kind]}")


def load(entry: Entry, data: bytes, *, threads: int = 1, by: Engine | None = None) -> Loaded:
    """The model in ``data``, in the engine ``by`` or the one that there is; `ArtifactError` where it cannot be loaded.

    Errors of `find_engine` where there is no engine.
    """
    engine = find_engine(entry.format) if by is None else by
    return (_load_tflite if entry.format == "tflite" else _load_onnx)(entry, data, threads, engine)


def _load_tflite(entry: Entry, data: bytes, threads: int, by: Engine) -> Loaded:
    try:
        interpreter = _interpreter(by, data, threads)
    except SystemError:
        raise ArtifactError(
            f"{entry.name} cannot be loaded: this tflite-runtime does not work with numpy {np.__version__}; "
            "run: pip install 'numpy<2'"
        ) from None
    except (RuntimeError, ValueError) as error:
        raise ArtifactError(f"{entry.name} cannot be loaded in {by}: {first_line(error)}.") from None
    taken, total = delegated_operators(interpreter._get_ops_details())
    works = taken > 0 or delegated_operators(_interpreter(by, RELU_TFLITE, 1)._get_ops_details())[0] > 0
    delegation = Delegation(name=XNNPACK, operators=taken, total=total, works=works)
    return Loaded(by=by, delegation=delegation, run=_Invoke(entry, interpreter, str(by)))


def _interpreter(by: Engine, data: bytes, threads: int) -> Any:
    module: Any = by.module
    with quiet_stderr():
        interpreter = module.Interpreter(model_content=data, num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter


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


def _load_onnx(entry: Entry, data: bytes, threads: int, by: Engine) -> Loaded:
    module: Any = by.module
    binding = vars(module.capi.onnxruntime_pybind11_state).values()
    own = [kind for kind in binding if isinstance(kind, type) and issubclass(kind, Exception)]
    errors: tuple[type[Exception], ...] = (*own, RuntimeError, ValueError)
    options = module.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        session = module.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except errors as error:
        raise ArtifactError(f"{entry.name} cannot be loaded in {by}: {first_line(error)}.") from None
    outputs = [spec.name for spec in entry.card.outputs]
    inputs = [spec.name for spec in entry.card.inputs]

    def run(arrays: Sequence[Array]) -> list[Array]:
        try:
            found: list[Array] = session.run(outputs, dict(zip(inputs, arrays, strict=True)))
        except errors as error:
            raise ArtifactError(f"{entry.name} failed in {by}: {first_line(error)}.") from None
        return found

    return Loaded(by=by, delegation=None, run=run)
