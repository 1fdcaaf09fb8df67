"""The process that measures the time by operator: one engine, one model."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from edgekit.card import TensorSpec
from edgekit.errors import need
from edgekit.files import scratch_folder
from edgekit.measure.litert_profile import profile_litert
from edgekit.measure.sample_inputs import sample_values
from edgekit.workers import Json, Progress, serve

WARMUP = 3

# ONNX Runtime names types its own way: "tensor(float)".
_DTYPES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "bool": "bool",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def profile_onnx(request: Json, _progress: Progress) -> Json:
    """Mean ms of every node of an ONNX file, as ONNX Runtime runs it: after its optimizations, nodes fused."""
    runtime = need("onnxruntime", extra="onnx")
    generator = np.random.default_rng(request["seed"])
    with scratch_folder() as folder:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        options.inter_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = runtime.InferenceSession(request["path"], options, providers=["CPUExecutionProvider"])
        feed = {value.name: sample_values(_spec(value), generator) for value in session.get_inputs()}
        for _ in range(WARMUP + request["runs"]):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    return {"version": runtime.__version__, "delegated": None, **summarize_onnx(events, request["runs"])}


def summarize_onnx(events: list[Json], runs: int) -> Json:
    """The operators and the mean total of the last ``runs`` runs in ONNX Runtime's trace (in microseconds)."""
    durations: dict[tuple[str, str], list[int]] = defaultdict(list)
    totals = [event["dur"] for event in events if event["name"] == "model_run"]
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            durations[event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]].append(event["dur"])
    every = WARMUP + runs
    operators = [
        # A node inside a loop runs several times a run: its warm-up share is that of the runs.
        {"name": name, "op": op, "mean_ms": sum(times[len(times) * WARMUP // every :]) / runs / 1000}
        for (name, op), times in durations.items()
    ]
    return {"operators": operators, "total_ms": sum(totals[WARMUP:]) / runs / 1000}


def _spec(value: "onnxruntime.NodeArg") -> TensorSpec:  # type: ignore[name-defined]  # noqa: F821
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return TensorSpec(name=value.name, shape=shape, dtype=_DTYPES.get(kind, kind))


if __name__ == "__main__":
    serve({"litert": profile_litert, "onnxruntime": profile_onnx})
