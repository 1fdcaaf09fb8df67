"""Folders that take long to make: made where they are missing, and never half."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

STAMP = "built"


def made_once(folder: Path, stamp: str, make: Callable[[Path], None]) -> Path:
    """``folder``, filled by ``make`` unless it has been for the same ``stamp``."""
    if is_made(folder, stamp):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent))  # two may make it at the same time
    try:
        new.chmod(0o755)
        make(new)
        (new / STAMP).write_text(stamp)
        if not is_made(folder, stamp):
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # the other was first
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


def is_made(folder: Path, stamp: str) -> bool:
    """Whether ``folder`` is whole, and was made for this ``stamp``."""
    mark = folder / STAMP
    return mark.is_file() and mark.read_text() == stamp
