"""What changes on a machine while it is measured: clock, heat, load, throttling."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.measure.system import Command, read_text, run_command

# Raspberry Pi firmware, `vcgencmd get_throttled`: what the low four bits say about this very moment; the same four
# from the sixteenth on say it of the time since the start.
_THROTTLED_BITS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The state of a machine at one moment. Empty or None: the machine does not tell.

    ``throttled`` is so now; ``throttled_since_start`` was so at some time since the machine was started.
    """

    governor: str | None
    frequency_mhz: tuple[float, ...]
    temperature_c: Mapping[str, float]
    throttled: tuple[str, ...]
    load_1min: float | None
    throttled_since_start: tuple[str, ...] = ()
    memory_available_bytes: int | None = None
    swap_used_bytes: int | None = None

    @property
    def top_frequency_mhz(self) -> float | None:
        """Clock of the fastest CPU."""
        return max(self.frequency_mhz, default=None)

    @property
    def top_temperature_c(self) -> float | None:
        """Degrees Celsius of the hottest part."""
        return max(self.temperature_c.values(), default=None)


def read_conditions(root: Path = Path("/"), command: Command = run_command) -> Conditions:
    """The state of this machine now; ``root`` is where ``/proc`` and ``/sys`` are looked for."""
    cpus = root / "sys/devices/system/cpu"
    now, since_start = _throttled(root, command)
    memory = read_text(root / "proc/meminfo") or ""
    swap = [_meminfo_bytes(memory, f"Swap{which}") for which in ("Total", "Free")]
    governors = {text for p in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor") if (text := read_text(p))}
    return Conditions(
        governor=" + ".join(sorted(governors)) or None,
        frequency_mhz=_frequencies(root, cpus),
        temperature_c=_temperatures(root),
        throttled=now,
        load_1min=_load(root),
        throttled_since_start=since_start,
        memory_available_bytes=_meminfo_bytes(memory, "MemAvailable"),
        swap_used_bytes=None if swap[0] is None or swap[1] is None else swap[0] - swap[1],
    )


def busy_cpu_s(root: Path = Path("/")) -> float | None:
    """CPU seconds that all work on this machine has taken since it started, what a hypervisor took away included."""
    match = re.match(r"cpu +([\d ]+)", read_text(root / "proc/stat") or "")
    if match is None:
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, match[1].split()[:8])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def _frequencies(root: Path, cpus: Path) -> tuple[float, ...]:
    paths = sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    if paths:
        return tuple(int(text) / 1000 for p in paths if (text := read_text(p)))
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    return tuple(float(mhz) for mhz in re.findall(r"^cpu MHz\s*:\s*([\d.]+)$", cpuinfo, re.MULTILINE))


def _temperatures(root: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value = read_text(zone / "temp")
        if value is not None:
            found[f"{zone.name}:{read_text(zone / 'type') or 'unknown'}"] = int(value) / 1000
    return found


def _meminfo_bytes(text: str, key: str) -> int | None:
    match = re.search(rf"^{key}:\s*(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _throttled(root: Path, command: Command) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What slows the machine now, and what has at some time since it was started."""
    match = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)", command(["vcgencmd", "get_throttled"]) or "")
    if match:
        bits = int(match[1], 16)
        now, since_start = (
            tuple(text for bit, text in enumerate(_THROTTLED_BITS) if bits >> first + bit & 1) for first in (0, 16)
        )
        return now, since_start
    alarms = (root / "sys/class/hwmon").glob("hwmon*/in0_lcrit_alarm")  # the Pi's voltage sensor, without vcgencmd
    return ("under-voltage",) if any(read_text(p) == "1" for p in alarms) else (), ()


def _load(root: Path) -> float | None:
    text = read_text(root / "proc/loadavg")
    if text:
        return float(text.split()[0])
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
