"""Weights rounded together: less error on the inputs that occur, on the same levels, and no pair that overflows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.converters.accuracy.kernel_scales import WeightBits, kernel_scales
from edgekit.converters.accuracy.network import Kind, Op
from edgekit.converters.accuracy.round_weights import adapted_kernel
from edgekit.converters.weight_scales import LEVEL_LIMIT, without_overflow

tf = pytest.importorskip("tensorflow")


def op(kind: Kind, *shape: int) -> Op:
    kernel = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    channels = shape[2] if kind is Kind.DEPTHWISE else shape[-1]
    return Op(name="op", kind=kind, inputs=("x",), channels=channels, members=("op",), kernel=kernel, padding="same",
              bias=np.zeros(channels, np.float32))  # fmt: skip


def correlated(items: int, size: int, channels: int) -> np.ndarray:
    """Activations (items, size, size, channels) that move together, as those of trained networks do."""
    rng = np.random.default_rng(1)
    few = rng.normal(0, 1, (items, size, size, 4)) @ rng.normal(0, 1, (4, channels))
    return np.maximum(few + 0.1 * rng.normal(0, 1, few.shape), 0).astype(np.float32)


def output(kind: Kind, x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    if kind is Kind.DEPTHWISE:
        return tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "SAME").numpy()
    return tf.nn.conv2d(x, kernel, 1, "SAME").numpy()


@pytest.mark.parametrize(
    ("kind", "shape"), [(Kind.CONV, (1, 1, 24, 10)), (Kind.CONV, (3, 3, 7, 5)), (Kind.DEPTHWISE, (3, 3, 12, 1))]
)
@pytest.mark.parametrize("bits", [WeightBits.EIGHT, WeightBits.PAIRS])
def test_errors_cancel_on_the_levels_of_the_scale(kind: Kind, shape: tuple[int, ...], bits: WeightBits) -> None:
    layer, x = op(kind, *shape), correlated(16, 8, shape[2])
    assert layer.kernel is not None
    scales = kernel_scales(layer, bits, per_channel=True) * 8  # coarse, so that rounding matters
    adapted = adapted_kernel(layer, scales, [tf.constant(x[:8]), tf.constant(x[8:])], pairs=bits is WeightBits.PAIRS)
    assert adapted is not None
    levels = adapted / scales
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
    nearest = np.rint(layer.kernel / scales) * scales
    want = output(kind, x, layer.kernel)
    assert np.square(output(kind, x, adapted) - want).sum() < 0.95 * np.square(output(kind, x, nearest) - want).sum()


def test_the_largest_weight_of_a_channel_keeps_its_level() -> None:
    layer = op(Kind.CONV, 1, 1, 24, 10)
    assert layer.kernel is not None
    scales = kernel_scales(layer, WeightBits.EIGHT, per_channel=True)
    adapted = adapted_kernel(layer, scales, [tf.constant(correlated(16, 8, 24))], pairs=False)
    assert adapted is not None
    np.testing.assert_allclose(np.abs(adapted).max(axis=(0, 1, 2)), np.abs(layer.kernel).max(axis=(0, 1, 2)), rtol=1e-5)


def test_a_layer_with_fewer_positions_than_inputs_is_left_to_the_nearest_level() -> None:
    layer = op(Kind.DENSE, 40, 3)
    scales = kernel_scales(layer, WeightBits.EIGHT, per_channel=True)
    inputs = np.random.default_rng(0).normal(0, 1, (39, 40)).astype(np.float32)
    assert adapted_kernel(layer, scales, [tf.constant(inputs)], pairs=False) is None
    assert adapted_kernel(layer, scales, [tf.constant(np.vstack([inputs, inputs]))], pairs=False) is not None


@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_no_two_neighbours_of_one_sign_overflow(size: int, inputs: int, seed: int) -> None:
    levels = np.random.default_rng(seed).integers(-127, 128, (size, size, inputs, 4)).astype(float)
    safe = without_overflow(levels)
    for rows in (safe.reshape(-1, 4), np.moveaxis(safe, 2, 0).reshape(-1, 4)):
        pairs = rows[: len(rows) // 2 * 2].reshape(-1, 2, 4)
        same = np.sign(pairs[:, 0]) == np.sign(pairs[:, 1])
        assert (np.abs(pairs).sum(axis=1) * same).max(initial=0) <= LEVEL_LIMIT
    assert np.all(np.abs(safe) <= np.abs(levels))
    assert np.all(np.sign(safe) * np.sign(levels) >= 0)
    assert np.array_equal(without_overflow(levels / 2), levels / 2)  # what cannot overflow stays as it is
