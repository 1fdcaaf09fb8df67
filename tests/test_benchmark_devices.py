"""Benchmarks on devices: their answers, several at once, and what is never ranked."""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_ssd import ssd, with_nms

from edgekit.artifact import Artifact, open_artifact
from edgekit.cli.benchmark import command
from edgekit.detection import Detection, Head
from edgekit.devices import open_device
from edgekit.devices.local import LocalDevice
from edgekit.errors import CheckFailedError, DeviceError, InputError
from edgekit.measure import answers
from edgekit.measure.answers import Desk, Given, beyond, compare_answers, require_same_answers, sentences
from edgekit.measure.benchmark import benchmark, require_all_devices, to_json
from edgekit.measure.benchmark_table import COLUMNS, doubts, rows
from edgekit.measure.best import choose
from edgekit.measure.sample_inputs import sample_feeds
from edgekit.measure.settings import Answers, BenchmarkReport, BenchmarkSettings, DeviceRun, Job, Timing
from edgekit.measure.together import measure_together
from edgekit.runtimes import Runtime, open_checked_runtime, open_runtime
from edgekit.workers import Progress, silent

QUICK = BenchmarkSettings(threads=(1,), runs=32, warmup=1, min_duration_s=0, rounds=4, settle=0)
FILES = ("convnet_int8.tflite", "convnet.onnx")


@pytest.fixture
def paths(tiny_models: Path) -> list[Path]:
    return [tiny_models / name for name in FILES]


def cell(row: list[str], column: str) -> str:
    return row[COLUMNS.index(column)]


# Answers


@pytest.mark.usefixtures("piped")
def test_a_device_answers_as_this_machine_bit_for_bit(paths: list[Path]) -> None:
    report = benchmark(paths, replace(QUICK, threads=(1, 2), seed=7), devices=["board"])
    assert [r.timing.threads_actual for r in report.results] == [1, 2, 1, 2]
    for result in report.results:
        assert result.answers is not None
        assert (result.answers.count, result.answers.identical, result.answers.within_limits) == (8, True, True)
    data = to_json(report)
    assert set(data["results"][0]["answers"]) == {
        *("engine", "count", "identical", "max_abs", "sqnr_db", "agreement", "within_limits", "why")
    }
    assert data["results"][0]["answers"]["agreement"] == 1.0
    assert data["failed"] == {}
    assert {cell(row, "answers") for row in rows(report)} == {"the same"}
    assert sentences(report.results)[0].startswith(
        "convnet_int8.tflite by litert on board: 8 answers are those of litert"
    )
    require_same_answers(report)


