"""The command line as its users start it."""

import subprocess
import sys
from pathlib import Path


def edgekit(*arguments: object, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """``edgekit`` with ``arguments`` in a process of its own; the caller looks at how it ended."""
    command = [sys.executable, "-m", "edgekit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
