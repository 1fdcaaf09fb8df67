"""Devices by their address."""

import pytest

from edgekit.devices import SCHEMES, open_device
from edgekit.errors import InputError


def test_this_machine_is_called_local() -> None:
    device = open_device("local")
    assert device.uri == "local"
    assert device.host()["allowed_cpus"] >= 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_kind_of_device_can_be_opened(scheme: str) -> None:
    assert open_device(scheme).uri == scheme


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("phone://x", "There is no device 'phone://x'; known kinds of device: local."),
        ("local://here", "The device 'local://here' has an address; this machine is called just local."),
    ],
)
def test_an_unknown_device_is_one_sentence(uri: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        open_device(uri)
    assert str(caught.value) == sentence
