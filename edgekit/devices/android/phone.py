"""A phone on which TensorFlow's ``benchmark_model`` times TFLite files."""

import contextlib
import dataclasses
import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgekit.artifact import Artifact, Format
from edgekit.devices.android.client import Adb, Said, find_device
from edgekit.devices.android.facts import (
    CLOCK_SCRIPT,
    HOST_SCRIPT,
    STATE_SCRIPT,
    Phone,
    read_clock,
    read_host,
    read_state,
)
from edgekit.devices.android.tool import Told, problem, read_told
from edgekit.errors import ArtifactError, DeviceError, InputError
from edgekit.files import sha256_file
from edgekit.formats.tflite import read_graph
from edgekit.measure.interleave import State, interleave
from edgekit.measure.sample_inputs import Array
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job, Mode, RoundFigures
from edgekit.runtimes import Runtime
from edgekit.runtimes.probe import patience_s
from edgekit.workers import Json, Progress

ON_PHONE = "/data/local/tmp/benchmark_model"
"""Where its makers tell to put it."""
VARIABLE = "EDGEKIT_BENCHMARK_MODEL"
"""Names it at the desk instead, to be sent."""
SOURCE = "https://ai.google.dev/edge/litert/models/measurement"

TIMED = "invoke alone, on random inputs of benchmark_model's own; a sample is the mean of a round's runs"
_TOOL_S = 150.0
"""How long the tool goes on by itself, both with warming up and with runs."""
_SIGNAL = 128
"""A shell adds it to the number of the signal that ended a command."""
_FOREIGN = re.compile(r"not executable|exec format error|cannot execute binary|bad ELF|unexpected e_", re.IGNORECASE)
_TIMES = re.compile(
    r"^edgekit:times\n.*\n *(\d{1,7})m *(\d{1,2}[.,]\d{1,9})s +(\d{1,7})m *(\d{1,2}[.,]\d{1,9})s", re.MULTILINE
)


