"""Model files in their real engines with the values of layers kept, and parts of float files run by themselves.

To be used in a process of its own: a damaged file can end the process that runs it.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from edgekit.artifact import Format, find_model
from edgekit.errors import ArtifactError, need
from edgekit.formats import onnx, tflite
from edgekit.formats.graph import Graph
from edgekit.formats.onnx_parts import OnnxParts
from edgekit.formats.tflite_objects import open_model, pack_model, part_of
from edgekit.measure.layer_segments import Segment
from edgekit.measure.layer_taps import Array, Tap, find_taps
from edgekit.runtimes.base import Feed, Inputs, first_line
from edgekit.runtimes.quiet import quiet_stderr

Part = Callable[[Mapping[str, Array]], Array]
"""Runs a segment: from the values of the tensors that it reads to that of its own."""


class Watched(Protocol):
    """A loaded file; ``taps`` are the layers that can be watched, those of ``watch`` are."""

    graph: Graph
    taps: dict[str, Tap]

    def watch(self, layers: Sequence[str]) -> None:
        """Keep the values of these layers in every run."""

    def run(self, feed: Feed) -> dict[str, Array]:
        """The values of the watched layers for one item, as the file has them: integers or floats."""

    def constant(self, name: str) -> Array | None:
        """A constant tensor, or ``None`` for any other."""

    def part(self, segment: Segment, shapes: Mapping[str, Sequence[int]], /) -> Part:
        """A segment of a float file, loaded by itself; ``shapes`` of the tensors that it reads."""


def open_watched(path: Path, *, threads: int) -> Watched:
    """The TFLite or ONNX file at ``path``; `ArtifactError` when the engine does not take it."""
    path, kind = find_model(path)
    return WatchedLiteRT(path, threads) if kind is Format.TFLITE else WatchedOnnx(path, threads)


class WatchedLiteRT:
    """A TFLite file in LiteRT, which keeps all tensors."""

    def __init__(self, path: Path, threads: int) -> None:
        self._path, self._threads = path, threads
        self.graph = tflite.read_graph(path)
        self._interpreter = _interpreter(str(path), threads, keep=True)
        self._index = {name: info.index for name, info in self.graph.tensors.items() if info.index is not None}
        self._stateful = any(info.variable for info in self.graph.tensors.values())
        self._model: Any = None
        self._layers: list[str] = []
        self.taps = find_taps(self.graph, self.constant)

    def watch(self, layers: Sequence[str]) -> None:
        """As `Watched.watch`."""
        self._layers = list(layers)

    def run(self, feed: Feed) -> dict[str, Array]:
        """As `Watched.run`."""
        for spec, values in zip(self.graph.inputs, Inputs(self.graph.inputs).checked(feed), strict=True):
            self._interpreter.set_tensor(self._index[self.graph.input_tensors[spec.name]], values)
        try:
            self._invoke(self._interpreter)
        except (RuntimeError, ValueError) as error:
            raise ArtifactError(f"{self._path} failed in LiteRT: {first_line(error)}.") from None
        return {n: self._interpreter.get_tensor(self._index[self.taps[n].tensor]) for n in self._layers}

    def _invoke(self, interpreter: Any) -> None:
        """Run without what a recurrent layer keeps from the item before."""
        if self._stateful:
            interpreter.reset_all_variables()
        interpreter.invoke()

    def constant(self, name: str) -> Array | None:
        """As `Watched.constant`."""
        if name not in self.graph.tensors or not self.graph.tensors[name].constant:
            return None
        values: Array = self._interpreter.get_tensor(self._index[name])
        return values

    def part(self, segment: Segment, _shapes: Mapping[str, Sequence[int]]) -> Part:
        """As `Watched.part`; the file knows the shapes itself."""
        self._model = self._model or open_model(self._path)
        reads = {name: self._index[name] for name in segment.reads}
        made = self._index[segment.tensor]
        data = pack_model(_cut(self._model, segment.nodes, list(reads.values()), made))
        interpreter = _interpreter(data, self._threads, keep=False)
        inputs = interpreter.get_input_details()
        (output,) = interpreter.get_output_details()

        def run(values: Mapping[str, Array]) -> Array:
            for detail, name in zip(inputs, reads, strict=True):
                interpreter.set_tensor(detail["index"], values[name])
            self._invoke(interpreter)
            result: Array = interpreter.get_tensor(output["index"])
            return result

        return run


def _interpreter(model: str | bytes, threads: int, *, keep: bool) -> Any:
    litert = need("ai_edge_litert.interpreter", extra="litert")
    given = {"model_path": model} if isinstance(model, str) else {"model_content": model}
    try:
        with quiet_stderr(), warnings.catch_warnings():
            # Keeping all tensors is the purpose; the interpreter's warning is about memory.
            warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
            interpreter = litert.Interpreter(**given, num_threads=threads, experimental_preserve_all_tensors=keep)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        what = model if isinstance(model, str) else "A part of the reference"
        raise ArtifactError(f"{what} cannot be loaded in LiteRT: {first_line(error)}.") from None
    return interpreter


def _cut(model: Any, nodes: Sequence[int], reads: Sequence[int], made: int) -> Any:
    """The objects of a file with the operators ``nodes`` of its main graph alone, and the content that they need."""
    schema = need("ai_edge_litert.schema_py_generated", extra="litert")
    graph, rest = model.subgraphs[0], model.subgraphs[1:]
    part = part_of(graph, [graph.operators[i] for i in nodes], reads, [made])
    cut = schema.ModelT()
    cut.version, cut.operatorCodes, cut.subgraphs = model.version, model.operatorCodes, [part, *rest]
    kept = {t.buffer for g in cut.subgraphs for t in g.tensors}
    cut.buffers = [buffer if i in kept else schema.BufferT() for i, buffer in enumerate(model.buffers)]
    return cut


class WatchedOnnx:
    """An ONNX file in ONNX Runtime. Integers are watched behind their QuantizeLinear, so that nothing fuses less."""

    def __init__(self, path: Path, threads: int) -> None:
        self._path, self._threads = path, threads
        self._data = path.read_bytes()
        self.graph = onnx.parse_graph(self._data, str(path))
        self._parts = OnnxParts(path)
        self.taps = find_taps(self.graph, self.constant)
        self._session: Any = None
        self._layers: list[str] = []

    def watch(self, layers: Sequence[str]) -> None:
        """As `Watched.watch`."""
        self._layers = list(layers)
        outputs = set(self.graph.output_tensors.values())
        inner = [t for n in layers if (t := self.taps[n].tensor) not in outputs]
        data = onnx.with_outputs(self._data, dict.fromkeys(inner), where=str(self._path))
        self._session = _session(data, self._threads, str(self._path))

    def run(self, feed: Feed) -> dict[str, Array]:
        """As `Watched.run`."""
        wanted = list(dict.fromkeys(self.taps[name].tensor for name in self._layers))
        names = [spec.name for spec in self.graph.inputs]
        checked = dict(zip(names, Inputs(self.graph.inputs).checked(feed), strict=True))
        try:
            values = self._session.run(wanted, checked)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no base
            raise ArtifactError(f"{self._path} failed in ONNX Runtime: {first_line(error)}.") from None
        by_tensor = dict(zip(wanted, values, strict=True))
        return {name: by_tensor[self.taps[name].tensor] for name in self._layers}

    def constant(self, name: str) -> Array | None:
        """As `Watched.constant`."""
        return self._parts.constant(name)

    def part(self, segment: Segment, shapes: Mapping[str, Sequence[int]]) -> Part:
        """As `Watched.part`."""
        data = self._parts.part(segment.nodes, {name: shapes[name] for name in segment.reads}, segment.tensor)
        session = _session(data, self._threads, "A part of the reference")

        def run(values: Mapping[str, Array]) -> Array:
            result: Array = session.run([segment.tensor], {name: values[name] for name in segment.reads})[0]
            return result

        return run


def _session(data: bytes, threads: int, what: str) -> Any:
    engine = need("onnxruntime", extra="onnx")
    options = engine.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        return engine.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no base
        raise ArtifactError(f"{what} cannot be loaded in ONNX Runtime: {first_line(error)}.") from None
