"""What microcontrollers refuse, and that tflite-micro agrees."""

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from target_graphs import refused, tensor

from edgekit.card import TensorSpec
from edgekit.formats.graph import Graph
from edgekit.formats.tflite import read_graph
from edgekit.formats.tflite_objects import open_model, save_model

micro = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None, reason="tflite-micro is not installed (edgekit-ml[micro])"
)


@micro
@pytest.mark.parametrize(
    "name", ["convnet.tflite", "convnet_any_batch.tflite", "convnet_int8.tflite", "two_inputs.tflite", "lstm.tflite"]
)
def test_a_microcontroller_runs_what_fits(name: str, tiny_models: Path) -> None:
    assert refused(read_graph(tiny_models / name), "micro") == []
    assert micro_says(tiny_models / name) is None


@micro
@pytest.mark.parametrize("recipe", ["dynamic", "fp16"])
def test_a_microcontroller_refuses_what_does_not_fit(recipe: str, tiny_models: Path, tmp_path: Path) -> None:
    path = narrowed(tiny_models / "convnet.tflite", tmp_path / "m.tflite", recipe)
    assert len(refused(read_graph(path), "micro")) == 1
    assert refused(read_graph(path), "pi4") == []
    assert micro_says(path) is not None


@micro
@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SOFTMAX"])
def test_a_microcontroller_does_not_compute_with_uint8(op: str, tiny_models: Path, tmp_path: Path) -> None:
    signed = alone(tiny_models / "convnet_int8.tflite", tmp_path / "int8.tflite", op, unsigned=False)
    unsigned = alone(tiny_models / "convnet_int8.tflite", tmp_path / "uint8.tflite", op, unsigned=True)
    assert refused(read_graph(unsigned), "micro") == [
        f"{op} compute with uint8, which microcontrollers do not (convert its source with -p int8)"
    ]
    assert micro_says(unsigned) is not None
    assert (refused(read_graph(signed), "micro"), micro_says(signed)) == ([], None)


def alone(source: Path, path: Path, op: str, *, unsigned: bool) -> Path:
    """The first operator ``op`` of ``source`` in a file of its own, with its 8-bit tensors signed or not."""
    from ai_edge_litert import schema_py_generated as schema

    model: Any = open_model(source)
    subgraph = model.subgraphs[0]
    only = next(o for o in subgraph.operators if code(model, o) == getattr(schema.BuiltinOperator, op))
    for index in (*only.inputs, *only.outputs):
        if unsigned and subgraph.tensors[index].type == schema.TensorType.INT8:
            subgraph.tensors[index].type = schema.TensorType.UINT8
    subgraph.operators, subgraph.inputs, subgraph.outputs = [only], [only.inputs[0]], list(only.outputs)
    model.signatureDefs = []
    save_model(model, path)
    return path


def test_only_the_batch_may_be_free_on_a_microcontroller() -> None:
    made = Graph(
        inputs=(TensorSpec(name="x", shape=(None, None, 3), dtype="float32"),), outputs=(), input_tensors={"x": "x"},
        output_tensors={}, nodes=(), tensors={"x": tensor("float32")}, versions={},
    )  # fmt: skip
    assert refused(made, "micro") == [
        "'x' has a free dimension, shapes must be fixed (convert with a static batch: --batch static)"
    ]


def micro_says(path: Path) -> str | None:
    """Why tflite-micro does not run a file on zeros, None where it does."""
    from tflite_micro import runtime

    try:
        interpreter = runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=1 << 20)
        for place in range(len(read_graph(path).inputs)):
            taken = interpreter.get_input_details(place)
            interpreter.set_input(np.zeros(taken["shape"], taken["dtype"]), place)
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        return str(error)
    return None


def narrowed(source: Path, path: Path, recipe: str) -> Path:
    """``source`` with the weights of its dense layer in 8 bits beside real inputs, or in halves that are widened."""
    from ai_edge_litert import schema_py_generated as schema

    model: Any = open_model(source)
    subgraph = model.subgraphs[0]
    dense = next(o for o in subgraph.operators if code(model, o) == schema.BuiltinOperator.FULLY_CONNECTED)
    weights = subgraph.tensors[dense.inputs[1]]
    values = np.frombuffer(bytes(model.buffers[weights.buffer].data), np.float32)
    buffer = schema.BufferT()
    model.buffers.append(buffer)
    if recipe == "dynamic":
        scale = float(np.abs(values).max() / 127)
        buffer.data = np.rint(values / scale).astype(np.int8).view(np.uint8)
        weights.type, weights.buffer = schema.TensorType.INT8, len(model.buffers) - 1
        weights.quantization = schema.QuantizationParametersT()
        weights.quantization.scale, weights.quantization.zeroPoint = [scale], [0]
    else:
        buffer.data = values.astype(np.float16).view(np.uint8)
        half: Any = schema.TensorT()
        half.shape, half.name, half.type = list(weights.shape), "half", schema.TensorType.FLOAT16
        half.buffer, weights.buffer = len(model.buffers) - 1, 0
        subgraph.tensors.append(half)
        widen, opcode = schema.OperatorT(), schema.OperatorCodeT()
        opcode.deprecatedBuiltinCode = opcode.builtinCode = schema.BuiltinOperator.DEQUANTIZE
        opcode.version = 3
        model.operatorCodes.append(opcode)
        widen.opcodeIndex = len(model.operatorCodes) - 1
        widen.inputs, widen.outputs = [len(subgraph.tensors) - 1], [dense.inputs[1]]
        subgraph.operators.insert(0, widen)
    save_model(model, path)
    return path


def code(model: Any, operator: Any) -> int:
    found = model.operatorCodes[operator.opcodeIndex]
    return max(int(found.builtinCode), int(found.deprecatedBuiltinCode))
