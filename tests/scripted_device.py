"""A device that answers each operation with what a test has written down, right or wrong, or not at all."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from edgekit.devices.agent.frames import Array, packed_frame

# Answers are bytes as Latin-1, in which NUMBER becomes that of the question.
_SCRIPT = """
import json, math, sys
told, stream = json.loads(sys.argv[1]), sys.stdin.buffer
sys.stdout.write(told["greeting"])
sys.stdout.flush()
while line := stream.readline():
    asked = json.loads(line)
    sizes = {"float32": 4, "int8": 1, "uint8": 1}
    stream.read(sum(math.prod(shape) * sizes[dtype] for dtype, shape in asked["arrays"]) + asked["more"])
    operation = asked["operation"]
    if operation in told["answers"]:
        answer = told["answers"][operation].replace('"NUMBER"', str(asked["number"]))
        sys.stdout.buffer.write(answer.encode("latin-1"))
        sys.stdout.flush()
"""
STATE = {
    "conditions": {"governor": None, "frequency_mhz": [], "temperature_c": {}, "throttled": [], "load_1min": 0.0},
    **{"busy_s": 1.0, "own_s": 0.1, "clock_s": 5.0},
}
LOADED = {"init_ms": 1.0, "engine": "litert", "version": "2", "delegation": None, "base_rss_bytes": None}
BOUND = {"first_ms": 1.0, "cpu_s": 0.1}
TURN = {"samples_ms": [1.0], "runs": 1, "peak_rss_bytes": None, "cpu_s": 0.2}
HOST = {
    **{"machine": "aarch64", "board": None, "cpu": None, "features": [], "cores": 4, "allowed_cpus": 4},
    **{"memory_bytes": None, "governor": None, "frequency_mhz": [], "frequency_limits_mhz": [], "temperature_c": {}},
    **{"throttled": [], "load_1min": 0.0, "emulated": False, "virtual": False, "system": "x", "kernel": None},
    **{"python": None, "packages": {}, "boot_id": "x"},
}


def answer(value: Any, arrays: Sequence[Array] = (), *, more: bytes = b"") -> str:
    """A message as it should be, with ``more`` behind it."""
    return packed_frame({"number": "NUMBER", "kind": "result", "value": value}, arrays, more).decode("latin-1")


def command(answers: dict[str, str], *, greeting: str = "ready\n") -> list[str]:
    """The command that runs it; it is silent to what is not in ``answers``."""
    told = {"greeting": greeting, "answers": answers}
    return [sys.executable, "-c", _SCRIPT, json.dumps(told)]
