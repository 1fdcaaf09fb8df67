"""From items to inputs: what fits, and the sentence for what does not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.card import ModelCard, TensorSpec, dump_card
from edgekit.codec import to_jsonable
from edgekit.errors import CardError, DataError, InputError
from edgekit.feeding import Feeder, resolve_preprocessing
from edgekit.preprocessing import Colour, Layout, Preprocessing, preprocess, preset

PHOTO = np.random.default_rng(0).integers(0, 256, (11, 17, 3)).astype(np.uint8)
"""(11, 17, 3) RGB."""
FLOAT = TensorSpec(name="x", shape=(1, 8, 8, 3), dtype="float32")
QUANTIZED = TensorSpec(name="x", shape=(1, 8, 8, 3), dtype="uint8", scale=(1 / 128,), zero_point=(128,))


def feed(spec: TensorSpec, item: Any, how: Preprocessing | None = None) -> Any:
    """The one input that is made of ``item``."""
    return Feeder((spec,), how).feed(item)["x"]


def refused(spec: TensorSpec, item: Any, how: Preprocessing | None = None) -> str:
    """The sentence with which ``item`` is refused."""
    with pytest.raises(DataError) as caught:
        feed(spec, item, how)
    return str(caught.value)


def vector(dtype: str, *, size: int | None = 3, scale: tuple[float, ...] = ()) -> TensorSpec:
    """An input of vectors."""
    return TensorSpec(name="x", shape=(None, size), dtype=dtype, scale=scale, zero_point=(0,) * len(scale))


@pytest.mark.parametrize("spec", [FLOAT, QUANTIZED])
def test_images_are_preprocessed_to_real_numbers(spec: TensorSpec) -> None:
    how = preset("tf", size_hw=(8, 8))
    got = feed(spec, PHOTO, how)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, preprocess(PHOTO, how))


def test_gray_images_lose_their_channel_axis_for_models_without_one() -> None:
    spec = TensorSpec(name="x", shape=(1, 8, 8), dtype="float32")
    how = preset("unit", size_hw=(8, 8), channels=1)
    image = PHOTO[..., :1]
    np.testing.assert_array_equal(feed(spec, image, how), preprocess(image, how)[..., 0])


def test_arrays_of_the_models_type_are_fed_as_they_are() -> None:
    for spec, values in (
        (vector("float32"), np.ones(3, np.float32)),
        (vector("int8", scale=(0.1,)), np.ones(3, np.int8)),
        (vector("int8", scale=(0.1,)), np.ones(3, np.float64)),
        (vector("int32", size=None), np.ones(7, np.int32)),
        (QUANTIZED, np.full((8, 8, 3), 200, np.uint8)),
    ):
        assert feed(spec, values) is values


def test_numbers_are_converted_where_nothing_but_float_precision_is_lost() -> None:
    assert feed(vector("float32"), np.ones(3)).dtype == np.float32
    assert feed(vector("int32"), np.array([1, -2, 3])).dtype == np.int32


@pytest.mark.parametrize(
    ("spec", "item", "sentence"),
    [
        (
            vector("float32"),
            np.ones((3, 1), np.float32),
            "An item for input 'x' has shape 3 x 1; the model takes 3: resize or reshape the data.",
        ),
        (
            vector("float32"),
            np.array([1.0, np.nan, 0.0]),
            "An item for input 'x' holds NaN or infinite values; expected finite numbers.",
        ),
        (
            vector("float16"),
            np.array([1.0, 1e6, 0.0]),
            "An item for input 'x' holds values too large for float16: scale the data.",
        ),
        (
            vector("int8"),
            np.array([1, 200, 0]),
            "An item for input 'x' holds values outside int8: scale the data.",
        ),
        (
            vector("int8"),
            np.array([1, 200, 0], np.uint8),
            "An item for input 'x' holds values outside int8: scale the data.",
        ),
        (
            vector("float32"),
            np.array([1, 2, 3]),
            "An item for input 'x' is int64; the model takes float32: convert the data.",
        ),
        (
            vector("int8", scale=(0.1,)),
            np.array([True, False, True]),
            "An item for input 'x' is bool; the model takes int8 or real numbers: convert the data.",
        ),
        (
            vector("float32"),
            {"y": np.ones(3)},
            "The data has arrays named y; the model takes inputs named x: name the arrays after the inputs.",
        ),
        (
            vector("float32"),
            {"x": np.ones(3), "y": np.ones(3)},
            "The data has arrays named x, y; the model takes inputs named x: name the arrays after the inputs.",
        ),
        (
            FLOAT,
            PHOTO,
            "The data holds images and nothing says how they become the model's float32 input 'x': "
            "say it with --preprocess unit|tf|torch|raw or a card file, or attach a card.",
        ),
        (
            QUANTIZED,
            PHOTO,
            "The data holds images and nothing says how they become the model's uint8 input 'x': "
            "say it with --preprocess unit|tf|torch|raw or a card file, or attach a card.",
        ),
    ],
)
def test_items_that_do_not_fit_are_refused(spec: TensorSpec, item: Any, sentence: str) -> None:
    assert refused(spec, item) == sentence


def test_preprocessing_for_another_size_is_refused() -> None:
    assert refused(FLOAT, PHOTO, preset("unit", size_hw=(9, 8))) == (
        "An item for input 'x' has shape 9 x 8 x 3; the model takes 8 x 8 x 3: resize or reshape the data."
    )


def test_several_inputs_are_fed_by_name() -> None:
    specs = (vector("float32"), TensorSpec(name="photo", shape=(None, 3, 8, 8), dtype="float32"))
    how = preset("unit", size_hw=(8, 8), layout=Layout.NCHW)
    got = Feeder(specs, how).feed({"photo": PHOTO, "x": np.ones(3, np.float32)})
    np.testing.assert_array_equal(got["photo"], preprocess(PHOTO, how))
    np.testing.assert_array_equal(got["x"], np.ones(3))
    with pytest.raises(DataError) as caught:
        Feeder(specs, how).feed(PHOTO)
    assert str(caught.value) == (
        "The data gives one array for an item; the model takes 2 inputs named photo, x: "
        "give an .npz with an array for each."
    )


# --- whose word counts ----------------------------------------------------------------------------------------------


def card(spec: TensorSpec = FLOAT, how: Preprocessing | None = None, more: int = 0) -> ModelCard:
    """A card for a model called m."""
    return ModelCard(name="m", inputs=(spec,) * (1 + more), outputs=(), preprocessing=how)


def test_the_card_speaks_and_a_preset_serves_where_it_is_silent() -> None:
    unit = preset("unit", size_hw=(8, 8))
    assert resolve_preprocessing(card(how=unit), None) == unit
    assert resolve_preprocessing(card(), None) is None
    assert resolve_preprocessing(card(), "unit") == unit


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((None, 3, 8, 6), preset("tf", size_hw=(8, 6), layout=Layout.NCHW)),
        ((1, 8, 6, 1), preset("tf", size_hw=(8, 6), channels=1)),
        ((1, 8, 6), preset("tf", size_hw=(8, 6), channels=1)),
    ],
)
def test_a_preset_takes_size_and_layout_from_the_model(shape: Any, expected: Preprocessing) -> None:
    assert resolve_preprocessing(card(TensorSpec(name="x", shape=shape, dtype="float32")), "tf") == expected


def test_a_flag_may_repeat_the_card_but_not_contradict_it() -> None:
    bgr = Preprocessing(size_hw=(8, 8), short_side=8, colour=Colour.BGR, scale=(1 / 255,))
    assert resolve_preprocessing(card(how=bgr), "unit") == bgr
    no_offset = Preprocessing(size_hw=(8, 8), short_side=8, scale=(1 / 127.5,))
    with pytest.raises(InputError, match=r"^The card of m states another preprocessing than --preprocess tf: "):
        resolve_preprocessing(card(how=no_offset), "tf")
    with pytest.raises(InputError) as caught:
        resolve_preprocessing(card(how=bgr), "tf")
    assert str(caught.value) == (
        "The card of m states another preprocessing than --preprocess tf: leave the flag out, or "
        "change what the file says with `edgekit card attach`."
    )


def test_a_card_file_or_a_bare_preprocessing_object_is_read(tmp_path: Path) -> None:
    spec = preset("torch", size_hw=(8, 8))
    path = tmp_path / "card.json"
    for text in (dump_card(card(how=spec)), json.dumps(to_jsonable(spec))):
        path.write_text(text)
        assert resolve_preprocessing(card(), str(path)) == spec
    with pytest.raises(InputError, match=r"^The card of m states another preprocessing than --preprocess "):
        resolve_preprocessing(card(how=preset("unit", size_hw=(8, 8))), str(path))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "{} is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)."),
        ("[]", "{} is a list; expected an object with named values."),
        (dump_card(card()), "The card {} states no preprocessing; expected a key 'preprocessing' in it."),
        ('{"scale": [1]}', "{} lacks the key 'size_hw'."),
    ],
)
def test_card_files_that_do_not_fit_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises((InputError, CardError)) as caught:
        resolve_preprocessing(card(), str(path))
    assert str(caught.value) == sentence.replace("{}", str(path))


@pytest.mark.parametrize(
    ("model", "option", "sentence"),
    [
        (card(), "untt", "There is no preprocessing 'untt'; did you mean unit?"),
        (
            card(),
            "no.json",
            "There is no card file no.json; expected JSON with a card or a preprocessing object.",
        ),
        (
            card(more=1),
            "unit",
            "--preprocess unit is for models with one image input; m has 2 inputs: give their arrays as .npz.",
        ),
        (
            card(TensorSpec(name="x", shape=(None, None, None, 3), dtype="float32")),
            "unit",
            "Input 'x' has shape any x any x any x 3, which is not one image of known size; "
            "give --preprocess a card file that states size_hw and layout.",
        ),
        (
            card(TensorSpec(name="x", shape=(1, 8, 8, 3), dtype="uint8")),
            "tf",
            "--preprocess tf gives real numbers; input 'x' takes uint8 without a scale: use raw.",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(model: ModelCard, option: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve_preprocessing(model, option)
    assert str(caught.value) == sentence


def test_raw_feeds_integer_inputs_without_scale_as_integers() -> None:
    spec = TensorSpec(name="x", shape=(1, 8, 8, 3), dtype="uint8")
    how = resolve_preprocessing(card(spec), "raw")
    assert feed(spec, PHOTO, how).dtype == np.uint8


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype", "name", "given", "taken", "use"),
    [
        (1 / 128, 128, "uint8", "raw", "0 to 255", "-1 to 0.992", "tf"),
        (1.0, -128, "int8", "unit", "0 to 1", "0 to 255", "raw"),
        (1 / 255, -128, "int8", "raw", "0 to 255", "0 to 1", "unit"),
        (99.0, 0, "int8", "tf", "-1 to 1", "-1.27e+04 to 1.26e+04", "a card file"),
    ],
)
def test_a_preset_outside_what_a_quantized_input_takes_is_refused(
    scale: float, zero_point: int, dtype: str, name: str, given: str, taken: str, use: str
) -> None:
    spec = TensorSpec(name="x", shape=(1, 8, 8, 3), dtype=dtype, scale=(scale,), zero_point=(zero_point,))
    with pytest.raises(InputError) as caught:
        resolve_preprocessing(ModelCard(name="m", inputs=(spec,), outputs=()), name)
    assert str(caught.value) == (
        f"--preprocess {name} gives values of {given}, and the quantized input 'x' takes {taken}: use {use}."
    )


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype", "name"),
    [
        (0.0186, -14, "int8", "torch"),
        (0.003, -128, "int8", "unit"),
    ],
)
def test_a_preset_that_a_quantized_input_was_calibrated_for_is_taken(
    scale: float, zero_point: int, dtype: str, name: str
) -> None:
    spec = TensorSpec(name="x", shape=(1, 8, 8, 3), dtype=dtype, scale=(scale,), zero_point=(zero_point,))
    assert resolve_preprocessing(ModelCard(name="m", inputs=(spec,), outputs=()), name) == preset(name, size_hw=(8, 8))


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype", "name", "offset"),
    [
        (1 / 128, 128, "uint8", "tf", 0),
        (1 / 127.5, 127, "uint8", "tf", 0),
        (1 / 255, 0, "uint8", "unit", 0),
        (1.0, -128, "int8", "raw", -128),
    ],
)
def test_an_input_made_for_pixels_gets_them_as_they_are(
    scale: float, zero_point: int, dtype: str, name: str, offset: int
) -> None:
    spec = TensorSpec(name="x", shape=(1, 8, 8, 3), dtype=dtype, scale=(scale,), zero_point=(zero_point,))
    found = resolve_preprocessing(ModelCard(name="m", inputs=(spec,), outputs=()), name)
    assert found == replace(preset(name, size_hw=(8, 8)), scale=(1.0,), offset=(float(offset),), dtype=dtype)
    image = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    fed = Feeder((spec,), found).feed(image)["x"]
    assert fed.dtype == dtype
    assert np.array_equal(fed.astype(int), image.astype(int) + offset)
