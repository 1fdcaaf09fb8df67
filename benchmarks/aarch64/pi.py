"""A Raspberry Pi 4 that answers over SSH on this machine: its Debian, its sshd and all that is run there are aarch64.

It lives in namespaces of its own, which end with it, whatever ends it; its folder with the keys goes too, where it was
killed with the next one that is started. Needs root, Debian's openssh-client and qemu-user-static; what ``make pi``
builds is made where it is missing. Python and the engines compute there as on a Pi; how long they take says nothing.

>>> with pi(with_engines=True) as board:  # doctest: +SKIP
...     board.ssh("uname -m").stdout
'aarch64\n'
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aarch64.pi_board import CPU, HOST, write_board
from aarch64.pi_root import FOLDER, THROTTLED, USER, build, engines
from aarch64.places import UnavailableError, emulator
from edgekit.errors import EdgekitError
from edgekit.files import scratch_folder

_BOOT = Path(__file__).with_name("pi_boot.sh")
_PROGRAMS = {"unshare": "util-linux", "ssh": "openssh-client", "scp": "openssh-client", "ssh-keygen": "openssh-client"}
_SECONDS = 60
_SSHD = "sshd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of the Pi by its number on this machine, with its program's name and the words it was started by."""

    number: int
    parent: int
    name: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pi:
    """A running Pi: the folder of this start, and the number that its first process has on this machine."""

    port: int
    board: Path
    first: int
    _boot: "subprocess.Popen[str]"

    @property
    def uri(self) -> str:
        """Where it answers; its host key and the client's are not those of this user: see `ssh_config`."""
        return f"ssh://{USER}@127.0.0.1:{self.port}"

    @property
    def key(self) -> Path:
        """The private key that it lets in."""
        return self.board / "key"

    @property
    def known_hosts(self) -> Path:
        """The host key that it shows."""
        return self.board / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """For ``ssh -F``: how to reach `HOST`."""
        return self.board / "ssh_config"

    @property
    def log(self) -> Path:
        """What its sshd says."""
        return self.board / "log"

    @property
    def root(self) -> Path:
        """Its root folder, seen from outside; absolute symbolic links in it lead astray."""
        return Path(f"/proc/{self.first}/root")

    @property
    def home(self) -> Path:
        """The user's home, a disk of its own."""
        return self.root / "home" / USER

    def ssh(self, command: str, *, seconds: float = 600) -> "subprocess.CompletedProcess[str]":
        """A shell's command on it, and how that ended."""
        words = ["ssh", "-F", str(self.ssh_config), HOST, command]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=seconds)

    def send(self, *files: Path) -> None:
        """Copy files into its home."""
        words = ["scp", "-q", "-F", str(self.ssh_config), *map(str, files), f"{HOST}:"]
        subprocess.run(words, capture_output=True, check=True, timeout=600)

    def processes(self) -> list[Process]:
        """All that runs on it, but for the first process; what has ended and waits to be noticed is left out."""
        namespace = os.readlink(f"/proc/{self.first}/ns/pid")
        found = [_process(int(entry.name), namespace) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [process for process in found if process and process.number != self.first]

    def connections(self) -> list[Process]:
        """The processes of sshd that serve somebody."""
        servers = [process for process in self.processes() if process.name == _SSHD]
        return [process for process in servers if process.parent != self.first]

    def drop_connections(self) -> None:
        """End every connection as a lost network does that is noticed; what runs there goes on."""
        for process in self.connections():
            with contextlib.suppress(ProcessLookupError):  # ended by the one before
                os.kill(process.number, signal.SIGKILL)

    def stop_sshd(self) -> None:
        """Refuse new connections, from now on."""
        for process in self.processes():
            if process.name == _SSHD and process.parent == self.first:
                os.kill(process.number, signal.SIGTERM)
        wait(lambda: _banner(self.port) is None, self._silent)

    def start_sshd(self) -> None:
        """Take connections, again."""
        assert self._boot.stdin is not None  # noqa: S101 (a pipe, for mypy)
        self._boot.stdin.write("\n")
        self._boot.stdin.flush()
        wait(lambda: _banner(self.port) is not None, self._silent)

    def set_throttled(self, flags: int) -> None:
        """What ``vcgencmd get_throttled`` says from now on: bits 0 to 3 are now, 16 to 19 since the start."""
        self.set_text(THROTTLED, f"{flags:x}")

    def set_text(self, name: str, text: str) -> None:
        """Let a file of the kernel below ``sys`` say something else, such as a temperature."""
        (self.root / name).write_text(f"{text}\n")

    def _silent(self) -> str:
        return f"The sshd of the Raspberry Pi did not obey within {_SECONDS} s; it said last: {_said(self.log, -1)}"


@contextlib.contextmanager
def pi(*, with_engines: bool = False, home_bytes: int = 512 << 20, folder: Path = FOLDER) -> Iterator[Pi]:
    """A running Pi, whose user's home is an empty disk of ``home_bytes``; `UnavailableError` says why there is none.

    ``with_engines`` gives its Python numpy, LiteRT and ONNX Runtime; without it they can be installed from
    `aarch64.pi_root.wheelhouse`. Names of other machines are not known there, as on a Pi without a network.
    """
    qemu = _require()
    try:
        root, packages = build(folder) / "debian", str(engines()) if with_engines else ""
    except EdgekitError as error:
        raise UnavailableError(str(error)) from error
    with scratch_folder() as made:
        board, port = Path(made), _free_port()
        write_board(board, port)
        words = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        words += ["/bin/bash", str(_BOOT), str(root.resolve()), made, str(home_bytes), qemu, CPU, packages]
        with (board / "log").open("w") as log:
            boot = subprocess.Popen(
                words,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                start_new_session=True,  # Ctrl-C is for the tests
            )  # fmt: skip
        with boot:
            assert boot.stdin is not None and boot.stdout is not None  # noqa: S101, PT018 (pipes, for mypy)
            first = boot.stdout.readline().strip()
            if not first:
                raise UnavailableError(f"The Raspberry Pi cannot be started here: {_said(board / 'log', 0)}")
            running = Pi(port=port, board=board, first=int(first), _boot=boot)
            running.start_sshd()
            yield running
        # Its first process ends with its standard input, and everything else with that.


def _require() -> str:
    """The emulator, where everything else is there too."""
    if os.geteuid() != 0:
        raise UnavailableError("A Raspberry Pi is imitated by root only, who may mount; run it as root.")
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is not installed; it is in Debian's package {package}.")
    return emulator("qemu-aarch64-static")


def _process(number: int, namespace: str) -> Process | None:
    """The process with that number, None where it is none of that namespace or has ended."""
    folder = Path(f"/proc/{number}")
    try:
        if os.readlink(folder / "ns/pid") != namespace:
            return None
        stat, command = (folder / "stat").read_text(), (folder / "cmdline").read_text(errors="replace")
    except OSError:  # ended meanwhile
        return None
    name, _, rest = stat.partition("(")[2].rpartition(")")
    state, parent = rest.split()[:2]
    words = tuple(command.split("\0")[1:-1])  # behind the emulator's name
    return None if state == "Z" else Process(number=number, parent=int(parent), name=name, words=words)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _banner(port: int) -> bytes | None:
    """What a server says first; None where there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
            return connection.recv(64) or None
    except (ConnectionError, TimeoutError):
        return None


def wait(done: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    """Until ``done``; `EdgekitError` with ``otherwise`` when that takes too long."""
    end = time.monotonic() + _SECONDS
    while not done():
        if time.monotonic() > end:
            raise EdgekitError(otherwise())
        time.sleep(0.05)


def _said(log: Path, line: int) -> str:
    return (log.read_text().strip() or "no message").splitlines()[line]
