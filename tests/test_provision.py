"""What devices over SSH are given to run models with: which wheels, how they get there, and nothing half done.

The wheels here are empty but for their names; those of real engines are installed on the emulated Raspberry Pi.
"""

import dataclasses
import functools
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from command import edgekit
from sshd import Server, serving, wait_until
from wheelhouses import PI, wheel

from edgekit.claims import sole_use
from edgekit.devices.provision import INSTALL, _started, provision, require_venv
from edgekit.devices.ssh import SSHDevice
from edgekit.errors import DeviceError, InputError

ENVIRONMENT = ".local/share/edgekit/venv"
NAMES = ("numpy", "ai_edge_litert", "onnxruntime")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(tmp_path / "sshd", monkeypatch) as running:
        yield running


def pip_wheel() -> Path:
    """The one that comes with Python."""
    found = sorted(Path(sys.base_prefix, f"lib/python3.{sys.version_info[1]}/ensurepip/_bundled").glob("pip-*.whl"))
    if not found:
        pytest.skip("this Python comes without a wheel of pip")
    return found[-1]


def without_ensurepip(server: Server, folder: Path) -> None:
    """Let the device be as a Debian without python3-venv."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = None\n")
    server.python(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(folder))} exec {shlex.quote(sys.executable)} "$@"\n')


def installed(server: Server) -> dict[str, str]:
    found = (server.home / ENVIRONMENT).glob("lib/python3.*/site-packages/*.dist-info")
    return {name: version for path in found for name, _, version in [path.stem.partition("-")] if name in NAMES}


# On a device


@pytest.mark.slow
def test_a_device_is_provisioned_from_a_wheelhouse(server: Server, wheelhouse: Path) -> None:
    junk = server.home / ENVIRONMENT / "junk"  # of one that was not finished
    junk.mkdir(parents=True)
    told: list[str] = []
    made = provision(server.uri, wheelhouse=wheelhouse, tell=told.append)
    assert made.python == str(server.home / ENVIRONMENT / "bin/python")
    assert made.requirements == ("ai-edge-litert", "numpy", "onnxruntime")
    assert installed(server) == {"numpy": "1.0", "ai_edge_litert": "1.0", "onnxruntime": "1.0"}
    assert told[:2] == [f"Collecting wheels from {wheelhouse}", f"Making {server.home / ENVIRONMENT}"]
    assert not junk.exists()
    assert list((server.home / ".cache/edgekit").iterdir()) == []
    with SSHDevice(server.uri) as device:
        assert device.connection.python == made.python


def environment(server: Server, made_of: str = "") -> Path:
    """A whole environment on the device, whose pip is the one that comes with Python."""
    own = server.home / ENVIRONMENT
    words = [sys.executable, "-m", "venv", "--without-pip", str(own)]
    subprocess.run(words, check=True)
    (own / f"lib/python3.{sys.version_info[1]}/site-packages/pip.pth").write_text(str(pip_wheel()))
    (own / "edgekit.made-of").write_text(made_of)
    return own


def test_what_is_provisioned_is_brought_up_to_date(server: Server, wheelhouse: Path) -> None:
    own = environment(server, "/opt/python")
    wheel(wheelhouse, "onnxruntime", "2.0")
    told: list[str] = []
    provision(server.uri, ["onnxruntime"], wheelhouse=wheelhouse, tell=told.append)
    assert installed(server) == {"numpy": "1.0", "onnxruntime": "2.0"}
    assert not [line for line in told if line.startswith("Making")]
    assert (own / "edgekit.made-of").read_text() == "/opt/python"


@pytest.fixture
def index(wheelhouse: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that has what is in the wheelhouse."""
    for path in sorted(wheelhouse.glob("*.whl")):
        place = wheelhouse / "simple" / path.name.partition("-")[0].replace("_", "-")
        place.mkdir(parents=True, exist_ok=True)
        (place / path.name).symlink_to(path)
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=wheelhouse)) as serving_index:
        threading.Thread(target=serving_index.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving_index.server_port}/simple"
        serving_index.shutdown()


