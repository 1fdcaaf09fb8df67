"""Copies of channels: what a card may say of them, how they are put in place and undone."""

import numpy as np
import pytest

from edgekit.card import ChannelCopy, Provenance
from edgekit.channel_copies import joined, repeated, shared
from edgekit.errors import CardError
from edgekit.measure.layer_alignment import Channels, changed_kernel

COPIES = (
    ChannelCopy(slot=3, source=0, offset=0.25, idle=1.0),
    ChannelCopy(slot=1, source=0, offset=0.5, idle=0.0),
)


def test_copies_are_put_in_place_and_undone() -> None:
    value = np.random.default_rng(0).normal(0, 1, (2, 4, 3)).astype(np.float32)
    value[:, 1], value[:, 3] = 0, 1
    with_copies = repeated(value, COPIES, 1)
    np.testing.assert_allclose(with_copies[:, 1], value[:, 0] + 0.5)
    np.testing.assert_allclose(with_copies[:, 0], value[:, 0] - 0.75)
    np.testing.assert_allclose(joined(with_copies, COPIES, 1), value, atol=1e-6)
    kernel = np.arange(8.0).reshape(4, 2)
    np.testing.assert_allclose(shared(kernel, COPIES, 0), [[0, 1 / 3], [0, 1 / 3], [4, 5], [0, 1 / 3]])
    np.testing.assert_array_equal(repeated(kernel, COPIES, 0, offsets=False)[[1, 3]], kernel[[0, 0]])


@pytest.mark.parametrize(
    ("slot", "source", "message"),
    [
        (-1, 0, "A copied channel has a number outside 0 to 1048575."),
        (0, 1 << 20, "A copied channel has a number outside 0 to 1048575."),
        (2, 2, "Channel 2 cannot be a copy of itself."),
    ],
)
def test_copies_that_cannot_be_are_refused(slot: int, source: int, message: str) -> None:
    with pytest.raises(CardError) as caught:
        ChannelCopy(slot=slot, source=source, offset=0.0, idle=0.0)
    assert str(caught.value) == message


@pytest.mark.parametrize("pairs", [((1, 0), (0, 1)), ((1, 0), (1, 2)), ((1, 0), (2, 1))])
def test_copies_that_overwrite_each_other_are_refused(pairs: tuple[tuple[int, int], ...]) -> None:
    copies = tuple(ChannelCopy(slot=slot, source=source, offset=0.0, idle=0.0) for slot, source in pairs)
    with pytest.raises(CardError) as caught:
        Provenance(channel_copies={"conv": copies})
    assert str(caught.value) == "The copied channels of 'conv' overwrite each other."


def test_kernels_are_compared_with_the_channels_of_the_file() -> None:
    kernel = np.arange(1.0, 33.0, dtype=np.float32).reshape(4, 1, 1, 8)
    made, read = Channels(copies=COPIES), Channels(copies=(ChannelCopy(slot=7, source=2, offset=0.5, idle=0.0),))
    found = changed_kernel(kernel, made, read)
    assert found is not None
    np.testing.assert_array_equal(found[3], found[0])  # no offset: it lies in the bias
    np.testing.assert_array_equal(found[0, 0, 0, [2, 7]], kernel[0, 0, 0, 2] / 2)
    assert changed_kernel(kernel[:3], made, Channels()) is None
    assert changed_kernel(kernel[..., :7], Channels(), read) is None
    depthwise = kernel.reshape(8, 2, 2, 1)
    np.testing.assert_array_equal(changed_kernel(depthwise, Channels(), read), depthwise)
    assert changed_kernel(depthwise[:7], Channels(), read) is None
    assert Channels(copies=COPIES).fit(4)
    assert not Channels(copies=COPIES).fit(3)
    assert not Channels(copies=(ChannelCopy(slot=0, source=5, offset=0.0, idle=0.0),)).fit(5)
    value = np.arange(8.0).reshape(2, 4)
    np.testing.assert_array_equal(Channels(copies=COPIES).done(value, -1), repeated(value, COPIES, -1))
