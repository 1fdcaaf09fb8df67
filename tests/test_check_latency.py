"""Latency as a ratio to a reference, measured with real models; and the promises that take time."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from check_project import HOW, LABELS, add_work, change_card, grow, project
from command import edgekit

from edgekit.check import Verdict, check, init, update
from edgekit.check.baseline import read_baseline
from edgekit.check.budgets import LatencySettings, read_config
from edgekit.check.latency import time_against
from edgekit.devices import SCHEMES
from edgekit.devices.local import LocalDevice
from edgekit.errors import InputError
from edgekit.measure.conditions import Conditions
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job, Timing
from edgekit.workers import Progress, silent

FP32, INT8 = "small.fp32.onnx", "small.int8.onnx"
WORK = 6


def working_project(folder: Path) -> Path:
    """A project whose two networks take about as long as each other, a fraction of a millisecond, with its baseline."""
    project(folder)
    for name in (FP32, INT8):
        add_work(folder / name, WORK)
    init([folder / INT8, folder / FP32], str(folder / "photos.npz"), output_dir=folder)
    return folder


def hasten(folder: Path, least_s: float = 0.2) -> None:
    """Time for a part of a second alone."""
    path = folder / "edgekit.toml"
    path.write_text(path.read_text().replace("min_secs = 1.0", f"min_secs = {least_s}"))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = working_project(tmp_path_factory.mktemp("original"))
    hasten(folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "project"))


def test_the_first_float_file_is_the_reference(original: Path) -> None:
    config = read_config(original / "edgekit.toml")
    assert config.latency is not None
    assert (config.latency.reference, [config.timed(name) for name in (INT8, FP32)]) == (FP32, [True, False])
    record = read_baseline(original / "baseline.json").models[INT8]
    assert record.latency is not None
    limit = config.limits(INT8).max_p50_ratio
    assert limit is not None
    assert 1.25 * record.latency.value <= limit
    assert "# measured: " in (original / "edgekit.toml").read_text()
    assert read_baseline(original / "baseline.json").models[FP32].latency is None


@pytest.mark.slow
def test_a_model_twice_as_slow_regresses_and_is_named(folder: Path) -> None:
    project(folder)
    add_work(folder / FP32, WORK)
    add_work(folder / INT8, 3 * WORK)
    done = edgekit("check", cwd=folder)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "edgekit: 1 of 14 lines got worse: small.int8.onnx latency."


@pytest.mark.slow
def test_a_model_that_became_faster_is_told(folder: Path) -> None:
    project(folder)
    add_work(folder / FP32, WORK)
    report = check(folder / "edgekit.toml")
    assert {line.name: line.found.verdict for line in report.lines if line.file == INT8}["latency"] is Verdict.IMPROVE


@pytest.mark.slow
def test_a_file_alone_is_timed_against_a_copy(tmp_path: Path) -> None:
    project(tmp_path)
    add_work(tmp_path / INT8, WORK)
    shutil.copy(tmp_path / INT8, tmp_path / "reference.onnx")
    photos = str(tmp_path / "photos.npz")
    init([tmp_path / INT8], photos, output_dir=tmp_path, reference=tmp_path / "reference.onnx")
    hasten(tmp_path)
    names = [line.name for line in check(tmp_path / "edgekit.toml").lines]
    assert "latency" in names
    grow(tmp_path / "reference.onnx")
    notes = check(tmp_path / "edgekit.toml").notes
    assert "The reference reference.onnx is not the file that it was for the baseline." in notes


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_honest_runs_pass(folder: Path) -> None:
    """With a latency and all else, on whatever machine runs the tests."""
    ends = [edgekit("check", cwd=folder) for _ in range(20)]
    assert [done.stderr for done in ends if done.returncode] == []


def test_what_looks_slow_is_timed_again_and_the_faster_time_counts(original: Path) -> None:
    """No ratio is below a hundredth, so that both times are taken."""
    timed: list[Sequence[str]] = []

    def watch(what: str, done: int, _total: int) -> None:
        if what == "loading" and done == 0:
            timed.append(what)

    settings = LatencySettings(reference=FP32, runs=20, min_secs=0.01)
    files = {INT8: original / INT8}
    for limit, times in ((0.01, 2), (100.0, 1)):
        timed.clear()
        found = time_against(original / FP32, files, settings, limits={INT8: limit}, device="local", progress=watch)
        assert len(timed) == times
        assert found.by_file[INT8].low <= found.by_file[INT8].value <= found.by_file[INT8].high


class Scripted(LocalDevice):
    """This machine with the times of a script: those of each round, in ms, the reference having taken 1 ms.

    ``seeds`` are those that it was asked to measure with.
    """

    def __init__(self, uri: str, script: Sequence[Sequence[float]], *, hot: bool = False) -> None:
        super().__init__()
        self.uri, self.seeds = uri, list[int]()
        self._script, self._hot = iter(script), hot

    def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        """The next entry of the script, said of each file but the first."""
        progress("timing", len(self.seeds), 2)
        self.seeds.append(settings.seed)
        rounds_ms = next(self._script)
        timings = tuple(
            Timing(
                artifact=job.artifact,
                threads=1,
                device=self.uri,
                runtime_name="onnxruntime",
                runtime_version="1",
                first_ms=1.0,
                init_ms=1.0,
                rounds_ms=tuple((ms if place else 1.0,) for ms in rounds_ms),
                runs=len(rounds_ms),
                peak_rss_bytes=None,
                base_rss_bytes=None,
            )
            for place, job in enumerate(jobs)
        )
        now = Conditions(
            governor=None,
            frequency_mhz=(),
            temperature_c={},
            throttled=("throttled",) if self._hot else (),
            load_1min=None,
        )
        return DeviceRun(timings=timings, conditions=(now, now), order=(), others_cpus=0.0, host=self.host())


Script = Callable[..., Scripted]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Lets ``scripted`` be a device that tells what it is given."""

    def make(*script: Sequence[float], hot: bool = False) -> Scripted:
        device = Scripted("scripted", script, hot=hot)
        monkeypatch.setitem(SCHEMES, "scripted", (__name__, "opened"))
        monkeypatch.setitem(globals(), "opened", lambda _uri: device)
        return device

    return make


