"""One connection of the OpenSSH client to a machine, which everything that is done there shares."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Self

from edgekit.devices.ssh_errors import explain_connecting
from edgekit.errors import DeviceError, InputError, MissingExtraError
from edgekit.files import scratch_folder

CONNECT_S = 15
"""How long the machine may take to answer at all."""
SIGN_IN_S = 60.0
"""How long all of connecting may take."""
LONGEST_S = 24 * 60 * 60
"""No process there outlives this, even where nothing else ends it."""
OPTIONS = (
    "-T",
    *("-o", "BatchMode=yes"),  # a question would wait for ever; host keys are checked as the user's configuration says
    *("-o", f"ConnectTimeout={CONNECT_S}"),
    *("-o", "ServerAliveInterval=5"),
    *("-o", "ServerAliveCountMax=6"),
    *("-o", "ClearAllForwardings=yes"),  # what the user forwards, a shell of his has taken
    *("-o", "RemoteCommand=none"),
    *("-o", "PermitLocalCommand=no"),
    *("-o", "LogLevel=INFO"),  # its words become sentences
)
OPTIONS_8_7 = (*("-o", "StdinNull=no"), *("-o", "SessionType=default"), *("-o", "ForkAfterAuthentication=no"))
"""Against what a configuration may hold since OpenSSH 8.7; an older one would take them for misspelt."""
_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9._][A-Za-z0-9._-]*)@)?"
    r"(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*)|\[(?P<ip6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?)\])"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)
_GREETING = re.compile(rb"edgekit (limit|-) (/[^\n]*|python3)\n")
# Says what there is, and stays until the desk closes its end: the connection lives as long as this. The environment
# that `edgekit.devices.provision` made counts where it is whole, and made of the interpreter that is named, if one is.
_GREET = """
venv=$HOME/.local/share/edgekit/venv
python=${1:-python3}
if [ -f "$venv/edgekit.made-of" ] && [ -x "$venv/bin/python" ]; then
  if [ -z "$1" ] || [ "$(cat "$venv/edgekit.made-of")" = "$1" ]; then python=$venv/bin/python; fi
fi
limit=-
if timeout 9 true 2>/dev/null; then limit=limit; fi
echo edgekit "$limit" "$python"
exec cat >/dev/null
"""


def ssh_target(uri: str) -> list[str]:
    """The words for ``ssh`` that name the machine at ``uri``; `InputError` for an address that is none."""
    match = _ADDRESS.fullmatch(uri)
    if match is None or not 0 < int(match["port"] or 22) < 1 << 16:
        raise InputError(
            f"{uri!r} is no address of a machine; expected ssh://host, ssh://user@host or ssh://user@host:port."
        )
    port, user = match["port"], match["user"]
    return [*(["-p", port] if port else []), *(["-l", user] if user else []), "--", match["host"] or match["ip6"]]


class Connection:
    """A connection to the machine ``target``, as `ssh_target` gives it; ``name`` is what the user calls it.

    Use it as a context manager: it ends with the block, or with this process, whatever ends that. Inside, ``python`` is
    the interpreter there: that of the provisioned environment, if there is one made of the given ``python``; else this.
    """

    def __init__(self, name: str, target: Sequence[str], *, python: str | None = None) -> None:
        if shutil.which("ssh") is None:
            raise MissingExtraError(
                "The OpenSSH client is not installed; install it, such as: apt install openssh-client"
            )
        self.name, self.target = name, tuple(target)
        self.given, self.python, self._limited = python, python or "python3", False
        self._options = (*OPTIONS, *(OPTIONS_8_7 if _version() >= (8, 7) else ()))

    def command(self, *words: str, limit_s: float = LONGEST_S) -> list[str]:
        """The command of this machine that runs ``words`` over there, for ``limit_s`` if the device can see to it."""
        limited = ["timeout", str(limit_s), *words] if self._limited else words
        # The shell in between makes an exit code of a signal, of which the client would say nothing.
        remote = shlex.join(["sh", "-c", '"$@"; exit $?', "sh", *limited])
        return ["ssh", *self._options, "-o", "ControlMaster=no", *self._shared(), *self.target, remote]

    def __enter__(self) -> Self:
        greet = shlex.join(["sh", "-c", _GREET, "sh", self.given or ""])
        with contextlib.ExitStack() as stack:
            self._folder = Path(stack.enter_context(scratch_folder()))
            log = stack.enter_context((self._folder / "log").open("w+b"))
            command = ["ssh", *self._options, "-o", "ControlMaster=yes", *self._shared(), *self.target, greet]
            self._master = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches this process, which ends it
            )
            stack.callback(self._end)
            self._greeted(log)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *ended: object) -> None:
        self._stack.close()

    def _shared(self) -> tuple[str, ...]:
        return ("-o", "ControlPersist=no", "-o", f"ControlPath={str(self._folder).replace('%', '%%')}/s")

    def _greeted(self, log: IO[bytes]) -> None:
        stream = self._master.stdout
        assert stream is not None  # noqa: S101 - it is a pipe
        with limited(SIGN_IN_S, lambda: kill(self._master)) as late:
            line = stream.readline(4096)
            code = None if line else self._master.wait()
        match = _GREETING.fullmatch(line)
        if match is not None:
            self._limited, self.python = match[1] == b"limit", match[2].decode(errors="replace")
            return
        if code is None:
            raise DeviceError(
                f"{self.name} says {line[:60].decode(errors='replace').strip()!r} before it does what it is asked; let "
                "the files of its shell, such as ~/.bashrc, print nothing where the shell is not interactive."
            )
        log.seek(0)
        told = "timed out" if late.is_set() else log.read(1 << 16).decode(errors="replace")
        raise DeviceError(explain_connecting(self.name, self.target, told, code, known_as=_known_as(self.target)))

    def _end(self) -> None:
        assert self._master.stdin is not None and self._master.stdout is not None  # noqa: S101, PT018 - pipes
        with contextlib.suppress(BrokenPipeError):
            self._master.stdin.close()
        try:
            self._master.wait(timeout=5)
        except subprocess.TimeoutExpired:  # a network that is gone
            kill(self._master)
            self._master.wait()
        self._master.stdout.close()


def _version() -> tuple[int, int]:
    """That of the client; (0, 0) where it does not tell."""
    match = re.match(r"OpenSSH_(\d{1,3})\.(\d{1,3})", _told_by_client("-V").stderr)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _known_as(target: Sequence[str]) -> str | None:
    """The machine ``target`` as it is in the files of host keys, by the user's configuration; None where that fails."""
    facts = dict(line.partition(" ")[::2] for line in _told_by_client("-G", *target).stdout.splitlines())
    host, port = facts.get("hostkeyalias") or facts.get("hostname"), facts.get("port", "22")
    return host if host is None or port == "22" or "hostkeyalias" in facts else f"[{host}]:{port}"


def _told_by_client(*words: str) -> "subprocess.CompletedProcess[str]":
    """What ``ssh`` says without connecting."""
    command = ["ssh", *words]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=CONNECT_S
        )
    except subprocess.TimeoutExpired:  # a configuration may run programs
        return subprocess.CompletedProcess(command, 1, "", "")


@contextlib.contextmanager
def limited(limit_s: float, act: Callable[[], None]) -> Iterator[threading.Event]:
    """Do ``act`` where the block takes longer than ``limit_s``; the event then is set."""
    late = threading.Event()

    def expired() -> None:
        late.set()
        act()

    timer = threading.Timer(limit_s, expired)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process that leads a session, and those that it has started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
