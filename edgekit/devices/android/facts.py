"""What a phone tells of itself, as text of its own commands, turned into a machine's facts and state.

Nothing of it is believed: what does not look like what it should be is not there. Nothing here was read on hardware;
the forms are those of Android's documentation and of published logs.
"""

import re
from dataclasses import dataclass
from typing import Any

from edgekit.errors import printable
from edgekit.measure.conditions import Conditions, busy_in
from edgekit.measure.host import cpu_features, cpu_model

_CPUS = "/sys/devices/system/cpu"

CLOCK_SCRIPT = f"echo edgekit:clock; cat {_CPUS}/cpu[0-9]*/cpufreq/scaling_cur_freq 2>/dev/null"

STATE_SCRIPT = f"""{{
echo edgekit:stat; head -n 1 /proc/stat
echo edgekit:load; cat /proc/loadavg
echo edgekit:governor; cat {_CPUS}/cpu[0-9]*/cpufreq/scaling_governor
{CLOCK_SCRIPT}
echo edgekit:battery; dumpsys battery
echo edgekit:thermal; dumpsys thermalservice
echo edgekit:power; dumpsys power | grep mWakefulness=
echo edgekit:saver; settings get global low_power
}} 2>/dev/null"""
"""Looks at the phone and changes nothing."""

HOST_SCRIPT = f"""{STATE_SCRIPT}
{{
echo edgekit:properties; getprop
echo edgekit:cpuinfo; cat /proc/cpuinfo
echo edgekit:memory; head -n 1 /proc/meminfo
echo edgekit:limits; cat {_CPUS}/cpu[0-9]*/cpufreq/scaling_max_freq
echo edgekit:present; cat {_CPUS}/present
echo edgekit:allowed; grep Cpus_allowed_list /proc/self/status
echo edgekit:machine; uname -m
echo edgekit:boot; cat /proc/sys/kernel/random/boot_id
echo edgekit:kernel; uname -r
}} 2>/dev/null"""
"""As `STATE_SCRIPT`, and what stays as it is."""