UNSURE, SURE, SURER = (1.2, 2.0, 2.8), (2.0, 2.2, 2.4), (3.0, 3.2, 3.4)


@pytest.mark.parametrize(
    ("script", "seeds", "value", "comparable"),
    [
        ((UNSURE,), [0], 2.0, True),  # its interval begins below the limit
        ((SURE, SURER), [0, 1], 2.2, True),  # the faster time, whichever it is
        ((SURER, SURE), [0, 1], 2.2, True),
        ((SURER,), [0], 3.2, False),  # nothing to be gained on a device that is throttled
    ],
)
def test_only_what_is_surely_slow_is_timed_again(
    script: tuple[Sequence[float], ...],
    seeds: list[int],
    value: float,
    comparable: bool,
    original: Path,
    scripted: Script,
) -> None:
    device = scripted(*script, hot=not comparable)
    settings = LatencySettings(reference=FP32)
    files = {INT8: original / INT8}
    found = time_against(original / FP32, files, settings, limits={INT8: 1.5}, device="scripted", progress=silent)
    assert device.seeds == seeds
    assert (found.by_file[INT8].value, found.comparable) == (value, comparable)


@pytest.mark.parametrize(
    ("rounds_ms", "limit"),
    [
        ((2.0, 2.0, 2.0), 2.5),  # a quarter more
        ((1.0, 2.0, 5.0), 5.5),  # a tenth more than the interval
    ],
)
def test_the_limit_that_is_proposed_leaves_room(
    rounds_ms: Sequence[float], limit: float, tmp_path: Path, scripted: Script
) -> None:
    project(tmp_path)
    scripted(rounds_ms)
    photos = str(tmp_path / "photos.npz")
    init([tmp_path / INT8, tmp_path / FP32], photos, output_dir=tmp_path, samples=9, device="scripted")
    assert read_config(tmp_path / "edgekit.toml").limits(INT8).max_p50_ratio == limit


