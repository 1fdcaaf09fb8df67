"""One Android device, through the user's own ``adb``."""

import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.devices.pipe import PipeLink, start_words
from edgekit.errors import DataError, DeviceError, MissingExtraError

FOLDER = "/data/local/tmp/edgekit"
"""Where files are kept on the phone by their digest, and the runner: all that edgekit leaves there."""
ASK_S = 60.0
"""How long a question to the phone may take."""
PUSH_S_PER_MB = 2.0
MOST_TEXT = 4 << 20
"""Bytes that a phone may answer with."""

_EXIT = "edgekit:exit:"
_ANSWER = re.compile(rf"(.*?)^{_EXIT}(\d{{1,3}})\s*\Z", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command on the phone wrote, errors included, and its exit code."""

    text: str
    code: int

    @property
    def last(self) -> str:
        """The last line that says something, without its full stop."""
        return last_line(self.text)


def last_line(text: str) -> str:
    """The last line of ``text`` that says something, without its full stop."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300].rstrip(".") if lines else "no message"


class Adb:
    """The device ``serial``, which the user calls ``uri``."""

    def __init__(self, uri: str, serial: str) -> None:
        self.uri, self.serial = uri, serial

    def shell(self, script: str, *, limit_s: float = ASK_S) -> Said:
        """Run ``script`` in the phone's shell; `DeviceError` when the phone is lost or silent for ``limit_s``.

        The exit code comes as text: before Android 7, adb has no other way to tell it, and so it is known to be the
        script's and not adb's. Errors come with the rest: adb carries them apart, and in no order.
        """
        told, _ = self._adb(["shell", f"{{\n{script}\n}} 2>&1\necho {_EXIT}$?"], limit_s=limit_s)
        match = _ANSWER.match(told)
        if match is None:
            raise DeviceError(self.trouble(told))
        return Said(text=match[1], code=int(match[2]))

    def put(self, path: Path, sha256: str, *, executable: bool = False) -> str:
        """Where the file ``path`` is on the phone: sent, unless it is there, whole.

        `DeviceError` where there is no room for it, `DataError` where what arrived is not that file.
        """
        remote = f"{FOLDER}/{sha256}{path.suffix}"
        if self.digest(remote) != sha256:
            made = self.shell(f"mkdir -p {FOLDER}")
            if made.code:
                raise DeviceError(f"{self.uri} does not let adb write to {FOLDER}: {made.last}; free space or rights.")
            self._push(path, remote)
            if self.digest(remote) != sha256:
                raise DataError(f"{path} arrived damaged on {self.uri}, or changed meanwhile; try again.")
        if executable:
            made = self.shell(f"chmod 755 {shlex.quote(remote)}")
            if made.code:
                raise DeviceError(
                    f"{self.uri} does not let adb make {path.name} a program: {made.last}; look at rights in {FOLDER}."
                )
        return remote

    def digest(self, remote: str) -> str | None:
        """The sha256 of a file on the phone; None where it is not there."""
        match = re.match(r"([0-9a-f]{64})\b", self.shell(f"sha256sum {shlex.quote(remote)} 2>/dev/null").text)
        return match[1] if match else None

    def link(self, python: str) -> PipeLink:
        """A process there that runs edgekit's side with the interpreter ``python``; it ends when adb does."""
        words = f"XDG_CACHE_HOME={FOLDER.rpartition('/')[0]} exec {start_words(python)}"
        return PipeLink(
            [adb_program(), "-s", self.serial, "shell", "-T", words],
            device=self.uri,
            explain=lambda told, code: self._runner_trouble(python, told, code),
        )

    def trouble(self, told: str) -> str:
        """Why the phone does not answer, in one sentence; ``told`` is what adb said."""
        states = connected()
        wrong = state_trouble(self.uri, self.serial, states)
        return wrong or f"{self.uri} was lost: {last_line(told)}; plug it in again and repeat."

    def _push(self, path: Path, remote: str) -> None:
        limit_s = ASK_S + PUSH_S_PER_MB * path.stat().st_size / 1e6
        told, code = self._adb(["push", str(path.resolve()), remote], limit_s=limit_s)
        if code == 0:
            return
        if "No space left on device" in told:
            raise DeviceError(f"{self.uri} has no space for {path.name}; free some, such as: adb shell rm -r {FOLDER}")
        wrong = state_trouble(self.uri, self.serial, connected())
        first = next((line for line in told.splitlines() if "error:" in line), told)
        raise DeviceError(wrong or f"{path.name} could not be put on {self.uri}: {last_line(first)}.")

    def _runner_trouble(self, python: str, told: str, code: int | None) -> str:
        last = last_line(told)
        if "only supports allocating a pty" in told:
            return f"{self.uri} is older than Android 7, which cannot run edgekit's side; use adb://SERIAL alone."
        if code == 127 or "not found" in last:
            return f"There is no Python at {python} on {self.uri}; name one that the adb shell can run."
        if code == 126 or "Permission denied" in last:
            return (
                f"The adb shell may not run {python} on {self.uri}; reach an app's own files, such as Termux's, by "
                "its sshd."
            )
        wrong = state_trouble(self.uri, self.serial, connected())
        ended = "still running" if code is None else f"exit code {code}"
        return wrong or f"{self.uri} was lost ({ended}): {last}; plug it in again and repeat."

    def _adb(self, words: Sequence[str], *, limit_s: float) -> tuple[str, int]:
        return run_adb(["-s", self.serial, *words], limit_s=limit_s, device=self.uri)


def find_device(uri: str, serial: str | None) -> Adb:
    """The device ``serial``, or where it is None the only one; `DeviceError` where it does not answer to adb."""
    states = connected()
    if serial is None and len(states) > 1:
        raise DeviceError(
            f"Several Android devices are connected ({', '.join(states)}); name one, such as adb://{next(iter(states))}"
        )
    found = serial if serial is not None else next(iter(states), None)
    if found is None:
        raise DeviceError(
            "No Android device is connected; plug one in, with USB debugging switched on, and look at: adb devices"
        )
    wrong = state_trouble(uri, found, states)
    if wrong is not None:
        raise DeviceError(wrong)
    return Adb(uri, found)


def connected() -> dict[str, str]:
    """The state of each device that adb knows, by serial, such as ``device`` or ``unauthorized``."""
    told, code = run_adb(["devices"], limit_s=ASK_S, device="adb")
    if code:
        raise DeviceError(f"adb does not work here: {last_line(told)}; see what this says: adb devices")
    return dict(re.findall(r"^([^\s*]\S*)\t(.+?)\s*$", told, re.MULTILINE))


def state_trouble(uri: str, serial: str, states: "dict[str, str]") -> str | None:
    """Why the device ``serial`` cannot be used; None where nothing speaks against it."""
    state = states.get(serial)
    if state is None:
        return (
            f"There is no Android device {serial}; adb devices lists {', '.join(states) or 'none'}: plug it in, with "
            "USB debugging switched on."
        )
    if state == "unauthorized":
        return f"{uri} does not trust this computer yet; unlock it and accept its dialog 'Allow USB debugging?'."
    if state == "offline":
        return f"{uri} is offline; plug it in again, or run: adb kill-server"
    if state.startswith("no permissions"):
        return (
            f"This user may not use {uri}; add Android's rules for udev, such as: "
            "apt install android-sdk-platform-tools-common"
        )
    return None if state == "device" else f"{uri} is in the state {state[:40]!r}; start Android on it, and unlock it."


def adb_program() -> str:
    """The path of adb; `MissingExtraError` where it is not installed."""
    found = shutil.which("adb")
    if found is None:
        raise MissingExtraError("adb is not installed; install Android's platform tools, such as: apt install adb")
    return found


def run_adb(words: Sequence[str], *, limit_s: float, device: str) -> tuple[str, int]:
    """What ``adb`` and what it runs wrote, and adb's exit code; `DeviceError` after ``limit_s`` or too much text."""
    late = threading.Event()
    with subprocess.Popen(
        [adb_program(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(limit_s, end)
        timer.start()
        try:
            data = process.stdout.read(MOST_TEXT + 1)
            if len(data) <= MOST_TEXT:
                process.wait()
        finally:
            timer.cancel()
            process.kill()  # nothing where it has ended
    if late.is_set():
        raise DeviceError(f"{device} did not answer within {limit_s:g} s; see whether it is busy.")
    if len(data) > MOST_TEXT:
        raise DeviceError(f"{device} answered with more than {MOST_TEXT:,} bytes, which no phone does; look at it.")
    return data.decode(errors="replace").replace("\r\n", "\n"), process.returncode
