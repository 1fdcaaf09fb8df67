"""Pythons of other versions, and environments with few packages, as devices have them."""

import shutil
import subprocess
from pathlib import Path

import pytest


def interpreter(version: str) -> str:
    """A Python of this version: one that runs, or pyenv's; the test is skipped without."""
    named = shutil.which(f"python{version}")
    found = [
        *([named] if named else []),
        *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")),
    ]
    for path in found:
        if subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    pytest.skip(f"there is no Python {version} here")


def make_venv(folder: Path, python: str, *packages: str) -> str:
    """A new environment with these packages; the path of its Python."""
    for command in (
        [python, "-m", "venv", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{' '.join(command[1:4])} fails here: {done.stderr.strip().splitlines()[-1]}")
    return str(folder / "bin" / "python")
