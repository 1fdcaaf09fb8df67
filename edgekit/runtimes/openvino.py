"""ONNX and TFLite files in OpenVINO, on the CPU."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edgekit.artifact import Format, find_model
from edgekit.card import TensorSpec
from edgekit.errors import ArtifactError
from edgekit.files import scratch_folder
from edgekit.formats import onnx, tflite
from edgekit.formats.tflite_inline import with_inner_weights
from edgekit.runtimes.base import Array, Feed, Inputs, by_name
from edgekit.runtimes.engines import load_engine

SETTINGS: dict[str, Any] = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    "INFERENCE_PRECISION_HINT": "f32",  # some CPUs would take bfloat16 unasked
    "ENABLE_CPU_PINNING": False,  # a thread bound to a CPU that others use waits for them
    "CACHE_DIR": "",
}
"""What a model is compiled with, beside the number of threads."""

# What OpenVINO's messages tell of its own source files, line by line.
_NOISE = re.compile(r"^(Exception from |Check '.*' failed at |FrontEnd API failed with )")


class OpenVINORuntime:
    """One ONNX or TFLite file, compiled for the fewest milliseconds of a single run, in float32 where it is float."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        engine = load_engine("openvino")
        self.name = "openvino"
        self.delegation = None
        self.version: str = engine.__version__.partition("-")[0]
        self._path = path
        kind = find_model(path)[1]
        graph = onnx.read_graph(path) if kind is Format.ONNX else tflite.read_graph(path)
        self.inputs: tuple[TensorSpec, ...] = graph.inputs
        self.outputs: tuple[TensorSpec, ...] = graph.outputs
        self._checks = Inputs(graph.inputs)
        failures = vars(engine.frontend).values()
        own = [e for e in failures if isinstance(e, type) and issubclass(e, Exception)]
        self._errors: tuple[type[Exception], ...] = (*own, RuntimeError, ValueError, TypeError)
        try:
            core = engine.Core()
            model = _read(core, path, kind)
            self._compiled = core.compile_model(model, "CPU", {**SETTINGS, "INFERENCE_NUM_THREADS": threads})
            self._request = self._compiled.create_infer_request()
        except self._errors as error:
            raise ArtifactError(f"{path} cannot be loaded in openvino {self.version}: {reason(error)}.") from None
        self._input_ports = self._ports(self._compiled.inputs, graph.inputs, graph.input_tensors)
        self._output_ports = self._ports(self._compiled.outputs, graph.outputs, graph.output_tensors)
        self._tensor = partial(engine.Tensor, shared_memory=True)

    def run(self, feed: Feed, *, as_float: bool = False) -> dict[str, Array]:
        """Outputs by name, as `Runtime.run`."""
        return by_name(self.bind(feed)(), self.outputs, as_float=as_float)

    def bind(self, feed: Feed) -> Callable[[], list[Array]]:
        """As `Runtime.bind`; a call gives the outputs in the order of ``outputs``."""
        tensors = [self._tensor(array) for array in self._checks.checked(feed)]
        return partial(self._invoke, tensors)

    def _invoke(self, tensors: list[Any]) -> list[Array]:
        request = self._request
        try:
            for port, tensor in zip(self._input_ports, tensors, strict=True):
                request.set_input_tensor(port, tensor)
            request.infer()
            return [request.get_output_tensor(port).data.copy() for port in self._output_ports]  # the next run's memory
        except self._errors as error:
            raise ArtifactError(f"{self._path} failed in openvino {self.version}: {reason(error)}.") from None

    def _ports(self, ports: Sequence[Any], specs: tuple[TensorSpec, ...], keys: Any) -> list[int]:
        """The number of each tensor's port: the order in the file is not OpenVINO's."""
        numbers = {name: number for number, port in enumerate(ports) for name in port.get_names()}
        found = []
        for spec in specs:
            number = numbers.get(keys[spec.name])
            kind = None if number is None else ports[number].get_element_type().to_dtype().name
            if number is None or kind != spec.dtype:
                raise ArtifactError(
                    f"{self._path} cannot be used in openvino {self.version}: {spec.name!r} is {spec.dtype} in the "
                    f"file and {kind or 'not there'} after loading; use another engine."
                )
            found.append(number)
        return found


def _read(core: Any, path: Path, kind: Format) -> Any:
    """The file as OpenVINO's model; of a TFLite file's weights it finds only those inside the graph."""
    if kind is Format.ONNX:
        return core.read_model(str(path))
    data = path.read_bytes()
    inner = with_inner_weights(data, where=str(path))
    if inner is data:
        return core.read_model(str(path))
    with scratch_folder() as folder:
        copy = Path(folder) / "model.tflite"
        copy.write_bytes(inner)
        return core.read_model(str(copy), config={"ENABLE_MMAP": False})  # the copy is gone before the model


def reason(error: BaseException) -> str:
    """The sentence in an OpenVINO message, without its lines about source files."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not _NOISE.match(line)]
    return (told or [type(error).__name__])[0].rstrip(". ")
