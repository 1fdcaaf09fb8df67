"""Wheels for another machine: which kinds it takes, and how they are collected here for it."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgekit.devices.look import Look
from edgekit.errors import InputError, MissingExtraError

_LEGACY = {"x86_64": ((17, "2014"), (12, "2010"), (5, "1")), "aarch64": ((17, "2014"),), "armv7l": ((17, "2014"),)}
_LEAST_MINOR = {"x86_64": 5}
"""The oldest glibc 2.x that wheels for a CPU name; 17 for those not listed."""


def platforms(look: Look) -> list[str]:
    """The platforms of wheels that run on a Linux device, the best first; `InputError` where none are known.

    They follow the tags of PEP 600 and its forerunners.
    """
    machine = "armv7l" if look.arm32 else look.machine
    match = re.fullmatch(r"2\.(\d{1,3})", look.glibc or "")
    if look.system != "Linux" or match is None or machine not in _LEGACY:
        raise InputError(
            f"Which wheels run on {look.system} for {look.machine} is not known; expected Linux with glibc on one of "
            f"{', '.join(_LEGACY)}: install numpy and an engine there by hand."
        )
    minor = int(match[1])
    named = [f"manylinux_2_{m}_{machine}" for m in range(minor, _LEAST_MINOR.get(machine, 17) - 1, -1)]
    legacy = [f"manylinux{name}_{machine}" for least, name in _LEGACY[machine] if minor >= least]
    return [*named, *legacy, f"linux_{machine}"]


def collect(requirements: Sequence[str], look: Look, into: Path, *, source: Path | None) -> list[Path]:
    """The wheels that ``requirements`` need on the device, in the folder ``into``; from ``source``, else downloaded.

    `InputError` where there are none that fit.
    """
    if importlib.util.find_spec("pip") is None:
        raise MissingExtraError("pip is not installed here, which collects the wheels. Run: python3 -m ensurepip")
    if source is not None and not source.is_dir():
        raise InputError(f"{source} is no folder of wheels; give one with --wheelhouse, or use --offline.")
    version = ".".join(map(str, look.version))
    tags = platforms(look)
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet"),
        *("--only-binary=:all:", "--implementation=cp", f"--python-version={version}", f"--dest={into}"),
        *(f"--platform={tag}" for tag in tags),
        *(() if source is None else ("--no-index", f"--find-links={source}")),
        *(("--no-deps",) if look.arm32 else ()),  # numpy, which is Debian's
        *requirements,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        told = (errors or done.stderr.splitlines() or ["no message"])[-1].removeprefix("ERROR: ").rstrip(".")
        where = "on the network" if source is None else f"in {source}"
        raise InputError(
            f"There are no wheels {where} for Python {version} on {tags[0]}: {told}; see what is missing, or choose "
            "other engines with --engine."
        )
    return sorted(into.glob("*.whl"))
