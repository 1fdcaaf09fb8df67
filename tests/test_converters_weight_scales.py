"""Eight-bit ONNX weights: no pair of neighbours can overflow sixteen bits, and no channel loses more than it must."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.weight_scales import full_scale, pair_safe_scale, weight_overrides

WEIGHTS = arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.floats(-4, 4, width=32))


def largest_pair(rows: Any, scale: Any) -> float:
    """Largest 255 * (q0 + q1) of two neighbours, as ``vpmaddubsw`` would add them."""
    steps = np.clip(np.rint(rows / scale), -127, 127)
    padded = np.concatenate([steps, np.zeros((len(steps) % 2, steps.shape[1]))])
    return float(np.abs(255 * padded.reshape(-1, 2, rows.shape[1]).sum(axis=1)).max())


@given(WEIGHTS)
def test_no_pair_overflows(rows: Any) -> None:
    assert largest_pair(rows, pair_safe_scale(rows)) < 2**15


def test_all_eight_bits_would_overflow_where_two_large_weights_are_neighbours() -> None:
    rows = np.array([[1.0], [0.9]], np.float32)
    assert largest_pair(rows, full_scale(rows)) >= 2**15
    assert pair_safe_scale(rows) == pytest.approx(1.9 / 127.5)


def test_channels_without_such_a_pair_keep_all_eight_bits() -> None:
    rows = np.array([[1.0, 1.0, 0.0], [-1.0, 0.001, 0.0], [1.0, 0.5, 0.0]], np.float32)
    assert pair_safe_scale(rows)[:2] == pytest.approx([1 / 127, 1 / 127])
    assert pair_safe_scale(rows)[2] > 0


def overrides(op: str, values: Any, **attributes: Any) -> list[dict[str, Any]]:
    node = helper.make_node(op, ["x", "w"], ["y"], **attributes)
    information = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in "xy"]
    graph = helper.make_graph([node], "g", information[:1], information[1:], [numpy_helper.from_array(values, "w")])
    return weight_overrides(helper.make_model(graph), {})["w"]


def test_pairs_are_sought_with_channels_first_and_last() -> None:
    kernel = np.zeros((1, 2, 1, 2), np.float32)  # (output, input, height, width)
    kernel[0, :, 0, 0] = 1.0  # neighbours only where channels come last
    (channel,) = overrides("Conv", kernel)
    assert (channel["scale"], channel["axis"]) == (pytest.approx(2 / 127.5), 0)
    kernel = np.zeros((1, 2, 1, 2), np.float32)
    kernel[0, 0, 0, :] = 1.0  # neighbours only where channels come first
    assert overrides("Conv", kernel)[0]["scale"] == pytest.approx(2 / 127.5)


def test_depthwise_kernels_keep_all_eight_bits() -> None:
    made = overrides("Conv", np.ones((3, 1, 3, 3), np.float32), group=3)
    assert [c["scale"] for c in made] == pytest.approx([1 / 127] * 3)


@pytest.mark.parametrize("groups", [1, 2])
def test_kernels_of_one_channel_that_are_not_depthwise_add_pairs(groups: int) -> None:
    made = overrides("Conv", np.ones((4, 1, 3, 3), np.float32), group=groups)
    assert [c["scale"] for c in made] == pytest.approx([2 / 127.5] * 4)


@pytest.mark.parametrize(("transposed", "axis"), [(0, 1), (1, 0)])
def test_dense_weights_are_scaled_by_output(transposed: int, axis: int) -> None:
    values = np.array([[1.0, -1.0, 2.0], [1.0, 1.0, 2.0]], np.float32)  # (inputs, outputs)
    made = overrides("Gemm", values.T.copy() if transposed else values, transB=transposed)
    assert made[0]["axis"] == axis
    assert [c["scale"] for c in made] == pytest.approx([2 / 127.5, 1 / 127, 4 / 127.5])
