"""YOLO is built as the paper's figure 3 shows, and narrower and smaller."""

from typing import Any

import numpy as np
import pytest

from edgekit.models.build import build
from edgekit.models.registry import find_spec

SPEC = find_spec("yolo_v1")
NARROW: dict[str, Any] = {"alpha": 0.1, "units": 16}


def kinds(model: Any, kind: str) -> list[Any]:
    return [layer for layer in model.layers if type(layer).__name__ == kind]


def test_the_full_network_has_the_papers_layers() -> None:
    model = build(SPEC, **NARROW)
    convolutions = kinds(model, "Conv2D")
    assert len(convolutions) == 24
    assert [layer.kernel_size[0] for layer in convolutions] == [7, 3, 1, 3, 1, 3, *(1, 3) * 5, *(1, 3) * 2, 3, 3, 3, 3]
    assert [layer.name for layer in convolutions if layer.strides == (2, 2)] == ["conv_1", "conv_22"]
    # figure 3: the sides of the maps, each after its halving
    sides = [layer.output.shape[1] for layer in (convolutions[0], *kinds(model, "MaxPooling2D"), convolutions[-1])]
    assert sides == [224, 112, 56, 28, 14, 7]
    assert [tuple(t.shape) for t in model.outputs] == [(None, 7, 7, 8), (None, 7, 7, 2), (None, 7, 7, 20)]
    assert model.output_names == ["boxes", "confidences", "classes"]
    assert [layer.name for layer in kinds(model, "Dense")] == [
        "hidden", "boxes_values", "confidences_values", "classes_values",
    ]  # fmt: skip
    assert kinds(model, "Dropout")[0].rate == 0.5
    assert {layer.negative_slope for layer in kinds(model, "LeakyReLU")} == {0.1}
    assert len(kinds(model, "LeakyReLU")) == 25


def test_the_tiny_one_has_those_of_fast_yolo() -> None:
    model = build(SPEC, depth="tiny", **NARROW)
    assert len(kinds(model, "Conv2D")) == 9
    assert [layer.output.shape[1] for layer in kinds(model, "MaxPooling2D")] == [224, 112, 56, 28, 14, 7]
    assert [layer.name for layer in kinds(model, "Dense")][:2] == ["reduce", "hidden"]
    assert [layer.name for layer in kinds(model, "LeakyReLU")][-1] == "hidden_relu"
    assert len(kinds(model, "LeakyReLU")) == 10  # the layer that reduces is linear


@pytest.mark.parametrize("depth", ["full", "tiny"])
@pytest.mark.parametrize("head", ["dense", "conv"])
@pytest.mark.parametrize(("size", "cell", "side"), [(64, 8, 8), (96, 16, 6), (100, 32, 4), (160, 64, 3)])
def test_a_cell_has_as_many_pixels_as_were_asked_for(depth: str, head: str, size: int, cell: int, side: int) -> None:
    arguments = {"size": size, "cell": cell, "depth": depth, "head": head, "boxes": 3, "classes": 4}
    model = build(SPEC, **NARROW, **arguments)
    assert [tuple(t.shape) for t in model.outputs] == [(None, side, side, n) for n in (12, 3, 4)]
    assert model.get_layer({"full": "conv_24", "tiny": "conv_9"}[depth]).output.shape[1] == side
    detection = SPEC.detection({**NARROW, **arguments})
    assert detection is not None
    assert detection.grid == (side, side)


def test_the_activation_is_leaky_or_not() -> None:
    leaky, plain = (build(SPEC, size=64, activation=a, **NARROW) for a in ("leaky", "relu"))
    assert (len(kinds(leaky, "LeakyReLU")), len(kinds(leaky, "ReLU"))) == (25, 0)
    assert (len(kinds(plain, "LeakyReLU")), len(kinds(plain, "ReLU"))) == (0, 25)
    pixels = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    plain.set_weights(leaky.get_weights())
    assert not np.allclose(leaky(pixels)[2], plain(pixels)[2], rtol=0.01, atol=0)


def test_a_dense_head_sees_the_whole_image_and_a_convolutional_one_what_is_around_its_cell() -> None:
    """The last cell answers to a change in the first one's corner, or not."""
    pixels = np.random.default_rng(0).random((2, 256, 256, 3), np.float32)
    pixels[1] = pixels[0]
    pixels[1, :8, :8] = 1 - pixels[1, :8, :8]
    for head, answers in (("dense", True), ("conv", False)):
        model = build(SPEC, size=256, cell=8, depth="tiny", head=head, **NARROW)
        first, second = np.asarray(model(pixels)[2])
        change = np.abs(first - second).max(axis=2) / np.abs(first).max(axis=2)
        assert change[0, 0] > 1e-3
        assert bool(change[-1, -1] > 1e-5) is answers


@pytest.mark.parametrize(("head", "suffix"), [("conv", ""), ("dense", "_values")])
def test_outputs_begin_near_zero_which_is_right_for_most_cells(head: str, suffix: str) -> None:
    model = build(SPEC, size=64, head=head, norm="batch", **NARROW)
    kernels = [model.get_layer(f"{name}{suffix}").get_weights()[0] for name in model.output_names]
    assert all(0.005 < kernel.std() < 0.015 for kernel in kernels)
    assert not np.array_equal(kernels[0][..., :2], kernels[1][..., :2])
