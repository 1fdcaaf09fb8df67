"""The one function that turns images into inputs, against a resampler of another make and by its own rules."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.codec import from_jsonable, to_jsonable
from edgekit.errors import CardError, DataError, InputError
from edgekit.preprocessing import PRESETS, Colour, Layout, Preprocessing, Resize, normalize, preprocess, preset, resize

GOLDEN = Path(__file__).parent / "golden" / "preprocessing.npz"
LEVEL = 1.01  # both resamplers round to 8 bits once more than the golden: one level of 255, and float error


@pytest.fixture(scope="module")
def golden() -> dict[str, npt.NDArray[Any]]:
    """Arrays of tests/golden/make_preprocessing.py; ``image`` is (11, 17, 3) uint8 RGB without any symmetry."""
    with np.load(GOLDEN) as stored:
        return dict(stored)


@pytest.mark.parametrize(("name", "step"), [("raw", 1.0), ("unit", 1 / 255), ("tf", 1 / 127.5), ("torch", 1 / 57.1)])
def test_presets_equal_an_independent_resampler(golden: dict[str, Any], name: str, step: float) -> None:
    got = preprocess(golden["image"], preset(name, size_hw=(8, 8)))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, golden[f"crop_{name}"], rtol=0, atol=LEVEL * step)


def test_stretch_to_bgr_and_nchw_equals_an_independent_resampler(golden: dict[str, Any]) -> None:
    spec = Preprocessing(size_hw=(8, 6), resize=Resize.STRETCH, colour=Colour.BGR, layout=Layout.NCHW)
    got = preprocess(golden["image"], spec)
    assert got.shape == (3, 8, 6)
    assert got.flags.c_contiguous
    np.testing.assert_allclose(got, golden["stretch_bgr_nchw"], rtol=0, atol=LEVEL)


def test_letterbox_equals_an_independent_resampler(golden: dict[str, Any]) -> None:
    got = preprocess(golden["image"], Preprocessing(size_hw=(8, 8), resize=Resize.LETTERBOX))
    np.testing.assert_allclose(got, golden["letterbox_raw"], rtol=0, atol=LEVEL)


def test_letterbox_enlarges_a_small_image_to_the_longer_side_in_the_middle() -> None:
    image = np.full((2, 3, 3), 50, np.uint8)
    got = preprocess(image, Preprocessing(size_hw=(8, 9), resize=Resize.LETTERBOX, pad_value=7))
    expected = np.full((8, 9, 3), 7, np.float32)
    expected[1:7] = 50  # 3 times as large
    np.testing.assert_array_equal(got, expected)


def test_presets_take_the_centre_of_an_image_larger_by_256_to_224() -> None:
    assert preset("tf", size_hw=(224, 192)).short_side == 256
    assert preset("tf", size_hw=(96, 160)).short_side == 183


@pytest.mark.parametrize("damage", [lambda i: i[..., ::-1], lambda i: i[::-1], lambda i: i[:, ::-1]])
def test_the_golden_notices_swapped_colours_and_mirrored_images(golden: dict[str, Any], damage: Any) -> None:
    got = preprocess(np.ascontiguousarray(damage(golden["image"])), preset("raw", size_hw=(8, 8)))
    assert np.abs(got - golden["crop_raw"]).max() > 20 * LEVEL


def test_an_image_of_the_models_size_is_not_touched(golden: dict[str, Any]) -> None:
    image = golden["image"]
    for how in Resize:
        spec = Preprocessing(size_hw=(11, 17), resize=how, short_side=40)
        np.testing.assert_array_equal(preprocess(image, spec), image.astype(np.float32))


def test_gray_becomes_colour_by_repetition_and_equal_channels_become_gray(golden: dict[str, Any]) -> None:
    gray = golden["image"][..., :1]
    colour = resize(gray, preset("raw", size_hw=(8, 8)))
    assert colour.shape == (8, 8, 3)
    assert (colour == colour[..., :1]).all()
    spec = preset("raw", size_hw=(8, 8), channels=1)
    np.testing.assert_array_equal(resize(np.repeat(gray, 3, axis=2), spec), resize(gray, spec))


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 1, 0), (0, 0, 1)])
def test_a_coloured_image_never_becomes_gray_by_itself(golden: dict[str, Any], order: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as caught:
        preprocess(golden["image"][..., order], preset("raw", size_hw=(8, 8), channels=1))
    assert str(caught.value) == (
        "An image has 3 channels; the model takes 1: convert the images or choose another model."
    )


def test_an_image_is_uint8_with_three_axes() -> None:
    with pytest.raises(DataError) as caught:
        preprocess(np.zeros((4, 4), np.uint8), preset("raw", size_hw=(2, 2)))
    assert str(caught.value) == "An image is (height, width, channels) uint8; got (4, 4) uint8."


def test_a_strip_of_pixels_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(DataError) as caught:
        preprocess(np.zeros((1, 60_000, 3), np.uint8), preset("raw", size_hw=(224, 224)))
    assert str(caught.value) == "An image is 1 x 60000; expected at most 100 times as long as wide to crop from."


def test_integers_are_rounded_and_saturated() -> None:
    spec = Preprocessing(size_hw=(1, 3), short_side=3, colour=Colour.GRAY, scale=(1.1,), offset=(-130.4,), dtype="int8")
    # -130.4 and 150.1 are beyond int8; -13.8 would become -13 without rounding.
    np.testing.assert_array_equal(
        preprocess(np.array([[[0], [106], [255]]], np.uint8), spec), np.array([[[-128], [-14], [127]]], np.int8)
    )


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    how=st.sampled_from(Resize),
    layout=st.sampled_from(Layout),
    colour=st.sampled_from(Colour),
    name=st.sampled_from(PRESETS),
)
def test_any_image_becomes_the_models_shape_inside_the_presets_range(
    height: int, width: int, size: tuple[int, int], how: Resize, layout: Layout, colour: Colour, name: str
) -> None:
    channels = 1 if colour is Colour.GRAY else 3
    if name == "torch" and channels == 1:
        return
    spec = replace(preset(name, size_hw=size, channels=channels, layout=layout), resize=how, colour=colour)
    image = np.random.default_rng(0).integers(0, 256, (height, width, channels)).astype(np.uint8)
    got = preprocess(image, spec)
    assert got.shape == ((channels, *size) if layout is Layout.NCHW else (*size, channels))
    ends = [normalize(np.full((*size, channels), v), spec) for v in (0, 255)]
    assert (ends[0] - 1e-6 <= got).all()
    assert (got <= ends[1] + 1e-6).all()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name: str) -> None:
    spec = preset(name, size_hw=(96, 160))
    assert from_jsonable(Preprocessing, to_jsonable(spec)) == spec


def test_a_misspelt_key_is_named() -> None:
    with pytest.raises(CardError) as caught:
        from_jsonable(Preprocessing, {"size_hw": [8, 8], "color": "bgr"})
    assert str(caught.value) == (
        "Preprocessing has an unknown key 'color'; known keys: "
        "size_hw, resize, short_side, pad_value, colour, layout, scale, offset, dtype."
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size_hw": (0, 8)}, "An image size is at least 1 x 1; got 0 x 8."),
        ({"size_hw": (8, 8), "resize": Resize.CROP}, "A crop to (8, 8) needs a short side of 8 or more; got None."),
        (
            {"size_hw": (8, 8), "short_side": 8, "scale": (1.0, 2.0)},
            "Preprocessing has 2 values of scale; expected 1 or 3.",
        ),
        ({"size_hw": (8, 8), "short_side": 8, "pad_value": 256}, "A padding value is 0..255; got 256."),
        (
            {"size_hw": (8, 8), "short_side": 8, "dtype": "float23"},
            "Preprocessing cannot give 'float23'; did you mean float32?",
        ),
    ],
)
def test_impossible_preprocessing_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Preprocessing(**arguments)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("name", "channels", "sentence"),
    [
        ("torh", 3, "There is no preprocessing 'torh'; did you mean torch?"),
        ("unit", 2, "Preprocessing 'unit' is for images of 1 or 3 channels; this model takes 2."),
        ("torch", 1, "Preprocessing 'torch' is for images of 3 channels; this model takes 1."),
    ],
)
def test_impossible_presets_are_refused(name: str, channels: int, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        preset(name, size_hw=(8, 8), channels=channels)
    assert str(caught.value) == sentence
