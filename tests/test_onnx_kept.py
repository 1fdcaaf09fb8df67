"""Operators that stay in float between integers, in ONNX files."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.onnx_kept import pass_unhalved, read_unrounded


@pytest.mark.parametrize("moved", [False, True])
def test_a_kept_operator_reads_inputs_that_nothing_rounded(moved: bool) -> None:
    """Behind a transposition too, which convolutions of images begin with."""
    given, order = ("turned", [helper.make_node("Transpose", ["image"], ["turned"], perm=[0, 2, 1])])
    nodes = [
        *(order if moved else [helper.make_node("Relu", ["image"], ["unused"])]),
        helper.make_node("QuantizeLinear", [given if moved else "image", "scale", "zero"], ["steps"]),
        helper.make_node("DequantizeLinear", ["steps", "scale", "zero"], ["rounded"]),
        helper.make_node("Mul", ["rounded", "rounded"], ["square"], name="kept"),
        helper.make_node("Neg", ["rounded"], ["other"], name="others"),
    ]
    tables = {"scale": np.float32(0.5), "zero": np.int8(0)}
    shape = (1, 2, 3)
    out = (1, 3, 2) if moved else shape
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, out) for name in ("square", "other")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tables.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    image = np.random.default_rng(0).normal(0, 1000, shape).astype(np.float32)
    seen = image.transpose(0, 2, 1) if moved else image

    def run() -> list[np.ndarray]:
        return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": image})

    assert run()[0].max() == 64**2  # cut to the range of the integers
    read_unrounded(model, {"kept"})
    square, other = run()
    np.testing.assert_allclose(square, seen**2, rtol=1e-6)
    assert -other.min() < 64


def test_kept_operators_pass_on_what_float16_has_no_room_for() -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    nodes = [
        helper.make_node("Mul", ["given", "half"], ["made"], name="made"),
        helper.make_node("Sub", ["given", "made"], ["difference"], name="kept_difference"),
        helper.make_node("Mul", ["difference", "difference"], ["square"], name="kept_square"),
        helper.make_node("Neg", ["square"], ["score"], name="kept_score"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("given", TensorProto.FLOAT, (3,))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (3,)) for name in ("made", "score")],
        [numpy_helper.from_array(np.float32(0.5), "half")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = convert_float_to_float16(model, keep_io_types=True, node_block_list=[n.name for n in nodes[1:]])
    given = np.array([1e4, 300.123, 1], np.float32)

    def run() -> list[np.ndarray]:
        return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"given": given})

    assert np.isneginf(run()[1][0])
    pass_unhalved(model)
    made, score = run()
    np.testing.assert_allclose(score, -((given - made) ** 2), rtol=1e-6)
    (first,) = (node for node in model.graph.node if node.name == "made")
    assert first.input[0] != "given"  # it reads halves still
