"""What inspect tells of a file, and what it refuses."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command import edgekit
from tiny_two_stage import two_stage
from tiny_verifier import verifier

from edgekit.formats.graph import Graph, Node, TensorInfo
from edgekit.measure import inspect_table
from edgekit.measure.inspect import OperatorCount, inspect
from edgekit.measure.macs import count_macs, count_parameters, peak_activation_bytes

# A convolution and a depthwise one, each to 3 x 2 x 4, and a dense layer of 4 to 5.
CONVNET_MACS = 24 * 27 + 24 * 9 + 4 * 5


@pytest.mark.parametrize(
    ("name", "macs", "peak"),
    [
        ("convnet.tflite", CONVNET_MACS, (72 + 24) * 4),
        ("convnet_any_batch.tflite", CONVNET_MACS, (72 + 24) * 4),
        ("convnet_int8.tflite", CONVNET_MACS, 72 + 24),
        ("convnet.onnx", CONVNET_MACS, (72 + 72) * 4),
        ("two_inputs.tflite", 4 * 3 + 4 * 2, None),
        ("two_inputs.onnx", 4 * 3 + 4 * 2, None),
        ("quantized_interface.onnx", 4 * 3, (4 + 3) * 4),
        ("lstm.tflite", 4 * 4 * (3 * 2 + 2 * 2), None),
    ],
)
def test_macs_and_activations_are_those_worked_out_by_hand(
    name: str, macs: int, peak: int | None, tiny_models: Path
) -> None:
    found = inspect(tiny_models / name)
    assert found.macs == macs
    assert peak is None or found.peak_activation_bytes == peak


def test_a_keras_file_is_counted_without_running_it(tiny_models: Path) -> None:
    found = inspect(tiny_models / "convnet.keras")
    assert (found.parameters, found.weights_bytes) == (177, {"float32": 708})
    assert [(o.op, o.count) for o in found.operators][-1] == ("Dense", 1)
    assert found.unknown == ("task", "preprocessing", "labels", "macs", "peak_activation_bytes")


def test_a_tower_tells_its_threshold_and_its_head(tmp_path: Path) -> None:
    rows = inspect_table.facts(inspect(verifier(tmp_path)))
    assert ["threshold", "the same at a distance of 0.1 or less"] in rows
    assert ["second file", "v.head.onnx, in the same folder"] in rows
    untrained = inspect_table.facts(inspect(verifier(tmp_path, threshold=None, head=None)))
    assert ["threshold", "none, since it was not trained"] in untrained
    assert "second file" not in [name for name, _ in untrained]


def test_a_detector_of_two_files_tells_its_second_file(tmp_path: Path) -> None:
    assert ["second file", "d.heads.onnx, in the same folder"] in inspect_table.facts(inspect(two_stage(tmp_path)))


def graph(*nodes: Node, **tensors: TensorInfo) -> Graph:
    names = {name: name for name in ("x",)}
    return Graph(
        inputs=(), outputs=(), input_tensors=names, output_tensors={}, nodes=nodes, tensors=tensors, versions={}
    )


def node(op: str, inputs: list[str], output: str, **attributes: int) -> Node:
    return Node(name=op, op=op, inputs=tuple(inputs), outputs=(output,), attributes=attributes, version=1)


def tensor(*shape: int | None) -> TensorInfo:
    return TensorInfo(shape=shape, dtype="float32")


@pytest.mark.parametrize(
    ("made", "macs"),
    [
        (graph(node("TRANSPOSE_CONV", ["s", "w", "x"], "y"), s=tensor(4), w=tensor(8, 3, 3, 2), x=tensor(1, 5, 5, 2)),
         50 * 8 * 9),
        (graph(node("BATCH_MATMUL", ["x", "w"], "y"), x=tensor(2, 3, 4), w=tensor(2, 4, 5), y=tensor(2, 3, 5)), 30 * 4),
        (graph(node("Conv", ["x", "w"], "y"), x=tensor(1, 4, 9, 9), w=tensor(8, 2, 3, 3), y=tensor(1, 8, 9, 9)),
         8 * 81 * 2 * 9),
        (graph(node("ConvTranspose", ["x", "w"], "y"), x=tensor(1, 4, 5, 5), w=tensor(4, 8, 3, 3)), 100 * 8 * 9),
        (graph(node("Gemm", ["x", "w"], "y", transA=1), x=tensor(7, 2), w=tensor(7, 3), y=tensor(2, 3)), 6 * 7),
        (graph(node("LSTM", ["x", "w", "r"], "y"), x=tensor(5, 1, 3), w=tensor(1, 8, 3), r=tensor(1, 8, 2)),
         5 * (24 + 16)),
        (graph(node("Gemm", ["x", "w"], "y"), x=tensor(1, 2), w=tensor(2, 3), y=tensor(None, None)), None),
        (graph(node("Gemm", ["x", "w"], "y"), x=tensor(1, 2), w=tensor(2, 3)), None),
        (graph(node("Relu", ["x"], "y")), 0),
        (graph(node("BATCH_MATMUL", ["x", "w"], "y"), x=tensor(2, 4, 3), w=tensor(2, 4, 5), y=tensor(2, 3, 5)), 30 * 4),
        (graph(node("QLinearConv", [*"xsz", "w"], "y"), w=tensor(8, 2, 3, 3), y=tensor(1, 8, 9, 9)), 8 * 81 * 2 * 9),
        (graph(node("QLinearMatMul", [*"xsz", "w"], "y"), x=tensor(3, 4), w=tensor(4, 5), y=tensor(3, 5)), 15 * 4),
        (graph(replace(node("Gemm", ["x", "w"], "y"), custom=True), x=tensor(1, 2), w=tensor(2, 3), y=tensor(1, 3)), 0),
    ],
)  # fmt: skip
def test_macs_of_single_operators(made: Graph, macs: int | None) -> None:
    assert count_macs(made) == macs


def test_scales_and_zero_points_are_no_parameters_and_integer_biases_are() -> None:
    def constant(dtype: str, *shape: int) -> TensorInfo:
        return TensorInfo(shape=shape, dtype=dtype, constant=True)

    made = graph(
        node("DequantizeLinear", ["w", "scale", "zero"], "real"),
        node("DequantizeLinear", ["b", "scale", "none"], "bias"),
        node("Reshape", ["real", "shape"], "y"),
        w=constant("int8", 3, 4),
        scale=constant("float32", 3),
        zero=constant("int8", 3),
        b=constant("int32", 3),
        shape=constant("int64", 2),
    )
    assert count_parameters(made) == 12 + 3


def test_activations_live_from_their_maker_to_their_last_reader() -> None:
    tensors = {"x": tensor(10), "a": tensor(100), "b": tensor(20), "c": tensor(5)}
    chain = [node("Relu", ["x"], "a"), node("Relu", ["a"], "b"), node("Add", ["b", "x"], "c")]
    assert peak_activation_bytes(graph(*chain, **tensors)) == (10 + 100 + 20) * 4
    assert peak_activation_bytes(graph(*chain[:2], **tensors)) == (100 + 20) * 4
    kept = replace(graph(*chain, **tensors), output_tensors={"a": "a", "c": "c"})
    assert peak_activation_bytes(kept) == (10 + 100 + 20 + 5) * 4  # an output lives to the end
    assert peak_activation_bytes(graph(node("Relu", ["x"], "a"), x=tensor(10))) is None


def test_weights_that_are_dequantized_first_are_no_activations() -> None:
    constant = TensorInfo(shape=(1000,), dtype="float16", constant=True, model_bytes=2000)
    nodes = [node("DEQUANTIZE", ["w"], "real"), node("MUL", ["x", "real"], "y")]
    tensors = {"w": constant, "real": tensor(1000), "x": tensor(10), "y": tensor(10)}
    assert peak_activation_bytes(graph(*nodes, **tensors)) == 20 * 4


def test_the_command_writes_json_and_exits_1_when_the_target_refuses(tiny_models: Path) -> None:
    path = str(tiny_models / "convnet_int8.tflite")
    done = edgekit("inspect", path, "--json", "-", "--target", "litertjs")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "Not told by the file: task, preprocessing, labels."
    assert done.stderr.splitlines()[1].startswith(f"edgekit: {path} does not fit litertjs: 'image' is int8,")
    data = json.loads(done.stdout)
    (row,) = data["results"]
    assert (data["schema_version"], data["command"]) == (1, "inspect")
    assert (row["artifact"], row["format"], row["recipe"]) == (path, "tflite", "unknown")
    assert row["metrics"]["macs"] == CONVNET_MACS
    assert row["operators"][0] == {"op": "CONV_2D", "version": 3, "count": 1, "custom": False}
    assert len(row["misfits"]) == 2


def test_findings_that_the_table_tells_are_not_told_again(tiny_models: Path) -> None:
    for name, target, told in (
        ("convnet_int8.tflite", "litertjs", "for 2 reasons; the table tells them, and how to mend them"),
        ("convnet.onnx", "micro", "for 1 reason; the table tells it, and how to mend it"),
    ):
        done = edgekit("inspect", tiny_models / name, "--target", target)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == f"edgekit: {tiny_models / name} does not fit {target} {told}."
        assert done.stdout.count("│ refused") == (2 if target == "litertjs" else 1)


def test_the_command_shows_tables(tiny_models: Path) -> None:
    done = edgekit("inspect", str(tiny_models / "convnet.onnx"))
    assert done.returncode == 0
    for words in ("MACs", "884", "any x 6 x 4 x 3", "GlobalAveragePool", "custom operators"):
        assert words in done.stdout


def test_no_framework_is_loaded(tiny_models: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from edgekit.measure.inspect import inspect; "
        f"[inspect(Path({str(tiny_models)!r}) / n) for n in ('convnet.tflite', 'convnet.onnx', 'convnet.keras')]; "
        "heavy = {'tensorflow', 'keras', 'onnx', 'onnxruntime', 'ai_edge_litert', 'google'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_custom_operators_are_told_by_what_they_need(tiny_models: Path) -> None:
    found = inspect(tiny_models / "convnet.tflite")
    custom = tuple(
        OperatorCount(op=op, version=1, count=1, custom=True)
        for op in ("TFLite_Detection_PostProcess", "FlexErf", "Mine")
    )
    told = dict(inspect_table.facts(replace(found, operators=custom)))["custom operators"]
    assert told == "TFLite_Detection_PostProcess (built into LiteRT), FlexErf (needs the Flex delegate), Mine"
    assert dict(inspect_table.facts(found))["custom operators"] == "none"


@pytest.mark.shared_data
def test_published_figures_are_met(shared_data: Path) -> None:
    folder = shared_data / "models"
    # Google's table of MobileNetV1: 0.25-128 has 14 M MACs and 0.47 M parameters, 0.5-160 has 77 M and 1.34 M.
    small, half = (inspect(folder / f"mobilenet_v1_{n}_quant.tflite") for n in ("0.25_128", "0.5_160"))
    assert (small.macs, small.parameters) == (13_570_304, 467_593)
    assert (half.macs, half.parameters) == (76_525_312, 1_326_633)
    for name in ("resnet8_cifar10_float.tflite", "resnet8_cifar10_int8.tflite"):
        assert inspect(folder / name).macs == 12_501_632  # MLPerf Tiny gives 12.5 M
    assert inspect(folder / "ssd_mobilenet_v1_coco_quant_postprocess.tflite").custom_operators == (
        "TFLite_Detection_PostProcess",
    )


@pytest.mark.shared_data
def test_every_foreign_model_is_inspected(shared_data: Path) -> None:
    files = [f for f in sorted((shared_data / "models").iterdir()) if f.suffix in (".tflite", ".onnx", ".h5")]
    for file in files:
        found = inspect(file)
        assert found.parameters
        assert file.suffix == ".h5" or (found.macs and found.peak_activation_bytes)
    assert len(files) == 14
