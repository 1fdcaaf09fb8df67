"""CPUs that files are run on: the one at hand, an x86 without AVX, and ARM cores, emulated by qemu's user mode."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aarch64.sysroot import FOLDER, PYTHON, built_for
from edgekit.errors import CheckFailedError, EdgekitError

Array = npt.NDArray[Any]

_ROOT = Path(__file__).parents[2]
_RUN_FILE = Path(__file__).parent / "run_file.py"
_SECONDS = 1800


class UnavailableError(EdgekitError):
    """This machine cannot emulate that CPU; the message says why and what mends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A CPU with a Python that has the engines: ``command`` starts it, with ``environment`` added."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Outputs by name, (count, ...) as the file has them, and what ran it."""

    outputs: Mapping[str, Array]
    facts: Mapping[str, Any]


def here() -> Place:
    """The CPU at hand."""
    return Place(name="here", command=(sys.executable,), environment={"PYTHONPATH": str(_ROOT)})


def old_x86() -> Place:
    """An x86 of 2008 with SSE4.2 and neither AVX nor FMA, for which engines have kernels of their own."""
    if platform.machine() != "x86_64":
        raise UnavailableError("An older x86 is emulated on x86 only, where the same Python runs on both.")
    qemu = emulator("qemu-x86_64-static")
    return Place(
        name="nehalem",
        command=(qemu, "-cpu", "Nehalem", sys.executable),
        environment={"PYTHONPATH": str(_ROOT)},
    )


def arm(cpu: str, folder: Path = FOLDER) -> Place:
    """An ARM core with the sysroot in ``folder``: ``cortex-a72`` as in a Raspberry Pi 4, ``cortex-a76`` as in a 5."""
    qemu = emulator("qemu-aarch64-static")
    if built_for(folder) is None:
        raise UnavailableError("There is no aarch64 sysroot; run: make aarch64")
    root = folder.resolve() / cpu
    guest = {
        "PYTHONHOME": f"{root}/usr",
        "PYTHONPATH": f"{root}/opt/edge:{_ROOT}",
        # Compiling takes the emulated Python longer than running; it is done once.
        "PYTHONPYCACHEPREFIX": str(folder.resolve() / "pycache"),
    }
    handed = [word for name, value in guest.items() for word in ("-E", f"{name}={value}")]
    handed += ["-U", "PYTHONDONTWRITEBYTECODE"]
    python = f"{root}/usr/bin/python{PYTHON}"
    return Place(name=cpu, command=(qemu, "-cpu", cpu, "-L", str(root), *handed, python), environment={})


def run(place: Place, model: Path, inputs: Mapping[str, Array]) -> Run:
    """``model`` run on ``inputs``, (count, ...) of each by name, one item at a time.

    `CheckFailedError` when that fails, or when XNNPACK did not run a TFLite file: other kernels round otherwise, and
    two runs are about the CPU only while the kernels are of one kind.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(given, **dict(inputs))
        done = subprocess.run(
            [*place.command, str(_RUN_FILE), str(model.resolve()), str(given), str(found)],
            env={**os.environ, **place.environment},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise CheckFailedError(f"{model.name} ended with code {done.returncode} on {place.name}: {last}")
        facts = json.loads(done.stdout.splitlines()[-1])
        if facts["xnnpack"] is False:
            raise CheckFailedError(
                f"XNNPACK did not run {model.name} on {place.name}, so that its answers are those of other kernels; "
                "look at /proc/cpuinfo and /sys/devices/system/cpu there."
            )
        with np.load(found, allow_pickle=False) as file:
            return Run(outputs={name: file[name] for name in file.files}, facts=facts)


def emulator(name: str) -> str:
    """The path of an emulator, or `UnavailableError`."""
    found = shutil.which(name)
    if found is None:
        raise UnavailableError(f"{name} is not installed; it is in Debian's package qemu-user-static.")
    return found
