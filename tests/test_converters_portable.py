"""Scales at which every CPU rounds alike: proven on all pairs of bytes, against exact fractions."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command import edgekit
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.artifact import open_artifact
from edgekit.converters import onnx_worker
from edgekit.converters.portable import is_odd_fraction, portable_overrides, require_portable
from edgekit.converters.samples import Samples
from edgekit.errors import ConversionError
from edgekit.workers import silent

SCALES = st.floats(1e-3, 10, allow_nan=False)
SHAPE = (1, 4, 6, 6)


def model(*nodes: Any, outputs: tuple[str, ...] = ("c",), constants: dict[str, Any] | None = None) -> Any:
    """A float graph with the inputs ``a`` and ``b``."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes),
        "g",
        [value(name, TensorProto.FLOAT, SHAPE) for name in "ab"],
        [value(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(v, np.float32), name) for name, v in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), [output], name=f"the_{op}", **attributes)


def quantized(op: str, scales: dict[str, float], shape: tuple[int, ...] = SHAPE, **attributes: Any) -> Any:
    """``c = op(a[, b])`` on bytes, as the quantizer writes it; zero points are 100."""
    inputs = [name for name in scales if name != "c"]
    nodes = [helper.make_node("DequantizeLinear", [n, f"{n}_scale", "zero"], [f"{n}_float"]) for n in inputs]
    nodes.append(helper.make_node(op, [f"{n}_float" for n in inputs], ["c_float"], name="it", **attributes))
    nodes.append(helper.make_node("QuantizeLinear", ["c_float", "c_scale", "zero"], ["c"]))
    constants = [numpy_helper.from_array(np.array(s, np.float32), f"{n}_scale") for n, s in scales.items()]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value(n, TensorProto.UINT8, shape) for n in inputs],
        [value("c", TensorProto.UINT8, None)],
        [*constants, numpy_helper.from_array(np.array(100, np.uint8), "zero")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: Any, feed: dict[str, Any]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)[0]


def odd_fraction(factor: float) -> tuple[int, int]:
    """(p, q) of the smallest odd q for which ``factor`` is p/q as far as float32 scales can tell."""
    return next((round(factor * q), q) for q in range(1, 4096, 2) if is_odd_fraction([factor * q], 1))


def chosen(overrides: dict[str, Any]) -> dict[str, float]:
    return {name: float(entry[0]["scale"]) for name, entry in overrides.items()}


ALL_PAIRS = dict(zip("ab", (v.reshape(1, 1, 256, 256) for v in np.indices((256, 256)).astype(np.uint8)), strict=True))


@settings(max_examples=15)
@given(SCALES, SCALES, SCALES)
def test_every_sum_of_two_bytes_is_the_exact_one_rounded(a: float, b: float, c: float) -> None:
    ranges = {"a": (0.0, 255 * a), "b": (-255 * b, 0.0), "c": (-1.0, 255 * c - 1)}
    scales = chosen(portable_overrides(model(node("Add", "a b", "c")), ranges))
    unit = max(scales.values()) / 1023
    whole = {name: round(scale / unit) for name, scale in scales.items()}
    assert {name: n * unit for name, n in whole.items()} == pytest.approx(scales, rel=1e-6)
    steps = {name: values.astype(np.int64) - 100 for name, values in ALL_PAIRS.items()}
    total = steps["a"] * whole["a"] + steps["b"] * whole["b"]
    # Never half between two steps: the denominator is odd. So floor(x + 1/2) is rounding, whatever the rule for halves.
    exact = (2 * total + whole["c"]) // (2 * whole["c"])
    found = run(quantized("Add", scales, (1, 1, 256, 256)), ALL_PAIRS)
    np.testing.assert_array_equal(found, np.clip(exact + 100, 0, 255))


@settings(max_examples=15)
@given(SCALES, SCALES, st.floats(0.005, 1))
def test_every_product_of_two_bytes_is_the_exact_one_rounded(a: float, b: float, share: float) -> None:
    ranges = {"a": (0.0, 255 * a), "b": (0.0, 255 * b), "c": (0.0, 255 * 255 * a * b * share)}
    scales = chosen(portable_overrides(model(node("Mul", "a b", "c")), ranges))
    p, q = odd_fraction(scales["a"] * scales["b"] / scales["c"])
    steps = {name: values.astype(np.int64) - 100 for name, values in ALL_PAIRS.items()}
    exact = (2 * steps["a"] * steps["b"] * p + q) // (2 * q)
    found = run(quantized("Mul", scales, (1, 1, 256, 256)), ALL_PAIRS)
    np.testing.assert_array_equal(found, np.clip(exact + 100, 0, 255))


