"""Folders that belong to a living process, and the removal of those whose owner was killed.

The owner holds a lock (``flock``) on its folder, which the kernel gives back with the process, whatever ended it. So no
process id can be mistaken for another, and processes in several containers that share a disk agree. Where a file system
has no such locks nothing is ever taken for abandoned.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edgekit.errors import InputError


def claimed_folder(parent: Path, prefix: str) -> tuple[Path, int | None]:
    """A new folder in ``parent`` whose name begins with ``prefix``, and the claim on it for `release`.

    `OSError` where none can be made.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        if sys.platform == "win32":
            return path, None
        with contextlib.suppress(FileNotFoundError):
            claim = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            locked = _lock(claim)
            if locked is None or (locked and _same(path, claim)):
                return path, claim
            # In the moment before it was locked, another process took it for abandoned: try once more.
            os.close(claim)


def release(claim: int | None) -> None:
    """Give up the claim on a folder."""
    if claim is not None:
        os.close(claim)


@contextlib.contextmanager
def sole_use(folder: Path, *, wait_s: float = 0.0, way_out: str = "choose another folder with -o") -> Iterator[None]:
    """Inside the block no other process is in such a block with this ``folder``, which exists.

    `InputError` where another one is, and stays for longer than ``wait_s``; ``way_out`` is what helps beside waiting.
    """
    if sys.platform == "win32":
        yield
        return
    claim, end_s = os.open(folder, os.O_RDONLY | os.O_DIRECTORY), time.monotonic() + wait_s
    try:
        while _lock(claim) is False:
            if time.monotonic() >= end_s:
                raise InputError(f"Another process is at work in {folder}; wait for it, or {way_out}.")
            time.sleep(0.02)
        yield
    finally:
        os.close(claim)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove the folders in ``parent`` whose names begin with ``prefix`` and whose owners are gone."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        paths = [Path(entry.path) for entry in entries if entry.name.startswith(prefix)]
        for path in paths:
            with contextlib.suppress(OSError):  # another user's, gone by now, or no folder
                claim = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    if _lock(claim):
                        shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(claim)


def _lock(claim: int) -> bool | None:
    """Whether the lock was free and is ours now; None where the file system has no locks."""
    assert sys.platform != "win32"  # noqa: S101 - tells the type checker
    import fcntl

    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _same(path: Path, claim: int) -> bool:
    return path.exists() and os.path.samestat(path.stat(), os.fstat(claim))
