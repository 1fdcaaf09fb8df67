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

from edgekit.claims import sole_use
from edgekit.devices.look import Look
from edgekit.devices.provision import INSTALL, _started, provision, require_venv, requirements
from edgekit.devices.ssh import SSHDevice
from edgekit.devices.wheels import collect, platforms
from edgekit.errors import DeviceError, InputError, MissingExtraError

PI = Look(
    python="3.11.2",
    executable="/usr/bin/python3",
    base="/usr/bin/python3.11",
    system="Linux",
    machine="aarch64",
    bits=64,
    glibc="2.36",
    venv=True,
    ensurepip=True,
    home="/home/pi",
    writable=True,
    free_bytes=1 << 30,
    memory_available_bytes=1 << 30,
    packages={},
)
PI_32 = dataclasses.replace(PI, machine="armv7l", bits=32, packages={"numpy": "1.24.2"})
ENVIRONMENT = ".local/share/edgekit/venv"
NAMES = ("numpy", "ai_edge_litert", "onnxruntime")


def wheel(
    folder: Path, name: str, version: str = "1.0", *, tag: str = "py3-none-any", needs: str | None = None
) -> Path:
    """A wheel with one module, as pip installs it."""
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    path = folder / f"{module}-{version}-{tag}.whl"
    required = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}/__init__.py", f"version = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "numpy")
    wheel(folder, "ai-edge-litert", needs="numpy")
    wheel(folder, "onnxruntime", needs="numpy")
    wheel(folder, "onnxruntime", "9.0", tag="cp311-cp311-manylinux_2_28_riscv64")  # another machine's
    return folder


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


# Which wheels


