"""Sweeps: every cell measured once, kept, found again, ranked where it may be compared."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import Board
from command import edgekit
from onnx import TensorProto, helper
from sshd import serving, wait_until
from tiny_two_stage import heads, scenes, two_stage

from edgekit.artifact import Format, open_artifact, with_card
from edgekit.codec import to_jsonable
from edgekit.devices.linked import LinkedDevice
from edgekit.devices.local import LocalDevice
from edgekit.devices.pipe import PipeLink, start_words
from edgekit.errors import CheckFailedError, DataError, InputError
from edgekit.measure.benchmark import reported
from edgekit.measure.settings import BenchmarkReport, BenchmarkSettings, DeviceRun, Job
from edgekit.measure.turns import Turns
from edgekit.preprocessing import preset
from edgekit.recipe import Precision, Recipe
from edgekit.report import read_results
from edgekit.sweep import SWEEP, Here, Sweep, sweep
from edgekit.sweep.kept import Kept
from edgekit.sweep.plan import cells, stated
from edgekit.sweep.ranking import doubts, rows, table, verdicts
from edgekit.workers import Progress

QUICK = BenchmarkSettings(threads=(1, 2), runs=6, warmup=1, min_duration_s=0, rounds=3)
WORDS = ("--runs", "6", "--warmup", "1", "--min-secs", "0")


@pytest.fixture
def two(tmp_path: Path, tiny_models: Path) -> tuple[Path, ...]:
    """A TFLite and an ONNX file that a test may change."""
    return tuple(Path(shutil.copy(tiny_models / name, tmp_path)) for name in ("convnet_int8.tflite", "convnet.onnx"))


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """An ONNX file with an operator that no engine has."""
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Nowhere", ["x"], ["y"])], "unknown", shapes[:1], shapes[1:])
    path = tmp_path / "unknown.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=8).SerializeToString())
    return path


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AbstractContextManager[Any]]:
    """Opens this machine as ``local``, and as ``board`` through a pipe that ends once there is a file ``gone``."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    start = f"cd / && env -u PYTHONPATH {start_words(sys.executable)}"
    command = ["sh", "-c", f"if [ -e {tmp_path}/gone ]; then echo unplugged >&2; exit 3; fi; {start}"]

    def open_one(uri: str) -> AbstractContextManager[Any]:
        if uri == "local":
            return LocalDevice()
        return LinkedDevice(uri, lambda: PipeLink(command, device=uri, explain=lambda text, code: f"{text}, {code}"))

    return open_one


