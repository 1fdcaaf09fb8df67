"""Findings about the machine: Python, CPU, clock, data, display."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgekit.data import KNOWN
from edgekit.doctor.finding import Finding, Status


def check_python(version: tuple[int, ...]) -> Finding:
    """Whether this Python is one that edgekit is tested with."""
    text = ".".join(str(part) for part in version)
    if (3, 11) <= version <= (3, 13):
        return Finding(name="python", status=Status.OK, detail=text)
    return Finding(
        name="python", status=Status.BROKEN, detail=text, advice="Use Python 3.11, 3.12 or 3.13 in a new environment."
    )


def check_platform(host: Mapping[str, Any]) -> Finding:
    """What machine this is; emulation and throttling make its times worthless."""
    detail = f"{host['board'] or host['system']}, {host['machine']}, {host['allowed_cpus']} CPUs"
    if host["emulated"]:
        return Finding(
            name="platform",
            status=Status.NOTE,
            detail=f"{detail}, emulated",
            advice="Results are right, times are not: benchmark on the real machine.",
        )
    if host["throttled"]:
        return Finding(
            name="platform",
            status=Status.NOTE,
            detail=f"{detail}, {', '.join(host['throttled'])}",
            advice="Give it a stronger power supply or better cooling before a benchmark.",
        )
    return Finding(name="platform", status=Status.OK, detail=detail)


def check_cpu(features: list[str], machine: str) -> Finding:
    """What the CPU's features mean for int8."""
    found = set(features)
    names = ", ".join(features) or "none that matter"
    if found & {"avx512_vnni", "avx_vnni", "dotprod", "i8mm"}:
        meaning = "it multiplies int8 in hardware, so int8 models can be faster than float ones"
    elif "avx2" in found:
        meaning = (
            "it has no int8 dot product (VNNI): int8 saves size, often not time, and ONNX files need reduced-range "
            "weights, which edgekit's int8 recipe makes"
        )
    elif "neon" in found:
        meaning = "it has NEON without an int8 dot product: int8 models are usually somewhat faster than float ones"
    else:
        meaning = "nothing is known of its int8 speed: let edgekit benchmark tell"
    return Finding(name="cpu", status=Status.OK, detail=f"{machine}, {names}: {meaning}")


def check_governor(host: Mapping[str, Any]) -> Finding:
    """Whether the clock stays put while something is measured."""
    governor = host["governor"]
    if governor is None:
        return Finding(name="governor", status=Status.OK, detail="this machine does not tell")
    if governor == "performance":
        return Finding(name="governor", status=Status.OK, detail=governor)
    return Finding(
        name="governor",
        status=Status.NOTE,
        detail=f"{governor}: the clock changes with the load, and times with it",
        advice="For a benchmark: echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
    )


def check_data(data_dir: Path | None, environment: Mapping[str, str]) -> Finding:
    """Which known data sets can be opened from here."""
    text = str(data_dir) if data_dir is not None else environment.get("EDGEKIT_DATA", "")
    inside = [name for name, known in KNOWN.items() if known.location is None and find_spec("sklearn") is not None]
    if not text:
        return Finding(
            name="data",
            status=Status.NOTE,
            detail=f"EDGEKIT_DATA is not set; found: {', '.join(inside) or 'none'}",
            advice="Set EDGEKIT_DATA to the folder that holds your data sets, or name one with --data-dir.",
        )
    folder = Path(text)
    if not folder.is_dir():
        return Finding(
            name="data",
            status=Status.BROKEN,
            detail=f"{folder} is not a folder",
            advice="Set EDGEKIT_DATA to the folder that holds your data sets.",
        )
    found = [n for n, known in KNOWN.items() if known.location is not None and (folder / known.location).exists()]
    return Finding(
        name="data", status=Status.OK, detail=f"{folder}: {', '.join(inside + found) or 'no known data set'}"
    )


def check_display(environment: Mapping[str, str], system: str) -> Finding:
    """Whether a window can be opened: OpenCV ends the process where it cannot."""
    names = [name for name in ("WAYLAND_DISPLAY", "DISPLAY") if name in environment]
    if names or system in ("Darwin", "Windows"):
        return Finding(name="display", status=Status.OK, detail=names[0] if names else system)
    return Finding(
        name="display", status=Status.NOTE, detail="none: pictures can be saved or served, not shown in a window"
    )