def test_a_device_fetches_by_itself_what_it_lacks(server: Server, index: str, wheelhouse: Path) -> None:
    """Wheels alone: nothing is compiled there."""
    (wheelhouse / "simple/numpy/numpy-9.0.tar.gz").touch()
    own = environment(server)
    (own / "bin/python").unlink()
    (own / "bin/python").write_text(f'#!/bin/sh\nPIP_INDEX_URL={index} exec {own}/bin/python3 "$@"\n')
    (own / "bin/python").chmod(0o755)
    told: list[str] = []
    provision(server.uri, ["litert"], tell=told.append)
    assert installed(server) == {"numpy": "1.0", "ai_edge_litert": "1.0"}
    assert told[0] == "Collecting ai-edge-litert"


def test_this_machine_fetches_what_a_device_lacks(server: Server, index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index)
    environment(server)
    told: list[str] = []
    provision(server.uri, ["onnxruntime"], offline=True, tell=told.append)
    assert installed(server) == {"numpy": "1.0", "onnxruntime": "1.0"}
    assert told[0] == "Collecting wheels here"


def test_an_environment_of_another_interpreter_is_made_anew(server: Server, wheelhouse: Path, tmp_path: Path) -> None:
    without_ensurepip(server, tmp_path / "site")
    (wheelhouse / pip_wheel().name).symlink_to(pip_wheel())
    own = environment(server, "/opt/python")
    assert edgekit("device", "add", "board", server.uri, "--python", server.folder / "bin/python3").returncode == 0
    provision("board", ["litert"], wheelhouse=wheelhouse)
    assert (own / "edgekit.made-of").read_text() == str(server.folder / "bin/python3")
    assert installed(server) == {"numpy": "1.0", "ai_edge_litert": "1.0"}
    with SSHDevice(server.uri, python=str(server.folder / "bin/python3")) as device:
        assert device.connection.python == str(own / "bin/python")


def test_a_device_without_ensurepip_is_provisioned_with_a_wheel_of_pip(
    server: Server, wheelhouse: Path, tmp_path: Path
) -> None:
    without_ensurepip(server, tmp_path / "site")
    (wheelhouse / pip_wheel().name).symlink_to(pip_wheel())
    provision(server.uri, ["litert"], wheelhouse=wheelhouse)
    assert installed(server) == {"numpy": "1.0", "ai_edge_litert": "1.0"}
    assert not (server.home / ENVIRONMENT / "bin/pip").exists()


def test_a_device_without_ensurepip_is_one_sentence(server: Server, tmp_path: Path) -> None:
    without_ensurepip(server, tmp_path / "site")
    with pytest.raises(InputError) as caught:
        provision(server.uri)
    assert str(caught.value) == (
        f"The Python of {server.uri} cannot make environments; install what is missing there, such as: "
        "sudo apt install python3-venv, or add --offline, which does without."
    )


def test_a_device_without_venv_is_one_sentence(server: Server, wheelhouse: Path, tmp_path: Path) -> None:
    without_ensurepip(server, tmp_path / "site")
    (tmp_path / "site/sitecustomize.py").write_text("import sys\nsys.modules['venv'] = None\n")
    with pytest.raises(InputError) as caught:
        provision(server.uri, wheelhouse=wheelhouse)
    assert str(caught.value) == (
        f"The Python of {server.uri} cannot make environments; install what is missing there, such as: "
        "sudo apt install python3-venv."
    )


def test_an_environment_that_cannot_be_made_is_one_sentence(server: Server, wheelhouse: Path, tmp_path: Path) -> None:
    without_ensurepip(server, tmp_path / "site")
    (tmp_path / "site/sitecustomize.py").write_text("")
    (tmp_path / "site/venv.py").write_text("raise SystemExit('it is broken')\n")
    (wheelhouse / pip_wheel().name).symlink_to(pip_wheel())
    with pytest.raises(DeviceError) as caught:
        provision(server.uri, wheelhouse=wheelhouse)
    assert str(caught.value) == (
        f"The Python of {server.uri} makes no environment: it is broken; install what is missing there, such as: "
        "sudo apt install python3-venv"
    )


