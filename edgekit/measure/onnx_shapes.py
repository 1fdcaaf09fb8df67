"""Shapes that an ONNX file leaves out, asked from ONNX Runtime in a process of its own."""

import importlib.util
from dataclasses import replace
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.formats.graph import Graph, TensorInfo
from edgekit.formats.onnx import with_outputs
from edgekit.workers import Json, Progress, Worker, WorkerCrashError, serve

LIMIT_S = 60.0
"""A file that has not run once by then keeps its unknown shapes."""


def complete_shapes(path: Path, graph: Graph) -> Graph:
    """``graph`` with the shapes and dtypes that one run on zeros shows, and without them where it cannot be run.

    The file's batch axis counts as one item.
    """
    made = {name for node in graph.nodes if node.subgraph == 0 for name in node.outputs if name}
    missing = sorted(n for n in made if n not in graph.tensors or graph.tensors[n].elements is None)
    if not missing or importlib.util.find_spec("onnxruntime") is None:
        return graph
    with Worker("edgekit.measure.onnx_shapes") as worker:
        try:
            found = worker.call("shapes", {"path": str(path), "names": missing}, limit_s=LIMIT_S)["tensors"]
        except (WorkerCrashError, EdgekitError, MemoryError):  # inspecting needs no file that runs
            return graph
    tensors = {n: TensorInfo(shape=tuple(v["shape"]), dtype=v["dtype"]) for n, v in found.items()}
    return replace(graph, tensors={**graph.tensors, **tensors})


def _shapes(request: Json, _progress: Progress) -> Json:
    """Shape and dtype of each named tensor when zeros run through the file without optimization."""
    import onnxruntime

    from edgekit.formats.onnx import read_graph
    from edgekit.runtimes.probe import zero_feed

    path = Path(request["path"])
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    data = with_outputs(path.read_bytes(), request["names"], where=str(path))
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    values = session.run(request["names"], zero_feed(read_graph(path).inputs))
    arrays = zip(request["names"], values, strict=True)
    return {"tensors": {n: {"shape": list(v.shape), "dtype": str(v.dtype)} for n, v in arrays if hasattr(v, "dtype")}}


if __name__ == "__main__":
    serve({"shapes": _shapes})
