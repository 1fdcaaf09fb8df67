"""Operators that stay in float between integers, in ONNX files."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.onnx_kept import read_unrounded


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
