"""What a figure's machine is: read from files and commands that change nothing, so that a result can be believed."""

import importlib.metadata
import os
import platform
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.measure.conditions import read_conditions
from edgekit.measure.system import Command, read_text, run_command

PACKAGES = (
    "ai-edge-litert",
    "tflite-runtime",
    "onnxruntime",
    "openvino",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "litert-quantizer",
    "onnx",
    "tf2onnx",
    "opencv-python",
    "opencv-python-headless",
    "numpy",
)
"""Distributions whose version decides results."""

# Names in /proc/cpuinfo ("flags" on x86, "Features" on ARM) to the names used here.
_FEATURES = {
    "avx2": "avx2",
    "avx512f": "avx512",
    "avx512_vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "asimd": "neon",
    "neon": "neon",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "sve": "sve",
}

# Part numbers of ARM Ltd. (implementer 0x41), from the MIDR_EL1 pages of the cores' reference manuals.
_ARM_PARTS = {
    "0xb76": "ARM1176",
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
}


def host_facts(root: Path = Path("/"), command: Command = run_command) -> dict[str, Any]:
    """The machine as JSON types: CPU, features, cores, memory, clock, heat, load, system, versions.

    ``None`` and empty lists mean that the machine does not tell. Frequencies are MHz, temperatures degrees Celsius,
    memory bytes. A ``machine`` of 64 bits may have a userland of 32, whose engines are others. ``boot_id`` is random,
    and the same for all that runs on one machine until it is started again. ``root`` is where ``/proc`` and ``/sys``
    are looked for.
    """
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    now = read_conditions(root, command)
    return {
        "machine": platform.machine(),
        "board": _device_tree(root, "model"),
        "revision": _revision(cpuinfo),
        "soc": (_device_tree(root, "compatible") or "").split("\0")[-1] or None,
        "cpu": cpu_model(cpuinfo, command),
        "features": cpu_features(cpuinfo, command),
        "cores": os.cpu_count(),
        "allowed_cpus": allowed_cpus(root),
        "memory_bytes": _memory_bytes(root, command),
        "governor": now.governor,
        "frequency_mhz": list(now.frequency_mhz),
        "frequency_limits_mhz": _frequency_limits(root),
        "temperature_c": dict(now.temperature_c),
        "throttled": list(now.throttled),
        "load_1min": now.load_1min,
        "emulated": emulated(root, cpuinfo),
        "virtual": "hypervisor" in _words(cpuinfo, "flags"),
        "system": _system_name(root),
        "kernel": platform.release(),
        "userland_bits": 8 * struct.calcsize("P"),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "boot_id": read_text(root / "proc/sys/kernel/random/boot_id"),
        "python": platform.python_version(),
        "packages": installed_versions(),
    }


def installed_versions() -> dict[str, str]:
    """Versions of those `PACKAGES` that are installed, read without importing them."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def allowed_cpus(root: Path = Path("/")) -> int:
    """How many whole CPUs this process may keep busy: those that it may run on, or fewer by a container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([count, *(int(quota) for quota in _cpu_quotas(root))]))


def _cpu_quotas(root: Path) -> Iterator[float]:
    """CPUs that Linux's control groups around this process give it, in their version 2 and in version 1.

    A container sees its own group as the topmost, and may be told of the path that it has outside.
    """
    mounted = root / "sys/fs/cgroup"
    groups = read_text(root / "proc/self/cgroup") or ""
    for controllers, path in re.findall(r"^\d+:([^:\n]*):/(.*)$", groups, re.MULTILINE):
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = mounted / "cpu" if controllers else mounted
        inner = base / path
        for group in (inner, *inner.parents):
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
            told = re.fullmatch(r"(\d+) ([1-9]\d*)", " ".join(read_text(group / name) or "" for name in names))
            if told:  # else "max" or -1
                yield int(told[1]) / int(told[2])
            if group == base:
                break


def cpu_features(cpuinfo: str, command: Command = run_command) -> list[str]:
    """The CPU's features that decide how fast integers are, sorted, from the text of ``/proc/cpuinfo`` or macOS."""
    words = _words(cpuinfo, "flags") | _words(cpuinfo, "Features")
    found = {ours for theirs, ours in _FEATURES.items() if theirs in words}
    if not words and platform.system() == "Darwin":
        keys = {
            "neon": "hw.optional.neon",
            "dotprod": "hw.optional.arm.FEAT_DotProd",
            "i8mm": "hw.optional.arm.FEAT_I8MM",
        }
        found = {name for name, key in keys.items() if command(["sysctl", "-n", key]) == "1"}
    return sorted(found)


def emulated(root: Path, cpuinfo: str) -> bool:
    """Whether another kind of CPU is imitated in software, so that times say nothing about the machine imitated.

    User-mode QEMU answers for ``/proc/self`` itself; ``/proc/thread-self`` still leads to the emulator.
    """
    try:
        program = os.readlink(root / "proc/thread-self/exe")
    except OSError:  # macOS, or not allowed
        program = ""
    return os.path.basename(program).startswith("qemu-") or "QEMU TCG" in cpuinfo or "QEMU Virtual CPU" in cpuinfo


def _words(cpuinfo: str, key: str) -> set[str]:
    match = re.search(rf"^{key}\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    return set(match[1].split()) if match else set()


def _device_tree(root: Path, name: str) -> str | None:
    """What the board calls itself (``model``), and its parts from the board to its chip (``compatible``)."""
    # The first is a link to the second, which is there too where /proc is another machine's or a container's.
    return read_text(root / "proc/device-tree" / name) or read_text(root / "sys/firmware/devicetree/base" / name)


def cpu_model(cpuinfo: str, command: Command) -> str | None:
    """What the text of ``/proc/cpuinfo``, or macOS, calls the CPU; None where neither does."""
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    if match and "ARMv" not in match[1]:
        return match[1].strip()
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)$", cpuinfo, re.MULTILINE)))
    if parts:
        return " + ".join(_ARM_PARTS.get(p, f"ARM part {p}") for p in parts)
    return command(["sysctl", "-n", "machdep.cpu.brand_string"]) if platform.system() == "Darwin" else None


def _revision(cpuinfo: str) -> str | None:
    """The board's revision code, which Raspberry Pi documents."""
    match = re.search(r"^Revision\s*:\s*(\S+)$", cpuinfo, re.MULTILINE)
    return match[1] if match else None


def _memory_bytes(root: Path, command: Command) -> int | None:
    match = re.search(r"^MemTotal:\s*(\d+) kB", read_text(root / "proc/meminfo") or "", re.MULTILINE)
    if match:
        return int(match[1]) * 1024
    size = command(["sysctl", "-n", "hw.memsize"]) if platform.system() == "Darwin" else None
    return int(size) if size else None


def _frequency_limits(root: Path) -> list[float]:
    limits = [
        int(text) / 1000
        for path in sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_max_freq"))
        if (text := read_text(path))
    ]
    return limits


def _system_name(root: Path) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)', read_text(root / "etc/os-release") or "", re.MULTILINE)
    return match[1] if match else f"{platform.system()} {platform.release()}"
