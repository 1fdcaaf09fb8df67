"""Every finding, from versions and facts given, and the real command on this installation."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgekit.cli.doctor import command
from edgekit.doctor import Diagnosis, Finding, Status, lines
from edgekit.doctor.engines import TRIALS, check_running
from edgekit.doctor.machine import (
    check_cpu,
    check_data,
    check_display,
    check_governor,
    check_platform,
    check_python,
)
from edgekit.doctor.packages import (
    EXTRAS,
    LITERT_PAIR,
    PINNED,
    check_conflicts,
    check_extras,
    check_pins,
    check_shadow,
    installed_distributions,
)
from edgekit.runtimes import ENGINES

ROOT = Path(__file__).parent.parent
HOST = {
    "board": None,
    "system": "Debian",
    "machine": "aarch64",
    "allowed_cpus": 4,
    "emulated": False,
    "throttled": [],
    "governor": "performance",
}
INSTALLED = {"edgekit-ml": "0.1.0", "numpy": "2.4.6"}


def test_pythons() -> None:
    assert check_python((3, 12)).status is Status.OK
    assert check_python((3, 10)) == Finding(
        name="python",
        status=Status.BROKEN,
        detail="3.10",
        advice="Use Python 3.11, 3.12 or 3.13 in a new environment.",
    )


def test_platforms() -> None:
    assert check_platform(HOST) == Finding(name="platform", status=Status.OK, detail="Debian, aarch64, 4 CPUs")
    emulated = check_platform({**HOST, "emulated": True})
    assert (emulated.status, emulated.detail) == (Status.NOTE, "Debian, aarch64, 4 CPUs, emulated")
    assert emulated.advice == "Results are right, times are not: benchmark on the real machine."
    hot = check_platform({**HOST, "board": "Raspberry Pi 4", "throttled": ["throttled"]})
    assert (hot.status, hot.detail) == (Status.NOTE, "Raspberry Pi 4, aarch64, 4 CPUs, throttled")
    assert hot.advice == "Give it a stronger power supply or better cooling before a benchmark."


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (["avx2", "avx512_vnni"], "it multiplies int8 in hardware"),
        (["dotprod", "neon"], "it multiplies int8 in hardware"),
        (["avx2"], "it has no int8 dot product (VNNI)"),
        (["neon"], "it has NEON without an int8 dot product"),
        ([], "nothing is known of its int8 speed"),
    ],
)
def test_what_a_cpu_means_for_int8(features: list[str], words: str) -> None:
    assert words in check_cpu(features, "any").detail


def test_governors() -> None:
    assert check_governor(HOST).status is Status.OK
    assert check_governor({**HOST, "governor": None}).detail == "this machine does not tell"
    assert check_governor({**HOST, "governor": "ondemand"}) == Finding(
        name="governor",
        status=Status.NOTE,
        detail="ondemand: the clock changes with the load, and times with it",
        advice="For a benchmark: echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
    )


def test_another_project_of_our_name_is_noticed() -> None:
    assert check_shadow(INSTALLED).detail == "edgekit-ml 0.1.0"
    assert check_shadow({}).detail == "run from its source, not installed"
    assert check_shadow({**INSTALLED, "edgekit": "2.0"}) == Finding(
        name="package",
        status=Status.BROKEN,
        detail="an unrelated project, edgekit 2.0, is installed over edgekit-ml",
        advice="Run: pip uninstall edgekit, then: pip install --force-reinstall --no-deps edgekit-ml",
    )


def test_pins() -> None:
    assert check_pins(INSTALLED) == []
    assert check_pins({"tensorflow": "2.21.0", "keras": "3.15.1"}) == []
    assert check_pins({"keras": "3.150.0"}) == [
        Finding(
            name="keras",
            status=Status.BROKEN,
            detail="3.150.0; expected 3.15",
            advice="Run: pip install 'edgekit-ml[train]'",
        )
    ]


def test_the_quantizer_and_its_engine_move_together() -> None:
    (fits,) = check_pins(LITERT_PAIR)
    assert (fits.status, fits.advice) == (Status.OK, None)
    (apart,) = check_pins({**LITERT_PAIR, "ai-edge-litert": "2.4.0"})
    assert apart == Finding(
        name="litert pair",
        status=Status.BROKEN,
        detail=(
            "litert-quantizer 0.11.0 with ai-edge-litert 2.4.0; "
            "expected litert-quantizer 0.11.0 with ai-edge-litert 2.3.0"
        ),
        advice="Run: pip install 'edgekit-ml[convert]'",
    )


def test_two_opencv_wheels_are_noticed() -> None:
    assert check_conflicts({**INSTALLED, "opencv-python": "5"}) == []
    (found,) = check_conflicts({**INSTALLED, "opencv-python": "5", "opencv-python-headless": "5"})
    assert found == Finding(
        name="opencv",
        status=Status.BROKEN,
        detail="opencv-python and opencv-python-headless are both installed and overwrite each other's files",
        advice=(
            "Run: pip uninstall opencv-python opencv-python-headless, then with a display: "
            "pip install 'edgekit-ml[gui]', without one: pip install 'edgekit-ml[camera]'"
        ),
    )


def test_the_old_engine_with_a_new_numpy_is_noticed() -> None:
    assert check_conflicts({"tflite-runtime": "2.14.0", "numpy": "1.26.4"}) == []
    assert check_conflicts({**INSTALLED, "tflite-runtime": "2.14.0"}) == [
        Finding(
            name="numpy",
            status=Status.BROKEN,
            detail="tflite-runtime does not work with numpy 2.4.6",
            advice="Run: pip install 'numpy<2', or use edgekit-ml[litert] in its place",
        )
    ]


def test_extras() -> None:
    found = {f.name: f for f in check_extras({**INSTALLED, "onnxruntime": "1", "opencv-python": "5"})}
    assert found["[onnx]"].status is Status.OK
    assert found["[train]"] == Finding(
        name="[train]",
        status=Status.NOTE,
        detail="without tensorflow, keras, scikit-learn, pycocotools",
        advice="If needed: pip install 'edgekit-ml[train]'",
    )
    assert found["[camera]"].advice is None  # would break the OpenCV that is there


def test_the_extras_and_pins_are_those_of_the_project() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    def names(extra: str) -> set[str]:
        found = set()
        for line in listed[extra]:
            nested = re.match(r"edgekit-ml\[(.*)\]", line)
            if nested:
                found |= set().union(*(names(part) for part in nested[1].split(",")))
            else:
                found.add(re.split(r"[<>=;\[ ]", line)[0])
        return found

    expected = {extra: names(extra) - {"numpy"} for extra in listed if extra not in ("all", "dev")}
    ours = {
        extra: {name for entry in needs for name in ((entry,) if isinstance(entry, str) else entry)}
        for extra, needs in EXTRAS.items()
    }
    assert ours == expected
    assert {f"{name}=={version}" for name, version in LITERT_PAIR.items()} <= set(listed["convert"])
    for name, version in PINNED.items():
        assert any(line.startswith(f"{name}>={version},<") for line in listed["train"])


def test_data_folders(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist/mnist.npz").write_bytes(b"")
    assert check_data(None, {}).status is Status.NOTE
    assert check_data(None, {"EDGEKIT_DATA": str(tmp_path)}).detail.endswith("mnist")
    assert check_data(tmp_path, {"EDGEKIT_DATA": "/nowhere"}).status is Status.OK
    missing = check_data(tmp_path / "gone", {})
    assert (missing.status, missing.detail) == (Status.BROKEN, f"{tmp_path / 'gone'} is not a folder")
    assert missing.advice == "Set EDGEKIT_DATA to the folder that holds your data sets."


def test_displays() -> None:
    assert check_display({"DISPLAY": ":0"}, "Linux").detail == "DISPLAY"
    assert check_display({}, "Darwin").status is Status.OK
    assert check_display({}, "Linux").status is Status.NOTE


# Engines: the real ones, and damaged ones in their place


@pytest.mark.parametrize("name", TRIALS)
def test_an_installed_engine_runs(name: str) -> None:
    versions = installed_distributions()
    found = check_running(name, versions)
    if ENGINES[name].distribution in versions:
        assert found.status is Status.OK, found.detail
    else:
        assert (found.status, found.detail) == (Status.NOTE, "not installed")


def test_every_engine_that_runs_on_a_device_is_tried() -> None:
    assert set(TRIALS) == set(ENGINES) - {"keras"}


def test_an_engine_that_is_missing_has_its_line() -> None:
    assert check_running("onnxruntime", INSTALLED).advice == "To run .onnx files: pip install 'edgekit-ml[onnx]'"
    assert check_running("openvino", INSTALLED).advice == (
        "To run both formats in a third engine: pip install 'edgekit-ml[openvino]'"
    )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            "raise ImportError('a symbol is missing')",
            "the process of edgekit.doctor.engine_worker ended with code 1; "
            "its last words: ImportError: a symbol is missing",
        ),
        ("import os; os.abort()", "the process of edgekit.doctor.engine_worker was killed by SIGABRT"),
    ],
)
def test_a_broken_engine_is_told_from_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, words: str
) -> None:
    (tmp_path / "onnxruntime.py").write_text(damage)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = check_running("onnxruntime", {**INSTALLED, "onnxruntime": "1.31.1"})
    assert found == Finding(
        name="onnxruntime",
        status=Status.BROKEN,
        detail=f"onnxruntime 1.31.1 fails on a model of one operator: {words}",
        advice="Run: pip install --force-reinstall 'edgekit-ml[onnx]'",
    )


# The command


def test_this_installation_is_healthy() -> None:
    done = CliRunner().invoke(command, ["--json", "-"], catch_exceptions=False)
    data = json.loads(done.stdout)
    broken = [f for f in data["results"] if f["status"] == "broken"]
    assert (done.exit_code, data["healthy"], broken) == (0, True, [])
    assert data["command"] == "doctor"
    assert {"python", "cpu", "litert", "onnxruntime", "data", "display"} <= {f["name"] for f in data["results"]}
    assert data["host"]["machine"]


def test_the_exit_code_is_1_when_something_is_broken(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["--data-dir", str(tmp_path / "gone")], catch_exceptions=False)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1] == "Broken: 1."
    assert re.search(r"^broken  data +\S+/gone is not a folder$", done.stdout, re.MULTILINE)


def test_lines_keep_square_brackets_and_never_name_the_wrong_distribution() -> None:
    everything = [
        *check_extras(INSTALLED),
        *check_conflicts({**INSTALLED, "tflite-runtime": "2", "opencv-python": "5", "opencv-python-headless": "5"}),
        *check_pins({"tensorflow": "1", "keras": "1", "litert-quantizer": "1"}),
        check_shadow({**INSTALLED, "edgekit": "2.0"}),
        *(check_running(name, {}) for name in TRIALS),
    ]
    text = "\n".join(lines(Diagnosis(findings=tuple(everything), host={})))
    assert "'edgekit-ml[onnx]'" in text
    assert not re.search(r"pip install [^\n]*\bedgekit(?!-ml)", text)
