"""Findings about the engines: each is tried on the smallest model there is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.doctor.finding import Finding, Status
from edgekit.errors import EdgekitError
from edgekit.files import scratch_folder
from edgekit.runtimes.engines import ENGINES
from edgekit.runtimes.smallest import RELU_ONNX, RELU_TFLITE
from edgekit.workers import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What an engine runs, in words, and the model to try it on. ``offered``: newcomers are told of it."""

    runs: str
    suffix: str
    model: bytes
    offered: bool = True


TRIALS = {
    "litert": Trial(runs=".tflite files", suffix=".tflite", model=RELU_TFLITE),
    "tflite-runtime": Trial(runs=".tflite files", suffix=".tflite", model=RELU_TFLITE, offered=False),
    "onnxruntime": Trial(runs=".onnx files", suffix=".onnx", model=RELU_ONNX),
    "openvino": Trial(runs="both formats in a third engine", suffix=".onnx", model=RELU_ONNX),
}


def check_running(name: str, versions: Mapping[str, str]) -> Finding:
    """Whether an engine is installed and runs a model, tried in a process of its own."""
    engine, trial = ENGINES[name], TRIALS[name]
    if engine.distribution not in versions:
        return Finding(
            name=name,
            status=Status.NOTE,
            detail="not installed",
            advice=f"To run {trial.runs}: pip install 'edgekit-ml[{engine.extra}]'" if trial.offered else None,
        )
    detail = f"{engine.distribution} {versions[engine.distribution]}"
    if name == "tflite-runtime" and "ai-edge-litert" in versions:
        return Finding(name=name, status=Status.OK, detail=f"{detail}, not used beside ai-edge-litert")
    try:
        try_engine(name)
    except EdgekitError as error:
        return Finding(
            name=name,
            status=Status.BROKEN,
            detail=f"{detail} fails on a model of one operator: {error}",
            advice=f"Run: pip install --force-reinstall 'edgekit-ml[{engine.extra}]'",
        )
    return Finding(name=name, status=Status.OK, detail=f"{detail} runs")


def try_engine(name: str) -> None:
    """Run the smallest model in a process of its own; an `EdgekitError` when that fails, crashes or is wrong."""
    with scratch_folder() as folder, Worker("edgekit.doctor.engine_worker") as worker:
        path = Path(folder) / f"relu{TRIALS[name].suffix}"
        path.write_bytes(TRIALS[name].model)
        worker.call("relu", {"path": str(path), "engine": name})