def times(folder: Path) -> dict[str, int]:
    """When each file of results was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json") if path.name != SWEEP}


def test_every_cell_is_measured_and_kept(
    two: tuple[Path, ...], tmp_path: Path, devices: Callable[[str], AbstractContextManager[Any]]
) -> None:
    asked = Sweep(files=two, devices=("local", "board"), settings=QUICK)
    report = sweep(asked, tmp_path / "out", site=Here(devices))
    found = {(row["device"], Path(row["artifact"]).name, row["engine"], row["threads"]) for row in report.rows}
    files = (("convnet_int8.tflite", "litert"), ("convnet.onnx", "onnxruntime"))
    assert found == {(device, *file, n) for device in ("local", "board") for file in files for n in (1, 2)}
    assert report.failures == ()
    kept = [json.loads(path.read_bytes()) for path in (tmp_path / "out").glob("*.json") if path.name != SWEEP]
    assert [(data["command"], len(data["results"])) for data in kept] == 8 * [("benchmark", 1)]
    assert json.loads((tmp_path / "out" / SWEEP).read_bytes()) == report.to_json()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {SWEEP, *(row["cell"] for row in report.rows)}


def test_what_is_done_is_not_done_again(two: tuple[Path, ...], tmp_path: Path) -> None:
    asked, folder, told = Sweep(files=two, settings=QUICK), tmp_path / "out", []
    first = sweep(asked, folder)
    before = times(folder)
    again = sweep(asked, folder, announce=told.append)
    assert (told, times(folder)) == (["4 of 4 cells done before"], before)
    assert (again.rows, again.verdicts) == (first.rows, first.verdicts)


def _other_settings(asked: Sweep, _folder: Path) -> Sweep:
    return replace(asked, settings=replace(asked.settings, runs=7))


def _another_model(asked: Sweep, _folder: Path) -> Sweep:
    path = asked.files[1]
    card = replace(open_artifact(path).card, name="another")
    path.write_bytes(with_card(path.read_bytes(), card, Format.ONNX))
    return asked


def _changed_file(asked: Sweep, folder: Path, change: Callable[[bytes], bytes]) -> Sweep:
    (name,) = (name for name in times(folder) if name.startswith("convnet.onnx"))
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(change(before))
    assert (folder / name).read_bytes() != before
    return asked


def _damaged_results(asked: Sweep, folder: Path) -> Sweep:
    return _changed_file(asked, folder, lambda data: data[:-20])


def _other_figures(asked: Sweep, folder: Path) -> Sweep:
    return _changed_file(asked, folder, lambda data: data.replace(b'"p50": ', b'"p50": 1'))


def _no_object(asked: Sweep, folder: Path) -> Sweep:
    return _changed_file(asked, folder, lambda _: b"[]")


def _of_another_edgekit(asked: Sweep, folder: Path) -> Sweep:
    """What another edgekit kept whole."""
    (cell,) = (cell for cell in cells(asked, [open_artifact(asked.files[1])]))
    kept = Kept(folder)
    data = kept.find(cell.kept, cell.asked)
    assert data is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgekit.sweep.kept.__version__", "9.9")
        kept.keep(cell.kept, cell.asked, data)
        assert kept.find(cell.kept, cell.asked) is not None
    return asked


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        (_other_settings, {"convnet_int8.tflite", "convnet.onnx"}),
        (_another_model, {"convnet.onnx"}),
        (_damaged_results, {"convnet.onnx"}),
        (_other_figures, {"convnet.onnx"}),
        (_no_object, {"convnet.onnx"}),
        (_of_another_edgekit, {"convnet.onnx"}),
    ],
)
def test_what_has_changed_is_measured_anew(
    two: tuple[Path, ...], tmp_path: Path, change: Callable[[Sweep, Path], Sweep], anew: set[str]
) -> None:
    asked, folder = Sweep(files=two, settings=replace(QUICK, threads=(1,))), tmp_path / "out"
    sweep(asked, folder)
    changed, before = change(asked, folder), times(folder)
    report = sweep(changed, folder)
    after = times(folder)
    assert after.keys() == before.keys()
    assert {name.partition("-")[0] for name in before if before[name] != after[name]} == anew
    assert {row["sha256"] for row in report.rows} == {open_artifact(path).sha256 for path in two}


def test_a_cell_that_fails_stops_no_other_and_is_tried_again(
    two: tuple[Path, ...], unknown: Path, tmp_path: Path, devices: Callable[[str], AbstractContextManager[Any]]
) -> None:
    asked, told = Sweep(files=(unknown, *two), devices=("board",), settings=replace(QUICK, threads=(1,))), []
    for _ in range(2):
        report = sweep(asked, tmp_path / "out", site=Here(devices), announce=told.append)
        assert len(report.rows) == 2
        assert len(report.failures) == 1
        assert report.failures[0].startswith("unknown.onnx (1 thread) on board: ")
    assert [line for line in told if line.startswith("2 of")] == ["2 of 3 cells done before"]


def test_a_device_that_is_lost_gives_up_its_cells_and_no_others(
    two: tuple[Path, ...], tmp_path: Path, devices: Callable[[str], AbstractContextManager[Any]]
) -> None:
    def unplug(line: str) -> None:
        if line.endswith("on board"):
            (tmp_path / "gone").touch()

    asked = Sweep(files=two, devices=("board", "local"), settings=QUICK)
    report = sweep(asked, tmp_path / "out", site=Here(devices), announce=unplug)
    counts = {device: sum(row["device"] == device for row in report.rows) for device in asked.devices}
    assert counts["local"] == 4
    assert 1 <= counts["board"] < 4  # others may have begun
    assert len(report.failures) == 4 - counts["board"]
    assert all(failure.endswith(" on board: unplugged, 3") for failure in report.failures)
    (tmp_path / "gone").unlink()
    again = sweep(asked, tmp_path / "out", site=Here(devices))
    assert (len(again.rows), again.failures) == (8, ())


def test_an_unforeseen_error_of_a_device_is_not_swallowed(two: tuple[Path, ...], tmp_path: Path) -> None:
    class Broken(LocalDevice):
        def host(self) -> dict[str, Any]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sweep(Sweep(files=two, settings=QUICK), tmp_path / "out", site=Here(lambda _: Broken()))


def test_an_interrupt_keeps_what_is_finished(two: tuple[Path, ...], tmp_path: Path) -> None:
    folder, told = tmp_path / "out", []

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    asked = Sweep(files=two, settings=QUICK)
    with pytest.raises(KeyboardInterrupt):
        sweep(asked, folder, announce=interrupt)
    before = times(folder)
    assert len(before) == 1
    report = sweep(asked, folder, announce=told.append)
    assert told[0] == "1 of 4 cells done before"
    assert len(report.rows) == 4
    assert before.items() <= times(folder).items()


@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_the_command_goes_on_where_a_signal_ended_it(
    two: tuple[Path, ...], tmp_path: Path, kind: signal.Signals, code: int
) -> None:
    folder = tmp_path / "out"
    words = ["sweep", *map(str, two), "--threads", "1,2", "--min-secs", "0.1", "-o", str(folder)]
    command = [sys.executable, "-m", "edgekit", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        line = running.stderr.readline()
        running.send_signal(kind)
        rest = running.stderr.read()
    assert (running.returncode, line) == (code, "1/4 convnet_int8.tflite (1 thread) on local\n")
    assert rest.lstrip() == ("" if code == -9 else "edgekit: interrupted; nothing unfinished was left behind.\n")
    before = times(folder)
    assert 1 <= len(before) < 4
    if code == 130:
        assert {path.name for path in folder.iterdir()} == before.keys()
    done = edgekit(*words)
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == f"{len(before)} of 4 cells done before"
    assert before.items() <= times(folder).items()
    assert {path.name for path in folder.iterdir()} == {SWEEP, *times(folder)}


def test_a_machine_behind_ssh_and_this_one(
    two: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path / "sshd", monkeypatch) as server:
        words = ("sweep", *two, "--device", "local", "--device", server.uri, *WORDS, "-o", tmp_path / "out")
        done = edgekit(*words, "--json", tmp_path / "told.json")
        again = edgekit(*words)
        assert wait_until(lambda: server.agents() == [])
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "told.json").read_bytes())["results"]
    assert [(row["device"], row["rank"]) for row in found] == [
        *(("local", 1), ("local", 2), (server.uri, 1), (server.uri, 2)),
    ]
    assert [row["answers"] and row["answers"]["identical"] for row in found] == [None, None, True, True]
    assert again.stderr.splitlines()[0] == "4 of 4 cells done before"


def test_two_sweeps_do_not_share_a_folder(two: tuple[Path, ...], tmp_path: Path) -> None:
    folder = tmp_path / "out"

    def second(_: str) -> None:
        sweep(asked, folder)

    asked = Sweep(files=two, settings=QUICK)
    with pytest.raises(InputError) as caught:
        sweep(asked, folder, announce=second)
    assert str(caught.value) == (
        f"Another process is at work in {folder}; wait for it, or choose another folder with -o."
    )


# Accuracy


def write_items(path: Path, model: Path, count: int = 12) -> str:
    """Random labelled items for ``model``, as data."""
    random = np.random.default_rng(0)
    shape = [n for n in open_artifact(model).card.inputs[0].shape[1:] if n]
    np.savez(path, x=random.integers(0, 256, (count, *shape), np.uint8), y=random.integers(0, 3, count))
    return str(path)


@pytest.fixture
def judged(two: tuple[Path, ...], tmp_path: Path) -> Sweep:
    """A file whose card is silent, data for it, and a preprocessing in a file."""
    height, width = (n for n in open_artifact(two[1]).card.inputs[0].shape[1:3] if n)
    how = preset("unit", size_hw=(height, width))
    (tmp_path / "how.json").write_text(json.dumps(to_jsonable(how)))
    return Sweep(
        files=two[1:],
        settings=replace(QUICK, threads=(1,)),
        data=write_items(tmp_path / "data.npz", two[1]),
        preprocess=str(tmp_path / "how.json"),
    )


def test_accuracies_are_measured_together_once(judged: Sweep, tmp_path: Path) -> None:
    asked = replace(judged, settings=QUICK)
    report, told = sweep(asked, tmp_path / "out"), []
    known = json.loads((tmp_path / "out/accuracy.json").read_bytes())["results"]
    assert [row["metrics"]["top1"] for row in report.rows] == 2 * [known[0]["metrics"]["top1"]]
    assert table(report.rows)[1][-1] == "top1 %"
    assert report.notes == ("Accuracies are those of 12 items of data.",)
    before = times(tmp_path / "out")
    sweep(asked, tmp_path / "out", announce=told.append)
    assert told == ["1 of 1 evaluations done before", "2 of 2 cells done before"]
    sweep(replace(asked, samples=6), tmp_path / "out")
    assert [name for name, time in times(tmp_path / "out").items() if time != before[name]] == ["accuracy.json"]
    results = read_results(tmp_path / "out")
    assert [(len(row.timings), row.accuracy.count) for row in results.rows if row.accuracy] == [(2, 6)]
    assert results.verdicts == tuple(json.loads((tmp_path / "out" / SWEEP).read_bytes())["verdicts"])
    assert "; none is more accurate." in results.verdicts[0]


def _labels(asked: Sweep) -> Sweep:
    return replace(asked, labels=tuple("abcde"))


def _preset(asked: Sweep) -> Sweep:
    return replace(asked, preprocess="raw")


def _preprocessing_file(asked: Sweep) -> Sweep:
    path = Path(str(asked.preprocess))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"scale": [0.5]}))
    return asked


def _engine(asked: Sweep) -> Sweep:
    return replace(asked, engines=("onnxruntime",))


def _items(asked: Sweep) -> Sweep:
    write_items(Path(str(asked.data)), asked.files[0], 11)
    return asked


def _seed(asked: Sweep) -> Sweep:
    return replace(asked, settings=replace(asked.settings, seed=1))


@pytest.mark.parametrize("change", [_labels, _preset, _preprocessing_file, _engine, _items, _seed])
def test_an_accuracy_is_measured_anew_where_what_it_depends_on_has_changed(
    judged: Sweep, tmp_path: Path, change: Callable[[Sweep], Sweep]
) -> None:
    assert sweep(judged, tmp_path / "out").failures == ()
    before = times(tmp_path / "out")["accuracy.json"]
    assert sweep(judged, tmp_path / "out").failures == ()
    assert times(tmp_path / "out")["accuracy.json"] == before
    assert sweep(change(judged), tmp_path / "out").failures == ()
    assert times(tmp_path / "out")["accuracy.json"] != before


def test_a_detector_whose_second_file_has_changed_has_no_accuracy(tmp_path: Path) -> None:
    model = two_stage(tmp_path)
    asked = Sweep(files=(model,), settings=replace(QUICK, threads=(1,)), data=str(scenes(tmp_path / "scenes")))
    before = sweep(asked, tmp_path / "out")
    assert before.failures == ()
    assert "map50" in before.rows[0]["metrics"]
    heads(tmp_path / "d.heads.onnx", side=4)
    after = sweep(asked, tmp_path / "out")
    assert after.rows[0]["metrics"] == {}
    assert after.failures == (
        f"evaluating: {tmp_path}/d.heads.onnx is not the file that {model} was made with; "
        "copy both files of one conversion.",
    )


def test_what_a_file_says_of_preprocessing_counts_and_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1")
    (tmp_path / "b.json").write_text("1")
    first = stated(str(tmp_path / "a.json"))
    assert first == stated(str(tmp_path / "b.json"))
    (tmp_path / "a.json").write_text("2")
    assert first != stated(str(tmp_path / "a.json"))
    assert [stated(told) for told in (None, "torch", "gone.json")] == [None, "torch", "gone.json"]


def test_data_without_labels_is_refused_before_anything_is_done(two: tuple[Path, ...], tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 8, 8, 1), np.float32))
    with pytest.raises(DataError, match="has no labels"):
        sweep(Sweep(files=two, data=str(tmp_path / "data.npz")), tmp_path / "out")
    assert times(tmp_path / "out") == {}


# Ranking


def told_of(p50_ms: float, *flags: str, comparable: bool = True, within_limits: bool | None = None) -> dict[str, Any]:
    """A result of a benchmark as far as a ranking looks at it."""
    return {
        **{"artifact": "models/a.tflite", "sha256": "a", "format": "tflite", "recipe": "int8", "model_bytes": 1},
        **{"runtime": {"name": "litert", "version": "1"}, "latency_ms": {"p50": p50_ms, "p90": 2 * p50_ms}},
        **{"peak_rss_bytes": None, "valid": not flags, "flags": list(flags), "figure": {"name": "p50", "ms": p50_ms}},
        **{"comparable": comparable, "answers": None if within_limits is None else {"within_limits": within_limits}},
    }


def ranked(two: tuple[Path, ...], results: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    threads = tuple(range(1, len(results) + 1))
    asked = Sweep(files=two[:1], settings=replace(QUICK, threads=threads), **more)
    return rows(list(zip(cells(asked, [open_artifact(two[0])]), results, strict=False)), [])


def test_the_fastest_is_first_and_what_cannot_be_compared_last(two: tuple[Path, ...]) -> None:
    results = [told_of(3), told_of(1, "throttled: now", comparable=False), told_of(2, within_limits=True)]
    found = ranked(two, [*results, told_of(0.5, "answers: wrong", within_limits=False)])
    assert [(row["threads"], row["rank"]) for row in found] == [(3, 1), (1, 2), (4, None), (2, None)]
    assert verdicts(found) == ("On local the fastest of 2 is a.tflite in litert with 3 threads: 2 ms.",)
    assert doubts(found) == ["Not valid, answers on local: 1 cell.", "Not valid, throttled on local: 1 cell."]


def test_the_figure_that_counts_ranks(two: tuple[Path, ...]) -> None:
    slow = told_of(1) | {"figure": {"name": "p90", "ms": 9.0}}
    assert [row["threads"] for row in ranked(two, [slow, told_of(2)])] == [2, 1]


def test_what_is_doubtful_is_ranked_and_told(two: tuple[Path, ...]) -> None:
    found = ranked(two, [told_of(2), told_of(1, "drift: up", "load: 2 of 2")])
    assert [(row["threads"], row["rank"], row["valid"]) for row in found] == [(2, 1, False), (1, 2, True)]
    assert verdicts(found) == (
        "On local the fastest of 2 is a.tflite in litert with 2 threads: 1 ms. Some of these timings are not valid.",
    )
    assert doubts(found) == ["Not valid, drift on local: 1 cell.", "Not valid, load on local: 1 cell."]


def test_what_is_emulated_or_answers_wrongly_is_never_ranked(
    two: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = Sweep(files=two[:1], devices=("board://emulated", "board://wrong"), settings=replace(QUICK, threads=(1,)))
    report = sweep(asked, tmp_path / "out", site=Here(Board))
    assert [(row["rank"], row["valid"]) for row in report.rows] == 2 * [(None, False)]
    assert [line[0] for line in table(report.rows)[2]] == ["-", "-"]
    assert report.verdicts == tuple(
        f"On {device} nothing is ranked: it was throttled or emulated, or gave other answers."
        for device in asked.devices
    )
    with pytest.raises(CheckFailedError) as caught:
        report.require_success()
    assert str(caught.value) == "Answers are not those of this machine: convnet_int8.tflite on board://wrong."


def test_devices_are_ranked_each_by_itself(two: tuple[Path, ...]) -> None:
    asked = Sweep(files=two[:1], devices=("pi", "local"), settings=QUICK)
    pairs = zip(cells(asked, [open_artifact(two[0])]), map(told_of, (9, 8, 2, 1)), strict=True)
    found = rows(list(pairs), [])
    assert [(row["device"], row["threads"], row["rank"]) for row in found] == [
        *(("pi", 2, 1), ("pi", 1, 2), ("local", 2, 1), ("local", 1, 2)),
    ]


def test_the_most_accurate_is_told_too(two: tuple[Path, ...]) -> None:
    asked = Sweep(files=two, settings=replace(QUICK, threads=(1,)))
    results = [told_of(1), told_of(2) | {"sha256": "b", "artifact": "b.tflite"}]
    known = [{"sha256": s, "engine": "litert 1", "metrics": {"top1": top1}} for s, top1 in (("a", 0.5), ("b", 0.75))]
    found = rows(list(zip(cells(asked, [open_artifact(p) for p in two]), results, strict=True)), known)
    assert verdicts(found) == (
        "On local the fastest of 2 is a.tflite in litert with 1 thread: 1 ms, top1 50.00 %; "
        "the most accurate is b.tflite in litert with 1 thread: 2 ms, top1 75.00 %.",
    )
    assert [line[-1] for line in table(found)[2]] == ["50.00", "75.00"]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ("a", "; none of the 1 whose accuracy is known is more accurate."),
        (
            "b",
            "; the most accurate of the 1 whose accuracy is known is b.tflite in litert with 1 thread: 2 ms, "
            "top1 50.00 %.",
        ),
        ("", "."),
    ],
)
def test_accuracies_that_are_not_known_are_not_less(two: tuple[Path, ...], known: str, words: str) -> None:
    asked = Sweep(files=two, settings=replace(QUICK, threads=(1,)))
    results = [told_of(1), told_of(2) | {"sha256": "b", "artifact": "b.tflite"}]
    accuracies = [{"sha256": known, "engine": "litert 1", "metrics": {"top1": 0.5}}]
    pairs = zip(cells(asked, [open_artifact(p) for p in two]), results, strict=True)
    (said,) = verdicts(rows(list(pairs), accuracies))
    assert said.endswith(words)
    assert (" accura" in said) == bool(known)


def test_whoever_waits_longest_for_a_machine_is_the_next() -> None:
    turns, order, queued = Turns(), [], threading.Semaphore(0)

    def work(number: int) -> None:
        queued.release()
        with turns.on("pi"):
            order.append(number)

    with turns.on("pi"), turns.on("another"):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for number, thread in enumerate(threads, 2):
            thread.start()
            queued.acquire()
            while len(turns._waiting["pi"]) < number:
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]
    assert turns._waiting == {"pi": [], "another": []}


INTERRUPTED_WAIT = """
import signal, threading, time
from edgekit.measure.turns import Turns

