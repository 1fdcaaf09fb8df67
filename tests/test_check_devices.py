"""Regression tests of models on a device: a baseline belongs to the device that it was measured on."""

import json
from pathlib import Path

import pytest
from boards import Board
from check_project import double_a_scale, project
from click.testing import CliRunner

from edgekit.check import check, init, update
from edgekit.check.baseline import read_baseline
from edgekit.check.budgets import read_config
from edgekit.cli.check import command
from edgekit.errors import CheckFailedError, DeviceError, InputError

FP32, INT8 = "small.fp32.onnx", "small.int8.onnx"
pytestmark = pytest.mark.usefixtures("piped")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with one model whose baseline was recorded on a board."""
    made = project(tmp_path / "project")
    init([made / INT8], str(made / "photos.npz"), output_dir=made, device="board")
    return made


def hasten(folder: Path) -> None:
    path = folder / "edgekit.toml"
    path.write_text(path.read_text().replace("min_secs = 1.0", "min_secs = 0.05"))


def test_a_baseline_tells_of_its_device_and_an_honest_run_passes(folder: Path) -> None:
    baseline = read_baseline(folder / "baseline.json")
    assert baseline.device == "board"
    report = check(folder / "edgekit.toml", device="board")
    assert report.regressed == ()
    assert [line.name for line in report.lines][:3] == ["top1", "agreement", "outputs"]


def test_what_got_worse_is_named_on_a_device_too(folder: Path) -> None:
    double_a_scale(folder / INT8)
    out = folder / "out.json"
    arguments = ["--config", str(folder / "edgekit.toml"), "--device", "board", "--json", str(out)]
    done = CliRunner().invoke(command, arguments)
    assert isinstance(done.exception, CheckFailedError)
    data = json.loads(out.read_text())
    assert (data["results"][0]["device"], data["regressed"]) == (
        *("board", [f"{INT8} {line}" for line in ("top1", "agreement", "outputs")]),
    )
    assert "Check on 160 items of photos, on board, against the baseline of" in done.stdout


@pytest.mark.parametrize("device", ["local", "board://other"])
def test_another_device_is_one_sentence(device: str, folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        check(folder / "edgekit.toml", device=device)
    assert str(caught.value) == (
        f"baseline.json was measured on board, and this check is of {device}; give --device board, or record a new "
        f"baseline with: edgekit check --update --reason TEXT --device {device}."
    )


def test_a_baseline_of_old_is_of_this_machine(folder: Path) -> None:
    update(folder / "edgekit.toml", reason="back to the desk")
    path = folder / "baseline.json"
    data = json.loads(path.read_text())
    assert data.pop("device") == "local"
    path.write_text(json.dumps(data))
    assert check(folder / "edgekit.toml").regressed == ()


def test_the_command_begins_and_records_anew_on_a_device(tmp_path: Path) -> None:
    made = project(tmp_path / "project")
    first = ["init", str(made / INT8), "--data", str(made / "photos.npz"), "-o", str(made), "--samples", "40"]
    done = CliRunner().invoke(command, [*first, "--device", "board"], catch_exceptions=False)
    config = made / "edgekit.toml"
    assert f"Check with: edgekit check --config {config} --device board" in done.stderr
    renewed = ["--config", str(config), "--update", "--reason", "to see", "--device", "local"]
    assert CliRunner().invoke(command, renewed, catch_exceptions=False).exit_code == 0
    assert read_baseline(made / "baseline.json").device == "local"


def test_latencies_are_judged_where_they_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = project(tmp_path / "project")
    photos = str(made / "photos.npz")
    init([made / INT8, made / FP32], photos, output_dir=made, samples=40, device="board")
    hasten(made)
    path = made / "edgekit.toml"
    assert read_baseline(made / "baseline.json").models[INT8].latency is not None
    assert "latency" in [line.name for line in check(path, device="board").lines]
    monkeypatch.setattr(Board, "throttled", ("throttled",))
    with pytest.raises(DeviceError) as caught:
        check(path, device="board")
    with pytest.raises(DeviceError, match="Latencies on board cannot be judged, "):
        update(path, reason="on a hot day", device="board")
    assert str(caught.value).startswith("Latencies on board cannot be judged, ")
    assert "throttled: throttled; " in str(caught.value)
    assert str(caught.value).endswith("leave max_p50_ratio out, or check on a device in its usual state.")


def test_without_comparable_latencies_a_check_begins_without(tmp_path: Path) -> None:
    made = project(tmp_path / "project")
    photos, path = str(made / "photos.npz"), made / "edgekit.toml"
    begun = init([made / INT8, made / FP32], photos, output_dir=made, samples=40, device="board://emulated")
    assert "Latency is not checked, since times on board://emulated are not comparable." in begun.notes
    assert read_config(path).latency is None
    assert read_baseline(made / "baseline.json").models[INT8].latency is None
    assert "latency" not in [line.name for line in check(path, device="board://emulated").lines]