class PhoneDevice:
    """The device at ``adb://serial``; with ``serial`` None the only one that is connected."""

    def __init__(self, uri: str, serial: str | None) -> None:
        self.uri, self._serial = uri, serial

    def __enter__(self) -> Self:
        self._adb = find_device(self.uri, self._serial)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def host(self) -> dict[str, Any]:
        """Facts of the phone."""
        return read_host(self._adb.shell(HOST_SCRIPT).text)

    def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        """Do ``jobs`` there: a call of the tool for each round and model, which loads and warms up anew."""
        for job in jobs:
            if job.artifact.format is not Format.TFLITE or job.engine not in (None, "litert"):
                raise InputError(
                    f"{job.artifact.path} in {job.engine or job.artifact.format} is nothing for benchmark_model on "
                    f"{self.uri}, which runs .tflite files in litert; name a Python of the phone for others, such as "
                    "adb://SERIAL/path/to/python3."
                )
        if settings.mode is Mode.SUBMISSION:
            raise InputError(
                f"The mode submission counts the 90th percentile of runs, which benchmark_model on {self.uri} does not "
                "tell; choose another mode, or name a Python of the phone, such as adb://SERIAL/path/to/python3."
            )
        machine = _Machine(self.uri, self._adb, find_tool(self._adb))
        run = interleave(jobs, settings, machine, progress=progress)
        return machine.completed(run)

    def open(self, artifact: Artifact, *, threads: int = 1, engine: str | None = None) -> Runtime:  # noqa: ARG002
        """Refused: the tool gives times and no outputs."""
        raise InputError(
            f"benchmark_model on {self.uri} gives no outputs of {artifact.path}; name a Python of the phone, such as "
            "adb://SERIAL/path/to/python3, or reach Termux by ssh://."
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A benchmark_model on the phone."""

    path: str
    sha256: str


def find_tool(adb: Adb) -> Tool:
    """The tool that the desk names, sent to the phone; else the one that is there. `InputError` where there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise InputError(f"{VARIABLE} names {named}, which is no file; name a benchmark_model for the phone.")
        sha256 = sha256_file(path)
        return Tool(path=adb.put(path, sha256, executable=True), sha256=sha256)
    digest = adb.digest(ON_PHONE)
    if digest is None:
        raise InputError(
            f"There is no benchmark_model on {adb.uri}; take the one for its CPU from {SOURCE} and name it by "
            f"{VARIABLE}, or put it to {ON_PHONE}."
        )
    return Tool(path=ON_PHONE, sha256=digest)


class _Machine:
    """The phone as `edgekit.measure.interleave.Machine`, and what its benches tell beyond that."""

    def __init__(self, uri: str, adb: Adb, tool: Tool) -> None:
        self.uri, self._adb, self._tool = uri, adb, tool
        self._benches: list[_Bench] = []
        self._phones: list[Phone] = []

    def host(self) -> dict[str, Any]:
        return read_host(self._adb.shell(HOST_SCRIPT).text)

    def state(self) -> State:
        """How the phone is, and its clock at the end of the last calls: between them it rests at a lower one.

        What its shell does to look is little, and counts as other work.
        """
        phone = read_state(self._adb.shell(STATE_SCRIPT).text)
        self._phones.append(phone)
        counted = all(bench.counted for bench in self._benches)
        clocks = [bench.frequency_mhz for bench in self._benches]
        at_work = max(clocks, key=lambda clock: max(clock, default=0.0), default=())
        conditions = phone.conditions
        return State(
            conditions=dataclasses.replace(conditions, frequency_mhz=at_work or conditions.frequency_mhz),
            busy_s=phone.busy_s if counted else None,
            own_s=0.0,
            clock_s=time.monotonic(),
        )

    @contextlib.contextmanager
    def bench(self) -> "Iterator[_Bench]":
        bench = _Bench(self._adb, self._tool)
        self._benches.append(bench)
        yield bench

    def completed(self, run: DeviceRun) -> DeviceRun:
        """``run`` with what only this tool tells, and what a reader must know of it."""
        timings = tuple(
            dataclasses.replace(
                timing, timed=TIMED, figures=tuple(bench.figures), footprint_bytes=bench.loaded.footprint_bytes
            )
            for timing, bench in zip(run.timings, self._benches, strict=True)
        )
        partly = {
            f"On {self.uri} XNNPACK runs {timing.artifact.path.name} only in part; benchmark_model does not say which."
            for timing, bench in zip(run.timings, self._benches, strict=True)
            if bench.loaded.applied == "partially" and timing.delegation is None
        }
        power = self._phones[-1].power
        notes = (
            f"{self.uri} was timed by benchmark_model, which tells no single runs: a sample is the mean of a round's "
            "runs, so that percentiles, minimum and maximum are of rounds.",
            f"On {self.uri} the adb shell runs it in the background; an app in front may be scheduled otherwise.",
            *((f"{self.uri} took its power from {power}, which may change its clock.",) if power else ()),
            *sorted(partly),
        )
        return dataclasses.replace(run, timings=timings, notes=notes)


class _Bench:
    """Calls of the tool for one model, as `edgekit.measure.interleave.Bench`."""

    loaded: Told

    def __init__(self, adb: Adb, tool: Tool) -> None:
        self._adb, self._tool = adb, tool
        self._cpu_s = 0.0
        self.counted = True
        self.frequency_mhz: tuple[float, ...] = ()
        self.figures: list[RoundFigures] = []

    def load(self, job: Job, feed: Mapping[str, Array], *, threads: int, warmup: int) -> Json:  # noqa: ARG002
        """Send the model and call the tool once; ``feed`` stays here, since the tool takes inputs of its own."""
        path = job.artifact.path
        self._path, self._remote = path, self._adb.put(path, job.artifact.sha256)
        self._threads, self._warmup = threads, max(1, warmup)
        self.loaded = told = self._call(runs=1, min_duration_s=0.0, warmup=self._warmup)
        return {
            "init_ms": told.init_ms,
            "first_ms": told.first_ms,
            "runtime": "benchmark_model",
            "version": f"sha256 {self._tool.sha256[:12]}",
            "delegation": self._delegation(told),
            "base_rss_bytes": None,
            "cpu_s": self._cpu_s,
        }

    def turn(self, *, runs: int, min_duration_s: float, settle: int) -> Json:
        """A call of the tool, whose process is as new as that of the first call and is warmed up as much."""
        told = self._call(runs=runs, min_duration_s=min_duration_s, warmup=self._warmup + settle)
        self.figures.append(told.runs)
        return {
            "samples_ms": [told.runs.mean_ms],
            "runs": told.runs.runs,
            "peak_rss_bytes": None,
            "cpu_s": self._cpu_s,
        }

    def answers(self, _feeds: Sequence[Mapping[str, Array]]) -> None:
        """Nothing: the tool gives no outputs."""

    def _call(self, *, runs: int, min_duration_s: float, warmup: int) -> Told:
        words = [
            self._tool.path,
            f"--graph={self._remote}",
            f"--num_threads={self._threads}",
            "--use_xnnpack=true",
            f"--num_runs={runs}",
            f"--min_secs={min_duration_s:.3f}",
            f"--max_secs={_TOOL_S + min_duration_s:.0f}",  # else it ends by itself before, and does not say so
            f"--warmup_runs={warmup}",
            "--warmup_min_secs=0",
        ]
        script = f"{shlex.join(words)}\ncode=$?\necho\n{CLOCK_SCRIPT}\necho edgekit:times; times\n(exit $code)"
        said = self._adb.shell(script, limit_s=2 * (_TOOL_S + min_duration_s) + patience_s(self._path))
        self._count(said.text)
        self.frequency_mhz = read_clock(said.text)
        output = said.text.partition("edgekit:clock")[0]
        if said.code or "Benchmarking failed" in output:
            raise self._failed(Said(text=output, code=said.code))
        return read_told(output, device=self._adb.uri)

    def _failed(self, said: Said) -> ArtifactError | DeviceError:
        if _FOREIGN.search(said.text):
            return DeviceError(
                f"benchmark_model is built for another CPU than that of {self._adb.uri} ({said.last}); take another "
                f"from {SOURCE}"
            )
        if said.code == 126:
            return DeviceError(f"{self._tool.path} may not be run on {self._adb.uri}; run there: chmod 755")
        ended = f"signal {said.code - 128} ended it" if said.code > _SIGNAL else problem(said.text)
        return ArtifactError(f"{self._path} does not run in benchmark_model on {self._adb.uri}: {ended}.")

    def _count(self, text: str) -> None:
        """Add the CPU time of the shell's children, the second line of its ``times``."""
        match = _TIMES.search(text)
        if match is None:
            self.counted = False
            return
        minutes, seconds, more_minutes, more_seconds = (float(part.replace(",", ".")) for part in match.groups())
        self._cpu_s += 60 * (minutes + more_minutes) + seconds + more_seconds

    def _delegation(self, told: Told) -> Json | None:
        """Of how many operators the tool told that XNNPACK runs them; None where it did not tell."""
        if told.delegated is not None:
            taken, total = told.delegated
        elif told.applied in ("completely", "not"):
            total = len(read_graph(self._path).nodes)
            taken = total if told.applied == "completely" else 0
        else:
            return None
        return {"name": "xnnpack", "operators": taken, "total": total, "works": True}