signal.signal(signal.SIGINT, signal.default_int_handler)  # as a terminal's Ctrl-C, whoever started this
turns, held, over = Turns(), threading.Event(), threading.Event()

def hold():
    with turns.on("pi"):
        held.set()
        over.wait()

def interrupt():
    while len(turns._waiting["pi"]) < 2:
        time.sleep(0.001)
    time.sleep(0.05)  # until the main thread is asleep
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

holder = threading.Thread(target=hold, daemon=True)
holder.start()
held.wait()
for _ in range(2):
    interrupting = threading.Thread(target=interrupt, daemon=True)
    interrupting.start()
    try:
        with turns.on("pi"):
            raise AssertionError("The machine was given to two at once.")
    except KeyboardInterrupt:
        interrupting.join()
over.set()
holder.join()
with turns.on("pi"):
    print("waiting:", len(turns._waiting["pi"]))
"""


def test_whoever_gives_up_waiting_disturbs_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WAIT], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "waiting: 1\n", "")


def test_answers_of_this_machine_are_not_made_beside_its_timings(
    two: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timing, seen = threading.Event(), []

    class Watched(LocalDevice):
        def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
            timing.set()
            try:
                return super().measure(jobs, settings, progress=progress)
            finally:
                timing.clear()

    def watched(*given: Any) -> BenchmarkReport:
        seen.append(timing.wait(0.5))
        return reported(*given)

    monkeypatch.setattr("edgekit.sweep.run.reported", watched)
    report = sweep(Sweep(files=two, settings=replace(QUICK, threads=(1,))), tmp_path / "out", site=Here(Watched))
    assert (len(report.rows), seen) == (2, [False, False])


# Conversions


@pytest.mark.slow
def test_models_are_converted_first_and_once(tmp_path: Path) -> None:
    code = "import sys; from convert_models import images; images().save(sys.argv[1])"
    source, folder = tmp_path / "images.keras", tmp_path / "out"
    subprocess.run([sys.executable, "-c", code, source], check=True, cwd=Path(__file__).parent, capture_output=True)
    random = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=random.uniform(0, 1, (32, 8, 8, 3)).astype(np.float32))
    words = [source, "-p", "fp32", "-p", "int8", "--calibration", tmp_path / "data.npz", *WORDS, "-o", folder]
    done = edgekit("sweep", *words, "--json", tmp_path / "told.json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == "converted images"
    told = json.loads((tmp_path / "told.json").read_bytes())
    files = [f"images.{recipe}.{fmt}" for recipe in ("fp32", "int8") for fmt in ("onnx", "tflite")]
    assert sorted(Path(row["artifact"]).name for row in told["results"]) == files
    assert told["arguments"][0] == "sweep"
    before = times(folder)
    again = edgekit("sweep", *words)
    assert again.stderr.splitlines()[:2] == ["1 of 1 conversions done before", "4 of 4 cells done before"]
    assert times(folder) == before
    (folder / "models/images.int8.onnx").unlink()
    mended = edgekit("sweep", *words)
    assert mended.returncode == 0
    assert mended.stderr.splitlines()[0] == "converted images"
    assert (folder / "models/images.int8.onnx").exists()
    assert edgekit("report", folder, "-o", tmp_path / "report.html").returncode == 0
    assert "On local the fastest of 4 is " in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_a_source_that_cannot_be_converted_stops_no_other(tmp_path: Path) -> None:
    code = """
