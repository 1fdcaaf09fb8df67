"""Gives a device over SSH what it runs models with: an environment of its own with numpy and engines."""

import contextlib
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from edgekit.devices import open_device, web_engines
from edgekit.devices.look import OLDEST_PYTHON, Look
from edgekit.devices.ssh import SSHDevice
from edgekit.devices.web import WebDevice
from edgekit.devices.wheels import collect
from edgekit.errors import DeviceError, InputError, printable
from edgekit.files import scratch_folder, sha256_file
from edgekit.workers import Progress, silent

INSTALL = (Path(__file__).parent / "agent" / "install.py").read_text(encoding="utf-8")
"""The program that does it on the device."""

PACKAGES = {
    "litert": ("ai-edge-litert", "numpy"),
    "onnxruntime": ("onnxruntime", "numpy"),
    "tflite-runtime": ("tflite-runtime==2.14.0", "numpy<2"),
}
"""What an engine needs; tflite-runtime fails with a newer numpy at the first model."""

OLD_PYTHONS = ((3, 9), (3, 11))
"""Those that have a wheel of tflite-runtime 2.14."""

_LONGEST = 1 << 20
_END_S = 10.0
_WORDS: dict[str, type] = {"need": list, "step": str, "failed": str, "done": str}

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """The interpreter on the device, and what was asked of its pip; a browser has none, and gets npm's packages."""

    python: str | None
    requirements: tuple[str, ...]


def provision(
    uri: str,
    engines: Sequence[str] = (),
    *,
    offline: bool = False,
    wheelhouse: Path | None = None,
    tell: Tell = lambda _: None,
    progress: Progress = silent,
) -> Provisioned:
    """Install numpy and ``engines`` on the device at ``uri``, by its own pip, into an environment of their own.

    What a browser at ``web://`` runs is kept on this machine; there ``wheelhouse`` is a folder of npm's tarballs.

    With ``offline`` this machine downloads the wheels for it, with ``wheelhouse`` they come from that folder; the
    device then needs neither a network nor Debian's python3-venv. From then on it runs everything in there. Errors:
    `InputError`, `DeviceError`.
    """
    device: Any = open_device(uri)
    if isinstance(device, WebDevice):
        return _for_browsers(uri, engines, offline=offline, packages=wheelhouse, tell=tell)
    if not isinstance(device, SSHDevice):
        raise InputError(f"Only devices at ssh:// and web:// are provisioned; got {uri}.")
    with device:
        look = device.look()
        wanted = requirements(uri, look, engines)
        with_wheels = offline or wheelhouse is not None
        require_venv(uri, look, with_wheels=with_wheels)
        with scratch_folder() as folder:
            wheels: list[Path] = []
            if with_wheels:
                tell("Collecting wheels here" if wheelhouse is None else f"Collecting wheels from {wheelhouse}")
                own = () if look.ensurepip else ("pip",)
                wheels = collect((*wanted, *own), look, Path(folder), source=wheelhouse)
            made = _install(device, look, wanted, wheels, tell, progress)
    return Provisioned(python=made, requirements=wanted)


def _for_browsers(uri: str, engines: Sequence[str], *, offline: bool, packages: Path | None, tell: Tell) -> Provisioned:
    """Keep here what a page takes from here."""
    if engines or offline:
        raise InputError(f"{uri} gets all engines, which are kept here; leave out --engine and --offline.")
    tell("Fetching the engines by npm" if packages is None else f"Taking the engines from {packages}")
    folder = web_engines.provision(packages)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    tell(f"{folder} has what a browser needs, {size / 1e6:.0f} MB.")
    return Provisioned(python=None, requirements=tuple(f"{p.name}@{p.version}" for p in web_engines.PACKAGES))


def requirements(uri: str, look: Look, engines: Sequence[str]) -> tuple[str, ...]:
    """What pip is asked for: the given engines, else those that the device takes; `InputError` where it takes none."""
    if look.version < OLDEST_PYTHON:
        raise InputError(
            f"{uri} has Python {look.python}; expected 3.9 or newer: install one there, and name it: "
            "edgekit device add NAME URI --python PATH"
        )
    names = tuple(engines) or (("tflite-runtime",) if look.arm32 else ("litert", "onnxruntime"))
    for name in names:
        if name not in PACKAGES:
            raise InputError(f"There is no engine {name!r} for devices; choose one of: {', '.join(PACKAGES)}.")
        if look.arm32 and name != "tflite-runtime":
            raise InputError(f"There is no {name} for 32-bit ARM, which {uri} is; leave out --engine {name}.")
    if "tflite-runtime" in names and look.version not in OLD_PYTHONS:
        raise InputError(
            f"tflite-runtime is there for Python 3.9 and 3.11 only, and {uri} has {look.python}; "
            + ("install one of these there." if look.arm32 else "leave out --engine tflite-runtime.")
        )
    if look.arm32 and "numpy" not in look.packages:
        raise InputError(
            f"{uri} has no numpy, which has no wheels for 32-bit ARM; install Debian's there: "
            "sudo apt install python3-numpy"
        )
    asked = {package for name in names for package in PACKAGES[name]}
    if look.arm32:  # Debian's is seen from the environment
        return tuple(package for package in sorted(asked) if not package.startswith("numpy"))
    return tuple(sorted(asked - ({"numpy"} if "numpy<2" in asked else set())))


