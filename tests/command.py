"""The command line as its users start it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def edgekit(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """``edgekit`` with ``arguments`` in a process of its own, with ``env`` beside this one's; see how it ended."""
    command = [sys.executable, "-m", "edgekit", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **(env or {})}
    )
