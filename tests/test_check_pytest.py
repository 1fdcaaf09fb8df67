"""The lines of a check as tests of pytest."""

import importlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from check_project import MODEL, double_a_scale, project

from edgekit.check import init
from edgekit.check.baseline import read_baseline

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = project(tmp_path_factory.mktemp("original"))
    init([folder / MODEL], str(folder / "photos.npz"), output_dir=folder)
    (folder / "tests").mkdir()
    (folder / "tests" / "test_own.py").write_text("def test_own():\n    pass\n")
    (folder / "pytest.ini").write_text("[pytest]\n")  # else a configuration above would be taken
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "project"))


def run_pytest(folder: Path, *arguments: str, plugins: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """pytest with this plugin, whether edgekit is installed with its entry point or not, and no other."""
    surroundings = {k: v for k, v in os.environ.items() if k not in ("CI", "BUILD_NUMBER")}  # pytest says more in a CI
    loaded = [word for name in ("edgekit.pytest_plugin", *plugins) for word in ("-p", name)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *loaded, "-p", "no:cacheprovider", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**surroundings, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
    )


def test_the_lines_are_tests_beside_others(folder: Path) -> None:
    done = run_pytest(folder, "--edgekit", "-v")
    assert done.returncode == 0, done.stdout
    assert "8 passed" in done.stdout
    assert "edgekit.toml::top1[small.int8.onnx] PASSED" in done.stdout
    assert "tests/test_own.py::test_own PASSED" in done.stdout


def test_a_line_that_got_worse_fails_with_its_sentence(folder: Path) -> None:
    double_a_scale(folder / MODEL)
    done = run_pytest(folder, "--edgekit", "edgekit.toml", "-v", f"--junit-xml={folder / 'junit.xml'}")
    assert done.returncode == 1
    assert "3 failed, 4 passed" in done.stdout
    assert "small.int8.onnx top1: regress: 25.00 %, baseline 86.25 %" in done.stdout
    assert "Traceback" not in done.stdout
    assert 'name="top1[small.int8.onnx]"' in (folder / "junit.xml").read_text()


def test_one_line_can_be_chosen(folder: Path) -> None:
    double_a_scale(folder / MODEL)
    done = run_pytest(folder, "--edgekit", "-k", "size or calibration")
    assert (done.returncode, "2 passed, 6 deselected" in done.stdout) == (0, True)


def test_it_is_asked_for_by_its_option_alone(folder: Path) -> None:
    done = run_pytest(folder)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True)


def test_only_what_is_asked_for_is_collected_once(folder: Path) -> None:
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    done = run_pytest(folder, "--edgekit")
    assert (done.returncode, "8 passed" in done.stdout) == (0, True)
    twice = run_pytest(folder, "--edgekit", ".", "edgekit.toml")
    assert (twice.returncode, "8 passed" in twice.stdout) == (0, True)


def test_nothing_to_check_is_no_success(folder: Path) -> None:
    (folder / "edgekit.toml").unlink()
    done = run_pytest(folder, "--edgekit")
    assert done.returncode == 4
    assert done.stderr.strip() == (
        f"ERROR: There is no edgekit.toml in {folder} or the paths given; make one with: "
        "edgekit check init FILE... --data DATA"
    )


def test_a_wrong_configuration_is_one_sentence(folder: Path) -> None:
    (folder / "edgekit.toml").write_text("schema_version = 1\nmodles = []\n")
    done = run_pytest(folder, "--edgekit")
    assert done.returncode == 2
    assert f"{folder}/edgekit.toml has an unknown key 'modles'; known keys: schema_version, " in done.stdout
    assert "Traceback" not in done.stdout


def test_what_cannot_be_measured_fails_every_line(folder: Path) -> None:
    (folder / MODEL).unlink()
    done = run_pytest(folder, "--edgekit", "edgekit.toml")
    assert done.returncode == 1
    assert "7 failed" in done.stdout
    assert f"{folder}/{MODEL} does not exist; check the path." in done.stdout


def test_the_device_is_an_option(folder: Path) -> None:
    done = run_pytest(folder, "--edgekit", "--edgekit-device", "ssh://pi", "edgekit.toml", "-k", "size")
    assert done.returncode == 1
    assert "baseline.json was measured on local, and this check is of ssh://pi; give --device local, or" in done.stdout


@pytest.mark.parametrize("options", [("-n", "2"), ("--dist", "load", "--tx", "2*popen")])
def test_several_processes_at_once_are_refused(options: tuple[str, ...], folder: Path) -> None:
    done = run_pytest(folder, "--edgekit", *options, plugins=("xdist",))
    assert done.returncode == 4
    assert done.stderr.strip() == (
        "ERROR: --edgekit measures latencies, which tests at the same time would spoil; leave out -n and --dist."
    )


def test_remarks_are_shown(folder: Path) -> None:
    present = read_baseline(folder / "baseline.json").models[MODEL].engine
    text = (folder / "baseline.json").read_text()
    (folder / "baseline.json").write_text(text.replace(present, "onnxruntime 0.1"))
    done = run_pytest(folder, "--edgekit", "edgekit.toml")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines().count(f"The baseline was made with onnxruntime 0.1; this is {present}.") == 1


def test_what_nobody_foresaw_is_shown_once(folder: Path) -> None:
    (folder / "conftest.py").write_text(
        "import edgekit.check.run\n\n\ndef check(*_, **__):\n    raise ZeroDivisionError('unforeseen')\n\n\n"
        "edgekit.check.run.check = check\n"
    )
    done = run_pytest(folder, "--edgekit", "edgekit.toml")
    assert "7 failed" in done.stdout
    assert done.stdout.count("raise ZeroDivisionError('unforeseen')") == 1
    assert done.stdout.count(f"{folder}/edgekit.toml was not measured; the first line that failed shows why.\n") == 6


def test_an_installed_edgekit_brings_it() -> None:
    project_file = tomllib.loads((ROOT / "pyproject.toml").read_text())
    name = project_file["project"]["entry-points"]["pytest11"]["edgekit"]
    assert importlib.import_module(name).pytest_addoption
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}, sys; print([m for m in sys.modules if m.startswith('edgekit.')])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['edgekit.pytest_plugin']"