def require_venv(uri: str, look: Look, *, with_wheels: bool) -> None:
    """`InputError` where the device's Python makes no environment in the home of its user."""
    if not look.writable:
        raise InputError(f"{uri} has a home that its user cannot write to, {look.home}; give him rights there.")
    if not look.venv or (not look.ensurepip and not with_wheels):
        way = "." if not look.venv else ", or add --offline, which does without."
        raise InputError(
            f"The Python of {uri} cannot make environments; install what is missing there, such as: "
            f"sudo apt install python3-venv{way}"
        )


def _install(
    device: SSHDevice, look: Look, wanted: Sequence[str], wheels: Sequence[Path], tell: Tell, progress: Progress
) -> str:
    """The interpreter that has it all, once the device has said so."""
    own_pip = next((path.name for path in wheels if path.name.startswith("pip-")), None)
    request = {
        "made_of": device.connection.given,
        "requirements": list(wanted),
        "wheels": [{"name": p.name, "size": p.stat().st_size, "sha256": sha256_file(p)} for p in wheels],
        "system": look.arm32,
        "pip": own_pip,
    }
    command = device.connection.command(device.connection.python, "-c", INSTALL, json.dumps(request))
    with scratch_folder() as folder, (Path(folder) / "log").open("w+b") as log, _started(command, log) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - pipes
        by_name = {path.name: path for path in wheels}
        while line := process.stdout.readline(_LONGEST):
            said = _said(device, line)
            if "need" in said:
                _send(process, [path for name, path in by_name.items() if name in said["need"]], progress)
            elif "step" in said:
                tell(printable(said["step"]))
            elif "failed" in said:
                _failed(device.uri, said["failed"], str(said.get("told")), with_wheels=bool(wheels))
            else:
                return printable(said["done"])
        process.stdin.close()
        code = process.wait()
        log.seek(0)
        raise DeviceError(device.explain(log.read(1 << 16).decode(errors="replace"), code))


@contextlib.contextmanager
def _started(command: Sequence[str], log: Any) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
    )
    try:
        yield process
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        timer = threading.Timer(_END_S, process.kill)
        timer.start()
        process.wait()
        timer.cancel()


def _said(device: SSHDevice, line: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(line)
        known = [name for name in _WORDS if name in said] if isinstance(said, dict) else []
        if known and all(isinstance(said[name], _WORDS[name]) for name in known):
            return dict(said)
    except (ValueError, RecursionError):
        pass
    raise DeviceError(f"{device.uri} says while it installs what was not expected: {line[:60]!r}; try again.")


def _send(process: "subprocess.Popen[bytes]", wheels: Sequence[Path], progress: Progress) -> None:
    total, done = sum(path.stat().st_size for path in wheels), 0
    assert process.stdin is not None  # noqa: S101 - a pipe
    for path in wheels:
        with path.open("rb") as stream, contextlib.suppress(BrokenPipeError):  # its end is told by what it said
            while data := stream.read(1 << 16):
                process.stdin.write(data)
                done += len(data)
                progress("Sending wheels", done, total)
            process.stdin.flush()


def _failed(uri: str, what: str, told: str, *, with_wheels: bool) -> NoReturn:
    """The `DeviceError` for what the device's pip, venv or disk said."""
    if what == "busy":
        raise DeviceError(f"Another process provisions {uri} at this moment; wait for it, and try again.")
    if what == "disk" or re.search(r"No space left on device|Disk quota exceeded", told):
        raise DeviceError(f"The disk of {uri} is full; an environment takes about 300 MB: make room there.")
    if re.search(r"name resolution|NewConnectionError|ConnectTimeout|Network is unreachable|ProxyError", told):
        raise DeviceError(
            f"{uri} reaches no server of Python packages; let this machine fetch them by --offline, or take them from "
            "a folder by --wheelhouse DIR."
        )
    lines = [line for line in told.splitlines() if line.strip()]
    errors = [line.partition("ERROR:")[2].strip() for line in lines if line.startswith("ERROR:")]
    last = (errors or lines or ["no message"])[-1].rstrip(".")
    if what == "venv":
        way = "" if with_wheels else ", or add --offline"
        raise DeviceError(
            f"The Python of {uri} makes no environment: {last}; install what is missing there, such as: "
            f"sudo apt install python3-venv{way}"
        )
    raise DeviceError(f"{uri} cannot install what models need: {last}; mend that, and provision it again.")
