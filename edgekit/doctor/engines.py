"""Findings about the engines: each is tried on the smallest model there is."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.doctor.finding import Finding, Status
from edgekit.errors import EdgekitError
from edgekit.files import scratch_folder
from edgekit.workers import Worker

# y = relu(x), both (1, 2) float32: one operator of version 1, so that every engine of the last years takes it.
_RELU_TFLITE = (
    "GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAAAcAAAA2AAAAAMAAAABAAAACAAAAAQABAAEAAAAAQAAABAAAAAMABQAEAAMAAgABAAMAAAA"
    "EAAAADwAAABAAAAARAAAAAEAAAAQAAAAAAAKAAwAAAAIAAQACgAAAAgAAAAMAAAAAQAAAAEAAAABAAAAAAAAAAEAAAABAAAAAQAAAAAAAAACAAAA"
    "NAAAAAQAAADg////CAAAAAwAAAABAAAAeQAAAAIAAAABAAAAAgAAAAwADAAIAAAAAAAEAAwAAAAIAAAADAAAAAEAAAB4AAAAAgAAAAEAAAACAAAA"
    "AQAAABAAAAAMAAwACwAAAAAABAAMAAAAEwAAAAAAABM="
)
_RELU_ONNX = "CAg6OwoMCgF4EgF5IgRSZWx1EgFnWhMKAXgSDgoMCAESCAoCCAEKAggCYhMKAXkSDgoMCAESCAoCCAEKAggCQgQKABAN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine as `pip` knows it, what it runs, and the model to try it on. ``offered``: newcomers are told of it."""

    distribution: str
    extra: str
    runs: str
    suffix: str
    model: str
    offered: bool = True


ENGINES = {
    "litert": Engine(
        distribution="ai-edge-litert", extra="litert", runs=".tflite files", suffix=".tflite", model=_RELU_TFLITE
    ),
    "tflite-runtime": Engine(
        distribution="tflite-runtime",
        extra="tflite-runtime",
        runs=".tflite files",
        suffix=".tflite",
        model=_RELU_TFLITE,
        offered=False,
    ),
    "onnxruntime": Engine(
        distribution="onnxruntime", extra="onnx", runs=".onnx files", suffix=".onnx", model=_RELU_ONNX
    ),
}


def check_running(name: str, versions: Mapping[str, str]) -> Finding:
    """Whether an engine is installed and runs a model, tried in a process of its own."""
    engine = ENGINES[name]
    if engine.distribution not in versions:
        return Finding(
            name=name,
            status=Status.NOTE,
            detail="not installed",
            advice=f"To run {engine.runs}: pip install 'edgekit-ml[{engine.extra}]'" if engine.offered else None,
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
        path = Path(folder) / f"relu{ENGINES[name].suffix}"
        path.write_bytes(base64.b64decode(ENGINES[name].model))
        worker.call("relu", {"path": str(path)})
