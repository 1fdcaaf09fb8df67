"""What a device may answer: one that has gone astray, or is somebody else's, is one sentence."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit.artifact import open_artifact
from edgekit.devices.linked import LinkedDevice
from edgekit.devices.pipe import PipeLink
from edgekit.errors import DeviceError
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.workers import silent

# The other end of a pipe: answers each operation with what it was told beforehand.
ASTRAY = """
import json, math, sys
answers, stream = json.loads(sys.argv[1]), sys.stdin.buffer
print("ready", flush=True)
while True:
    asked = json.loads(stream.readline())
    sizes = {"float32": 4, "int8": 1, "uint8": 1}
    stream.read(sum(math.prod(shape) * sizes[dtype] for dtype, shape in asked["arrays"]) + asked["more"])
    if asked["operation"] != "ping":
        answer = {"number": asked["number"], "kind": "result", "arrays": [], "more": 0}
        sys.stdout.write(json.dumps({**answer, "value": answers.get(asked["operation"], {})}) + chr(10))
        sys.stdout.flush()
"""
HOST = {"cores": 4, "allowed_cpus": 4, "emulated": False, "throttled": [], "packages": {}, "boot_id": "x"}
CONDITIONS = {"governor": None, "frequency_mhz": [], "temperature_c": {}, "throttled": [], "load_1min": 0.0}
SANE: dict[str, Any] = {
    "host": HOST,
    "state": {"conditions": CONDITIONS, "busy_s": 1.0, "own_s": 0.1, "clock_s": 5.0},
    "has": {"has": True},
    "load": {"init_ms": 1.0, "engine": "litert", "version": "2", "delegation": None, "base_rss_bytes": None},
    "bind": {"first_ms": 1.0, "cpu_s": 0.1},
    "turn": {"samples_ms": [1.0], "runs": 1, "peak_rss_bytes": None, "cpu_s": 0.2},
}
QUICK = BenchmarkSettings(runs=2, warmup=0, min_duration_s=0, rounds=2)


def measured(tiny_models: Path, **answers: Any) -> None:
    """Time a model on a device that answers sanely but for ``answers``."""
    command = [sys.executable, "-c", ASTRAY, json.dumps({**SANE, **answers})]
    job = Job(artifact=open_artifact(tiny_models / "convnet_int8.tflite"))
    with LinkedDevice("board", lambda: PipeLink(command, device="board", explain=lambda told, _: told)) as board:
        board.measure([job], QUICK, progress=silent)


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"host": []}, "board answers what was not asked; try again."),
        ({"host": {**HOST, "emulated": "no"}},
         "board tells of itself without 'emulated', or tells nonsense of it; try again."),
        ({"host": {k: v for k, v in HOST.items() if k != "allowed_cpus"}},
         "board tells of itself without 'allowed_cpus', or tells nonsense of it; try again."),
        ({"state": {**SANE["state"], "clock_s": "noon"}},
         "board gives what is no answer; try again. The answer Now.clock_s is 'noon'; expected float."),
        ({"load": {}}, "board gives what is no answer; try again. The answer Loaded lacks the key 'init_ms'."),
        ({"load": {**SANE["load"], "delegation": 7}},
         "board gives what is no answer; try again. The answer Loaded.delegation is 7; "
         "expected an object with named values."),
        ({"bind": {"first_ms": None, "cpu_s": 1.0}},
         "board gives what is no answer; try again. The answer Bound.first_ms is null; expected float."),
        ({"turn": {**SANE["turn"], "samples_ms": []}},
         "board gives what is no answer; try again. 1 runs with 0 times are no turn."),
        ({"turn": {**SANE["turn"], "samples_ms": [-1.0]}},
         "board gives what is no answer; try again. 1 runs with 1 times are no turn."),
        ({"turn": {**SANE["turn"], "samples_ms": [0.0, 0.0], "runs": 2}},
         "board gives what is no answer; try again. All times of 2 runs are 0 ms."),
        ({"turn": {**SANE["turn"], "runs": 0}},
         "board gives what is no answer; try again. 0 runs with 1 times are no turn."),
        ({"turn": {**SANE["turn"], "samples_ms": [float("nan")]}},
         "board gives what is no answer; try again. The answer Turn.samples_ms[0] is nan; expected a finite number."),
        ({}, "board gave 0 outputs; the model has 1."),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_one_sentence(tiny_models: Path, answers: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeviceError) as caught:
        measured(tiny_models, **answers)
    assert str(caught.value) == sentence
