"""The built wheel: what it ships, and that one engine is enough on a device."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"

pytestmark = pytest.mark.slow

NOT_ON_A_DEVICE = ("tensorflow", "keras", "onnx", "cv2", "sklearn")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by a fresh build back end from a copy: a build leaves files behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in ("edgekit", "models", "converters", "demos", "tests", "docs", "benchmarks"):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    done = run(sys.executable, "-m", "build", "--wheel", "--outdir", out, source, cwd=out)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


def make_venv(folder: Path, requirement: str) -> Path:
    """The bin folder of a new virtual environment with ``requirement`` in it."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    done = run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", requirement, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny models, labelled arrays and one picture: bright on the right."""
    folder = tmp_path_factory.mktemp("material")
    for suffix in ("tflite", "onnx"):
        (folder / f"tiny.{suffix}").write_bytes((GOLDEN / f"tiny.{suffix}").read_bytes())
    x = np.zeros((30, 8, 8, 1), np.float32)
    y = np.arange(30) % 3
    for image, label in zip(x, y, strict=True):
        image[:, (1, 4, 6)[label]] = 0.9
    np.savez(folder / "thirds.npz", x=x, y=y)
    Image.fromarray((x[2, ..., 0] * 255).astype(np.uint8)).save(folder / "right.png")
    return folder


def test_the_wheel_ships_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = archive.read("edgekit_ml-0.1.0.dist-info/entry_points.txt").decode()
    assert "[pytest11]\nedgekit = edgekit.pytest_plugin\n" in entry_points
    assert {n.partition("/")[0] for n in names} == {"edgekit", "edgekit_ml-0.1.0.dist-info"}
    expected = {
        "py.typed",
        "card.py",
        "cli/report.py",
        "models/registry.py",
        "converters/convert.py",
        "demos/__init__.py",
    }
    assert expected <= {n.removeprefix("edgekit/") for n in names}
    assert "edgekit/converters/engine_table.json" in names
    page = {f"edgekit/devices/web_page/{path.name}" for path in (ROOT / "edgekit/devices/web_page").iterdir()}
    assert "edgekit/devices/web_page/index.html" in page
    assert page <= set(names)
    assert [n for n in names if "tests/" in n or "benchmarks/" in n or "docs/" in n] == []
    assert [n for n in names if n.endswith((".tflite", ".onnx", ".keras", ".npz", ".zip"))] == []


def test_the_wheel_has_every_module_of_the_folders(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = {n for n in archive.namelist() if n.endswith(".py")}
    ours = {
        f"{prefix}{path.relative_to(ROOT)}"
        for folder, prefix in (
            ("edgekit", ""),
            ("models", "edgekit/"),
            ("converters", "edgekit/"),
            ("demos", "edgekit/"),
        )
        for path in (ROOT / folder).rglob("*.py")
    }
    assert ours <= shipped


@pytest.mark.parametrize(
    ("extra", "suffix", "engine"),
    [("litert", "tflite", "litert"), ("onnx", "onnx", "onnxruntime"), ("openvino", "tflite", "openvino")],
)
def test_one_engine_is_enough(
    wheel: Path, material: Path, tmp_path: Path, extra: str, suffix: str, engine: str
) -> None:
    binary = make_venv(tmp_path / "venv", f"{wheel}[{extra}]")
    work = tmp_path / "work"
    work.mkdir()
    named = ("--engine", engine) if engine == "openvino" else ()
    model, other = material / f"tiny.{suffix}", material / f"tiny.{'onnx' if suffix == 'tflite' else 'tflite'}"

    def edgekit(*arguments: str | Path) -> dict[str, object]:
        done = run(binary / "edgekit", *arguments, "--json", "-", cwd=work)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        return dict(json.loads(done.stdout)["results"][0])

    assert edgekit("inspect", model)["format"] == suffix
    assert edgekit("inspect", other)["format"] != suffix  # reading a file needs no engine
    predicted = run(binary / "edgekit", "predict", model, material / "right.png", *named, cwd=work)
    assert predicted.returncode == 0, predicted.stderr
    assert "right" in predicted.stdout
    evaluated = edgekit("evaluate", model, "--data", material / "thirds.npz", *named)
    assert (evaluated["metrics"]["top1"], evaluated["n"]) == (1.0, 30)  # type: ignore[index]
    timed = edgekit("benchmark", model, "--runs", "40", "--min-secs", "0.1", *named)
    assert timed["runtime"]["name"] == engine  # type: ignore[index]

    missing = run(binary / "edgekit", "evaluate", other, "--data", material / "thirds.npz", cwd=work)
    package, wanted = ("onnxruntime", "onnx") if suffix == "tflite" else ("ai_edge_litert", "litert")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == f"edgekit: {package} is not installed. Run: pip install 'edgekit-ml[{wanted}]'\n"

    present = run(binary / "python", "-c", _PRESENT, *NOT_ON_A_DEVICE, cwd=work)
    assert present.stdout.split() == []
    for folder in ("models", "converters", "demos", "tests"):
        assert run(binary / "python", "-c", f"import {folder}", cwd=work).stderr.splitlines()[-1] == (
            f"ModuleNotFoundError: No module named '{folder}'"
        )


_PRESENT = "import importlib.util, sys; print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
