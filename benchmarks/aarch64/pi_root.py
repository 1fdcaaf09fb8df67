"""Builds the arm64 Debian of the Raspberry Pi that tests reach over SSH, under ``build/pi``: ``make pi``.

Made like `aarch64.sysroot`, with what a Pi's user finds there: a shell, processes to look at, SSH, Python with venv and
pip. It has neither numpy nor an engine. `wheelhouse` makes a folder of wheels to install them from, `engines` puts the
same in place. Takes about 20 s and 330 MB, and nothing where all that is there already.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from aarch64.once import made_once
from aarch64.sysroot import (
    PLATFORMS,
    PYTHON,
    SUITE,
    download_wheels,
    engine_versions,
    extract_wheels,
    require_debian,
    requirements,
    unpack_debian,
)  # fmt: skip
from edgekit.errors import EdgekitError

BUILD = Path(__file__).parents[2] / "build"
FOLDER = BUILD / "pi"
WHEELS = BUILD / "pi-wheels"
ENGINES = BUILD / "pi-engines"
USER = "pi"
USER_ID = 1000
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
"""Where a Pi's kernel tells the firmware's flags, in hexadecimal digits."""

_WHAT = "Raspberry Pi"
_PACKAGES = (
    "base-files", "base-passwd", "bash", "coreutils", "dash", "debianutils", "diffutils", "findutils", "grep", "gzip",
    "hostname", "libc-bin", "libgomp1", "libstdc++6", "login", "mawk", "mount", "openssh-server",
    "openssh-sftp-server", "passwd", "procps", "python3", "python3-pip", "python3-venv", "sed", "tar", "unzip",
    "util-linux",
)  # fmt: skip
_STAMP = f"{SUITE} 1: {' '.join(_PACKAGES)}"

_PASSWD = f"""
{USER}:*:{USER_ID}:{USER_ID}:Raspberry Pi:/home/{USER}:/bin/bash
sshd:*:100:65534::/run/sshd:/usr/sbin/nologin
"""
_VCGENCMD = f"""#!/bin/sh
# Answers the one question that a benchmark asks the firmware.
case "$*" in
  get_throttled) echo "throttled=0x$(cat /{THROTTLED})" ;;
  *) echo "Command not registered" ; exit 1 ;;
esac
"""


def build(folder: Path = FOLDER) -> Path:
    """The Pi in ``folder``, its root file system in ``folder/debian``; `EdgekitError` says why there is none."""
    return made_once(folder, _STAMP, _make)


def wheelhouse(folder: Path = WHEELS) -> Path:
    """A folder with wheels of numpy, both engines and what they need for the Pi's Python, in today's versions here."""
    wanted = requirements(engine_versions())
    return made_once(
        folder, " ".join(wanted), lambda new: download_wheels(new, wanted, PLATFORMS, what=f"wheelhouse of the {_WHAT}")
    )


def engines(folder: Path = ENGINES, wheels: Path = WHEELS) -> Path:
    """The same unpacked and compiled, for ``PYTHONPATH``."""

    def make(new: Path) -> None:
        extract_wheels(wheelhouse(wheels), new / "packages")
        _compile(new / "packages", Path("/opt/edge"))

    return made_once(folder, " ".join(requirements(engine_versions())), make) / "packages"


def _make(folder: Path) -> None:
    require_debian(_WHAT)
    unpack_debian(folder, _PACKAGES, architecture="arm64", what=_WHAT)
    root = folder / "debian"
    _merge(root)
    _configure(root)
    _compile(root / "usr/lib/python3", Path("/usr/lib/python3"))
    _compile(root / f"usr/lib/python{PYTHON}", Path(f"/usr/lib/python{PYTHON}"))


def _merge(root: Path) -> None:
    """One folder for programs and one for libraries, as on every Debian of today; its packages have still two."""
    for name in ("bin", "lib", "sbin"):
        shutil.copytree(root / name, root / "usr" / name, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(root / name)
        (root / name).symlink_to(f"usr/{name}")


def _configure(root: Path) -> None:
    """What the packages' own scripts would do that matters here; unpacking runs none of them."""
    etc, base = root / "etc", root / "usr/share/base-passwd"
    (etc / "passwd").write_text((base / "passwd.master").read_text().rstrip() + _PASSWD)
    groups = (base / "group.master").read_text().rstrip() + f"\n{USER}:x:{USER_ID}:\n"
    (etc / "group").write_text(groups.replace("video:*:44:", f"video:*:44:{USER}"))
    (etc / "hostname").write_text("raspberrypi\n")
    (etc / "hosts").write_text("127.0.0.1\tlocalhost raspberrypi\n")
    (root / "usr/bin/awk").symlink_to("mawk")
    (root / "usr/bin/which").symlink_to("which.debianutils")
    firmware = root / "usr/bin/vcgencmd"
    firmware.write_text(_VCGENCMD)
    firmware.chmod(0o755)
    for folder in (f"home/{USER}", "run/sshd", "opt/edge", "etc/ssh"):
        (root / folder).mkdir(parents=True, exist_ok=True)


def _compile(folder: Path, as_seen: Path) -> None:
    """Compile Python's files where this Python does it as the Pi's; emulated, that takes longer than running them."""
    if sys.version_info[:2] != tuple(map(int, PYTHON.split("."))):
        return
    command = [sys.executable, "-m", "compileall", "-q", "-j", str(os.cpu_count() or 1)]
    command += ["-s", str(folder), "-p", str(as_seen), "-x", r"/(tests?|idlelib|lib2to3|tkinter)/", str(folder)]
    # Files that are bad on purpose, such as those of tests, are no failure.
    subprocess.run(command, capture_output=True, check=False)


if __name__ == "__main__":
    try:
        for made in (build(), engines()):
            sys.stdout.write(f"{made}\n")
    except EdgekitError as error:
        sys.exit(str(error))