@settings(max_examples=15)
@given(SCALES, st.floats(0.05, 1), st.integers(1, 8), st.integers(1, 8))
def test_every_mean_of_bytes_is_the_exact_one_rounded(a: float, share: float, height: int, width: int) -> None:
    count, channels = height * width, 512
    float_model = model(node("GlobalAveragePool", "a", "c"))
    for axis, size in zip((2, 3), (height, width), strict=True):
        float_model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    scales = chosen(portable_overrides(float_model, {"a": (0.0, 255 * a), "c": (0.0, 255 * a * share)}))
    p, q = odd_fraction(scales["a"] / scales["c"] / count)
    values = np.random.default_rng(0).integers(0, 256, (1, channels, height, width)).astype(np.uint8)
    exact = (2 * (values.astype(np.int64) - 100).sum(axis=(2, 3), keepdims=True) * p + q) // (2 * q)
    found = run(quantized("GlobalAveragePool", scales, values.shape), {"a": values})
    np.testing.assert_array_equal(found, np.clip(exact + 100, 0, 255))


@given(SCALES, SCALES, SCALES)
def test_no_range_shrinks_and_large_ones_hardly_grow(a: float, b: float, c: float) -> None:
    asked = {"a": a, "b": b, "c": c}
    given_scales = chosen(
        portable_overrides(model(node("Add", "a b", "c")), {n: (0.0, 255 * s) for n, s in asked.items()})
    )
    largest = max(asked.values())
    for name, scale in asked.items():
        assert scale * (1 - 1e-6) <= given_scales[name] <= scale + 2.001 / 1023 * largest


def test_tensors_that_share_a_scale_go_on_sharing_it() -> None:
    graph = model(
        node("MaxPool", "a", "pooled", kernel_shape=[1, 1]),
        node("Add", "pooled b", "sum"),
        node("Relu", "sum", "c"),
        node("Identity", "a", "d"),
        outputs=("c", "d"),
    )
    ranges = {"a": (0.0, 1.0), "pooled": (0.0, 0.9), "b": (-3.0, 3.0), "sum": (-4.0, 4.0), "c": (0.0, 4.0)}
    overrides = portable_overrides(graph, ranges)
    assert overrides["a"] == overrides["pooled"]
    assert overrides["sum"] == overrides["c"]
    assert (overrides["c"][0]["zero_point"], overrides["b"][0]["zero_point"]) == (0, 128)
    assert is_odd_fraction([overrides[n][0]["scale"] / overrides["c"][0]["scale"] for n in ("a", "b")], 1023)


def test_an_activation_that_others_bypass_keeps_a_scale_of_its_own() -> None:
    graph = model(node("Add", "a b", "sum"), node("Relu", "sum", "c"), node("Neg", "sum", "d"), outputs=("c", "d"))
    ranges = {"a": (0.0, 1.0), "b": (-3.0, 3.0), "sum": (-4.0, 4.0), "c": (0.0, 4.0)}
    overrides = portable_overrides(graph, ranges)
    assert overrides["sum"][0]["zero_point"] == 128
    assert "c" not in overrides


def convert(source: Path, folder: Path, *, portable: bool) -> Any:
    """The int8 file of the float ``source``, calibrated on noise."""
    random = np.random.default_rng(0)
    onnx_worker.fold({"source": str(source), "path": str(folder / "prepared.onnx"), "batch": 1}, silent)
    names = [value.name for value in onnx.load(str(source)).graph.input]
    items = [{n: random.normal(0, 1, SHAPE[1:]).astype(np.float32) for n in names} for _ in range(20)]
    Samples.write(folder / "samples", items, len(items))
    request = {
        "source": str(folder / "prepared.onnx"), "path": str(folder / "x.int8.onnx"), "seed": 0, "precision": "int8",
        "samples": str(folder / "samples"), "ranges": {}, "states": [], "clip": True, "pairs": True, "scales": {},
        "granularity": "per-channel", "keep_float": [],
        "portable": portable,
    }  # fmt: skip
    onnx_worker.quantize(request, silent)
    return onnx.load(str(folder / "x.int8.onnx"))


def test_the_quantizer_takes_the_chosen_scales(every_operator: Path, tmp_path: Path) -> None:
    made = convert(every_operator, tmp_path, portable=True)
    require_portable(made, "x.int8.onnx")
    assert {"Add", "Mul", "GlobalAveragePool"} <= {n.op_type for n in made.graph.node}


