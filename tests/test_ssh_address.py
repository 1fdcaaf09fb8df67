"""Addresses of devices over SSH, before anything is connected."""

from pathlib import Path

import pytest

from edgekit.devices.openssh import Connection, ssh_target
from edgekit.devices.ssh import SSHDevice
from edgekit.errors import InputError, MissingExtraError


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("ssh://pi", ["--", "pi"]),
        ("ssh://Pi4.local/", ["--", "Pi4.local"]),
        ("ssh://pi@10.0.0.7:2222", ["-p", "2222", "-l", "pi", "--", "10.0.0.7"]),
        ("ssh://a.b-c@[fe80::1%eth0]:22", ["-p", "22", "-l", "a.b-c", "--", "fe80::1%eth0"]),
    ],
)
def test_an_address_becomes_words_for_ssh(uri: str, words: list[str]) -> None:
    assert ssh_target(uri) == words


@pytest.mark.parametrize(
    "uri",
    [
        *("ssh://", "ssh://-oProxyCommand=x", "ssh://-l@x", "ssh://x:0", "ssh://x:65536", "ssh://x:", "ssh://a b"),
        *("ssh://x/home", "ssh://u:secret@x", "ssh://x?y", "ssh://x;reboot", "ssh://x\n", "ssh://[x]", "ssh:///x"),
    ],
)
def test_what_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(InputError) as caught:
        SSHDevice(uri)
    assert str(caught.value) == (
        f"{uri!r} is no address of a machine; expected ssh://host, ssh://user@host or ssh://user@host:port."
    )


def test_a_missing_client_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError) as caught:
        Connection("ssh://pi", ssh_target("ssh://pi"))
    assert str(caught.value) == "The OpenSSH client is not installed; install it, such as: apt install openssh-client"
