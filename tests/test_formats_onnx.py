"""ONNX files: reading without onnx or an engine, writing metadata without touching the model."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgekit.errors import ArtifactError, EdgekitError
from edgekit.formats.onnx import parse_graph, read_graph, read_metadata, with_outputs, write_metadata

MODELS = Path(__file__).parent / "golden" / "models"
CONVNET = (MODELS / "convnet.onnx").read_bytes()


def test_tensors_operators_and_versions_are_read(tiny_models: Path) -> None:
    graph = read_graph(tiny_models / "convnet.onnx")
    model = onnx.load(tiny_models / "convnet.onnx")
    assert [n.op for n in graph.nodes] == [n.op_type for n in model.graph.node]
    assert [n.inputs for n in graph.nodes] == [tuple(n.input) for n in model.graph.node]
    assert graph.inputs[0].shape == (None, 6, 4, 3)
    assert graph.versions["ir"] == model.ir_version
    assert graph.versions["ai.onnx"] == model.opset_import[0].version
    for weight in model.graph.initializer:
        info = graph.tensors[weight.name]
        assert (info.shape, info.model_bytes, info.constant) == (tuple(weight.dims), len(weight.raw_data), True)


def test_an_integer_interface_has_scale_and_zero_point(tiny_models: Path) -> None:
    graph = read_graph(tiny_models / "quantized_interface.onnx")
    assert (graph.inputs[0].scale, graph.inputs[0].zero_point) == ((1 / 64,), (128,))
    assert (graph.outputs[0].scale, graph.outputs[0].zero_point) == ((1 / 16,), (100,))


def test_weights_listed_as_inputs_and_bodies_of_branches_are_told_apart() -> None:
    value = helper.make_tensor_value_info
    then = helper.make_graph([helper.make_node("Neg", ["x"], ["a"])], "then", [], [value("a", TensorProto.FLOAT, [2])])
    other = helper.make_graph([helper.make_node("Abs", ["x"], ["b"])], "else", [], [value("b", TensorProto.FLOAT, [2])])
    node = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    inputs = [value("x", TensorProto.FLOAT, [2]), value("c", TensorProto.BOOL, [])]
    constant = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    graph = helper.make_graph([node], "g", inputs, [value("y", TensorProto.FLOAT, [2])], [constant])
    found = parse_graph(helper.make_model(graph).SerializeToString(), "m")
    assert [s.name for s in found.inputs] == ["x"]
    assert [(n.op, n.subgraph) for n in found.nodes] == [("If", 0), ("Abs", 1), ("Neg", 1)]  # else comes first


def test_metadata_leaves_the_model_as_it_was() -> None:
    written = write_metadata(CONVNET, "edgekit.card", b"{}", where="m")
    before, after = onnx.load_from_string(CONVNET), onnx.load_from_string(written)
    assert {p.key: p.value for p in after.metadata_props}["edgekit.card"] == "{}"
    after.ClearField("metadata_props")
    before.ClearField("metadata_props")
    assert after.SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)


@given(st.text(max_size=200), st.text(max_size=200))
@settings(max_examples=40, deadline=None)
def test_metadata_is_replaced_and_deterministic(first: str, second: str) -> None:
    once = write_metadata(CONVNET, "k", second.encode(), where="m")
    again = write_metadata(write_metadata(CONVNET, "k", first.encode(), where="m"), "k", second.encode(), where="m")
    assert again == once
    assert read_metadata(once, "m")["k"] == second


def test_inner_tensors_become_outputs() -> None:
    import onnxruntime

    data = with_outputs((MODELS / "quantized_interface.onnx").read_bytes(), ["product"], where="m")
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (product,) = session.run(["product"], {"x": np.full((2, 4), 192, np.uint8)})
    np.testing.assert_allclose(product, np.tile(np.arange(-6, 6).reshape(4, 3).sum(0) / 8, (2, 1)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "m is not an ONNX file, or is cut off: it holds no graph; copy or export it again."),
        (b"\x08\x08", "m is not an ONNX file, or is cut off: it holds no graph; copy or export it again."),
        (b"\x0f", "m is damaged: a field has wire type 7; copy, download or convert it again."),
        (
            b"\x3a\xff\x7f",
            "m is damaged: a field of 16383 bytes goes beyond its end; copy, download or convert it again.",
        ),
        (b"\xff" * 30, "m is damaged: a number has more than ten bytes; copy, download or convert it again."),
    ],
)
def test_a_damaged_file_is_one_sentence(data: bytes, message: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        parse_graph(data, "m")
    assert str(caught.value) == message


@given(length=st.integers(0, len(CONVNET) - 1))
@settings(max_examples=150, deadline=None)
def test_a_truncated_file_never_raises_anything_else(length: int) -> None:
    read_everything(CONVNET[:length])


@given(changes=st.lists(st.tuples(st.integers(0, len(CONVNET) - 1), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_a_changed_file_never_raises_anything_else(changes: list[tuple[int, int]]) -> None:
    data = bytearray(CONVNET)
    for position, value in changes:
        data[position] = value
    read_everything(bytes(data))


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    read_everything(data)


def read_everything(data: bytes) -> None:
    sentences: list[str] = []
    for action in (
        lambda: parse_graph(data, "m"),
        lambda: read_metadata(data, "m"),
        lambda: write_metadata(data, "k", b"v", where="m"),
    ):
        try:
            action()
        except EdgekitError as error:
            sentences.append(str(error))
    assert not any("\n" in s for s in sentences)
