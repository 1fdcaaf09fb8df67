"""Rounding weights so that the errors of one cancel those of others on the inputs that really occur.

Frantar et al. 2023, "GPTQ: Accurate post-training quantization for generative pre-trained transformers", section 3: the
weights of an output are rounded one after the other, and what a rounding costs is spread over those still to come,
weighted by how the inputs move together.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.converters.accuracy.network import Kind, Op, Weights
from edgekit.converters.weight_scales import LARGEST, without_overflow

POSITIONS = 1024
"""Positions whose inputs are looked at at least; twice as many as a weight has companions, where that is more."""
MOST_POSITIONS = 2048
"""Positions whose inputs are looked at at most: time and memory grow with them."""
DAMPING = 0.01
"""Share of the mean power of an input that is added to each, so that few positions do not mislead (section 3.4)."""
_BLOCK = 64

Matrix = npt.NDArray[np.float64]


def adapted_kernel(op: Op, scales: Weights, inputs: Sequence[Any], *, pairs: bool) -> Weights | None:
    """The kernel of ``op`` on the levels of ``scales``, rounded for the activations ``inputs``, batches of a tensor.

    The largest weight of each channel keeps its level, so that an engine that looks for the scale finds the same one.
    ``None`` where there are fewer positions than inputs, which would fit the rounding to chance.
    """
    import tensorflow as tf

    if op.kernel is None:
        raise ValueError(f"{op.name} has no kernel.")
    patches = _patches(op, inputs)
    count = int(patches.shape[0])
    rows = op.kernel.reshape(-1, op.channels)
    if op.kind is Kind.DEPTHWISE:
        scale = np.broadcast_to(scales, op.kernel.shape).reshape(-1, op.channels)[0]
        taps = tf.transpose(tf.reshape(patches, (count, -1, op.channels)), (2, 1, 0))
        levels = _rounded_apart(rows, tf.matmul(taps, taps, transpose_b=True).numpy() / count, scale)
        kernel: Weights = (levels * scale).reshape(op.kernel.shape).astype(np.float32)
        return kernel
    if count < len(rows):
        return None
    scale = np.broadcast_to(scales, (op.channels,))
    levels = _rounded_together(rows, tf.matmul(patches, patches, transpose_a=True).numpy() / count, scale)
    shaped = levels.reshape(op.kernel.shape)
    kernel = ((without_overflow(shaped) if pairs else shaped) * scale).astype(np.float32)
    return kernel


def _patches(op: Op, inputs: Sequence[Any]) -> Any:
    """What the kernel is multiplied with, (positions, weights of an output), at a part of all positions."""
    import tensorflow as tf

    shape = op.kernel.shape if op.kernel is not None else (1, 1)
    companions = math.prod(shape[:2] if op.kind is Kind.DEPTHWISE else shape[:-1])
    wanted = min(max(POSITIONS, 2 * companions), MOST_POSITIONS)
    if op.kind is Kind.DENSE:
        rows = tf.concat([tf.reshape(value, (-1, value.shape[-1])) for value in inputs], 0)
        return rows[:: max(1, int(rows.shape[0]) // wanted)]
    height, width = shape[:2]
    places = sum(len(value) for value in inputs) * np.prod(inputs[0].shape[1:3]) / np.prod(op.strides)
    sparse = max(1, int(np.sqrt(places / wanted)))
    steps = (sparse * op.strides[0], sparse * op.strides[1])
    if (height, width) == (1, 1):
        found = [value[:, :: steps[0], :: steps[1]] for value in inputs]
    else:
        window, rate = (1, height, width, 1), (1, *op.dilations, 1)
        found = [tf.image.extract_patches(v, window, (1, *steps, 1), rate, op.padding.upper()) for v in inputs]
    return tf.concat([tf.reshape(patch, (-1, patch.shape[-1])) for patch in found], 0)


def _spread(power: Matrix) -> Matrix:
    """The upper triangular U with U^T U the inverse of ``power`` (..., inputs, inputs), damped."""
    import tensorflow as tf

    count = power.shape[-1]
    mean = np.maximum(np.trace(power, axis1=-2, axis2=-1) / count, 1e-12)
    damped = power + DAMPING * mean[..., None, None] * np.eye(count)
    # The factor of the matrix turned around, turned back, is upper triangular, and its inverse is U.
    factor = tf.reverse(tf.linalg.cholesky(damped[..., ::-1, ::-1]), (-2, -1))
    eye = tf.eye(count, batch_shape=power.shape[:-2], dtype=factor.dtype)
    spread: Matrix = tf.linalg.triangular_solve(factor, eye, lower=False).numpy()
    return spread


def _rounded_together(weights: Weights, power: Matrix, scale: Weights) -> Matrix:
    """Levels of ``weights`` (inputs, outputs) with ``power`` (inputs, inputs), inputs of most power first."""
    count = len(weights)
    order = np.argsort(-np.diag(power), kind="stable")
    left = (weights[order] / scale).astype(np.float64)
    largest = np.argmax(np.abs(left), axis=0)
    spread = _spread(power[np.ix_(order, order)].astype(np.float64))
    levels = np.zeros_like(left)
    for start in range(0, count, _BLOCK):
        end = min(start + _BLOCK, count)
        lost = np.zeros((end - start, left.shape[1]))
        for i in range(start, end):
            levels[i] = np.clip(np.rint(left[i]), -LARGEST, LARGEST)
            pinned = largest == i
            levels[i, pinned] = np.clip(np.rint(weights[order[i], pinned] / scale[pinned]), -LARGEST, LARGEST)
            lost[i - start] = (left[i] - levels[i]) / spread[i, i]
            left[i + 1 : end] -= np.outer(spread[i, i + 1 : end], lost[i - start])
        left[end:] -= spread[start:end, end:].T @ lost
    result = np.empty_like(levels)
    result[order] = levels
    return result


def _rounded_apart(weights: Weights, power: Matrix, scale: Weights) -> Matrix:
    """Levels of ``weights`` (taps, channels), each channel with its own ``power`` (channels, taps, taps)."""
    taps = len(weights)
    left = (weights / scale).astype(np.float64)
    largest = np.argmax(np.abs(left), axis=0)
    spread = _spread(power.astype(np.float64))
    levels = np.zeros_like(left)
    for i in range(taps):
        levels[i] = np.clip(np.rint(left[i]), -LARGEST, LARGEST)
        pinned = largest == i
        levels[i, pinned] = np.clip(np.rint(weights[i, pinned] / scale[pinned]), -LARGEST, LARGEST)
        lost = (left[i] - levels[i]) / spread[:, i, i]
        left[i + 1 :] -= spread[:, i, i + 1 :].T * lost
    return levels
