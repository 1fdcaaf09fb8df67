"""The Raspberry Pi of the tests is one: other machine code, a Pi's kernel texts, real SSH, nothing left of it."""

import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pi_stand_in
import pytest
from bundles import damage_layer, seal, unpack
from pi_stand_in import Pi, UnavailableError, start_pi, wait

from edgekit.errors import EdgekitError
from edgekit.files import scratch_folder

pytestmark = [pytest.mark.slow, pytest.mark.device]

INFER = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
(into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
found = []
for item in np.load("inputs.npy"):
    interpreter.set_tensor(into["index"], item[None].astype(into["dtype"]))
    interpreter.invoke()
    found.append(interpreter.get_tensor(out["index"]).copy())
np.save(sys.argv[2], np.concatenate(found))
print([each["op_name"] for each in interpreter._get_ops_details()].count("DELEGATE"))
"""


def test_it_answers_as_a_raspberry_pi(pi: Pi) -> None:
    done = pi.ssh("uname -m; hostname; id -un; pwd; nproc --all; cat /sys/class/thermal/thermal_zone0/type")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:4] == ["aarch64", "raspberrypi", "pi", "/home/pi"]
    assert done.stdout.splitlines()[-1] == "cpu-thermal"
    assert pi.uri == f"ssh://pi@127.0.0.1:{pi.port}"


def test_its_address_works_without_the_configuration(pi: Pi) -> None:
    options = [f"-oUserKnownHostsFile={pi.known_hosts}", "-oStrictHostKeyChecking=yes", "-oBatchMode=yes"]
    command = ["ssh", "-F", "none", "-i", str(pi.key), *options, pi.uri, "uname -m"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "aarch64\n"), done.stderr


def test_a_bundle_verifies_there_and_tells_what_the_machine_is(pi: Pi, bundle: Path) -> None:
    pi.send(bundle)
    done = pi.ssh(f"python3 {bundle.name} verify")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "verified"), done.stdout + done.stderr
    assert "(xnnpack): " in done.stdout
    pi.set_throttled(0x50005)
    try:
        host = json.loads(pi.ssh(f"python3 {bundle.name} verify --json -; rm {bundle.name}").stdout)["host"]
    finally:
        pi.set_throttled(0)
    assert host["emulated"] is True
    assert host["machine"] == "aarch64"
    assert host["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert (host["cpu"], host["features"]) == ("Cortex-A72", ["neon"])
    assert (host["governor"], host["frequency_mhz"]) == ("ondemand", [1500.0] * 4)
    assert host["temperature_c"] == {"thermal_zone0:cpu-thermal": 48.199}
    assert host["throttled"] == ["under-voltage", "throttled"]
    assert pi.ssh("vcgencmd get_throttled").stdout == "throttled=0x0\n"


def test_a_damaged_bundle_does_not(pi: Pi, bundle: Path, tmp_path: Path) -> None:
    folder = unpack(bundle, tmp_path)
    damage_layer(folder / "models" / "convnet.onnx")
    seal(folder)
    subprocess.run([sys.executable, "-m", "zipfile", "-c", "damaged.zip", "bundle"], check=True, cwd=tmp_path)
    pi.send(tmp_path / "damaged.zip")
    done = pi.ssh(
        "python3 -m zipfile -e damaged.zip d && cd d && python3 -m bundle verify; rc=$?; rm -r ~/d*; exit $rc"
    )
    assert done.returncode == 1, done.stderr
    assert "expected 60 dB or more" in done.stdout


def test_integers_have_the_bits_of_this_machine_and_floats_nearly(pi: Pi, tiny_models: Path, tmp_path: Path) -> None:
    """That floats differ shows that the comparison is one of two machines."""
    random = np.random.default_rng(0)
    here, there = {}, {}
    (tmp_path / "infer.py").write_text(INFER)
    for name, inputs in {
        "convnet_int8": random.integers(-128, 128, (20, 6, 4, 3)),
        "convnet": random.uniform(0, 1, (20, 6, 4, 3)),
    }.items():
        np.save(tmp_path / "inputs.npy", inputs)
        model = tiny_models / f"{name}.tflite"
        here[name] = infer(model, tmp_path)
        pi.send(model, tmp_path / "infer.py", tmp_path / "inputs.npy")
        done = pi.ssh(f"python3 infer.py {model.name} outputs.npy")
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr  # XNNPACK takes the operators
        there[name] = np.load(pi.home / "outputs.npy")
        assert here[name].shape == (20, 5)
    pi.ssh("rm *.npy *.py *.tflite")
    assert len(np.unique(here["convnet_int8"])) > 5
    np.testing.assert_array_equal(here["convnet_int8"], there["convnet_int8"])
    assert not np.array_equal(here["convnet"], there["convnet"])
    np.testing.assert_allclose(here["convnet"], there["convnet"], atol=1e-5)


def infer(model: Path, folder: Path) -> Any:
    command = [sys.executable, "infer.py", str(model), "outputs.npy"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return np.load(folder / "outputs.npy")


@pytest.fixture
def own() -> Iterator[Pi]:
    """A Pi without engines and with little room, of which a test may break everything."""
    with start_pi(home_bytes=1 << 20) as board:
        yield board


def test_every_start_is_fresh_and_its_disk_can_be_full(own: Pi) -> None:
    assert own.ssh("ls -A").stdout == ""
    full = own.ssh("head -c 2000000 /dev/zero >big")
    assert full.returncode == 1
    assert "No space left on device" in full.stderr
    assert (own.home / "big").stat().st_size <= 1 << 20
    assert "No module named 'numpy'" in own.ssh("python3 -c 'import numpy'").stderr


def test_a_lost_connection_leaves_its_command_and_a_stopped_sshd_refuses(own: Pi) -> None:
    command = ["ssh", "-F", str(own.ssh_config), "pi-test", "sleep 1000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as client:
        wait(lambda: bool(sleeping(own)), lambda: "sleep was not started")
        assert own.connections()
        own.stop_sshd()
        assert own.connections()  # who is served stays
        own.drop_connections()
        _, said = client.communicate(timeout=60)
        assert client.returncode == 255
        assert "closed by remote host" in said or "Connection reset" in said
    wait(lambda: own.connections() == [], lambda: "a connection is left")
    assert [process.words[-2:] for process in sleeping(own)] == [("sleep", "1000")]
    assert "Connection refused" in own.ssh("true").stderr
    own.start_sshd()
    assert own.ssh("pkill sleep").returncode == 0
    wait(lambda: sleeping(own) == [], lambda: "sleep goes on")


def sleeping(board: Pi) -> list[Any]:
    return [process for process in board.processes() if process.name == "sleep"]


def test_an_environment_is_made_from_the_wheelhouse(tiny_models: Path) -> None:
    from aarch64.pi_root import wheelhouse

    with start_pi() as board:
        assert "No module named 'ai_edge_litert'" in board.ssh("python3 -c 'import ai_edge_litert'").stderr
        board.send(*wheelhouse().glob("*.whl"), tiny_models / "convnet_int8.tflite")
        install = "env/bin/pip install --no-index --find-links . --no-compile numpy ai-edge-litert"
        done = board.ssh(f"python3 -m venv env && {install}")
        assert done.returncode == 0, done.stderr
        code = (
            "from ai_edge_litert.interpreter import Interpreter; Interpreter('convnet_int8.tflite').allocate_tensors()"
        )
        done = board.ssh(f"env/bin/python -c {shlex.quote(code)}")
        assert done.returncode == 0, done.stderr


def test_an_sshd_that_does_not_start_is_told(own: Pi, monkeypatch: pytest.MonkeyPatch) -> None:
    own.stop_sshd()
    (own.root / "etc/ssh/sshd_config").write_text("Nonsense yes\n")
    monkeypatch.setattr("aarch64.pi._SECONDS", 2)
    with pytest.raises(EdgekitError) as caught:
        own.start_sshd()
    assert str(caught.value) == (
        "The sshd of the Raspberry Pi did not obey within 2 s; it said last: "
        "/etc/ssh/sshd_config: terminating, 1 bad configuration options"
    )


def test_a_pi_that_cannot_start_is_told(own: Pi) -> None:
    with pytest.raises(UnavailableError, match=r"^The Raspberry Pi cannot be started here: mount: /.*home/pi: \w"):
        pi_stand_in.pi(home_bytes=-1).__enter__()


WATCHED = """
import sys
from pi_stand_in import start_pi

with start_pi() as board:
    print(board.first, flush=True)
    board.ssh("nohup sleep 1000 >/dev/null 2>&1 &")
    print("ready", board.port, board.board, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
def test_nothing_is_left_of_it(killed: bool, own: Pi) -> None:
    """``own`` is there so that the test is skipped where none can be started, and stays untouched."""
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}"},
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        first = parent.stdout.readline().strip()
        _, port, folder = parent.stdout.readline().split()
        spaces = {kind: os.readlink(f"/proc/{first}/ns/{kind}") for kind in ("pid", "mnt", "uts")}
        assert len(members(spaces)) >= 3  # the canary: its first process, sshd and what was left running
        assert Path(folder).is_dir()  # the canary
        if killed:
            parent.kill()
    wait(lambda: members(spaces) == [], lambda: f"still there: {members(spaces)}")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=10)
    assert folder not in Path("/proc/self/mountinfo").read_text()
    if killed:  # its keys, of no use any more, stay for the next one that makes such a folder
        scratch_folder().cleanup()
    wait(lambda: not Path(folder).exists(), lambda: f"{folder} is still there")
    assert own.ssh("true").returncode == 0


def members(spaces: dict[str, str]) -> list[str]:
    """The numbers of all processes on this machine that are in one of those namespaces."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if any(os.readlink(entry / "ns" / kind) == space for kind, space in spaces.items()):
                    found.append(entry.name)
            except OSError:  # ended meanwhile
                continue
    return found