@pytest.mark.usefixtures("piped")
def test_wrong_answers_are_not_valid_and_exit_with_1(paths: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = [*map(str, paths), "--device", "board://wrong", "--runs", "32", "--min-secs", "0", "--json", str(out)]
    done = CliRunner().invoke(command, arguments)
    assert isinstance(done.exception, CheckFailedError)
    assert str(done.exception) == (
        "Answers are not those of this machine: convnet_int8.tflite on board://wrong, convnet.onnx on board://wrong."
    )
    for row in json.loads(out.read_text())["results"]:
        assert not row["valid"]
        assert not row["answers"]["within_limits"]
        assert any(flag.startswith("answers: SQNR ") and flag.endswith("dB or more") for flag in row["flags"])
    assert "convnet.onnx by onnxruntime on board://wrong: 8 answers differ from those of onnxruntime" in done.stdout
    assert "beyond the limits, expected 60 dB or more." in done.stdout


def given(artifact: Artifact) -> tuple[Given, list[dict[str, Any]]]:
    runtime = open_runtime(artifact.path)
    runs = [runtime.run(feed) for feed in sample_feeds(artifact.card, samples=8, seed=0)]
    return Given(engine="here 1", outputs=runtime.outputs, runs=runs), [dict(run) for run in runs]


def compared(path: Path, change: Any) -> Answers:
    artifact = open_artifact(path)
    here, there = given(artifact)
    return compare_answers(artifact, here, [{n: change(v) for n, v in run.items()} for run in there])


def test_answers_are_judged_by_the_limits_of_the_recipe(tiny_models: Path) -> None:
    floats = tiny_models / "convnet.onnx"
    close = compared(floats, lambda v: v * np.float32(1 + 1e-5))
    assert (close.identical, close.within_limits, close.why, beyond(close)) == (False, True, None, None)
    far = compared(floats, lambda v: v * np.float32(1.01))
    assert (far.within_limits, far.why) == (False, "expected 60 dB or more")
    assert beyond(far) == "answers: SQNR 40.0 dB to this machine's, expected 60 dB or more"


def test_answers_in_integers_are_judged_as_the_real_numbers_that_they_stand_for(tiny_models: Path) -> None:
    """With a zero point of -128, sixteen steps are 11 dB below the numbers and 14 dB below the integers."""
    integers = tiny_models / "convnet_int8.tflite"
    near, far = (compared(integers, lambda v, by=by: v + np.int8(by)) for by in (1, 16))
    assert (near.within_limits, far.within_limits) == (True, False)
    assert (near.max_abs, far.max_abs) == (1 / 256, 16 / 256)
    assert far.sqnr_db is not None
    assert 10 < far.sqnr_db < 12


def test_answers_that_are_not_finite_or_of_another_shape_are_refused(tiny_models: Path) -> None:
    path = tiny_models / "convnet.onnx"
    lost = compared(path, lambda v: v * np.float32("nan"))
    assert (lost.within_limits, lost.max_abs) == (False, None)
    assert beyond(lost) is not None
    assert beyond(lost).startswith("answers: The compared output has ")  # type: ignore[union-attr]
    short = compared(path, lambda v: v[:, :1])
    assert short.within_limits is False
    assert short.why is not None
    assert short.why.startswith("got outputs of the shapes ")
    artifact = open_artifact(path)
    here, there = given(artifact)
    bad = [{n: v * np.float32("nan") for n, v in run.items()} for run in there]
    assert (
        compare_answers(artifact, replace(here, runs=bad), bad).within_limits is None
    )  # a file that gives nothing else
    uneven = [{n: np.concatenate([v] * (i + 1)) for n, v in run.items()} for i, run in enumerate(there)]
    assert compare_answers(artifact, replace(here, runs=uneven), uneven).why == (
        "its outputs have another shape for each input"
    )


def test_a_file_that_chooses_boxes_is_judged_only_where_it_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ssd.tflite"
    with_nms(path, ssd())
    same = compared(path, lambda v: v)
    assert (same.identical, same.within_limits) == (True, True)
    moved = compared(path, lambda v: v + np.float32(0.5))
    assert (moved.within_limits, moved.why) == (None, "the file chooses its boxes, which evaluate --device compares")


def test_a_card_may_say_that_a_file_chooses_boxes(tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet.onnx")
    here, there = given(artifact)
    card = replace(artifact.card, detection=Detection(head=Head.SSD_POSTPROCESS))
    moved = [{n: v + np.float32(0.5) for n, v in run.items()} for run in there]
    found = [compare_answers(a, here, moved).within_limits for a in (artifact, replace(artifact, card=card))]
    assert found == [False, None]


def timed(path: Path, **changes: Any) -> Timing:
    with open_device("local") as device:
        (timing,) = device.measure([Job(artifact=open_artifact(path))], QUICK, progress=silent).timings
    return replace(timing, **changes)


def test_this_machine_answers_once_in_each_engine_with_each_number_of_threads(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str | None, int]] = []

    def recorded(path: Path, *, threads: int, engine: str | None) -> Runtime:
        opened.append((engine, threads))
        return open_checked_runtime(path, threads=threads, engine=engine)

    monkeypatch.setattr(answers, "open_checked_runtime", recorded)
    path, desk = tiny_models / "convnet.onnx", Desk(seed=0)
    one = timed(path, answers=tuple(given(open_artifact(path))[1]))
    asked = [("onnxruntime", 1), ("onnxruntime", 2), ("openvino", 1), ("another", 1), ("onnxruntime", 1)]
    found = [desk.compared(replace(one, runtime_name=name, threads=threads)) for name, threads in asked]
    assert [f and f.engine.split()[0] for f in found] == [
        *("onnxruntime", "onnxruntime", "openvino", "onnxruntime", "onnxruntime")
    ]
    assert opened == [("onnxruntime", 1), ("onnxruntime", 2), ("openvino", 1), (None, 1)]


def test_a_file_that_only_the_device_runs_keeps_its_times(tiny_models: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes((tiny_models / "convnet.onnx").read_bytes())
    timing = timed(path)
    path.write_bytes(path.read_bytes()[:100])
    found = Desk(seed=0).compared(replace(timing, answers=({},)))
    assert found is not None
    assert (found.within_limits, found.why is not None and found.why[:53]) == (
        *(None, f"this machine cannot answer: {path} "[:53]),
    )
    assert Desk(seed=0).compared(timing) is None


# Several devices


@pytest.mark.usefixtures("piped")
def test_a_device_that_fails_does_not_lose_the_others_results(paths: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = [*map(str, paths), "--device", "board://gone", "--device", "board", "--runs", "32", "--min-secs", "0"]
    done = CliRunner().invoke(command, [*arguments, "--json", str(out)])
    assert isinstance(done.exception, DeviceError)
    assert str(done.exception) == "1 of 2 devices failed: On board://gone: gone and 3"
    data = json.loads(out.read_text())
    assert [row["device"] for row in data["results"]] == ["board", "board"]
    assert data["failed"] == {"board://gone": "gone and 3"}
    assert "convnet.onnx" in done.stdout


@pytest.mark.usefixtures("piped")
def test_where_all_fail_the_first_error_is_raised(paths: list[Path]) -> None:
    with pytest.raises(DeviceError) as caught:
        benchmark(paths, QUICK, devices=["board://gone"])
    assert str(caught.value) == "gone and 3"
    with pytest.raises(DeviceError) as caught:
        benchmark(paths, QUICK, devices=["board://gone", "ssh://no.such.host.invalid"])
    assert str(caught.value) == "gone and 3"


@pytest.mark.usefixtures("piped")
def test_devices_on_one_machine_take_turns_and_others_do_not(paths: list[Path]) -> None:
    """Both boards are this machine; the far one says that it is not."""

    def order(other: str) -> list[str]:
        seen: list[str] = []
        lock = threading.Lock()

        def watch(what: str, _done: int, _total: int) -> None:
            uri = what.partition(": ")[0]
            with lock:
                if seen[-1:] != [uri]:
                    seen.append(uri)

        slow = replace(QUICK, rounds=16, min_duration_s=0.8)
        report = benchmark(paths[:1], slow, devices=["board", other], progress=watch)
        assert list(report.hosts) == ["board", other]
        return seen

    assert len(order("board://near")) == 2
    assert len(order("board://far")) > 2


def interrupted(_what: str, _done: int, _total: int) -> None:
    """What is told of progress, when Ctrl-C comes."""
    raise KeyboardInterrupt


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("piped")
def test_an_interruption_ends_all_devices(paths: list[Path]) -> None:
    endless, before = replace(QUICK, rounds=1000, min_duration_s=1000), set(threading.enumerate())
    far, told = threading.Event(), threading.Lock()

    def interrupt(what: str, done: int, _total: int) -> None:
        with told:
            if what.startswith("board://far"):
                far.set()
            elif done and far.is_set():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        benchmark(paths[:1], endless, devices=["board", "board://far"], progress=interrupt)
    assert set(threading.enumerate()) <= before


class Hanging(LocalDevice):
    """Is connecting until ``released``."""

    def __init__(self) -> None:
        super().__init__()
        self.uri, self.begun, self.released = "hanging", threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        self.begun.set()
        self.released.wait()
        return self


@pytest.mark.timeout(30)
def test_a_device_that_hangs_does_not_keep_ctrl_c_from_ending_the_others(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.crew.STOPPING_S", 0.1)
    hanging = Hanging()
    jobs = [Job(artifact=open_artifact(paths[1]))]
    with pytest.raises(KeyboardInterrupt):
        measure_together([hanging, LocalDevice()], jobs, QUICK, progress=interrupted)
    assert hanging.begun.is_set()
    hanging.released.set()


class Unnamed(LocalDevice):
    """Says of its machine what macOS and locked phones say; waits until two of its kind are at work."""

    both = threading.Barrier(2, timeout=10)

    def __init__(self, uri: str, boot_id: str | None) -> None:
        super().__init__()
        self.uri, self._boot_id = uri, boot_id

    def host(self) -> dict[str, Any]:
        return {"boot_id": self._boot_id}

    def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        self.both.wait()
        return super().measure(jobs, settings, progress=progress)


@pytest.mark.parametrize("boot_id", [None, ""])
def test_devices_that_do_not_name_their_machine_run_at_once(paths: list[Path], boot_id: str | None) -> None:
    jobs = [Job(artifact=open_artifact(paths[1]))]
    runs, failed = measure_together([Unnamed(uri, boot_id) for uri in "ab"], jobs, QUICK, progress=silent)
    assert (list(runs), failed) == (["a", "b"], {})


# What is never ranked


@pytest.mark.parametrize("uri", ["board://hot", "board://emulated"])
@pytest.mark.usefixtures("piped")
def test_a_throttled_or_emulated_device_is_not_comparable(uri: str, paths: list[Path]) -> None:
    report = benchmark(paths, QUICK, devices=["local", uri])
    usual, marked = report.results[:2], report.results[2:]
    assert [r.comparable for r in (*usual, *marked)] == [True, True, False, False]
    assert not any(r.valid for r in marked)
    for row, data in zip(rows(report)[2:], to_json(report)["results"][2:], strict=True):
        assert (cell(row, "ratio to first"), cell(row, "comparable"), cell(row, "valid")) == ("-", "no", "no")
        assert (data["ratio_to_first"], data["comparable"]) == (None, False)
    assert f"Not comparable, and not ranked: the times on {uri}, which was throttled or emulated." in doubts(report)
    emulated = "emulated: these times say nothing about the machine imitated"
    reason = "throttled: throttled" if uri == "board://hot" else emulated
    assert f"Not valid, {reason} (convnet_int8.tflite on {uri}, convnet.onnx on {uri})." in doubts(report)
    assert not any(uri in sentence for sentence in report.verdicts)
    faster = [replace(r, latency_ms=replace(r.latency_ms, p50=1e-6)) for r in marked]
    choice = choose([*(replace(r, valid=True, flags=()) for r in usual), *faster], None, max_loss_points=1.0)
    assert choice.pick is not None
    assert choice.pick.result in [replace(r, valid=True, flags=()) for r in usual]


# What only this machine runs


@pytest.mark.usefixtures("piped")
def test_engines_of_this_machine_alone_are_refused_elsewhere(paths: list[Path]) -> None:
    with pytest.raises(InputError) as caught:
        benchmark(paths, QUICK, devices=["local", "board"], engines=["openvino"])
    assert str(caught.value) == (
        "The engine openvino runs on this machine only, and not on board; name one of litert, tflite-runtime, "
        "onnxruntime."
    )


@pytest.mark.usefixtures("piped")
def test_a_keras_file_is_refused_before_a_device_is_asked(tiny_models: Path) -> None:
    with pytest.raises(InputError) as caught:
        benchmark([tiny_models / "convnet.keras"], QUICK, devices=["board://gone"])
    assert str(caught.value).endswith(
        "convnet.keras is a Keras file, which board://gone does not run; convert it first."
    )


@pytest.mark.usefixtures("piped")
def test_facts_are_there_before_during_and_after(paths: list[Path]) -> None:
    with open_device("board") as device:
        run = device.measure([Job(artifact=open_artifact(paths[0]))], QUICK, progress=silent)
    assert len(run.conditions) == QUICK.rounds + 1
    assert all(state.memory_available_bytes for state in run.conditions)
    assert {"soc", "revision", "userland_bits", "libc", "kernel", "boot_id"} <= set(run.host)


def test_a_report_without_failures_asks_for_nothing() -> None:
    report = BenchmarkReport(results=(), verdicts=(), hosts={})
    require_all_devices(report)
    require_same_answers(report)
