"""Devices with names: `edgekit device add`, `list` and `remove`, and what they are afterwards."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import edgekit
from sshd import Server, serving

from edgekit.claims import sole_use
from edgekit.devices import SCHEMES, add, known, open_device
from edgekit.devices.known import KnownDevice, devices_file, known_devices, remove_device
from edgekit.devices.ssh import SSHDevice
from edgekit.errors import CardError, InputError

NO_NAME = "is no name of a device; expected letters, digits, dots, hyphens and underscores."


@pytest.fixture(autouse=True)
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the devices of who runs it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config/edgekit/devices.json"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(tmp_path / "sshd", monkeypatch) as running:
        yield running


def test_a_device_is_added_listed_and_removed(own_file: Path) -> None:
    done = edgekit("device", "add", "pi", "ssh://pi@10.0.0.7:2222", "--python", "/opt/py/bin/python")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "pi is ssh://pi@10.0.0.7:2222; look at it: edgekit device doctor pi\n"
    assert edgekit("device", "add", "bench.board-2", "ssh://board").returncode == 0
    listed = edgekit("device", "list", "--json", "-")
    assert json.loads(listed.stdout)["results"] == [
        {"name": "bench.board-2", "uri": "ssh://board", "python": None},
        {"name": "pi", "uri": "ssh://pi@10.0.0.7:2222", "python": "/opt/py/bin/python"},
    ]
    assert "ssh://pi@10.0.0.7:2222" in edgekit("device", "list").stdout
    done = edgekit("device", "remove", "pi")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "pi is forgotten.\n")
    assert json.loads(own_file.read_text()) == {
        "schema_version": 1,
        "devices": {"bench.board-2": {"uri": "ssh://board", "python": None}},
    }


def test_nothing_is_known_at_first() -> None:
    assert known_devices() == {}
    done = edgekit("device", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "No device has a name yet; give one: edgekit device add NAME ssh://user@host\n"
        f"Kinds of device: {', '.join(SCHEMES)}.\n"
    )
    empty = edgekit("device", "list", "--json", "-")
    assert json.loads(empty.stdout)["results"] == []


def test_the_file_is_where_configurations_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert devices_file() == tmp_path / ".config/edgekit/devices.json"


def test_a_known_device_is_called_by_its_name(server: Server) -> None:
    add("board", server.uri)
    with open_device("board") as device:
        assert device.uri == "board"
        assert device.host()["allowed_cpus"] >= 1
    (server.folder / "authorized").write_text("")
    (server.folder / "bin/python3").unlink()
    with pytest.raises(Exception, match=r"^board lets this user in by no key; give it one: "), open_device("board"):
        pass


def test_a_benchmark_names_a_known_device(server: Server, tiny_models: Path) -> None:
    add("board", server.uri)
    model = tiny_models / "convnet_int8.tflite"
    done = edgekit("benchmark", model, "--device", "board", "--runs", "3", "--min-secs", "0", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert [row["device"] for row in json.loads(done.stdout)["results"]] == ["board"]


def test_the_interpreter_of_a_known_device_is_used() -> None:
    add("board", "ssh://board", python="/opt/python")
    device = open_device("board")
    assert isinstance(device, SSHDevice)
    assert device._python == "/opt/python"


@pytest.mark.parametrize(
    ("name", "uri", "python", "sentence"),
    [
        (
            "a b",
            "ssh://x",
            None,
            "'a b' is no name of a device; expected letters, digits, dots, hyphens and underscores.",
        ),
        (
            "../a",
            "ssh://x",
            None,
            "'../a' is no name of a device; expected letters, digits, dots, hyphens and underscores.",
        ),
        ("x", "phone://x", None, f"There is no device 'phone://x'; known kinds of device: {', '.join(SCHEMES)}."),
        (
            "x",
            "ssh://a b",
            None,
            "'ssh://a b' is no address of a machine; expected ssh://host, ssh://user@host or ssh://user@host:port.",
        ),
        (
            "x",
            "pi@host",
            None,
            "'pi@host' is no address of a device; did you mean ssh://pi@host?",
        ),
        (
            "local",
            "ssh://x",
            None,
            "'local' is a kind of device, and cannot be the name of one; choose another name.",
        ),
        (
            "x",
            "ssh://x",
            "python3",
            "--python is the path of an interpreter on the device, such as /usr/bin/python3; got 'python3'.",
        ),
        (
            "x",
            "ssh://x",
            "/bin/python3\n",
            "--python is the path of an interpreter on the device, such as /usr/bin/python3; got '/bin/python3\\n'.",
        ),
        ("x", "y", None, "'y' is no address of a device; expected one such as ssh://user@host, adb:// or web://."),
        ("x", "local://x", "/bin/python3", "--python is for devices at ssh://; got local://x."),
    ],
)
def test_what_cannot_be_added_is_one_sentence(name: str, uri: str, python: str | None, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        add(name, uri, python=python)
    assert str(caught.value) == sentence
    assert known_devices() == {}


def test_a_name_is_taken_once() -> None:
    add("pi", "ssh://a")
    with pytest.raises(InputError) as caught:
        add("pi", "ssh://b")
    assert str(caught.value) == "There is a device 'pi' already, ssh://a; use --force to replace it."
    add("pi", "ssh://b", force=True)
    assert known_devices() == {"pi": KnownDevice(uri="ssh://b")}


def test_an_unknown_name_is_one_sentence() -> None:
    with pytest.raises(InputError) as caught:
        remove_device("pi")
    assert str(caught.value) == "There is no device called 'pi'; none was added."
    add("pi-lab", "ssh://a")
    with pytest.raises(InputError) as caught:
        remove_device("pi-lib")
    assert str(caught.value) == "There is no device called 'pi-lib'; did you mean pi-lab?"
    with pytest.raises(InputError) as caught:
        open_device("pi-lib")
    assert str(caught.value) == (
        "There is no device 'pi-lib'; did you mean pi-lab? Others have an address, such as ssh://user@host, adb:// or "
        "web://, or are given a name by: edgekit device add NAME URI"
    )


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        *(("ssh:pi", "ssh://pi"), ("ssh:/pi@host", "ssh://pi@host"), ("pi@host:22", "ssh://pi@host:22")),
        *(("adb:123", "adb://123"), ("web:", "web://")),
    ],
)
def test_what_is_almost_an_address_is_mended(text: str, meant: str) -> None:
    beginning = re.escape(f"There is no device {text!r}; did you mean {meant}? Others have an address")
    with pytest.raises(InputError, match=f"^{beginning}"):
        open_device(text)
    with pytest.raises(InputError) as caught:
        add("x", text)
    assert str(caught.value) == f"{text!r} is no address of a device; did you mean {meant}?"


def test_kinds_of_device_are_not_offered_as_names() -> None:
    with pytest.raises(InputError, match=r"^There is no device 'sshh'; choose one of: local\. Others have an address"):
        open_device("sshh")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "{file} is not JSON; mend it, or remove it and add the devices again."),
        (
            '{"schema_version": 2, "devices": {}}',
            "{file} has the schema version 2; expected 1: it is another edgekit's.",
        ),
        ('{"schema_version": 1}', "{file} lacks the key 'devices'."),
        ('{"schema_version": 1, "devices": {"a": {}}}', "{file}.devices.a lacks the key 'uri'."),
        (
            '{"schema_version": 1, "devices": {"a": {"uri": "ssh://a", "user": "x"}}}',
            "{file}.devices.a has an unknown key 'user'; known keys: uri, python.",
        ),
        (" " * (1 << 20) + "{}", "{file} is larger than 1,048,576 bytes; remove it, and add the devices again."),
    ],
)
def test_a_file_that_was_damaged_is_one_sentence(text: str, sentence: str, own_file: Path) -> None:
    own_file.parent.mkdir(parents=True)
    own_file.write_text(text)
    for use in (known_devices, lambda: add("x", "ssh://x")):
        with pytest.raises((InputError, CardError)) as caught:
            use()
        assert str(caught.value) == sentence.replace("{file}", str(own_file))
    assert own_file.read_text() == text


def test_a_file_that_cannot_be_one_is_one_sentence(own_file: Path) -> None:
    own_file.mkdir(parents=True)
    sentence = "{} cannot hold devices: {}; mend that, or set XDG_CONFIG_HOME to another folder."
    for use in (known_devices, lambda: add("x", "ssh://x")):
        with pytest.raises(InputError) as caught:
            use()
        assert str(caught.value) == sentence.format(own_file, "Is a directory")
    own_file.rmdir()
    own_file.parent.rmdir()
    own_file.parent.touch()
    with pytest.raises(InputError) as caught:
        known_devices()
    assert str(caught.value) == sentence.format(own_file, "Not a directory")
    with pytest.raises(InputError) as caught:
        add("x", "ssh://x")
    assert str(caught.value) == sentence.format(own_file.parent, "File exists")


def test_a_process_that_keeps_the_file_is_one_sentence(own_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_WAIT_S", 0.0)
    own_file.parent.mkdir(parents=True)
    with sole_use(own_file.parent), pytest.raises(InputError) as caught:
        add("x", "ssh://x")
    assert str(caught.value) == (
        f"Another process is at work in {own_file.parent}; wait for it, or see what it does there."
    )


def test_devices_that_are_added_at_once_are_all_kept() -> None:
    names = [f"d{number}" for number in range(12)]
    threads = [threading.Thread(target=add, args=(name, "ssh://x")) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(known_devices()) == sorted(names)