def test_an_ordinary_file_is_refused(every_operator: Path, tmp_path: Path) -> None:
    made = convert(every_operator, tmp_path, portable=False)
    with pytest.raises(ConversionError) as caught:
        require_portable(made, "x.int8.onnx")
    assert str(caught.value) == (
        "x.int8.onnx cannot have the same bits on every CPU: the scales around Add 'the_sum' leave results half "
        "between two steps; convert without --portable."
    )


@pytest.mark.parametrize("scales", [{"a": 0.5, "b": 1.0, "c": 1.0}, {"a": 0.5004, "b": 0.7, "c": 1.001}])
def test_scales_that_leave_halves_are_refused(scales: dict[str, float]) -> None:
    with pytest.raises(ConversionError, match="the scales around Add 'it' leave results half between two steps"):
        require_portable(quantized("Add", scales), "x")
    require_portable(quantized("Add", {"a": 1 / 3, "b": 2 / 3, "c": 1.0}), "x")


def test_weights_that_overflow_in_pairs_are_refused(every_operator: Path, tmp_path: Path) -> None:
    made = convert(every_operator, tmp_path, portable=True)
    kernels = {t.name: t for t in made.graph.initializer if t.data_type == TensorProto.INT8 and len(t.dims) == 4}
    for name in [n.input[0] for n in made.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in kernels][:1]:
        full = np.full(kernels[name].dims, 127, np.int8)
        kernels[name].CopyFrom(numpy_helper.from_array(full, name))
    with pytest.raises(ConversionError) as caught:
        require_portable(made, "x.int8.onnx")
    assert str(caught.value) == (
        "x.int8.onnx cannot have the same bits on every CPU: pairs of weights of Conv 'Conv' overflow on x86 without "
        "VNNI; convert without --portable."
    )


def test_an_operator_without_an_exact_form_is_refused(tmp_path: Path) -> None:
    onnx.save(model(node("Add", "a b", "sum"), node("Sigmoid", "sum", "c")), str(tmp_path / "float.onnx"))
    with pytest.raises(ConversionError) as caught:
        convert(tmp_path / "float.onnx", tmp_path, portable=True)
    assert str(caught.value) == (
        "x.int8.onnx cannot have the same bits on every CPU: Sigmoid 'the_Sigmoid' has no exact 8-bit form; "
        "convert without --portable."
    )


def test_the_values_of_a_mean_may_be_an_output_as_well() -> None:
    value = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, (1, 4, 3, 3))
    graph = model(
        node("MaxPool", "a", "pooled", kernel_shape=[2, 2], strides=[2, 2]), node("GlobalAveragePool", "pooled", "c")
    )
    graph.graph.output.append(value)
    scales = chosen(portable_overrides(graph, {"a": (0.0, 1.0), "pooled": (0.0, 1.0), "c": (0.0, 0.7)}))
    assert is_odd_fraction([scales["pooled"] / scales["c"] / 9], 1023)


def test_a_mean_over_an_unknown_number_of_values_is_refused() -> None:
    made = quantized("GlobalAveragePool", {"a": 4.0, "c": 1 / 3})
    require_portable(made, "x")
    made.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(ConversionError, match="the scales around GlobalAveragePool 'it'"):
        require_portable(made, "x")


def test_the_flag_makes_int8_portable_and_other_recipes_as_ever(tiny_models: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).uniform(0, 1, (20, 6, 4, 3)).astype(np.float32))
    done = edgekit(
        "convert", str(tiny_models / "convnet.onnx"), "--portable", "--int8", "-p", "fp32", "--calibration",
        str(tmp_path / "x.npz"), "-o", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    recipes = [open_artifact(tmp_path / f"convnet.{r}.onnx").card.provenance.recipe for r in ("int8", "fp32")]
    assert [recipe.portable for recipe in recipes if recipe is not None] == [True, False]
    require_portable(onnx.load(str(tmp_path / "convnet.int8.onnx")), "convnet.int8.onnx")


def test_the_flag_without_int8_is_refused(tiny_models: Path) -> None:
    done = edgekit("convert", str(tiny_models / "convnet.onnx"), "--portable", "-p", "fp16", "-p", "fp32")
    assert (done.returncode, done.stderr) == (
        2,
        "edgekit: --portable is for int8; got fp16, fp32: add --int8, or leave it out.\n",
    )