import sys
from convert_models import leaky
model = leaky()
model.save(sys.argv[1])
model.layers[-1].set_weights([values * float("nan") for values in model.layers[-1].get_weights()])
model.save(sys.argv[2])
"""
    files = tuple(tmp_path / f"{name}.keras" for name in ("good", "bad"))
    subprocess.run([sys.executable, "-c", code, *files], check=True, cwd=Path(__file__).parent, capture_output=True)
    asked = Sweep(files=files[::-1], settings=replace(QUICK, threads=(1,)), recipes=(Recipe(precision=Precision.FP32),))
    report = sweep(asked, tmp_path / "out")
    names = {Path(row["artifact"]).name for row in report.rows}
    assert names == {"good.fp32.tflite", "good.fp32.onnx"}
    assert len(report.failures) == 1
    assert report.failures[0].startswith("converting bad: ")


def test_a_damaged_source_is_refused_before_anything_is_done(two: tuple[Path, ...], tmp_path: Path) -> None:
    bad = tmp_path / "bad.keras"
    bad.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"bad\.keras"):
        sweep(Sweep(files=(bad, *two), recipes=(Recipe(precision=Precision.FP32),)), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_two_sources_of_one_name_are_refused(tmp_path: Path, tiny_models: Path) -> None:
    files = tuple(tmp_path / name / "m.keras" for name in "ab")
    for path in files:
        path.parent.mkdir()
        shutil.copy(tiny_models / "convnet.keras", path)
    with pytest.raises(InputError) as caught:
        sweep(Sweep(files=files, recipes=(Recipe(precision=Precision.FP32),)), tmp_path / "out")
    assert str(caught.value) == "Two of the models are called m, and so would be their files; rename one of them."


# What is asked


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"files": ()}, "No model file was given; expected at least one to sweep over."),
        ({"files": (Path("a"), Path("b/../a"))}, f"The file {Path('a').resolve()} is named twice; name it once."),
        ({"devices": ("local", "local")}, "The device local is named twice; name it once."),
        (
            {"recipes": (Recipe(precision=Precision.INT8),)},
            "-p converts Keras models, SavedModel and run folders, and none of the files is one; leave it out.",
        ),
        (
            {"calibration": "x"},
            "--calibration is for conversions, which -p asks for; add -p, or leave --calibration out.",
        ),
        *(
            (
                {name: value},
                f"{option} is for accuracies and conversions, which --data and -p ask for; add one of them, or leave "
                f"{option} out.",
            )
            for name, option, value in (
                ("preprocess", "--preprocess", "unit"),
                ("labels", "--labels", ("a",)),
                ("data_dir", "--data-dir", Path()),
            )
        ),
        ({"samples": 3}, "--samples draws from the data of --data; add it, or leave --samples out."),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Sweep(**{"files": (Path("m.onnx"),), **given})
    assert str(caught.value) == sentence


def test_an_unknown_device_is_refused_before_anything_is_done(two: tuple[Path, ...], tmp_path: Path) -> None:
    done = edgekit("sweep", *two, "--device", "phone://x", "-o", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("edgekit: There is no device 'phone://x'")
    assert not (tmp_path / "out").exists()


def test_what_a_device_does_not_run_is_refused_before_anything_is_done(
    tiny_models: Path, tmp_path: Path, devices: Callable[[str], AbstractContextManager[Any]]
) -> None:
    keras = tiny_models / "convnet.keras"
    with pytest.raises(InputError) as caught:
        sweep(Sweep(files=(keras,), devices=("board",)), tmp_path / "out", site=Here(devices))
    assert str(caught.value) == f"{keras} is a Keras file, which board does not run; convert it first."


def test_a_folder_that_cannot_be_made_is_one_sentence(two: tuple[Path, ...], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        sweep(Sweep(files=two), tmp_path / "file/out")
    assert str(caught.value) == (
        f"Cannot write to {tmp_path}/file/out: Not a directory; choose another folder with -o."
    )


def test_the_command_says_what_failed_and_gives_the_rest(two: tuple[Path, ...], unknown: Path, tmp_path: Path) -> None:
    done = edgekit("sweep", unknown, *two, *WORDS, "-o", tmp_path / "out", "--json", "-")
    assert done.returncode == 1
    assert [row["threads"] for row in json.loads(done.stdout)["results"]] == [1, 1]
    assert done.stderr.splitlines()[-1].startswith(
        "edgekit: 1 of the sweep's pieces failed, which the same command tries again: "
        "unknown.onnx (1 thread) on local: "
    )
    assert "Traceback" not in done.stderr
