"""The noise of Bayesian networks: what a card says of it, and that it is the same for an item everywhere."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import check_fit
from edgekit.card import ModelCard, TensorSpec, dump_card, load_card
from edgekit.converters.calibration import SYNTHETIC_ITEMS, synthetic_calibration
from edgekit.data.pass_noise import drawn, pass_noise
from edgekit.errors import CardError, DataError
from edgekit.feeding import Feeder
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.preprocessing import Resize, preset
from edgekit.uncertainty import Distribution, Noise, Uncertainty

NORMAL = Noise(name="hidden_noise", distribution=Distribution.NORMAL)
MASK = Noise(name="drop_mask", distribution=Distribution.MASK, keep=0.25)
HOW = replace(preset("unit", size_hw=(2, 2), channels=1), resize=Resize.STRETCH)
INPUTS = (
    TensorSpec(name="drop_mask", shape=(1, 1000), dtype="float32"),
    TensorSpec(name="image", shape=(1, 2, 2, 1), dtype="float32"),
    TensorSpec(name="hidden_noise", shape=(None, 40, 50), dtype="float32"),
)
STATED = Uncertainty(noises=(NORMAL, MASK), passes=20, threshold=0.5)
PHOTO = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)


def feeder(number: int = 0, inputs: tuple[TensorSpec, ...] = INPUTS) -> Feeder:
    return Feeder(inputs, HOW, uncertainty=STATED, number=number)


def test_normal_numbers_and_masks_are_what_they_are_called() -> None:
    normal = drawn(NORMAL, (100_000,), 0)
    assert (normal.dtype, normal.shape) == (np.float32, (100_000,))
    assert abs(normal.mean()) < 0.02
    assert normal.std() == pytest.approx(1, abs=0.02)
    mask = drawn(MASK, (100_000,), 0)
    assert mask.dtype == np.float32
    assert sorted(np.unique(mask).tolist()) == [0, 4]
    assert (mask > 0).mean() == pytest.approx(0.25, abs=0.01)


def test_the_noise_of_an_item_never_changes() -> None:
    """Files from today must tell the same of an item in years: these numbers are frozen."""
    found = pass_noise((NORMAL, MASK), INPUTS, PHOTO, 0)
    assert found["hidden_noise"].shape == (40, 50)
    assert found["hidden_noise"][0, :3].tolist() == pytest.approx([1.337012, -0.481123, -0.333137], abs=1e-6)
    assert np.flatnonzero(found["drop_mask"])[:5].tolist() == [3, 5, 6, 17, 20]


def test_noise_depends_on_item_and_pass_alone() -> None:
    first = feeder().feed(PHOTO)
    assert set(first) == {"image", "hidden_noise", "drop_mask"}
    np.testing.assert_allclose(first["image"], PHOTO / 255, rtol=1e-6)
    again = feeder(inputs=INPUTS[::-1]).feed(PHOTO.copy())
    assert all(np.array_equal(first[name], again[name]) for name in first)
    alone = pass_noise((NORMAL,), INPUTS, PHOTO, 0)
    assert np.array_equal(alone["hidden_noise"], first["hidden_noise"])
    for other in (feeder(1).feed(PHOTO), feeder().feed(PHOTO + 1)):
        assert not np.any(other["hidden_noise"] == first["hidden_noise"])
        assert not np.array_equal(other["drop_mask"], first["drop_mask"])


def test_arrays_may_bring_their_noise() -> None:
    image = np.zeros((2, 2, 1), np.float32)
    own = np.full((40, 50), 3, np.float32)
    fed = feeder().feed({"image": image, "hidden_noise": own})
    assert np.array_equal(fed["hidden_noise"], own)
    assert fed["drop_mask"].max() == 4
    with pytest.raises(DataError) as caught:
        feeder().feed({"photo": image})
    assert str(caught.value) == (
        "The data has arrays named photo; the model takes inputs named image, and draws drop_mask, hidden_noise where "
        "these are not given: name the arrays after the inputs."
    )


STRANGE = (
    "The card draws noise for the input 'drop_mask', and the model's inputs are named image, hidden_noise: correct the "
    "card's uncertainty with `edgekit card attach`."
)
ALL = (
    "The card draws noise for all inputs of the model, drop_mask, hidden_noise; expected one for the data: correct the "
    "card's uncertainty with `edgekit card attach`."
)


@pytest.mark.parametrize(("inputs", "sentence"), [(INPUTS[1:], STRANGE), (INPUTS[::2], ALL)])
def test_noise_that_is_no_input_or_all_of_them_is_the_cards_mistake(
    inputs: tuple[TensorSpec, ...], sentence: str
) -> None:
    with pytest.raises(CardError) as caught:
        feeder(inputs=inputs).feed(PHOTO)
    assert str(caught.value) == sentence
    card = ModelCard(name="m", inputs=inputs, outputs=(), uncertainty=STATED)
    with pytest.raises(CardError) as caught:
        check_fit(card, card)
    assert str(caught.value) == sentence


def test_made_up_inputs_hold_such_noise_too() -> None:
    card = ModelCard(name="m", inputs=INPUTS, outputs=(), preprocessing=HOW, uncertainty=STATED)
    found = sample_inputs(card, seed=0)
    assert {name: values.shape for name, values in found.items()} == {
        "image": (1, 2, 2, 1), "drop_mask": (1, 1000), "hidden_noise": (1, 40, 50),
    }  # fmt: skip
    assert 0 <= found["image"].min() <= found["image"].max() <= 1
    assert found["hidden_noise"].min() < -2
    assert sorted(np.unique(found["drop_mask"]).tolist()) == [0, 4]


def test_without_data_a_conversion_is_proven_with_such_noise(tmp_path: Any) -> None:
    made = synthetic_calibration(INPUTS, HOW, seed=0, folder=tmp_path / "samples", uncertainty=STATED)
    arrays = made.samples.arrays()
    assert arrays["hidden_noise"].shape == (SYNTHETIC_ITEMS, 40, 50)
    assert arrays["hidden_noise"].std() == pytest.approx(1, abs=0.02)
    assert sorted(np.unique(arrays["drop_mask"]).tolist()) == [0, 4]
    assert 0 <= arrays["image"].min() <= arrays["image"].max() <= 1


def test_a_card_keeps_it() -> None:
    card = ModelCard(name="m", inputs=INPUTS, outputs=(), uncertainty=STATED)
    assert load_card(dump_card(card)) == card


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Noise(name="m", distribution=Distribution.MASK, keep=0.0),
            "The mask 'm' keeps units with probability 0.0; expected 1e-06 to 1.",
        ),
        (
            lambda: Noise(name="m", distribution=Distribution.MASK, keep=1e-320),
            "The mask 'm' keeps units with probability 1e-320; expected 1e-06 to 1.",
        ),
        (
            lambda: Uncertainty(noises=(NORMAL, NORMAL)),
            "Two noise inputs have one name: hidden_noise, hidden_noise; expected different ones.",
        ),
        (
            lambda: Uncertainty(noises=(NORMAL,), passes=1001),
            "A Bayesian classifier is run 1 to 1,000 times; got 1001.",
        ),
        (lambda: Uncertainty(passes=2), "2 passes without noise are all the same; expected 1."),
        (
            lambda: Uncertainty(threshold=float("nan")),
            "An entropy is 0 or more; got nan as the threshold.",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Any, sentence: str) -> None:
    with pytest.raises(CardError) as caught:
        make()
    assert str(caught.value) == sentence
