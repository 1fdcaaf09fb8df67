"""Builds an aarch64 Debian with Python and the engines under ``build/aarch64``: ``make aarch64``.

Needs apt, pip and their servers, but no root, no chroot and no registration with the kernel: packages are unpacked,
never installed, and qemu's user mode finds them below the folder it is given. Takes about 20 s and 240 MB, and nothing
where the folder has been built for the same engines already.
"""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from aarch64.once import STAMP, made_once
from edgekit.errors import EdgekitError

FOLDER = Path(__file__).parents[2] / "build" / "aarch64"
SUITE = "bookworm"
PYTHON = "3.11"  # of that suite
ENGINES = ("ai-edge-litert", "onnxruntime")
_DEBIAN = (f"python{PYTHON}", "libstdc++6", "libgomp1")
PLATFORMS = tuple(f"manylinux{tag}_aarch64" for tag in ("_2_28", "_2_27", "2014"))
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# What /proc/cpuinfo says of each core of a Raspberry Pi 4 and 5. The engines choose their kernels by it, and qemu hands
# them the text of the host, with which LiteRT crashes or goes without XNNPACK.
CPUS = {
    "cortex-a72": ("0xd08", "fp asimd evtstrm crc32 cpuid"),
    "cortex-a76": (
        "0xd0b",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
}
CORE_COUNT = 4
CORES = f"0-{CORE_COUNT - 1}"


def build(folder: Path) -> Path:
    """The sysroot in ``folder``, made anew unless it has this environment's engines; `EdgekitError` says why not."""
    return made_once(folder, json.dumps(engine_versions()), _make)


def _make(folder: Path) -> None:
    require_debian("aarch64")
    unpack_debian(folder, _DEBIAN, architecture="arm64", what="aarch64")
    unpack_wheels(folder, requirements(engine_versions()), PLATFORMS, what="aarch64")
    for cpu in CPUS:
        describe_cpu(folder, cpu, folder / cpu)


def engine_versions() -> dict[str, str]:
    """The engines' versions in this environment, which the emulated machines are to have too."""
    return {name: importlib.metadata.version(name) for name in ENGINES}


def requirements(engines: Mapping[str, str]) -> list[str]:
    """What pip is asked for to have ``engines``, with numpy as they like it."""
    return ["numpy", *(f"{name}=={version}" for name, version in engines.items())]


def require_debian(what: str) -> None:
    """`EdgekitError` where a sysroot of Debian's packages cannot be made."""
    if not shutil.which("apt-get") or not _KEYRING.is_file():
        raise EdgekitError(f"The {what} sysroot is made of Debian's packages, and apt or {_KEYRING} is missing here.")


def built_for(folder: Path) -> dict[str, str] | None:
    """The engines' versions in the sysroot, None where there is no whole one."""
    stamp = folder / STAMP
    return dict(json.loads(stamp.read_text())) if stamp.is_file() else None


def describe_cpu(folder: Path, cpu: str, root: Path, *, cores: str = CORES) -> None:
    """Make ``root`` a machine with ``cpu``: links to the Debian in ``folder``, and the texts of that CPU's kernel."""
    root.mkdir(parents=True)
    for name in ("usr", "lib", "opt", "etc"):
        (root / name).symlink_to(os.path.relpath(folder.resolve() / "debian" / name, root.resolve()))
    write_cpu(root, cpu, cores=cores)


def write_cpu(root: Path, cpu: str, *, cores: str = CORES) -> None:
    """What the kernel of a machine with ``cpu`` says of it in ``proc`` and ``sys`` below ``root``.

    ``cores`` is the list of CPUs; a text that is none makes XNNPACK give up.
    """
    part, features = CPUS[cpu]
    core = (
        f"BogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        f"CPU variant\t: 0x0\nCPU part\t: {part}\nCPU revision\t: 3\n\n"
    )
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text("".join(f"processor\t: {i}\n{core}" for i in range(CORE_COUNT)))
    system = root / "sys/devices/system/cpu"
    system.mkdir(parents=True)
    for name in ("possible", "present"):
        (system / name).write_text(f"{cores}\n")


def unpack_debian(folder: Path, packages: Sequence[str], *, architecture: str, what: str) -> None:
    """Debian's ``packages`` and what they need, for this ``architecture``, unpacked into ``folder/debian``.

    ``what`` is the sysroot's name in messages.
    """
    state = folder / "apt"
    for name in ("state/lists/partial", "cache/archives/partial", "empty"):
        (state / name).mkdir(parents=True)
    (state / "state/status").touch()
    (state / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {SUITE} main\n")
    (state / "apt.conf").write_text(
        "\n".join(
            [
                f'APT::Architecture "{architecture}";', f'APT::Architectures {{"{architecture}";}};',
                'APT::Sandbox::User "";',
                f'Dir::State "{state}/state";', f'Dir::State::status "{state}/state/status";',
                f'Dir::Cache "{state}/cache";', f'Dir::Etc::sourcelist "{state}/sources.list";',
                *(f'Dir::Etc::{k} "{state}/empty";' for k in ("sourceparts", "main", "parts", "preferencesparts")),
            ]
        )
        + "\n"
    )  # fmt: skip
    environment = {**os.environ, "APT_CONFIG": str(state / "apt.conf")}
    _call(["apt-get", "update", "-qq"], environment, what)
    _call(
        ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "--download-only", *packages], environment, what
    )
    for package in sorted((state / "cache/archives").glob("*.deb")):
        _call(["dpkg-deb", "-x", str(package), str(folder / "debian")], environment, what)
    shutil.rmtree(state)


def unpack_wheels(folder: Path, requirements: Sequence[str], platforms: Sequence[str], *, what: str) -> None:
    """The wheels of ``requirements`` for one of ``platforms`` unpacked into ``folder/debian/opt/edge``."""
    wheels = folder / "wheels"
    download_wheels(wheels, requirements, platforms, what=what)
    extract_wheels(wheels, folder / "debian/opt/edge")
    shutil.rmtree(wheels)


def download_wheels(wheels: Path, requirements: Sequence[str], platforms: Sequence[str], *, what: str) -> None:
    """The wheels of ``requirements`` and of what they need, for one of ``platforms``, into the folder ``wheels``."""
    _call(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:",
            f"--python-version={PYTHON}", "--implementation=cp", *(f"--platform={name}" for name in platforms),
            f"--dest={wheels}", *requirements,
        ],
        dict(os.environ),
        what,
    )  # fmt: skip


def extract_wheels(wheels: Path, target: Path) -> None:
    """All files of the wheels in a folder, below ``target``."""
    target.mkdir(parents=True)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)


def _mirror() -> str:
    """The Debian server that this machine uses, else the public one."""
    lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "\n".join(path.read_text() for path in lists if path.suffix in (".list", ".sources") and path.is_file())
    found = re.search(r"^(?!#).*?(https?://\S+/debian/?)(?=\s|$)", text, re.MULTILINE)
    return found[1] if found else "http://deb.debian.org/debian"


def _call(command: list[str], environment: dict[str, str], what: str) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise EdgekitError(f"The {what} sysroot cannot be made: {command[0]} says: {last}")


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{build(FOLDER)}\n")
    except EdgekitError as error:
        sys.exit(str(error))
