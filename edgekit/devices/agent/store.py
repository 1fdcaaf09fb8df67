"""Files that were sent, kept by their digest, so that each is sent once; what was not used for a month goes."""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edgekit.errors import DataError

KEPT_S = 30 * 24 * 60 * 60
"""For so long after its last use a file is kept: cards of boards are small."""

_CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


def cache_folder() -> Path:
    """Where a device keeps what edgekit sends: below ``XDG_CACHE_HOME``, or ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base if base else os.path.join(os.path.expanduser("~"), ".cache")) / "edgekit"


class Store:
    """The files in ``folder`` by their sha256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, sha256: str) -> bool:
        """Whether the file is there and whole."""
        path = self.path(sha256)
        try:
            whole = hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        except OSError:
            return False
        with contextlib.suppress(OSError):  # a disk that may be read only
            os.utime(path)
        return whole

    def path(self, sha256: str) -> Path:
        """Where the file is or would be; `DataError` for what is no digest."""
        if not isinstance(sha256, str) or not _DIGEST.fullmatch(sha256):
            raise DataError("A file was asked for by something that is no sha256.")
        return self._folder / sha256

    def receive(self, sha256: str, size: int, take: "Callable[[int], bytes]") -> None:
        """Write the next ``size`` bytes of ``take``, which are all taken whatever happens.

        `DataError` where they are not the file with that digest, `OSError` where they cannot be written.
        """
        left = size
        try:
            target = self.path(sha256)
            self._folder.mkdir(parents=True, exist_ok=True)
            self._forget()
            digest = hashlib.sha256()
            handle, name = tempfile.mkstemp(dir=self._folder)
            try:
                with os.fdopen(handle, "wb") as stream:
                    while left:
                        data = take(min(left, _CHUNK))
                        if not data:
                            raise DataError(f"A file of {size:,} bytes ended after {size - left:,}.")
                        left -= len(data)
                        digest.update(data)
                        stream.write(data)
                if digest.hexdigest() != sha256:
                    raise DataError("A file arrived damaged: its digest is another; send it again.")
                if target.is_dir():
                    shutil.rmtree(target)
                os.replace(name, target)
            except BaseException:
                os.unlink(name)
                raise
        finally:
            while left:  # the next message begins behind them
                data = take(min(left, _CHUNK))
                if not data:
                    break
                left -= len(data)

    def _forget(self) -> None:
        """Remove what was not used for long, or was being written when its process was killed."""
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):  # another process is doing the same
                if time.time() - path.stat().st_mtime > KEPT_S:
                    path.unlink()
