"""A device that answers over SSH on this machine: a real sshd with keys, a home and a configuration of its own.

The client's configuration is in a file of its own too, which an ``ssh`` in ``PATH`` gives to the real one.
"""

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_PROGRAMS = {"sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client"}
_PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])
_TOOLS = ("sh", "cat", "env", "timeout", "true", "uname")
"""What the device has beside its Python."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running sshd; ``folder`` holds all that is its own: ``home``, ``bin`` (its ``PATH``), ``ssh_config``."""

    port: int
    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def uri(self) -> str:
        """Where it answers; who signs in with which key is in the client's configuration."""
        return f"ssh://127.0.0.1:{self.port}"

    @property
    def home(self) -> Path:
        """The home of the user there."""
        return self.folder / "home"

    @property
    def log(self) -> str:
        """What sshd said."""
        return (self.folder / "log").read_text()

    def python(self, text: str, name: str = "python3") -> Path:
        """Let the device have a program called ``name``."""
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def agents(self) -> list[int]:
        """The processes of devices that serve this test: those whose home is the server's."""
        mark = f"HOME={self.home}".encode()
        return [number for number in processes() if mark in _file(number, "environ").split(b"\0") and _runs(number)]

    def agents_words(self) -> list[bytes]:
        """The command lines of `agents`."""
        return [_file(number, "cmdline") for number in self.agents()]

    def sessions(self) -> list[int]:
        """The processes of sshd that serve a connection."""
        return [
            number for number in processes() if _descends(number, self.process.pid) and _name(number).startswith("sshd")
        ]

    def clients(self) -> list[int]:
        """The processes of ``ssh`` that lead to it."""
        mark = f"{self.folder}/ssh_config".encode()
        return [number for number in processes() if mark in _file(number, "cmdline").split(b"\0") and _runs(number)]

    def cut(self) -> None:
        """End all connections, as a network does that is lost."""
        for number in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


def need_programs() -> None:
    """Skip the test where OpenSSH or the list of processes is missing."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program, path=_PATH) is None:
            pytest.skip(f"{program} is not installed; it is in Debian's package {package}")
    if not Path("/proc/self/environ").exists():
        pytest.skip("what runs on the device is looked for in /proc, which this system has not")


@contextlib.contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Iterator[Server]:
    """A server in ``folder`` to which ``ssh`` leads without a question; ``options`` are lines for its configuration."""
    need_programs()
    for name in ("home", "bin"):
        (folder / name).mkdir(parents=True)
    for name in ("host", "key"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    shutil.copy(folder / "key.pub", folder / "authorized")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    for tool in _TOOLS:
        (folder / "bin" / tool).symlink_to(str(shutil.which(tool)))
    lines = [
        *("ListenAddress 127.0.0.1", f"Port {port}", f"HostKey {folder}/host", f"PidFile {folder}/pid"),
        *(f"AuthorizedKeysFile {folder}/authorized", "UsePAM no", "StrictModes no", "PasswordAuthentication no"),
        *("PermitRootLogin prohibit-password", "LogLevel VERBOSE"),
        f"SetEnv HOME={folder}/home PATH={folder}/bin",
        *options,
    ]
    (folder / "config").write_text("\n".join(lines) + "\n")
    known = (folder / "host.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(known)}\n")
    (folder / "ssh_config").write_text(
        f"Host 127.0.0.1 device\n  HostName 127.0.0.1\n  User {getpass.getuser()}\n  Port {port}\n"
        f"  IdentityFile {folder}/key\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n"
        "  GlobalKnownHostsFile /dev/null\n"
    )
    use_config(folder / "ssh_config", folder / "client", monkeypatch)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    sshd = shutil.which("sshd", path=_PATH)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([str(sshd), "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        _wait_for(port, process)
        server = Server(port=port, folder=folder, process=process)
        server.python(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        yield server
        server.cut()
    finally:
        process.kill()
        process.wait()


def use_config(config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``ssh`` read the client's configuration ``config``, by a program in the new ``folder``."""
    folder.mkdir()
    client = folder / "ssh"
    client.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {shlex.quote(str(config))} "$@"\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "known"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def processes() -> list[int]:
    """The numbers of all processes."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def wait_until(done: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether ``done()`` becomes true in time."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    def listens() -> bool:
        assert process.poll() is None, "sshd has ended; see its log"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return True
        except OSError:
            return False

    assert wait_until(listens)


def _file(number: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{number}/{name}").read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""


def _stat(number: int) -> list[str]:
    return _file(number, "stat").decode(errors="replace").rpartition(")")[2].split()


def _name(number: int) -> str:
    return _file(number, "comm").decode(errors="replace").strip()


def _runs(number: int) -> bool:
    return bool(_stat(number)) and _stat(number)[0] != "Z"


def _descends(number: int, ancestor: int) -> bool:
    while number > 1:
        stat = _stat(number)
        number = int(stat[1]) if len(stat) > 1 else 0
        if number == ancestor:
            return True
    return False
