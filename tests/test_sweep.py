"""Sweeps: every cell measured once, kept, found again, ranked where it may be compared."""

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from onnx import TensorProto, helper
from sshd import serving, wait_until
from sweeping import QUICK, WORDS, times

from edgekit.artifact import Format, open_artifact, with_card
from edgekit.devices.linked import LinkedDevice
from edgekit.devices.local import LocalDevice
from edgekit.devices.pipe import PipeLink, start_words
from edgekit.errors import InputError
from edgekit.measure.benchmark import reported
from edgekit.measure.settings import BenchmarkReport, BenchmarkSettings, DeviceRun, Job
from edgekit.recipe import Precision, Recipe
from edgekit.sweep import SWEEP, Here, Sweep, sweep
from edgekit.sweep.kept import Kept
from edgekit.sweep.plan import cells
from edgekit.workers import Progress


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