_TICKS_PER_S = 100
"""Of ``/proc/stat``: USER_HZ is 100 in every Android kernel."""
_THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
"""Words of PowerManager.THERMAL_STATUS_* by number."""
_HEAT = re.compile(r"Temperature\{mValue=(-?\d{1,3}(?:\.\d{1,9})?), mType=([01239]), mName=([\w-]{1,40}),")
"""Types: 0 CPU, 1 GPU, 2 battery, 3 skin, 9 NPU; others are no temperatures, or not of what computes."""
_MOST_SENSORS = 64
_WORDS = re.compile(r"[\w./:+() -]{1,120}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """What `STATE_SCRIPT` told. None: it did not."""

    conditions: Conditions
    busy_s: float | None
    thermal_status: str | None
    battery_percent: int | None
    power: str | None
    wakefulness: str | None
    battery_saver: bool | None


def read_state(text: str) -> Phone:
    """The state in what `STATE_SCRIPT` wrote."""
    found = _sections(text)
    thermal = re.search(r"^\s*Thermal Status: ([0-6])$", found.get("thermal", ""), re.MULTILINE)
    status = None if thermal is None else _THERMAL[int(thermal[1])]
    awake = re.search(r"mWakefulness=(\w{1,20})", found.get("power", ""))
    saver = {"0": False, "null": False, "1": True}.get(found.get("saver", ""))
    wakefulness = None if awake is None else awake[1]
    level = re.search(r"^\s*level: (\d{1,3})$", found.get("battery", ""), re.MULTILINE)
    reasons = (
        None if status in (None, "none") else f"thermal status {status}",
        "battery saver" if saver else None,
        None if wakefulness in (None, "Awake") else "screen off",
    )
    load = re.match(r"\d{1,5}\.\d\d\b", found.get("load", ""))
    return Phone(
        conditions=Conditions(
            governor=" + ".join(sorted(set(re.findall(r"^[a-z_]{1,30}$", found.get("governor", ""), re.MULTILINE))))
            or None,
            frequency_mhz=_mhz(found.get("clock", "")),
            temperature_c=_temperatures(found.get("thermal", ""), found.get("battery", "")),
            throttled=tuple(reason for reason in reasons if reason is not None),
            load_1min=float(load[0]) if load else None,
        ),
        busy_s=busy_in(found.get("stat", ""), ticks_per_s=_TICKS_PER_S),
        thermal_status=status,
        battery_percent=int(level[1]) if level else None,
        power=_power(found.get("battery", "")),
        wakefulness=wakefulness,
        battery_saver=saver,
    )


def read_host(text: str) -> dict[str, Any]:
    """The facts in what `HOST_SCRIPT` wrote, with the keys of `edgekit.measure.host.host_facts`, and ``android``."""
    found, now = _sections(text), read_state(text)
    conditions = now.conditions
    properties = dict(re.findall(r"^\[([\w.]{1,100})\]: \[(.*)\]$", found.get("properties", ""), re.MULTILINE))

    def told(*names: str) -> str | None:
        return next((printable(properties[n])[:200] for n in names if properties.get(n)), None)

    cpuinfo = found.get("cpuinfo", "")
    abi, boot = told("ro.product.cpu.abi"), re.match(r"[0-9a-f-]{36}$", found.get("boot", ""))
    soc = told("ro.soc.model", "ro.board.platform", "ro.hardware")
    cores = _count(found.get("present", "")) or len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE)) or 1
    allowed = re.search(r"Cpus_allowed_list:\s*([\d,-]+)", found.get("allowed", ""))
    memory = re.match(r"MemTotal:\s*(\d{1,12}) kB", found.get("memory", ""))
    names = (told("ro.product.manufacturer"), told("ro.product.model"))
    return {
        "machine": _words(found.get("machine", "")),
        "board": " ".join(name for name in names if name) or None,
        "revision": None,
        "soc": soc,
        "cpu": _model(cpuinfo),
        "features": cpu_features(cpuinfo, _nothing),
        "cores": cores,
        "allowed_cpus": (_count(allowed[1]) if allowed else 0) or cores,
        "memory_bytes": int(memory[1]) * 1024 if memory else None,
        "governor": conditions.governor,
        "frequency_mhz": list(conditions.frequency_mhz),
        "frequency_limits_mhz": list(_mhz(found.get("limits", ""))),
        "temperature_c": dict(conditions.temperature_c),
        "throttled": list(conditions.throttled),
        "load_1min": conditions.load_1min,
        "emulated": "1" in (told("ro.kernel.qemu"), told("ro.boot.qemu")) or told("ro.hardware") == "ranchu",
        "virtual": False,
        "system": f"Android {told('ro.build.version.release') or 'of unknown version'}",
        "kernel": _words(found.get("kernel", "")),
        "userland_bits": None if abi is None else 64 if "64" in abi else 32,
        "libc": "bionic",
        "boot_id": boot[0] if boot else None,
        "python": None,
        "packages": {},
        "android": {
            "abi": abi,
            "sdk": told("ro.build.version.sdk"),
            "fingerprint": told("ro.build.fingerprint"),
            **told_of_power(now),
        },
    }


def read_clock(text: str) -> tuple[float, ...]:
    """Megahertz of each CPU in what `CLOCK_SCRIPT` wrote."""
    return _mhz(_sections(text).get("clock", ""))


def told_of_power(phone: Phone) -> dict[str, Any]:
    """What no other machine has: battery, screen and heat in Android's own words."""
    return {
        "battery_percent": phone.battery_percent,
        "power": phone.power,
        "thermal_status": phone.thermal_status,
        "wakefulness": phone.wakefulness,
        "battery_saver": phone.battery_saver,
    }


def _sections(text: str) -> dict[str, str]:
    """What follows each line ``edgekit:name``."""
    parts = re.split(r"^edgekit:([a-z]+)$", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def _mhz(text: str) -> tuple[float, ...]:
    """Kilohertz, one a line, as megahertz."""
    return tuple(int(khz) / 1000 for khz in re.findall(r"^\d{1,9}$", text, re.MULTILINE))


def _temperatures(thermal: str, battery: str) -> dict[str, float]:
    """Degrees by sensor. What the service has kept may be old: the live ones count where there are any."""
    live = thermal.partition("Current temperatures from HAL:")[2].partition("Current cooling devices")[0]
    found = {name: float(value) for value, _, name in _HEAT.findall(live or thermal)[:_MOST_SENSORS]}
    tenths = re.search(r"^\s*temperature: (-?\d{1,4})$", battery, re.MULTILINE)
    return found | ({"battery": int(tenths[1]) / 10} if tenths else {})


def _power(battery: str) -> str | None:
    """Where the phone takes its power from."""
    found = re.findall(r"^\s*(AC|USB|Wireless|Dock) powered: (true|false)$", battery, re.MULTILINE)
    if not found:
        return None
    return " + ".join(name for name, on in found if on == "true") or "battery"


def _count(cpus: str) -> int:
    """How many CPUs a list such as ``0-3,6`` names; 0 for what is none."""
    spans = [re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", span) for span in cpus.split(",")]
    return sum(int(s[2] or s[1]) - int(s[1]) + 1 for s in spans if s and int(s[2] or s[1]) >= int(s[1]))


def _model(cpuinfo: str) -> str | None:
    model = cpu_model(cpuinfo, _nothing)
    return None if model is None else printable(model)[:200]


def _words(text: str) -> str | None:
    match = _WORDS.match(text)
    return match[0] if match else None


def _nothing(_arguments: object) -> None:
    """This machine's own commands say nothing of a phone."""
