"""What generators are fed with: drawn by a seed, the same wherever it is asked for."""

import numpy as np
import pytest

from edgekit.card import ModelCard, TensorSpec
from edgekit.converters.calibration import noise_for
from edgekit.data.base import item_digest
from edgekit.data.noise import DRAWN, drawn, draws
from edgekit.generation import Condition, Drawn, Generator
from edgekit.measure.sample_inputs import sample_feeds, sample_inputs
from edgekit.recipe import Precision, Recipe
from edgekit.tasks.pictures import pixels_of, sheet

NOISE = Drawn(name="noise", size=50)
PLAIN = Generator(noise=NOISE)
WHOLE = Generator(
    noise=NOISE,
    condition=Condition(name="condition", classes=3, asked=False),
    code=Drawn(name="code", size=2, low=2.0, high=4.0),
)


def card(*inputs: TensorSpec) -> ModelCard:
    return ModelCard(name="maker", inputs=inputs, outputs=(), generator=WHOLE)


def spec(name: str, size: int, dtype: str = "float32", scale: float = 0.0, zero_point: int = 0) -> TensorSpec:
    if not scale:
        return TensorSpec(name=name, shape=(1, size), dtype=dtype)
    return TensorSpec(name=name, shape=(1, size), dtype=dtype, scale=(scale,), zero_point=(zero_point,))


def test_every_input_is_drawn_in_its_range() -> None:
    found = draws(WHOLE, 600, seed=1)
    assert {name: (a.shape, a.dtype) for name, a in found.items()} == {
        "noise": ((600, 50), np.float32),
        "condition": ((600, 3), np.float32),
        "code": ((600, 2), np.float32),
    }
    for name, low, high in (("noise", -1, 1), ("code", 2, 4)):
        ends = found[name].min(), found[name].max()
        assert low <= ends[0] < low + 0.1
        assert high - 0.1 < ends[1] <= high
        assert found[name].std() == pytest.approx((high - low) / 12**0.5, rel=0.05)
    assert np.unique(found["condition"]).tolist() == [0, 1]
    assert found["condition"].sum(axis=1).tolist() == [1] * 600
    assert found["condition"].sum(axis=0).min() > 150


def test_a_seed_gives_the_same_rows_whatever_else_is_drawn() -> None:
    some, more, plain = draws(WHOLE, 5, seed=1), draws(WHOLE, 9, seed=1), draws(PLAIN, 5, seed=1)
    assert all(np.array_equal(some[name], more[name][:5]) for name in some)
    assert np.array_equal(plain["noise"], some["noise"])
    assert np.array_equal(draws(PLAIN, 5, seed=np.int64(1))["noise"], some["noise"])  # type: ignore[arg-type]
    for other in (2, [1, 0], [1, 1]):
        assert not np.array_equal(draws(WHOLE, 5, seed=other)["noise"], some["noise"])
    assert not np.array_equal(some["noise"][:, :2], some["code"])


def test_drawn_data_are_items_by_name_with_the_classes_as_labels() -> None:
    data = drawn(WHOLE, 4, seed=0)
    assert (data.name, len(data), drawn(PLAIN, 4, seed=0).labels) == (DRAWN, 4, None)
    assert data.labels is not None
    assert [int(item["condition"].argmax()) for item in data] == data.labels.tolist()  # type: ignore[call-overload, index, union-attr]
    assert len({item_digest(item) for item in data}) == 4
    assert [item_digest(item) for item in data] == [
        item_digest(item) for item in drawn(WHOLE, 9, seed=0).subset(range(4))
    ]
    with pytest.raises(IndexError):
        data.items[4]


def test_a_generator_calibrates_on_what_it_will_be_fed_with() -> None:
    recipes = tuple(Recipe(precision=p, calibration_samples=7, seed=3) for p in (Precision.INT8, Precision.FP32))
    data = noise_for(card(spec("noise", 50)), recipes)
    assert data is not None
    assert [item_digest(item) for item in data] == [item_digest(item) for item in drawn(WHOLE, 7, seed=3)]
    assert noise_for(ModelCard(name="m", inputs=(), outputs=()), recipes) is None
    assert noise_for(None, recipes) is None


def test_a_generator_is_timed_on_what_it_will_be_fed_with() -> None:
    plain = card(spec("code", 2), spec("condition", 3), spec("noise", 50))
    first, second = sample_feeds(plain, samples=2, seed=5)
    assert all(np.array_equal(first[name], values) for name, values in draws(WHOLE, 1, seed=5).items())
    assert list(first) == ["code", "condition", "noise"]
    assert not np.array_equal(first["noise"], second["noise"])
    quantized = card(
        spec("noise", 50, "int8", 2 / 255, 0), spec("condition", 3, "int8", 1 / 255, -128), spec("code", 2, "float16")
    )
    feed = sample_inputs(quantized, seed=5)
    assert {name: str(values.dtype) for name, values in feed.items()} == {
        "noise": "int8", "condition": "int8", "code": "float16",
    }  # fmt: skip
    assert sorted(feed["condition"].ravel().tolist()) == [-128, -128, 127]
    np.testing.assert_allclose(feed["noise"] * (2 / 255), first["noise"], atol=1 / 255 + 1e-6)


@pytest.mark.parametrize("inputs", [(spec("image", 4),), (spec("noise", 7), spec("condition", 3), spec("code", 2))])
def test_a_file_that_does_not_take_what_its_card_says_is_timed_all_the_same(inputs: tuple[TensorSpec, ...]) -> None:
    feed = sample_inputs(card(*inputs), seed=0)
    assert {name: values.shape for name, values in feed.items()} == {s.name: s.shape for s in inputs}


def test_pictures_are_laid_out_row_by_row() -> None:
    images = np.linspace(-1, 1, 5 * 2 * 3).reshape(5, 2, 3, 1)
    pixels = pixels_of(images, PLAIN)
    assert (pixels.dtype, pixels.shape, pixels.min(), pixels.max()) == (np.uint8, images.shape, 0, 255)
    page = sheet(pixels, 2)
    assert page.shape == (6, 6, 1)
    assert np.array_equal(page[2:4, 3:6], pixels[3])
    assert not page[4:, 3:].any()
