"""How the page's worker times a model: in Node, by a clock and a model that take as long as they are told to."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edgekit.devices.web_server import PAGE

HARNESS = Path(__file__).parent / "web_worker.js"
LOAD = ("load", {"entry": {"file": "models/m.onnx", "format": "onnx"}, "threads": 1})
Message = tuple[str, dict[str, Any]]


def answers(*messages: Message, costs_ms: Sequence[float], step_ms: float = 2**-10) -> list[dict[str, Any]]:
    """What the worker says to ``messages`` after it has loaded; the n-th run takes the n-th of ``costs_ms``."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node; Debian's package nodejs has it")
    work = json.dumps({"messages": [LOAD, *messages], "costs_ms": costs_ms, "step_ms": step_ms})
    done = subprocess.run(
        [node, str(HARNESS), str(PAGE), work], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)[1:]
    assert all(answer["kind"] == "result" for answer in found), found
    return found


def bind(warmup: int) -> Message:
    return "bind", {"warmup": warmup}


def turn(runs: int, *, settle: int = 0, min_duration_s: float = 0) -> Message:
    return "turn", {"runs": runs, "min_duration_s": min_duration_s, "settle": settle}


def test_the_first_run_and_those_that_warm_up_are_not_timed() -> None:
    (bound,) = answers(bind(4), costs_ms=[1000])
    assert bound["value"]["first_ms"] == pytest.approx(1000, abs=0.1)
    assert bound["ran"] == 1 + 4 + 3  # three tell how many make a sample


def test_the_runs_that_settle_are_not_timed() -> None:
    _, turned = answers(bind(0), turn(5, settle=3), costs_ms=[100] * 4 + [900] * 3 + [100])
    assert turned["value"]["samples_ms"] == pytest.approx([100] * 5, abs=0.1)
    assert (turned["value"]["runs"], turned["ran"]) == (5, 4 + 3 + 5)


@pytest.mark.parametrize(("step_ms", "cost_ms", "together"), [(0.125, 1, 13), (2**-10, 1, 1), (1, 0.01, 1000)])
def test_a_sample_has_a_hundred_steps_of_the_clock(step_ms: float, cost_ms: float, together: int) -> None:
    bound, turned = answers(bind(0), turn(26), costs_ms=[cost_ms], step_ms=step_ms)
    assert bound["value"]["runs_a_sample"] == together
    count = -(-26 // together)
    assert turned["value"]["runs"] == count * together
    assert turned["value"]["samples_ms"] == pytest.approx([cost_ms] * count, rel=0.15)


def test_a_turn_lasts_as_long_as_it_is_told_to() -> None:
    _, turned = answers(bind(0), turn(1, min_duration_s=2), costs_ms=[100])
    assert turned["value"]["runs"] == len(turned["value"]["samples_ms"]) == 20


def test_of_many_times_an_evenly_spaced_part_is_told() -> None:
    costs = [100.0] * 4 + [float(n) for n in range(1, 1201)]
    _, turned = answers(bind(0), turn(1200), costs_ms=costs)
    assert [round(sample) for sample in turned["value"]["samples_ms"]] == list(range(1, 1201, 3))
    assert turned["value"]["runs"] == 1200
