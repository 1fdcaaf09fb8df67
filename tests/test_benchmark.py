"""Benchmarks of real tiny models, and every reason to doubt one. Clocks are injected."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from timings import HOST, QUIET, artifact, timing

from edgekit.artifact import open_artifact
from edgekit.cli.benchmark import command
from edgekit.devices import local
from edgekit.errors import ArtifactError, InputError
from edgekit.measure import interleave
from edgekit.measure.bench_worker import Bench
from edgekit.measure.benchmark import benchmark, judge, to_json
from edgekit.measure.conditions import Conditions, busy_cpu_s
from edgekit.measure.memory import peak_rss_bytes
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.measure.settings import BenchmarkReport, BenchmarkSettings, DeviceRun, Job, Timing
from edgekit.measure.timing import time_calls
from edgekit.measure.validity import incomparable, reasons_for_doubt
from edgekit.runtimes.base import Delegation
from edgekit.workers import Json, Worker, silent

GOLDEN = Path(__file__).parent / "golden"
QUICK = BenchmarkSettings(runs=32, warmup=1, min_duration_s=0, rounds=4, settle=0)


def save_dense(path: Path, size: int) -> Path:
    """x (1, size) times a size x size matrix."""
    weights = numpy_helper.from_array(np.ones((size, size), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, size])],
        [weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def small_and_big(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return save_dense(folder / "small.onnx", 8), save_dense(folder / "big.onnx", 3000)  # 36 MB of weights


@pytest.fixture(scope="module")
def report(small_and_big: tuple[Path, Path]) -> BenchmarkReport:
    return benchmark([*small_and_big, GOLDEN / "two_inputs_int8.tflite"], QUICK)


STEADY = [[1.0, 1.01, 0.99, 1.0]] * 20


# What is measured


def test_every_row_has_what_it_takes_to_believe_it(report: BenchmarkReport) -> None:
    data = to_json(report)
    assert data["schema_version"] == 1
    assert data["command"] == "benchmark"
    assert data["host"]["allowed_cpus"] >= 1
    assert data["hosts"] == {"local": data["host"]}
    assert json.loads(json.dumps(data)) == data
    for row in data["results"]:
        assert set(row) == {
            "artifact", "sha256", "format", "recipe", "model_bytes", "device", "threads", "runtime", "latency_ms",
            "delegation", "samples_ms", "n", "runs", "init_ms", "peak_rss_bytes", "base_rss_bytes", "ratio_to_first",
            "valid", "flags", "timed", "settings", "conditions", "threads_actual", "figure", "comparable", "answers",
        }  # fmt: skip
        assert set(row["latency_ms"]) == {"first", "mean", "stdev", "min", "p50", "p90", "p95", "p99", "max"}
        assert row["n"] == len(row["samples_ms"]) >= QUICK.runs
        assert row["latency_ms"]["p50"] == pytest.approx(float(np.median(row["samples_ms"])))
        assert len(row["conditions"]["during"]) == QUICK.rounds - 1
        assert row["valid"] == (row["flags"] == [])
        assert row["init_ms"] > 0
        assert (row["threads_actual"], row["comparable"], row["answers"]) == (1, True, None)
        assert row["figure"] == {"name": "p50", "ms": row["latency_ms"]["p50"]}
        assert row["conditions"]["after"]["memory_available_bytes"] > 0
        assert row["conditions"]["cooled_s"] == []
    assert data["results"][2]["runtime"]["name"] in ("litert", "tflite-runtime")


def test_the_ratio_is_to_the_first(report: BenchmarkReport) -> None:
    first, second, _ = report.results
    assert (first.ratio_to_first.low, first.ratio_to_first.value, first.ratio_to_first.high) == (1.0, 1.0, 1.0)
    assert second.ratio_to_first.value == pytest.approx(second.latency_ms.p50 / first.latency_ms.p50)
    assert second.ratio_to_first.low <= second.ratio_to_first.value <= second.ratio_to_first.high


def test_memory_is_that_of_one_model_alone(report: BenchmarkReport) -> None:
    small, big, _ = (r.timing.peak_rss_bytes for r in report.results)
    assert small is not None
    assert big is not None
    assert big - small > 30e6  # 36 MB of weights; were the processes shared, both would have them


def test_peak_memory_is_read_from_the_kernel(tmp_path: Path) -> None:
    status = tmp_path / "proc/self/status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tpython\nVmPeak:\t  999 kB\nVmHWM:\t  1024 kB\n")
    assert peak_rss_bytes(tmp_path) == 1024 * 1024


def test_turns_are_shuffled_in_every_round(small_and_big: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, str]] = []
    requests: list[Json] = []
    fed: list[np.ndarray] = []

    class Recording(Worker):
        def call(self, operation: str, request: Json, **options: object) -> Json:
            calls.append((self.pid, operation))
            requests.append(request)
            assert (options["limit_s"] is None) == (operation != "load")
            if operation == "load":
                fed.append(np.load(request["inputs"])["x"])
            return super().call(operation, request, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(local, "Worker", Recording)
    settings = BenchmarkSettings(threads=(1, 2), rounds=6, runs=7, warmup=3, min_duration_s=0.06, settle=1, seed=5)
    artifacts = [open_artifact(p) for p in small_and_big]
    jobs = [Job(artifact=a) for a in artifacts]
    run = local.LocalDevice().measure(jobs, settings, progress=silent)
    loads, turns = calls[:4], calls[4:]
    assert [(r["threads"], r["warmup"]) for r in requests[:4]] == [(1, 3), (2, 3), (1, 3), (2, 3)]
    assert requests[4:] == [{"runs": 2, "min_duration_s": pytest.approx(0.01), "settle": 1}] * 24
    for found, each in zip(fed, [a for a in artifacts for _ in range(2)], strict=True):
        np.testing.assert_array_equal(found, sample_inputs(each.card, seed=5)["x"])
    pids = [pid for pid, _ in loads]
    assert [operation for _, operation in calls] == ["load"] * 4 + ["turn"] * 24
    assert len(set(pids)) == 4
    assert [tuple(pids.index(pid) for pid, _ in turns[i : i + 4]) for i in range(0, 24, 4)] == list(run.order)
    assert all(sorted(order) == [0, 1, 2, 3] for order in run.order)
    assert len(set(run.order)) > 1
    assert all(t.runs >= 7 for t in run.timings)
    assert [(t.artifact.path, t.threads) for t in run.timings] == [
        (path, threads) for path in small_and_big for threads in (1, 2)
    ]


def test_the_order_repeats_with_its_seed() -> None:
    settings = BenchmarkSettings(seed=3)
    assert interleave._orders(5, settings) == interleave._orders(5, settings)
    assert interleave._orders(5, settings) != interleave._orders(5, replace(settings, seed=4))


# Reasons for doubt: each canary must be refused, and the quiet run must not


def test_a_quiet_steady_run_is_believed() -> None:
    assert reasons_for_doubt(timing(STEADY), [QUIET] * 22, HOST, others_cpus=0.1) == ()


@pytest.mark.parametrize(
    ("found", "conditions", "host", "reason"),
    [
        (timing(STEADY), [QUIET] * 3, {**HOST, "emulated": True},
         "emulated: these times say nothing about the machine imitated"),
        (timing(STEADY), [replace(QUIET, load_1min=2.5), QUIET], HOST, "load: 2.5 on 2 CPUs before the run"),
        (timing(STEADY, threads=3), [QUIET] * 3, HOST, "threads: 3 on 2 CPUs"),
        (timing(STEADY), [QUIET, replace(QUIET, throttled=("under-voltage", "throttled")), QUIET], HOST,
         "throttled: throttled, under-voltage"),
        (timing(STEADY), [QUIET, QUIET, replace(QUIET, frequency_mhz=(1500.0, 600.0))], HOST,
         "frequency: between 1500 and 1800 MHz during the run"),
        (timing([[1.0] * 4] * 10 + [[1.2] * 4] * 10), [QUIET] * 3, HOST,
         "drift: median 1 ms in the first quarter, 1.2 ms in the last"),
        (timing([[1.2] * 4] * 10 + [[1.0] * 4] * 10), [QUIET] * 3, HOST,
         "drift: median 1.2 ms in the first quarter, 1 ms in the last"),
        (timing([[1.0] * 5] * 4), [QUIET] * 3, HOST, "runs: 20; expected 30 or more"),
        (timing(STEADY), [QUIET, QUIET, replace(QUIET, throttled_since_start=("throttled",))], HOST,
         "throttled: throttled"),
        (replace(timing(STEADY, threads=2), threads_actual=1), [QUIET] * 3, HOST, "threads: 1 at work, 2 asked for"),
        (replace(timing(STEADY), threads_actual=4), [QUIET] * 3, HOST, "threads: 4 at work, 1 asked for"),
    ],
)  # fmt: skip
def test_every_doubt_has_its_reason(
    found: Timing, conditions: list[Conditions], host: dict[str, object], reason: str
) -> None:
    assert reasons_for_doubt(found, conditions, host, others_cpus=None) == (reason,)


def test_what_was_throttled_before_the_run_and_threads_that_help_are_no_doubt() -> None:
    once = replace(QUIET, throttled_since_start=("throttled",))
    assert reasons_for_doubt(timing(STEADY), [once] * 3, HOST, others_cpus=None) == ()
    assert not incomparable([once] * 3, HOST)
    for name, doubt in (("openvino", ()), ("onnxruntime", ("threads: 3 at work, 1 asked for",))):
        found = replace(timing(STEADY), threads_actual=3, runtime_name=name)
        assert reasons_for_doubt(found, [QUIET] * 3, HOST, others_cpus=None) == doubt
    fewer = replace(timing(STEADY, threads=2), threads_actual=1, runtime_name="openvino")
    assert reasons_for_doubt(fewer, [QUIET] * 3, HOST, others_cpus=None) == ("threads: 1 at work, 2 asked for",)


def test_an_idle_clock_before_the_run_is_no_doubt() -> None:
    conditions = [replace(QUIET, frequency_mhz=(600.0,)), QUIET, QUIET]
    assert reasons_for_doubt(timing(STEADY), conditions, HOST, others_cpus=None) == ()


def test_other_work_during_the_run_counts_and_a_load_that_has_ended_does_not() -> None:
    busy_before = [replace(QUIET, load_1min=9.0), QUIET]
    assert reasons_for_doubt(timing(STEADY), busy_before, HOST, others_cpus=0.2) == ()
    assert reasons_for_doubt(timing(STEADY), [QUIET, QUIET], HOST, others_cpus=1.5) == (
        "load: other work took 1.5 of 2 CPUs during the run",
    )
    assert reasons_for_doubt(timing(STEADY, threads=2), [QUIET, QUIET], HOST, others_cpus=0.5) == (
        "load: other work took 0.5 of 2 CPUs during the run",
    )
    untold = {**HOST, "cores": None}
    assert reasons_for_doubt(timing(STEADY), busy_before, untold, others_cpus=9.0) == (
        "load: 9.0 on 2 CPUs before the run",
    )


def test_other_work_is_told_from_our_own(small_and_big: tuple[Path, Path]) -> None:
    settings = replace(QUICK, min_duration_s=2.0)
    spinner = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"
    with subprocess.Popen([sys.executable, "-c", spinner]) as other:
        jobs = [Job(artifact=open_artifact(small_and_big[0]))]
        run = local.LocalDevice().measure(jobs, settings, progress=silent)
        other.kill()
    assert run.others_cpus is not None
    assert run.others_cpus > 0.3  # a whole CPU, or its share of one where the tests keep all of them busy


def test_time_of_others_is_what_neither_the_lanes_nor_who_looks_took() -> None:
    start = interleave.State(conditions=QUIET, busy_s=100.0, own_s=0.5, clock_s=50.0)
    end = interleave.State(conditions=QUIET, busy_s=110.0, own_s=1.5, clock_s=55.0)
    assert interleave._others_cpus(start, end, 3.0) == pytest.approx((10 - 1 - 3) / 5)
    assert interleave._others_cpus(start, replace(end, busy_s=None), 3.0) is None
    assert interleave._others_cpus(start, replace(end, busy_s=103.9), 3.0) == 0.0  # clocks tick at their own pace


def test_loading_is_no_work_of_others(small_and_big: tuple[Path, Path]) -> None:
    class Loading(local.LocalDevice):
        busy_s = clock_s = 0.0

        def state(self) -> interleave.State:
            self.clock_s += 1
            return interleave.State(conditions=QUIET, busy_s=self.busy_s, own_s=0.0, clock_s=self.clock_s)

        @contextlib.contextmanager
        def bench(self) -> Iterator[local.LocalBench]:
            with super().bench() as bench:
                self.busy_s += 50
                yield bench

    run = Loading().measure([Job(artifact=open_artifact(small_and_big[0]))], QUICK, progress=silent)
    assert run.others_cpus == 0.0


def test_what_a_turn_gives_is_added_up_and_loading_took_no_turn() -> None:
    class Answering:
        def turn(self, **_settings: float) -> Json:
            return {"samples_ms": [1.0, 2.0], "runs": 5, "peak_rss_bytes": 7, "cpu_s": 6.0}

    loaded = {"cpu_s": 2.0}
    lane = interleave._Lane(job=Job(artifact=artifact()), threads=1, bench=Answering(), loaded=loaded)  # type: ignore[arg-type]
    for _ in range(2):
        lane.turn(QUICK)
    assert (lane.rounds_ms, lane.runs, lane.cpu_s) == ([(1.0, 2.0)] * 2, 10, 4.0)


def test_busy_seconds_leave_out_idleness(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text("cpu  100 200 300 4000 5000 10 20 70 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
    assert busy_cpu_s(tmp_path) == pytest.approx(700 / os.sysconf("SC_CLK_TCK"))
    assert busy_cpu_s(tmp_path / "nowhere") is None


def test_a_clock_that_slows_down_is_noticed() -> None:
    rounds = [
        [
            t / 1e6
            for t in time_calls(
                lambda: None, runs=5, min_duration_s=0, settle=0, clock=itertools.count(0, tick_ns).__next__
            )
        ]
        for tick_ns in range(1000, 3000, 100)
    ]
    run = DeviceRun(timings=(timing(rounds),), conditions=(QUIET, QUIET), order=((0,),), others_cpus=0.0, host=HOST)
    (judged,) = judge(run, BenchmarkSettings())
    assert not judged.valid
    assert judged.flags == ("drift: median 0.0012 ms in the first quarter, 0.0027 ms in the last",)


def test_inputs_may_be_called_as_arguments_of_numpy(tmp_path: Path) -> None:
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in ("file", "allow_pickle")]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Add", ["file", "allow_pickle"], ["y"])], "g", inputs, [output])
    path = tmp_path / "sum.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    (result,) = benchmark([path], QUICK).results
    assert result.timing.runs >= QUICK.runs


# Engines


def test_a_file_runs_in_every_engine_named_that_takes_it() -> None:
    files = [GOLDEN / "tiny.tflite", GOLDEN / "tiny.onnx"]
    report = benchmark(files, QUICK, engines=["litert", "openvino"])
    assert [(r.timing.artifact.path, r.timing.runtime_name) for r in report.results] == [
        (files[0], "litert"),
        (files[0], "openvino"),
        (files[1], "openvino"),
    ]
    delegations = [row["delegation"] for row in to_json(report)["results"]]
    assert delegations == [{"name": "xnnpack", "operators": 2, "total": 2, "works": True}, None, None]
    assert report.notes == ()


def test_a_file_that_xnnpack_takes_nothing_of_is_noted_and_stays_valid() -> None:
    path = GOLDEN / "models" / "lstm.tflite"
    report = benchmark([path], QUICK)
    assert report.notes == (f"XNNPACK takes none of the 2 operators of {path}; LiteRT's slower kernels ran them.",)
    assert not any(flag.startswith("xnnpack") for flag in report.results[0].flags)


def test_a_machine_without_xnnpack_is_a_doubt() -> None:
    found = [
        replace(timing(STEADY), delegation=Delegation(name="xnnpack", operators=operators, total=5, works=works))
        for operators, works in ((5, True), (0, True), (0, False))
    ]
    assert [reasons_for_doubt(t, [QUIET] * 3, HOST, others_cpus=0.0) for t in found] == [
        (),
        (),
        ("xnnpack: it does not run on this machine, and LiteRT used its slower kernels",),
    ]


# Refusals


def test_a_process_that_is_killed_is_one_sentence(
    small_and_big: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Worker):
        def call(self, operation: str, request: Json, **options: object) -> Json:
            if operation == "turn":
                os.kill(self.pid, signal.SIGKILL)
            return super().call(operation, request, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(local, "Worker", Killed)
    with pytest.raises(ArtifactError) as caught:
        benchmark([small_and_big[0]], QUICK)
    assert str(caught.value) == (
        f"{small_and_big[0]} cannot be timed: the process of edgekit.measure.bench_worker was killed by SIGKILL."
    )


def test_a_turn_without_a_model_is_refused() -> None:
    with pytest.raises(ArtifactError, match=r"^A turn was asked for before a model was loaded; load one first\.$"):
        Bench().turn({"runs": 1, "min_duration_s": 0, "settle": 0}, silent)


def refusals() -> Iterator[tuple[Callable[[], object], str]]:
    tiny = GOLDEN / "two_inputs_float.tflite"
    yield lambda: benchmark([]), "No model file was given; expected at least one .tflite, .onnx or .keras file."
    yield (
        lambda: benchmark([tiny], engines=["litert", "openvino"], with_profile=True),
        "A time by operator is measured in litert and onnxruntime; leave out --profile or openvino.",
    )
    yield lambda: benchmark([tiny, tiny]), f"The file {tiny} is named twice; name it once."
    yield lambda: benchmark([tiny], devices=["local", "local"]), "The device local is named twice; name it once."
    yield (
        lambda: BenchmarkSettings(threads=(1, 1)),
        "The numbers of threads are [1, 1]; expected different ones of at least 1.",
    )
    yield (
        lambda: BenchmarkSettings(threads=(1, 10**20)),
        "The numbers of threads are [1, 100000000000000000000]; expected 1,024 at most.",
    )
    yield lambda: BenchmarkSettings(rounds=0), "A benchmark's rounds is 1 or more; got 0."


@pytest.mark.parametrize(("attempt", "sentence"), list(refusals()))
def test_wrong_use_is_one_sentence(attempt: Callable[[], object], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        attempt()
    assert str(caught.value) == sentence


@pytest.mark.shared_data
def test_a_keras_model_has_no_profile(shared_data: Path) -> None:
    path = shared_data / "models" / "resnet8_cifar10_float.h5"
    with pytest.raises(InputError) as caught:
        benchmark([path], QUICK, with_profile=True)
    assert str(caught.value) == (
        f"{path} is a Keras model, which has no time by operator; leave out --profile or convert."
    )


# The command


def test_the_command_writes_json_with_a_profile(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    arguments = [str(GOLDEN / "two_inputs_int8.tflite"), "--runs", "40", "--min-secs", "0", "--profile"]
    done = CliRunner().invoke(command, [*arguments, "--threads", "1,2", "--json", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    rows = json.loads(out.read_text())["results"]
    assert [row["threads"] for row in rows] == [1, 2]
    for row in rows:
        assert [set(o) for o in row["profile"]] == [{"name", "op", "mean_ms", "share"}] * 5
        assert row["profile_run"]["note"] == "profiled in a run of its own, slower than the timed one"
    assert "two_inputs_int8.tflite" in done.stdout
    assert "5 of 5 operators in XNNPACK" in done.stdout


def test_threads_that_are_no_numbers_are_refused() -> None:
    done = CliRunner().invoke(command, ["m.tflite", "--threads", "two"])
    assert done.exit_code == 2
    assert "'two' is not a number of threads; give 1 or several such as 1,2,4." in done.stderr
