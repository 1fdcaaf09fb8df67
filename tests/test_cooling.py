"""Modes of a benchmark, and rests until a machine is cool. Clocks are injected."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edgekit.artifact import open_artifact
from edgekit.cli.benchmark import command
from edgekit.devices.local import LocalBench, LocalDevice
from edgekit.errors import InputError
from edgekit.measure.benchmark import judge
from edgekit.measure.conditions import Conditions
from edgekit.measure.cooling import LOOK_S, Rest
from edgekit.measure.interleave import State, interleave
from edgekit.measure.settings import BenchmarkSettings, Job, Mode


@dataclass
class Oven:
    """This machine with a thermometer that falls by half a degree a second; every turn of a model heats it by five."""

    temperature_c: float | None = 40.0
    now_s: float = 0.0
    slept_s: list[float] = field(default_factory=list)
    uri: str = "local"

    def host(self) -> dict[str, Any]:
        return LocalDevice().host()

    def state(self) -> State:
        zones = {} if self.temperature_c is None else {"cpu": self.temperature_c, "gpu": 30.0}
        now = Conditions(governor=None, frequency_mhz=(), temperature_c=zones, throttled=(), load_1min=None)
        return State(conditions=now, busy_s=None, own_s=0.0, clock_s=self.now_s)

    @contextmanager
    def bench(self) -> Iterator[LocalBench]:
        with LocalDevice().bench() as bench:
            turn = bench.turn

            def heating(**given: Any) -> Any:
                if self.temperature_c is not None:
                    self.temperature_c += 5
                return turn(**given)

            bench.turn = heating  # type: ignore[method-assign]
            yield bench

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds
        if self.temperature_c is not None:
            self.temperature_c = max(40.0, self.temperature_c - seconds / 2)


def rest(oven: Oven, most_s: float) -> Rest:
    return Rest(machine=oven, start=oven.state(), most_s=most_s, sleep=oven.sleep)


def test_a_rest_ends_when_the_machine_is_as_cool_as_it_was() -> None:
    oven = Oven()
    resting = rest(oven, 60.0)
    oven.temperature_c = 50.0
    assert resting.before(0) == 16.0  # ten degrees too warm, of which two are allowed, at half a degree a second
    assert oven.slept_s == [LOOK_S] * 8
    assert resting.before(1) == 0.0


def test_a_rest_lasts_no_longer_than_allowed() -> None:
    oven = Oven()
    resting = rest(oven, 5.0)
    oven.temperature_c = 80.0
    assert [resting.before(number) for number in range(2)] == [5.0, 5.0]
    assert oven.slept_s == [2.0, 2.0, 1.0] * 2


def test_without_a_thermometer_there_is_one_rest_before_the_first_round() -> None:
    oven = Oven(temperature_c=None)
    resting = rest(oven, 7.0)
    assert [resting.before(number) for number in range(3)] == [7.0, 0.0, 0.0]
    assert oven.slept_s == [7.0]


def test_a_thermometer_that_falls_silent_counts_as_warm() -> None:
    oven = Oven()
    resting = rest(oven, 4.0)
    oven.temperature_c = None
    assert resting.before(1) == 4.0


def test_nobody_rests_unasked(tiny_models: Path) -> None:
    oven = Oven()
    jobs = [Job(artifact=open_artifact(tiny_models / "convnet.onnx"))]
    settings = BenchmarkSettings(runs=2, warmup=0, min_duration_s=0, rounds=2)
    run = interleave(jobs, settings, oven, sleep=oven.sleep)
    assert (run.cooled_s, oven.slept_s) == ((), [])
    told: list[str] = []
    rested = interleave(
        jobs, replace(settings, cool_down_s=30.0), oven, sleep=oven.sleep, progress=lambda what, *_: told.append(what)
    )
    assert rested.cooled_s == (0.0, 6.0)  # after a turn of five degrees, of which two are allowed
    assert told == ["loading", "timing", "cooling down", "cooling down", "cooling down", "timing", "timing"]
    assert judge(rested, settings)[0].cooled_s == rested.cooled_s


# Modes


def test_a_mode_says_how_much_is_measured_and_what_is_given_goes_before_it() -> None:
    told = {m: BenchmarkSettings.in_mode(m) for m in Mode}
    assert {m: (s.runs, s.min_duration_s, s.cool_down_s, s.figure) for m, s in told.items()} == {
        Mode.QUICK: (10, 0.2, 0.0, "p50"),
        Mode.NORMAL: (50, 1.0, 0.0, "p50"),
        Mode.SUBMISSION: (1024, 60.0, 60.0, "p90"),
    }
    assert told[Mode.NORMAL] == BenchmarkSettings()
    longer = BenchmarkSettings.in_mode(Mode.SUBMISSION, runs=2000, cool_down_s=0.0, threads=(2,))
    assert (longer.runs, longer.min_duration_s, longer.cool_down_s, longer.threads) == (2000, 60.0, 0.0, (2,))


@pytest.mark.parametrize("given", [{"runs": 1023}, {"min_duration_s": 59.9}])
def test_less_than_the_rules_ask_is_no_submission(given: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        BenchmarkSettings.in_mode(Mode.SUBMISSION, **given)
    runs, seconds = given.get("runs", 1024), given.get("min_duration_s", 60)
    assert str(caught.value) == (
        f"The mode submission has 1,024 runs and 60 s or more; got {runs} and {seconds}: raise them, or choose another "
        "mode."
    )


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", ["min_duration_s", "cool_down_s"])
@pytest.mark.parametrize(
    ("seconds", "expected"), [(math.nan, "0 or more"), (math.inf, "86,400 at most"), (86401.0, "86,400 at most")]
)
def test_seconds_are_those_of_a_day_at_most(mode: Mode, name: str, seconds: float, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        BenchmarkSettings.in_mode(mode, **{name: seconds})
    assert str(caught.value) == f"A benchmark's {name} is {expected}; got {seconds:g}."
    BenchmarkSettings.in_mode(mode, **{name: 86400.0})


def test_the_command_takes_a_mode(tiny_models: Path, tmp_path: Path) -> None:
    import json

    out = tmp_path / "out.json"
    done = CliRunner().invoke(command, [str(tiny_models / "convnet.onnx"), "--mode", "quick", "--json", str(out)])
    assert done.exit_code == 0, done.output
    settings = json.loads(out.read_text())["results"][0]["settings"]
    assert (settings["mode"], settings["runs"], settings["min_duration_s"], settings["cool_down_s"]) == (
        *("quick", 10, 0.2, 0.0),
    )
    refused = CliRunner().invoke(command, [str(tiny_models / "convnet.onnx"), "--mode", "submission", "--runs", "5"])
    assert isinstance(refused.exception, InputError)
