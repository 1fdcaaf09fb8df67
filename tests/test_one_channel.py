"""Layers that read or write one channel: what `convert` says of them, and that it helps to do as it says."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from target_graphs import graph, node, tensor

from edgekit.artifact import Format
from edgekit.converters import Request, convert
from edgekit.converters.one_channel import one_channel_note
from edgekit.converters.report import Converted
from edgekit.formats.graph import Graph
from edgekit.recipe import Precision, Recipe

_MODEL = """
import keras
from keras import layers
keras.utils.set_random_seed(0)
image = keras.Input((8, 8, 1), name="image")
wide = layers.Conv2D(4, 3, padding="same", activation="relu", name="grey")(image)
wide = layers.Conv2D(4, 3, padding="same", activation="relu", name="inner")(wide)
keras.Model(image, layers.Conv2DTranspose(1, 3, strides=2, name="pixels")(wide)).save("small.keras")
"""


def layer(op: str, *kernel: int) -> Graph:
    """A graph of one operator with a kernel (outputs, height, width, inputs), which makes the tensor ``made``."""
    inputs = ("shape", "kernel", "x") if op == "TRANSPOSE_CONV" else ("x", "kernel", "bias")
    operator = replace(node(op, *inputs), outputs=("made",))
    return graph(operator, kernel=replace(tensor("float32"), shape=kernel), made=tensor("float32"), x=tensor("float32"))


@pytest.mark.parametrize(
    ("op", "kernel", "told"),
    [
        ("CONV_2D", (16, 5, 5, 1), True),
        ("CONV_2D", (16, 5, 1, 1), True),
        ("CONV_2D", (16, 1, 1, 1), False),  # a product, not a window
        ("CONV_2D", (16, 5, 5, 3), False),
        ("CONV_2D", (1, 5, 5, 16), False),
        ("TRANSPOSE_CONV", (1, 3, 3, 8), True),
        ("TRANSPOSE_CONV", (8, 3, 3, 1), False),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 1), False),
    ],
)
def test_only_windows_over_one_channel_are_told(op: str, kernel: tuple[int, ...], told: bool) -> None:
    made = layer(op, *kernel)
    assert (r"--keep-float '^first\.conv$' makes" in one_channel_note(made, {"made": ("first.conv",)}, ())) is told
    assert one_channel_note(made, {}, made.nodes) == ""


def converted(folder: Path, name: str, fmt: Format, recipe: Recipe) -> Converted:
    """The file that is made of the model in ``folder``."""
    source, data = folder / "small.keras", str(folder / "data.npz")
    request = Request(
        source=source, recipes=(recipe,), formats=(fmt,), calibration=data, output_dir=folder / name, force=True
    )
    return convert(request).artifacts[0]


@pytest.mark.slow
def test_what_is_told_keeps_just_these_layers(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _MODEL], check=True, capture_output=True, cwd=tmp_path)
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).random((32, 8, 8, 1)).astype(np.float32))
    whole = converted(tmp_path, "whole", Format.TFLITE, Recipe(precision=Precision.INT8))
    (pattern,) = re.findall("--keep-float '(.*)' makes a faster int8 file", " ".join(whole.notes))
    assert pattern == "^(grey|pixels)$"
    kept = converted(tmp_path, "kept", Format.TFLITE, Recipe(precision=Precision.INT8, keep_float=(pattern,)))
    assert "one channel" not in " ".join(kept.notes)
    assert sorted({op.op for op in kept.float_ops}) == ["CONV_2D", "TRANSPOSE_CONV"]
    assert len(kept.float_ops) == 2
    for fmt, precision in (Format.ONNX, Precision.INT8), (Format.TFLITE, Precision.DYNAMIC):
        told = converted(tmp_path, f"{fmt.value}.{precision.value}", fmt, Recipe(precision=precision)).notes
        assert "one channel" not in " ".join(told)
