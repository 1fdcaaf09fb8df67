"""Scales of channels in few bytes: what is packed is unpacked exactly, and nothing else is believed."""

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.channel_scales import on_grid, pack, unpack
from edgekit.errors import CardError

exponents = st.lists(st.integers(-16, 16), min_size=1, max_size=40)


@given(st.dictionaries(st.text(min_size=1, max_size=9), exponents, max_size=4))
def test_scales_come_back_exactly(layers: dict[str, list[int]]) -> None:
    scales = {name: np.exp2(np.array(row) / 4).astype(np.float32) for name, row in layers.items()}
    found = unpack(pack(scales), where="card")
    assert set(found) == {name for name, values in scales.items() if (values != 1).any()}
    for name, values in found.items():
        np.testing.assert_array_equal(values, scales[name])


@given(st.floats(1 / 16, 16))
def test_the_grid_rounds_down_by_less_than_a_fifth(scale: float) -> None:
    (rounded,) = on_grid(np.array([scale]))
    assert scale / 1.19 < rounded <= scale * 1.0001
    np.testing.assert_array_equal(on_grid(np.array([rounded])), [rounded])


def test_ones_take_no_room() -> None:
    assert pack({"a": np.ones(7, np.float32)}) == ""
    assert unpack("", where="card") == {}


def test_thousands_of_channels_take_less_than_a_byte_each() -> None:
    scales = {f"block_{i}_relu": on_grid(np.random.default_rng(i).uniform(1, 16, 400)) for i in range(20)}
    assert len(pack(scales)) < 8000


@pytest.mark.parametrize(
    "text", ["x", "none", "{}", base64.b85encode(zlib.compress(json.dumps([1]).encode())).decode()]
)
def test_what_was_not_packed_is_refused(text: str) -> None:
    with pytest.raises(CardError) as caught:
        unpack(text, where="the card in m.onnx")
    assert str(caught.value) == "the card in m.onnx holds channel scales that cannot be read; convert the model again."
