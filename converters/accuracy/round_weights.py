"""Rounding weights so that the errors of one cancel those of others on the inputs that really occur.

Frantar et al. 2023, "GPTQ: Accurate post-training quantization for generative pre-trained transformers", section 3: the
weights of an output are rounded one after the other, and what a rounding costs is spread over those still to come,
weighted by how the inputs move together.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.converters.accuracy.network import Kind, Op, Weights
from edgekit.converters.weight_scales import LARGEST, without_overflow

POSITIONS = 4096
"""Positions whose inputs are looked at: several times the inputs of the widest layer of the zoo."""
DAMPING = 0.01
"""Share of the mean power of an input that is added to each, so that few positions do not mislead (section 3.4)."""
_BLOCK = 64

Matrix = npt.NDArray[np.float64]


def adapted_kernel(op: Op, scales: Weights, inputs: list[Any], *, pairs: bool) -> Weights:
    """The kernel of ``op`` on the levels of ``scales``, rounded for the activations ``inputs``, batches of a tensor.

    The largest weight of each channel keeps its level, so that an engine that looks for the scale finds the same one.
    """
    if op.kernel is None:
        raise ValueError(f"{op.name} has no kernel.")
    patches = _patches(op, inputs)
    if op.kind is Kind.DEPTHWISE:
        rows = op.kernel.reshape(-1, op.channels)
        scale = np.broadcast_to(scales, op.kernel.shape).reshape(-1, op.channels)[0]
        taps = patches.reshape(len(patches), -1, op.channels).transpose(2, 1, 0)
        steps = _rounded_apart(rows, taps @ taps.transpose(0, 2, 1) / len(patches), scale)
        kernel: Weights = (steps * scale).reshape(op.kernel.shape).astype(np.float32)
        return kernel
    rows = op.kernel.reshape(-1, op.channels)
    scale = np.broadcast_to(scales, (op.channels,))
    steps = _rounded_together(rows, patches.T @ patches / len(patches), scale)
    shaped = steps.reshape(op.kernel.shape)
    kernel = ((without_overflow(shaped) if pairs else shaped) * scale).astype(np.float32)
    return kernel


def _patches(op: Op, inputs: list[Any]) -> Weights:
    """What the kernel is multiplied with, (positions, weights of an output), at about `POSITIONS` positions."""
    import tensorflow as tf

    if op.kind is Kind.DENSE:
        rows = np.concatenate([value.numpy().reshape(-1, value.shape[-1]) for value in inputs])
        return rows[:: max(1, len(rows) // POSITIONS)]
    height, width = op.kernel.shape[:2] if op.kernel is not None else (1, 1)
    rate = (1, *op.dilations, 1)
    places = sum(len(value) for value in inputs) * np.prod(inputs[0].shape[1:3]) / np.prod(op.strides)
    sparse = max(1, int(np.sqrt(places / POSITIONS)))
    strides = (1, sparse * op.strides[0], sparse * op.strides[1], 1)
    found = [tf.image.extract_patches(v, (1, height, width, 1), strides, rate, op.padding.upper()) for v in inputs]
    return np.concatenate([patch.numpy().reshape(-1, patch.shape[-1]) for patch in found])


def _rounded_together(weights: Weights, power: Matrix, scale: Weights) -> Matrix:
    """Levels of ``weights`` (inputs, outputs) with ``power`` (inputs, inputs), inputs of most power first."""
    count = len(weights)
    order = np.argsort(-np.diag(power), kind="stable")
    left = (weights[order] / scale).astype(np.float64)
    largest = np.argmax(np.abs(left), axis=0)
    damped = power[np.ix_(order, order)].astype(np.float64)
    damped[np.diag_indices(count)] += DAMPING * max(float(np.mean(np.diag(damped))), 1e-12)
    spread = np.linalg.cholesky(np.linalg.inv(damped)).T
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
    mean = np.trace(power, axis1=1, axis2=2) / taps
    damped = power + (DAMPING * np.maximum(mean, 1e-12))[:, None, None] * np.eye(taps)
    spread = np.linalg.cholesky(np.linalg.inv(damped.astype(np.float64))).transpose(0, 2, 1)
    levels = np.zeros_like(left)
    for i in range(taps):
        levels[i] = np.clip(np.rint(left[i]), -LARGEST, LARGEST)
        pinned = largest == i
        levels[i, pinned] = np.clip(np.rint(weights[i, pinned] / scale[pinned]), -LARGEST, LARGEST)
        lost = (left[i] - levels[i]) / spread[:, i, i]
        left[i + 1 :] -= spread[:, i, i + 1 :].T * lost
    return levels