def test_wheels_fit_the_devices_library_and_cpu() -> None:
    assert platforms(PI)[:2] == ["manylinux_2_36_aarch64", "manylinux_2_35_aarch64"]
    assert platforms(PI)[-3:] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"]
    assert platforms(PI_32)[0] == "manylinux_2_36_armv7l"
    desk = dataclasses.replace(PI, machine="x86_64", glibc="2.11")
    assert platforms(desk)[0::6] == ["manylinux_2_11_x86_64", "manylinux_2_5_x86_64"]
    assert platforms(desk)[-3:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    desk = dataclasses.replace(desk, glibc="2.17")
    assert platforms(desk)[-4:] == [
        f"{name}_x86_64" for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux")
    ]


def test_a_32_bit_python_on_a_64_bit_kernel_counts() -> None:
    mixed = dataclasses.replace(PI_32, machine="aarch64")
    assert platforms(mixed)[0] == "manylinux_2_36_armv7l"
    assert requirements("x", mixed, ()) == ("tflite-runtime==2.14.0",)


@pytest.mark.parametrize(
    "change", [{"glibc": None}, {"system": "Darwin"}, {"machine": "riscv64"}, {"glibc": "3.0"}, {"glibc": "2.3000"}]
)
def test_a_machine_without_wheels_is_one_sentence(change: dict[str, str | None]) -> None:
    look = dataclasses.replace(PI, **change)  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        platforms(look)
    assert str(caught.value) == (
        f"Which wheels run on {look.system} for {look.machine} is not known; expected Linux with glibc on one of "
        "x86_64, aarch64, armv7l: install numpy and an engine there by hand."
    )


@pytest.mark.parametrize(
    ("look", "engines", "wanted"),
    [
        (PI, (), ("ai-edge-litert", "numpy", "onnxruntime")),
        (PI, ("onnxruntime",), ("numpy", "onnxruntime")),
        (PI, ("onnxruntime", "tflite-runtime"), ("numpy<2", "onnxruntime", "tflite-runtime==2.14.0")),
        (PI_32, (), ("tflite-runtime==2.14.0",)),
    ],
)
def test_what_is_installed_by_engine(look: Look, engines: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    assert requirements("pi", look, engines) == wanted


@pytest.mark.parametrize(
    ("look", "engines", "sentence"),
    [
        (
            PI,
            ("tensorflow",),
            "There is no engine 'tensorflow' for devices; choose one of: litert, onnxruntime, tflite-runtime.",
        ),
        (
            PI_32,
            ("onnxruntime",),
            "There is no onnxruntime for 32-bit ARM, which pi is; leave out --engine onnxruntime.",
        ),
        (
            dataclasses.replace(PI, python="3.13.5"),
            ("tflite-runtime",),
            "tflite-runtime is there for Python 3.9 and 3.11 only, and pi has 3.13.5; leave out "
            "--engine tflite-runtime.",
        ),
        (
            dataclasses.replace(PI, python="3.10.12"),
            ("tflite-runtime",),
            "tflite-runtime is there for Python 3.9 and 3.11 only, and pi has 3.10.12; leave out "
            "--engine tflite-runtime.",
        ),
        (
            dataclasses.replace(PI_32, python="3.13.5"),
            (),
            "tflite-runtime is there for Python 3.9 and 3.11 only, and pi has 3.13.5; install one of these there.",
        ),
        (
            dataclasses.replace(PI_32, packages={}),
            (),
            "pi has no numpy, which has no wheels for 32-bit ARM; install Debian's there: "
            "sudo apt install python3-numpy",
        ),
        (
            dataclasses.replace(PI, python="3.8.10"),
            (),
            "pi has Python 3.8.10; expected 3.9 or newer: install one there, and name it: "
            "edgekit device add NAME URI --python PATH",
        ),
    ],
)
def test_what_cannot_be_installed_is_one_sentence(look: Look, engines: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        requirements("pi", look, engines)
    assert str(caught.value) == sentence


def test_only_what_fits_is_taken_from_a_wheelhouse(wheelhouse: Path, tmp_path: Path) -> None:
    wheel(wheelhouse, "unasked")
    found = collect(("onnxruntime",), PI, tmp_path / "taken", source=wheelhouse)
    assert [path.name for path in found] == ["numpy-1.0-py3-none-any.whl", "onnxruntime-1.0-py3-none-any.whl"]


def test_32_bit_arm_takes_its_engine_alone(wheelhouse: Path, tmp_path: Path) -> None:
    """numpy is not on the way: there is no wheel of it."""
    wheel(wheelhouse, "tflite-runtime", "2.14.0", tag="cp311-cp311-manylinux_2_34_armv7l", needs="numpy>=1.25")
    (wheelhouse / "numpy-1.0-py3-none-any.whl").unlink()
    found = collect(requirements("x", PI_32, ()), PI_32, tmp_path / "taken", source=wheelhouse)
    assert [path.name for path in found] == ["tflite_runtime-2.14.0-cp311-cp311-manylinux_2_34_armv7l.whl"]


def test_wheels_that_are_missing_are_named(wheelhouse: Path, tmp_path: Path) -> None:
    (wheelhouse / "numpy-1.0-py3-none-any.whl").unlink()
    with pytest.raises(InputError) as caught:
        collect(("onnxruntime",), PI, tmp_path / "taken", source=wheelhouse)
    assert str(caught.value) == (
        f"There are no wheels in {wheelhouse} for Python 3.11 on manylinux_2_36_aarch64: No matching distribution "
        "found for numpy; see what is missing, or choose other engines with --engine."
    )


def test_a_wheelhouse_that_is_no_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        collect(("numpy",), PI, tmp_path, source=tmp_path / "no")
    assert str(caught.value) == f"{tmp_path}/no is no folder of wheels; give one with --wheelhouse, or use --offline."


def test_a_desk_without_pip_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(MissingExtraError) as caught:
        collect(("numpy",), PI, tmp_path, source=None)
    assert str(caught.value) == "pip is not installed here, which collects the wheels. Run: python3 -m ensurepip"


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
        assert len(server.agents()) == 2
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
