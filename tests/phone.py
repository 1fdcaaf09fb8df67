"""A furnished fake phone: files, commands and texts as a phone has them, and adb servers that know only it."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

TOOL = Path(__file__).parent / "fake_benchmark_model.py"

# In the forms of Android's documentation and of published logs; the phone is an invented one.
PROPERTIES = """[ro.board.platform]: [kona]
[ro.build.fingerprint]: [maker/phone/phone:13/TQ3A.230901.001/1:user/release-keys]
[ro.build.version.release]: [13]
[ro.build.version.sdk]: [33]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.product.manufacturer]: [Maker]
[ro.product.model]: [Phone 5]
[ro.soc.model]: [SM8250]
"""
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  status: 2
  level: 87
  scale: 100
  voltage: 4350
  temperature: 301
  technology: Li-ion
"""
THERMAL = """IsStatusOverride: false
Thermal Status: 0
Cached temperatures:
\tTemperature{mValue=99.0, mType=0, mName=CPU0, mStatus=0}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{mValue=36.5, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=31.2, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
\tTemperature{mValue=3.2, mType=6, mName=ibat, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=cpufreq}
"""
POWER = "  mWakefulness=Awake\n  mWakefulnessChanging=false\n"
CPUINFO = """processor\t: 0
Features\t: fp asimd evtstrm aes asimdhp asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd05

processor\t: 1
Features\t: fp asimd evtstrm aes asimdhp asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""
OF_2021 = """STARTING!
Log parameter values verbosely: [0]
Min num runs: [50]
Graph: [/data/local/tmp/m.tflite]
#threads used for CPU inference: [4]
Use xnnpack: [1]
Loaded model /data/local/tmp/m.tflite
INFO: Initialized TensorFlow Lite runtime.
Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.
The input model file size (MB): 3.57776
Initialized session in 20.283ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=2 first=339304 curr=266324 min=266324 max=339304 avg=302814 std=36490

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=266473 curr=266101 min=265000 max=269000 avg=2.66473e+05 std=700

Inference timings in us: Init: 20283, First inference: 339304, Warmup (avg): 302814, Inference (avg): 266473
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE.
Peak memory footprint (MB): init=4.92969 overall=138.809
"""
NEWER = """INFO: STARTING!
INFO: Num threads: [4]
INFO: Loaded model /data/local/tmp/m.tflite
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 58 out of 60 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions.
INFO: Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the delegate w/ 1 kernels.
INFO: Initialized session in 614.333ms.
INFO: count=1 curr=905463 p5=905463 median=905463 p95=905463
INFO: count=50 first=900416 curr=898333 min=898007 max=906121 avg=899641 std=1549 p5=898333 median=899281 p95=904305
INFO: Inference timings in us: Init: 614333, First inference: 905463, Warmup (avg): 905463, Inference (avg): 899641
INFO: Memory footprint delta from the start of the tool (MB): init=14.4414 overall=14.8164
"""
"""What benchmark_model tells, in two generations."""
FILES = {
    "proc/cpuinfo": CPUINFO,
    "proc/meminfo": "MemTotal:        7654321 kB\nMemFree:          123456 kB\n",
    "proc/stat": "cpu  100 0 100 9000 0 0 0 0 0 0\ncpu0 100 0 100 9000 0 0 0 0 0 0\n",
    "proc/loadavg": "0.50 0.40 0.30 2/1234 5678\n",
    "proc/self/status": "Name:\tgrep\nCpus_allowed_list:\t0-7\n",
    "proc/sys/kernel/random/boot_id": "0f2c1b9e-1d2c-4b7a-9c3e-5a6b7c8d9e0f\n",
    "sys/devices/system/cpu/present": "0-7\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1804800\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "1804800\n",
    "sys/devices/system/cpu/cpu7/cpufreq/scaling_governor": "schedutil\n",
    "sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq": "2841600\n",
    "sys/devices/system/cpu/cpu7/cpufreq/scaling_max_freq": "2841600\n",
    "text/getprop": PROPERTIES,
    "text/battery": BATTERY,
    "text/thermalservice": THERMAL,
    "text/power": POWER,
    "text/saver": "0\n",
}
COMMANDS = {
    "getprop": 'cat "$PHONE/text/getprop"',
    "dumpsys": 'cat "$PHONE/text/$1"',
    "settings": 'cat "$PHONE/text/saver"',
    "uname": 'case "$1" in -m) echo aarch64;; *) echo 4.19.157-perf;; esac',
}


def looked(**changed: str) -> str:
    """What a look at the phone gives, with other sections as ``changed``."""
    sections = {
        "stat": "cpu  100 0 100 9000 0 0 0 0 0 0",
        "load": "0.50 0.40 0.30 2/1234 5678",
        "governor": "schedutil\nschedutil",
        "clock": "1804800\n2841600",
        "battery": BATTERY,
        "thermal": THERMAL,
        "power": POWER,
        "saver": "0",
        "properties": PROPERTIES,
        "cpuinfo": CPUINFO,
        "memory": "MemTotal:        7654321 kB",
        "limits": "1804800\n2841600",
        "present": "0-3,6-7",
        "allowed": "Cpus_allowed_list:\t0-3",
        "machine": "aarch64",
        "kernel": "4.19.157-perf",
        "boot": "0f2c1b9e-1d2c-4b7a-9c3e-5a6b7c8d9e0f",
    }
    return "\n".join(f"edgekit:{name}\n{text}" for name, text in (sections | changed).items())


def furnish(root: Path) -> Path:
    """``root`` as the folder of a phone without ``benchmark_model``."""
    for name, text in FILES.items():
        write(root / name, text)
    for name, body in COMMANDS.items():
        script(root / "bin" / name, body)
    (root / "data/local/tmp").mkdir(parents=True)
    return root


def tool(path: Path, generation: str, *, python: tuple[str, ...] = (sys.executable,)) -> Path:
    """Write a ``benchmark_model`` that runs LiteRT with ``python`` to ``path``."""
    return script(path, f'exec {shlex.join([*python, str(TOOL), generation])} "$@"')


def script(path: Path, body: str) -> Path:
    """An executable for the shell."""
    write(path, f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def write(path: Path, text: str) -> None:
    """A file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def adb_environment(home: Path) -> dict[str, str]:
    """Variables of an adb server of its own, at a port at which none runs, that looks for no device by itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {"HOME": str(home), "ANDROID_ADB_SERVER_PORT": str(port), "ADB_MDNS": "0", "ADB_LIBUSB": "0"}


def adb(*words: str, environment: Mapping[str, str] | None = None) -> str:
    """What the real client says."""
    done = subprocess.run(
        [shutil.which("adb") or "adb", *words],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout + done.stderr
