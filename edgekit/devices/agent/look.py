"""Run as ``python3 -c`` on a device: says what it is and has, as JSON. Needs nothing but Python, of any version 3."""

import sys

if sys.version_info < (3,):  # noqa: UP036 - what python3 is called on a device may be anything
    sys.exit("edgekit: python " + sys.version.split()[0] + " is too old")

import importlib.util
import json
import os
import platform
import shutil
import signal
import struct

signal.alarm(60)  # who asks has gone by then, and a device may lack what would end this

home = os.path.expanduser("~")
found = {}
if sys.version_info >= (3, 8):  # noqa: UP036 - devices have older Pythons than edgekit's
    import importlib.metadata

    for name in ("numpy", "ai-edge-litert", "tflite-runtime", "onnxruntime"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
memory = None
try:
    with open("/proc/meminfo") as stream:
        for line in stream:
            if line.startswith("MemAvailable:"):
                memory = int(line.split()[1]) * 1024
except OSError:
    pass
json.dump(
    {
        "python": platform.python_version(),
        "executable": sys.executable,
        "base": getattr(sys, "_base_executable", sys.executable),
        "system": platform.system(),
        "machine": platform.machine(),
        "bits": struct.calcsize("P") * 8,
        "glibc": platform.libc_ver()[1] if platform.libc_ver()[0] == "glibc" else None,
        "venv": importlib.util.find_spec("venv") is not None,
        "ensurepip": importlib.util.find_spec("ensurepip") is not None,
        "home": home,
        "writable": os.access(home, os.W_OK),
        "free_bytes": shutil.disk_usage(home).free if os.path.isdir(home) else 0,
        "memory_available_bytes": memory,
        "packages": found,
    },
    sys.stdout,
)
