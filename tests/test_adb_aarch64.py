"""A phone with an emulated ARM CPU behind the real adb; its libraries are those of Debian, not of Android.

`make aarch64` sets the emulated CPU up. Its times say nothing, and edgekit says so.
"""

import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_android import FakeAndroid
from phone import adb, adb_environment, furnish, script, tool

from edgekit.artifact import open_artifact
from edgekit.devices import open_device
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.runtimes import open_runtime
from edgekit.workers import silent

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from aarch64.places import UnavailableError, arm

pytestmark = [pytest.mark.slow, pytest.mark.device]

QUICK = BenchmarkSettings(runs=2, warmup=1, min_duration_s=0, rounds=2, settle=0)


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAndroid]:
    """A phone whose Python and benchmark_model run on an emulated Cortex-A72."""
    if shutil.which("adb") is None:
        pytest.skip("adb is not installed; it is in Debian's package adb")
    try:
        command = arm("cortex-a72").command
    except UnavailableError as error:
        pytest.skip(str(error))
    for name, value in adb_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("EDGEKIT_BENCHMARK_MODEL", raising=False)
    root = furnish(tmp_path / "phone")
    script(root / "data/local/tmp/python3", f'exec {shlex.join(command)} "$@"')
    tool(root / "data/local/tmp/benchmark_model", "newer", python=command)
    with FakeAndroid(root) as phone:
        adb("connect", phone.serial)
        yield phone
        adb("kill-server")


@pytest.mark.timeout(600)
def test_an_arm_cpu_answers_and_is_timed_through_adb(phone: FakeAndroid, tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet_int8.tflite")
    feed, here = sample_inputs(artifact.card, seed=3), open_runtime(artifact.path)
    with open_device(f"adb://{phone.serial}/data/local/tmp/python3") as device:
        facts = device.host()
        answer = device.open(artifact).run(feed)
        run = device.measure([Job(artifact=artifact)], QUICK, progress=silent)
    assert (facts["machine"], facts["emulated"]) == ("aarch64", True)
    for key, values in here.run(feed).items():
        np.testing.assert_array_equal(answer[key], values)
    assert run.timings[0].runtime_name == "litert"
    with open_device(f"adb://{phone.serial}") as device:
        run = device.measure([Job(artifact=artifact)], QUICK, progress=silent)
    assert (run.timings[0].runtime_name, run.timings[0].runs) == ("benchmark_model", 2)
    assert run.timings[0].delegation is not None
    assert run.timings[0].delegation.operators > 0
