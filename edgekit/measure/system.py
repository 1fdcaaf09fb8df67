"""Asking the machine: small files of the kernel and programs that change nothing. What is not there is None."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

Command = Callable[[Sequence[str]], "str | None"]
"""Runs a program and gives what it printed, or None where it is not there or fails."""


def run_command(arguments: Sequence[str]) -> str | None:
    """What a program of this machine prints within five seconds; None where it is missing or fails."""
    program = shutil.which(arguments[0])
    if program is None:
        return None
    try:
        done = subprocess.run([program, *arguments[1:]], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def read_text(path: Path) -> str | None:
    """The text of a small file of the kernel, without its trailing newline or NUL; None where it cannot be read."""
    try:
        return path.read_bytes().rstrip(b"\0\n").decode(errors="replace")
    except OSError:  # absent on this kind of machine, or not for this user
        return None


def own_threads(root: Path = Path("/")) -> int | None:
    """How many threads of the operating system this process has."""
    try:
        return len(os.listdir(root / "proc/self/task"))
    except OSError:
        return None


def threads_at_work(before: int | None, after: int | None) -> int | None:
    """Threads that an engine computes with, from `own_threads` before it had a model and after its first run.

    The one that calls the engine is among them.
    """
    return None if before is None or after is None else after - before + 1
