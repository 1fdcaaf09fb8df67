"""A 32-bit ARM Debian with Python, numpy and tflite-runtime under ``build/armv7``, as on an old Raspberry Pi.

Run: python -m aarch64.armv7 (in benchmarks/). It needs what `aarch64.sysroot` needs, and takes about 20 s and 150 MB.
Of the engines only tflite-runtime 2.14 has wheels for such boards; numpy, which has none, is Debian's.
"""

import sys
from pathlib import Path

from aarch64.once import is_made, made_once
from aarch64.places import Place, UnavailableError, emulator
from aarch64.sysroot import PYTHON, require_debian, unpack_debian, unpack_wheels
from edgekit.errors import EdgekitError

FOLDER = Path(__file__).parents[2] / "build" / "armv7"
_DEBIAN = (f"python{PYTHON}", "python3-numpy", "python3-pil", "libatomic1", "libstdc++6", "libgomp1")
_ENGINE = "tflite-runtime==2.14.0"
_MULTIARCH = "arm-linux-gnueabihf"


def build(folder: Path) -> Path:
    """The sysroot in ``folder``, made anew where there is none; `EdgekitError` says why not."""
    return made_once(folder, _ENGINE, _make)


def _make(folder: Path) -> None:
    require_debian("armv7")
    unpack_debian(folder, _DEBIAN, architecture="armhf", what="armv7")
    # numpy is Debian's, which the wheel must not bring again: there is none for this platform.
    unpack_wheels(folder, ["--no-deps", _ENGINE], ["manylinux_2_34_armv7l"], what="armv7")


def armv7(folder: Path = FOLDER) -> Place:
    """A 32-bit ARM core with the sysroot in ``folder``."""
    qemu = emulator("qemu-arm-static")
    if not is_made(folder, _ENGINE):
        raise UnavailableError("There is no armv7 sysroot; run: PYTHONPATH=.:benchmarks python -m aarch64.armv7")
    root = folder.resolve() / "debian"
    libraries = [f"{root}/usr/lib/{_MULTIARCH}/{name}" for name in ("blas", "lapack", "")]
    guest = {
        "PYTHONHOME": f"{root}/usr",
        "PYTHONPATH": f"{root}/opt/edge:{root}/usr/lib/python3/dist-packages",
        "LD_LIBRARY_PATH": ":".join(libraries),
        "PYTHONPYCACHEPREFIX": str(folder.resolve() / "pycache"),
    }
    handed = [word for name, value in guest.items() for word in ("-E", f"{name}={value}")]
    handed += ["-U", "PYTHONDONTWRITEBYTECODE"]
    command = (qemu, "-cpu", "cortex-a7", "-L", str(root), *handed, f"{root}/usr/bin/python{PYTHON}")
    return Place(name="armv7", command=command, environment={})


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{build(FOLDER)}\n")
    except EdgekitError as error:
        sys.exit(str(error))
