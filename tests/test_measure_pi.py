"""Files measured on a Raspberry Pi: an aarch64 Debian with its own sshd, which `make pi` builds, imitated here."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from check_project import double_a_scale, project
from pi_stand_in import start_pi
from sshd import use_config

from edgekit.check import check, init
from edgekit.measure.benchmark import benchmark
from edgekit.measure.benchmark_table import doubts
from edgekit.measure.compare import compare
from edgekit.measure.evaluate import evaluate
from edgekit.measure.settings import BenchmarkSettings

pytestmark = [pytest.mark.slow, pytest.mark.device, pytest.mark.timeout(600)]
URI = "ssh://pi-test"


@pytest.fixture(scope="module", autouse=True)
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with start_pi(with_engines=True) as started, pytest.MonkeyPatch.context() as patch:
        use_config(started.ssh_config, tmp_path_factory.mktemp("pi") / "client", patch)
        yield


def test_its_answers_are_those_of_this_machine_and_its_times_are_never_ranked(tiny_models: Path) -> None:
    files = [tiny_models / name for name in ("convnet_int8.tflite", "convnet.tflite", "convnet.onnx")]
    settings = BenchmarkSettings(threads=(1, 2), runs=4, warmup=1, min_duration_s=0, rounds=2)
    report = benchmark(files, settings, devices=["local", URI])
    here, there = report.results[:6], report.results[6:]
    assert all(result.comparable for result in here)
    assert not any(result.comparable or result.valid for result in there)
    assert [result.timing.threads_actual for result in there] == [1, 2] * 3
    assert [result.answers and result.answers.within_limits for result in there] == [True] * 6
    assert [result.answers and result.answers.identical for result in there[:2]] == [True] * 2
    facts = report.hosts[URI]
    assert (facts["emulated"], facts["machine"], facts["userland_bits"]) == (True, "aarch64", 64)
    assert f"Not comparable, and not ranked: the times on {URI}, which was throttled or emulated." in doubts(report)


def test_an_accuracy_is_measured_there(colour_model: Callable[..., Path], colour_photos: Path) -> None:
    model = colour_model()
    here, there = (evaluate([model], str(colour_photos), device=device) for device in ("local", URI))
    assert there.entries[0].metrics() == pytest.approx(here.entries[0].metrics(), abs=1e-6)
    assert there.host["machine"] == "aarch64"


def test_a_file_beside_itself_differs_by_a_step_of_its_softmax(tiny_models: Path, colour_photos: Path) -> None:
    path = tiny_models / "convnet_int8.tflite"
    report = compare(path, [path], str(colour_photos), preprocess="unit", device=URI)
    metrics = report.entries[0].metrics()
    assert metrics["max_abs"] <= 1 / 256  # LiteRT's softmax of integers is another one on ARM
    assert metrics["agreement"] == 1.0


def test_a_check_of_it_names_what_got_worse(tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    file = folder / "small.int8.onnx"
    init([file], str(folder / "photos.npz"), output_dir=folder, samples=80, device=URI)
    assert check(folder / "edgekit.toml", device=URI).regressed == ()
    double_a_scale(file)
    assert "top1" in {line.name for line in check(folder / "edgekit.toml", device=URI).regressed}
