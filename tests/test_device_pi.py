"""The whole way to a Raspberry Pi without internet: looked at, provisioned, measured, and the same bits as here.

It is an aarch64 Debian with its own sshd, emulated on this machine; `make pi` builds it.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command import edgekit
from pi_stand_in import Pi, start_pi
from sshd import use_config, wait_until

from edgekit.artifact import open_artifact
from edgekit.devices import open_device
from edgekit.devices.provision import provision
from edgekit.doctor.device import examine_device
from edgekit.doctor.finding import Status
from edgekit.errors import DeviceError
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.runtimes import open_runtime

pytestmark = [pytest.mark.slow, pytest.mark.device, pytest.mark.timeout(600)]
URI = "ssh://pi-test"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pi]:
    """A Pi that was given its engines from a folder of wheels, as one without internet is."""
    from aarch64.pi_root import wheelhouse

    with start_pi() as started, pytest.MonkeyPatch.context() as patch:
        use_config(started.ssh_config, tmp_path_factory.mktemp("pi") / "client", patch)
        bare = {finding.name: finding for finding in examine_device(URI).findings}
        assert (bare["numpy"].status, bare["numpy"].advice) == (Status.BROKEN, f"Run: edgekit device provision {URI}")
        done = edgekit("device", "provision", URI, "--wheelhouse", wheelhouse())
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "Nothing is broken."
        yield started


@pytest.fixture(autouse=True)
def reached(board: Pi) -> None:
    """All tests are about this Pi."""


def at_work(board: Pi) -> list[str]:
    """The programs there that were started over SSH."""
    return [process.name for process in board.processes() if "python" in " ".join(process.words)]


def test_what_it_is_is_told() -> None:
    found = {finding.name: finding for finding in examine_device(URI).findings}
    assert found["platform"].detail.startswith("Raspberry Pi 4 Model B Rev 1.4, aarch64, ")
    assert found["platform"].detail.endswith("CPUs, emulated")
    assert found["python"].detail.endswith("/home/pi/.local/share/edgekit/venv/bin/python")
    assert found["XNNPACK"].status is Status.OK
    assert found[".onnx"].status is Status.OK


def test_an_int8_file_gives_the_same_bits_as_here(tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet_int8.tflite")
    here = open_runtime(artifact.path)
    with open_device(URI) as device:
        there = device.open(artifact)
        for seed in range(8):
            feed = sample_inputs(artifact.card, seed=seed)
            for name, values in here.run(feed).items():
                np.testing.assert_array_equal(there.run(feed)[name], values)


def test_a_benchmark_says_that_it_is_emulated(tiny_models: Path, board: Pi) -> None:
    files = [tiny_models / "convnet_int8.tflite", tiny_models / "convnet.onnx"]
    assert edgekit("device", "add", "pi", URI).returncode == 0
    done = edgekit("benchmark", *files, "--device", "pi", "--runs", "6", "--min-secs", "0", "--json", "-")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(row["device"], row["valid"]) for row in told["results"]] == [("pi", False), ("pi", False)]
    assert told["host"]["emulated"] is True
    assert told["host"]["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert wait_until(lambda: not at_work(board))


def test_a_wrong_host_key_is_refused(board: Pi) -> None:
    kept = board.known_hosts.read_text()
    host, kind, _ = kept.split()[:3]
    other = board.key.with_suffix(".pub").read_text().split()[1]
    board.known_hosts.write_text(f"{host} {kind} {other}\n")
    try:
        found = examine_device(URI).findings
    finally:
        board.known_hosts.write_text(kept)
    assert [(finding.name, finding.status) for finding in found] == [("reachable", Status.BROKEN)]
    assert found[0].detail.startswith(f"{URI} shows another host key than the one that is known: ")


def test_a_lost_network_is_one_sentence_and_leaves_nothing(board: Pi, tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet_int8.tflite")
    feed = sample_inputs(artifact.card, seed=0)
    with open_device(URI) as device:
        runtime = device.open(artifact)
        assert at_work(board)
        board.drop_connections()
        with pytest.raises(DeviceError) as caught:
            runtime.run(feed)
    assert str(caught.value) == (
        f"The connection to {URI} was lost in the midst of work, and what ran there ends by itself; try again."
    )
    assert wait_until(lambda: not at_work(board))


def test_a_full_disk_is_one_sentence(tmp_path_factory: pytest.TempPathFactory) -> None:
    from aarch64.pi_root import wheelhouse

    with start_pi(home_bytes=40 << 20) as small, pytest.MonkeyPatch.context() as patch:
        use_config(small.ssh_config, tmp_path_factory.mktemp("small") / "client", patch)
        with pytest.raises(DeviceError) as caught:
            provision(URI, wheelhouse=wheelhouse())
        assert str(caught.value) == f"The disk of {URI} is full; an environment takes about 300 MB: make room there."
        assert not (small.home / ".local/share/edgekit/venv").exists()
