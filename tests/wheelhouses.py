"""Wheels that are empty but for their names, and a device that may want them."""

import dataclasses
import zipfile
from pathlib import Path

from edgekit.devices.look import Look

PI = Look(
    python="3.11.2",
    executable="/usr/bin/python3",
    base="/usr/bin/python3.11",
    system="Linux",
    machine="aarch64",
    bits=64,
    glibc="2.36",
    venv=True,
    ensurepip=True,
    home="/home/pi",
    writable=True,
    free_bytes=1 << 30,
    memory_available_bytes=1 << 30,
    packages={},
)
PI_32 = dataclasses.replace(PI, machine="armv7l", bits=32, packages={"numpy": "1.24.2"})


def wheel(
    folder: Path, name: str, version: str = "1.0", *, tag: str = "py3-none-any", needs: str | None = None
) -> Path:
    """A wheel with one module, as pip installs it."""
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    path = folder / f"{module}-{version}-{tag}.whl"
    required = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}/__init__.py", f"version = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path