def test_a_device_without_a_network_is_one_sentence(server: Server) -> None:
    """Its pip asks a server that is not there; what it had installed stays."""
    alone = "PIP_INDEX_URL=http://127.0.0.1:9/ PIP_CONFIG_FILE=/dev/null"
    own = environment(server)
    (own / "bin/python").unlink()
    (own / "bin/python").write_text(f'#!/bin/sh\n{alone} exec {own}/bin/python3 "$@"\n')
    (own / "bin/python").chmod(0o755)
    with pytest.raises(DeviceError) as caught:
        provision(server.uri, ["litert"])
    assert str(caught.value) == (
        f"{server.uri} reaches no server of Python packages; let this machine fetch them by --offline, or take them "
        "from a folder by --wheelhouse DIR."
    )
    assert (own / "edgekit.made-of").exists()


def test_wheels_that_have_arrived_are_not_sent_again(server: Server, wheelhouse: Path, tmp_path: Path) -> None:
    """The first time pip fails; one of them is damaged meanwhile."""
    without_ensurepip(server, tmp_path / "site")
    (wheelhouse / pip_wheel().name).symlink_to(pip_wheel())
    python = f"PYTHONPATH={tmp_path}/site PIP_CONSTRAINT={tmp_path}/constraint exec {shlex.quote(sys.executable)}"
    server.python(f'#!/bin/sh\n{python} "$@"\n')
    sent: list[int] = []

    def count(_what: str, _done: int, total: int) -> None:
        sent.append(total)

    with pytest.raises(DeviceError, match="Could not open requirements file"):
        provision(server.uri, ["litert"], wheelhouse=wheelhouse, progress=count)
    assert sent[-1] > pip_wheel().stat().st_size
    sent.clear()
    damaged = server.home / ".cache/edgekit/wheels/numpy-1.0-py3-none-any.whl"
    damaged.write_bytes(b"")
    (tmp_path / "constraint").touch()
    provision(server.uri, ["litert"], wheelhouse=wheelhouse, progress=count)
    assert sent == [(wheelhouse / damaged.name).stat().st_size]
    assert installed(server) == {"numpy": "1.0", "ai_edge_litert": "1.0"}


def test_a_pip_that_fails_is_told_in_its_words_and_nothing_is_left(
    server: Server, wheelhouse: Path, tmp_path: Path
) -> None:
    without_ensurepip(server, tmp_path / "site")
    (wheelhouse / pip_wheel().name).symlink_to(pip_wheel())
    python = f"PYTHONPATH={tmp_path}/site PIP_CONSTRAINT=/nowhere exec {shlex.quote(sys.executable)}"
    server.python(f'#!/bin/sh\n{python} "$@"\n')
    with pytest.raises(DeviceError) as caught:
        provision(server.uri, ["litert"], wheelhouse=wheelhouse)
    assert str(caught.value) == (
        f"{server.uri} cannot install what models need: Could not open requirements file: [Errno 2] No such file or "
        "directory: '/nowhere'; mend that, and provision it again."
    )
    assert not (server.home / ENVIRONMENT).exists()


