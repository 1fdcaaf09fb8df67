"""Channels of hardly any weights keep their biases in int8 files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.converters import litert_worker, tflite_edit
from edgekit.converters.accuracy.network import Kind
from edgekit.converters.bias_room import LARGEST_BIAS, make_room, with_room
from edgekit.converters.samples import Samples
from edgekit.runtimes import open_runtime
from edgekit.workers import silent

BIASES = np.array([0.0, 3.0, -2.0], np.float32)


@pytest.mark.parametrize(
    ("kind", "shape", "axis"),
    [(Kind.CONV, (3, 1, 2, 4), 0), (Kind.DENSE, (3, 8), 0), (Kind.DEPTHWISE, (1, 2, 4, 3), 3)],
)
def test_the_largest_weight_of_a_channel_grows_to_what_its_bias_needs(
    kind: Kind, shape: tuple[int, ...], axis: int
) -> None:
    kernel = np.zeros(shape, np.float32)
    np.moveaxis(kernel, axis, 0)[2].flat[5] = -1e-20
    scale = 0.01
    roomy = with_room(kernel, BIASES, scale, kind)
    rows = np.moveaxis(roomy, axis, 0).reshape(3, -1)
    assert not rows[0].any()
    assert np.count_nonzero(rows, axis=1).tolist() == [0, 1, 1]
    assert rows[2, 5] < 0
    steps = np.abs(BIASES[1:]) / (scale * np.abs(rows[1:]).max(axis=1) / 127)
    np.testing.assert_allclose(steps, LARGEST_BIAS, rtol=1e-5)
    assert not kernel[..., 0].any()  # its own array is left alone


def test_ordinary_channels_and_unused_inputs_stay_as_they_are() -> None:
    kernel = np.random.default_rng(0).normal(0, 1e-3, (3, 8)).astype(np.float32)
    assert np.array_equal(with_room(kernel, BIASES, 1e-2, Kind.DENSE), kernel)
    assert np.array_equal(with_room(np.zeros_like(kernel), BIASES, 0.0, Kind.DENSE), np.zeros_like(kernel))


def dead(source: Path, path: Path) -> Path:
    """``source`` with a first channel of every convolution that is its bias of 2 alone."""
    model: Any = tflite_edit.open_model(source)
    for name, (kind, operator) in tflite_edit.weighted_operators(model).items():
        kernel, bias = tflite_edit.kernel_of(model, operator), tflite_edit.bias_of(model, operator)
        assert kernel is not None
        if bias is None or kind is Kind.DENSE:
            continue
        kernel, bias = kernel.copy(), bias.copy()
        np.moveaxis(kernel, 3 if kind is Kind.DEPTHWISE else 0, 0)[0] = 0
        bias[0] = 2.0
        tflite_edit.set_weights(model, operator, kernel, bias, name)
    tflite_edit.save_model(model, path)
    return path


@pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors.*:UserWarning")  # of the quantizer's own trial
def test_a_dead_channel_keeps_its_bias_in_the_file(tiny_models: Path, tmp_path: Path) -> None:
    source = dead(tiny_models / "convnet.tflite", tmp_path / "dead.tflite")
    images = np.random.default_rng(0).uniform(0, 1, (40, 6, 4, 3)).astype(np.float32)
    Samples.write(tmp_path / "samples", [{"image": image} for image in images], 40)
    request = {
        "source": str(source), "path": str(tmp_path / "int8.tflite"), "samples": str(tmp_path / "samples"), "seed": 0,
        "precision": "int8", "ranges": {}, "clip": True, "granularity": "per-channel", "interface": "float",
        "keep_float": [], "states": [], "forms": [],
    }  # fmt: skip
    litert_worker.quantize(request, silent)
    runtimes = [open_runtime(path) for path in (source, tmp_path / "int8.tflite")]
    (name,), (given,) = ([spec.name for spec in side] for side in (runtimes[0].outputs, runtimes[0].inputs))
    wanted, found = (np.concatenate([r.run({given: i[None]})[name] for i in images]) for r in runtimes)
    assert np.abs(wanted - found).max() < 0.05 * np.abs(wanted).max()


def test_a_file_with_room_is_not_changed(tiny_models: Path) -> None:
    model = tflite_edit.open_model(tiny_models / "convnet.tflite")
    names = [tflite_edit.name_of(tensor) for tensor in model.subgraphs[0].tensors]
    assert not make_room(model, dict.fromkeys(names, (0.0, 1.0)))
