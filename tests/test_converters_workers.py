"""What the quantizing processes measure and write, called in this process on tiny files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.converters import litert_worker, onnx_worker
from edgekit.converters.samples import Samples
from edgekit.formats import onnx, tflite
from edgekit.formats.graph import Graph
from edgekit.workers import silent


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """400 images of which the first alone reaches -3 and 7: an average over the items would forget it."""
    values = np.random.default_rng(0).uniform(0, 1, (400, 6, 4, 3)).astype(np.float32)
    values[0, 0, 0, 0], values[0, 5, 3, 2] = -3.0, 7.0
    Samples.write(tmp_path / "samples", [{"image": image} for image in values], 400)
    return tmp_path / "samples"


def ends(found: Mapping[str, Any]) -> tuple[float, float]:
    return float(np.squeeze(found["min"])), float(np.squeeze(found["max"]))


def test_tflite_ranges_cover_every_item_and_follow_the_recipe(tiny_models: Path, samples: Path) -> None:
    source = tiny_models / "convnet.tflite"
    name = tflite.read_graph(source).input_tensors["image"]
    request = {"source": str(source), "samples": str(samples), "seed": 0, "ranges": {}, "states": [], "clip": False}
    whole = litert_worker._ranges({**request, "precision": "int8"}, silent)
    assert ends(whole[name]) == (-3.0, 7.0)
    assert litert_worker._ranges({**request, "precision": "int16x8"}, silent) == whole
    low, high = ends(litert_worker._ranges({**request, "precision": "int8", "clip": True}, silent)[name])
    assert -3.0 <= low <= 0.0 < high <= 7.0
    assert high - low < 10.0  # clipped: two of 28,800 values are far out
    assert litert_worker._ranges({**request, "precision": "fp16"}, silent) is None


def test_known_ranges_stand_and_the_others_are_measured(tiny_models: Path, samples: Path) -> None:
    source = tiny_models / "convnet.tflite"
    name = tflite.read_graph(source).input_tensors["image"]
    request = {
        "source": str(source),
        "samples": str(samples),
        "seed": 0,
        "ranges": {name: [-1.0, 1.0]},
        "states": [],
        "forms": [],
        "clip": False,
    }
    found = litert_worker._ranges({**request, "precision": "int8"}, silent)
    assert ends(found[name]) == (-1.0, 1.0)
    graph = tflite.read_graph(source)
    assert set(found) == {n for n, info in graph.tensors.items() if info.dtype == "float32" and not info.constant}


@pytest.fixture
def prepared(tiny_models: Path, tmp_path: Path) -> Path:
    path = tmp_path / "prepared.onnx"
    onnx_worker.fold({"source": str(tiny_models / "convnet.onnx"), "path": str(path), "batch": 1}, silent)
    return path


def test_onnx_ranges_cover_every_item_and_follow_the_recipe(prepared: Path, samples: Path) -> None:
    request = {"source": str(prepared), "samples": str(samples), "seed": 0, "ranges": {}, "states": []}
    assert onnx_worker._ranges({**request, "clip": False}, silent)["image"] == (-3.0, 7.0)
    low, high = onnx_worker._ranges({**request, "clip": True}, silent)["image"]
    assert high - low < 10.0


def weight_scales(graph: Graph) -> list[tuple[int | None, ...]]:
    """Shapes of the scales of constants with several axes."""
    return [
        graph.tensors[node.inputs[1]].shape or ()
        for node in graph.nodes
        if node.op == "DequantizeLinear"
        and graph.tensors[node.inputs[0]].constant
        and len(graph.tensors[node.inputs[0]].shape or ()) > 1
    ]


@pytest.mark.parametrize("granularity", ["per-channel", "per-tensor"])
def test_granularity_decides_how_many_scales_weights_have(
    prepared: Path, samples: Path, tmp_path: Path, granularity: str
) -> None:
    assert onnx.read_graph(prepared).inputs[0].shape == (1, 6, 4, 3)  # the free batch axis was fixed
    request = {
        "source": str(prepared), "path": str(tmp_path / "int8.onnx"), "samples": str(samples), "seed": 0,
        "precision": "int8", "ranges": {}, "clip": True, "pairs": True, "scales": {}, "granularity": granularity,
        "keep_float": [], "portable": False, "states": [], "forms": [],
    }  # fmt: skip
    onnx_worker.quantize(request, silent)
    shapes = weight_scales(onnx.read_graph(tmp_path / "int8.onnx"))
    assert shapes
    assert [shape == () for shape in shapes] == [granularity == "per-tensor"] * len(shapes)


@pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors.*:UserWarning")  # of the quantizer's own trial
@pytest.mark.parametrize("granularity", ["per-channel", "per-tensor"])
@pytest.mark.parametrize(("interface", "dtype"), [("int8", "int8"), ("float", "float32")])
def test_granularity_and_interface_of_a_tflite_file_are_those_asked_for(
    tiny_models: Path, samples: Path, tmp_path: Path, granularity: str, interface: str, dtype: str
) -> None:
    request = {
        "source": str(tiny_models / "convnet.tflite"), "path": str(tmp_path / "int8.tflite"), "samples": str(samples),
        "seed": 0, "precision": "int8", "ranges": {}, "clip": True, "granularity": granularity, "interface": interface,
        "keep_float": [], "states": [], "forms": [],
    }  # fmt: skip
    litert_worker.quantize(request, silent)
    graph = tflite.read_graph(tmp_path / "int8.tflite")
    assert [spec.dtype for spec in (*graph.inputs, *graph.outputs)] == [dtype] * 2
    kernels = [t for t in graph.tensors.values() if t.constant and len(t.shape or ()) == 4 and t.dtype == "int8"]
    assert kernels
    assert all((len(t.scale) == 1) == (granularity == "per-tensor") for t in kernels)