@pytest.mark.parametrize("megabytes", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_a_full_disk_is_one_sentence(
    megabytes: int, server: Server, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too small for what is sent, or for the environment."""
    wheel(wheelhouse, "numpy", "2.0")
    with zipfile.ZipFile(wheelhouse / "numpy-2.0-py3-none-any.whl", "a") as archive:
        archive.writestr("numpy/big", os.urandom(2 << 20))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(server.home)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk is mounted by root only")
    try:
        with pytest.raises(DeviceError) as caught:
            provision(server.uri, wheelhouse=wheelhouse)
        assert str(caught.value) == (
            f"The disk of {server.uri} is full; an environment takes about 300 MB: make room there."
        )
        assert not (server.home / ENVIRONMENT).exists()
    finally:
        server.cut()
        unmount = ["umount", "--lazy", str(server.home)]
        subprocess.run(unmount, check=True)


def test_the_end_of_this_side_ends_the_work_there(server: Server, wheelhouse: Path) -> None:
    words = [sys.executable, "-m", "edgekit", "device", "provision", server.uri, "--wheelhouse", str(wheelhouse)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        while not running.stderr.readline().startswith("Making"):
            assert running.poll() is None
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert wait_until(lambda: not server.agents(), seconds=5)
    assert not (server.home / ENVIRONMENT / "edgekit.made-of").exists()


def test_what_is_started_at_the_moment_of_the_end_ends_too(server: Server, tmp_path: Path) -> None:
    """The desk goes when the process is there, and before who started it has its number."""
    (tmp_path / "sitecustomize.py").write_text(
        "import subprocess, sys, threading\n"
        "class Slow(subprocess.Popen):\n"
        "    def __init__(self, *words, **options):\n"
        "        super().__init__(*words, **options)\n"
        "        print('started', flush=True)\n"
        "        threading.Event().wait(1)\n"
        "if sys.argv[0] == '-c':\n"
        "    subprocess.Popen = Slow\n"
    )
    (tmp_path / "venv.py").write_text("import signal\nsignal.pause()\n")
    request = {"made_of": None, "requirements": [], "wheels": [], "system": False, "pip": None}
    words = [sys.executable, "-c", INSTALL, json.dumps(request)]
    environment = {**os.environ, "HOME": str(server.home), "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018 - pipes
        assert process.stdout.readline().startswith(b'{"step": "Making ')
        assert process.stdout.readline() == b"started\n"
        assert wait_until(lambda: len(server.agents()) == 2)  # the new one tells of itself a moment later
        process.stdin.close()
        process.stdin = None
        assert process.wait(timeout=10) == 1
    assert wait_until(lambda: not server.agents(), seconds=5)


def test_two_do_not_provision_one_device_at_once(server: Server) -> None:
    folder = (server.home / ENVIRONMENT).parent
    folder.mkdir(parents=True)
    with sole_use(folder), pytest.raises(DeviceError) as caught:
        provision(server.uri)
    assert str(caught.value) == (f"Another process provisions {server.uri} at this moment; wait for it, and try again.")
    assert list(folder.iterdir()) == []


def test_a_client_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("edgekit.devices.provision._END_S", 0.1)
    with (tmp_path / "log").open("wb") as log, _started(["sleep", "1000"], log) as process:
        pass
    assert process.returncode == -signal.SIGKILL


def test_a_network_that_is_lost_meanwhile_is_one_sentence(server: Server, wheelhouse: Path) -> None:
    def cut(step: str) -> None:
        if step.startswith("Making"):
            server.cut()

    with pytest.raises(DeviceError) as caught:
        provision(server.uri, wheelhouse=wheelhouse, tell=cut)
    assert str(caught.value) == (
        f"The connection to {server.uri} was lost in the midst of work, and what ran there ends by itself; try again."
    )
    assert wait_until(lambda: not server.agents(), seconds=5)
    assert not (server.home / ENVIRONMENT / "edgekit.made-of").exists()


def test_what_is_not_at_ssh_is_not_provisioned() -> None:
    with pytest.raises(InputError) as caught:
        provision("local")
    assert str(caught.value) == "Only devices at ssh:// and web:// are provisioned; got local."


def test_a_device_that_talks_nonsense_is_one_sentence(server: Server, wheelhouse: Path) -> None:
    server.python(
        f'#!/bin/sh\nif [ "$#" = 3 ]; then echo \'[1]\'; exit 0; fi\nexec {shlex.quote(sys.executable)} "$@"\n'
    )
    with pytest.raises(DeviceError) as caught:
        provision(server.uri, wheelhouse=wheelhouse)
    assert str(caught.value) == (rf"{server.uri} says while it installs what was not expected: b'[1]\n'; try again.")


HOSTILE = (
    *('{"need": 7}', '{"need": 5, "step": "x"}', '{"step": 5, "done": "/p"}', '{"done": null}', "{}", "7"),
    "x" * (1 << 21),
)


@pytest.mark.parametrize("said", HOSTILE, ids=lambda s: s[:24])
def test_what_a_hostile_device_says_is_refused(said: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "said").write_text(said + "\n")
    server.python(
        f'#!/bin/sh\nif [ "$#" = 3 ]; then exec cat {tmp_path}/said; fi\nexec {shlex.quote(sys.executable)} "$@"\n'
    )
    with pytest.raises(DeviceError) as caught:
        provision(server.uri)
    assert str(caught.value).startswith(f"{server.uri} says while it installs what was not expected: b")
    assert len(str(caught.value)) < 300


def test_a_home_that_cannot_be_written_is_one_sentence() -> None:
    with pytest.raises(InputError) as caught:
        require_venv("pi", dataclasses.replace(PI, writable=False), with_wheels=True)
    assert str(caught.value) == "pi has a home that its user cannot write to, /home/pi; give him rights there."