def test_a_device_that_is_not_there_is_one_sentence(original: Path) -> None:
    settings = LatencySettings(reference=FP32)
    with pytest.raises(InputError, match=r"^There is no device 'moon://x'; known kinds of device: local"):
        time_against(original / FP32, {}, settings, limits={}, device="moon://x", progress=silent)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (f'reference = "{FP32}"', 'reference = "none.onnx"', "{folder}/none.onnx does not exist; check the path."),
        ("threads = 1", "threads = 0", "The numbers of threads are [0]; expected different ones of at least 1."),
        ("min_secs = 0.2", "min_secs = -1.0", "A benchmark's min_duration_s is 0 or more; got -1.0."),
        ("runs = 50", "runs = 0", "A benchmark's runs is 1 or more; got 0."),
        ("runs = 50", "loops = 50", "{folder}/edgekit.toml.latency has an unknown key 'loops'; known keys: reference, "
         "threads, runs, min_secs."),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_sentence(old: str, new: str, sentence: str, folder: Path) -> None:
    text = (folder / "edgekit.toml").read_text()
    assert old in text
    (folder / "edgekit.toml").write_text(text.replace(old, new))
    with pytest.raises(InputError) as caught:
        check(folder / "edgekit.toml")
    assert str(caught.value) == sentence.replace("{folder}", str(folder))


def test_what_changed_around_the_models_is_remarked(folder: Path) -> None:
    text = (folder / "baseline.json").read_text()
    machine, engine = read_baseline(folder / "baseline.json").machine, "onnxruntime 0.1"
    present = read_baseline(folder / "baseline.json").models[INT8].engine
    (folder / "baseline.json").write_text(text.replace(machine, "a toaster, 1 cores").replace(present, engine))
    notes = check(folder / "edgekit.toml").notes
    assert "The baseline is from another machine, a toaster, 1 cores; ratios of latencies may differ." in notes
    assert f"The baseline was made with {engine}; this is {present}." in notes


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_quantization_with_8_photos_in_place_of_200_is_named(tmp_path: Path) -> None:
    """With the converter itself; the answers may stay within their budgets, the card tells."""
    project(tmp_path)
    photos = np.random.default_rng(0).integers(0, 256, (200, 12, 10, 3), np.uint8)
    np.savez(tmp_path / "train.npz", x=photos)

    def convert(samples: int) -> None:
        done = edgekit(
            *("convert", tmp_path / FP32, "--int8", "--calibration", tmp_path / "train.npz"),
            *("--samples", samples, "-o", tmp_path / "out", "--force"),
        )
        assert done.returncode == 0, done.stderr

    convert(200)
    (model,) = (tmp_path / "out").glob("*.int8.onnx")
    change_card(model, labels=LABELS, task="classification", preprocessing=HOW)
    init([model], str(tmp_path / "photos.npz"), output_dir=tmp_path)
    assert check(tmp_path / "edgekit.toml").regressed == ()
    convert(8)
    change_card(model, labels=LABELS, task="classification", preprocessing=HOW)
    lines = {line.name: line for line in check(tmp_path / "edgekit.toml").lines}
    assert lines["calibration"].regressed
    assert (lines["calibration"].found.now, lines["calibration"].found.baseline) == ("8 items", "200 items")
    update(tmp_path / "edgekit.toml", reason="8 are enough")
    assert check(tmp_path / "edgekit.toml").regressed == ()


def test_a_new_baseline_that_is_beyond_its_budget_is_told(folder: Path, scripted: Script) -> None:
    scripted(SURER, SURER)
    made = update(folder / "edgekit.toml", reason="slow on purpose", device="scripted")
    assert [(line.file, line.name) for line in made.beyond] == [(INT8, "latency")]
    scripted((0.1, 0.1, 0.1))
    assert update(folder / "edgekit.toml", reason="fast again", device="scripted").beyond == ()
