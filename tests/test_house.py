"""The house: make targets, versions, extras, doctests, and that the project speaks of itself alone."""

import doctest
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import edgekit
from edgekit.recipe import Precision

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
TARGETS = (
    "quickstart", "test", "test-slow", "lint", "types", "bench", "fuzz", "aarch64", "pi", "test-all-pythons", "fmt",
    "setup",
)  # fmt: skip
FOLDERS = ("edgekit", "models", "converters", "demos", "docs", "tests", "benchmarks")


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/usr/bin/env", "make", *arguments], capture_output=True, text=True, cwd=cwd, check=False)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_there_and_explained(target: str) -> None:
    assert re.search(rf"^{target}: ", make("help").stdout, re.MULTILINE)
    dry = make("--dry-run", target)
    assert (dry.returncode, dry.stderr) == (0, "")
    assert f"make {target}" in (ROOT / "CONTRIBUTING.md").read_text() or target == "setup"


def test_an_old_python_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """An interpreter that says it is 3.10 must end the set-up before anything is made."""
    old = tmp_path / "python3.10"
    old.write_text(f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 10, 13)\nexec(sys.argv[2])\n")
    old.chmod(0o755)
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    done = make(f"PYTHON={old}", "lint", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        f"{old} is Python 3.10; edgekit needs 3.11, 3.12 or 3.13: make PYTHON=python3.11"
    )
    assert not (tmp_path / ".venv").exists()


def test_a_setup_is_used_again_and_an_interrupted_one_is_not(tmp_path: Path) -> None:
    """The stamp decides: with it no interpreter is asked, without it everything is made anew."""
    for name in ("pyproject.toml", "Makefile"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    stamp = tmp_path / ".venv" / ".installed"
    stamp.parent.mkdir()
    stamp.touch()
    assert "venv --clear" not in make("--dry-run", "PYTHON=/nowhere", "lint", cwd=tmp_path).stdout
    stamp.unlink()
    assert "/nowhere -m venv --clear .venv" in make("--dry-run", "PYTHON=/nowhere", "lint", cwd=tmp_path).stdout


def test_ci_calls_the_targets_of_the_makefile() -> None:
    called = re.findall(r"^make (.+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert [t for line in called for t in line.split()] == ["test", "lint", "types", "test-slow"]
    for script in ("run", "aarch64", "pi", "screen", "ssh", "test-all-pythons"):
        assert (ROOT / ".ci" / script).stat().st_mode & 0o111
    for script in ("aarch64", "pi", "screen", "ssh"):
        assert re.search(rf"^\.ci/{script} ", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    for target in ("aarch64", "pi"):
        assert re.findall(r"^make (.+)$", (ROOT / ".ci" / target).read_text(), re.MULTILINE) == [target]


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["project"]["version"] == edgekit.__version__
    assert f"## {edgekit.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_has_a_short_readme(folder: str) -> None:
    assert 5 < len((ROOT / folder / "README.md").read_text().splitlines()) < 60


@pytest.mark.parametrize("folder", ["models", "converters", "demos"])
def test_a_folder_is_linked_into_the_package(folder: str) -> None:
    link = ROOT / "edgekit" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..") / folder


def test_everything_together_has_one_opencv_and_no_old_numpy() -> None:
    everything = " ".join(_expanded("all"))
    assert "opencv-python-headless" in everything
    assert "opencv-python>=" not in everything
    assert "tflite-runtime" not in everything
    assert "numpy<2" in EXTRAS["tflite-runtime"]


def _expanded(extra: str) -> list[str]:
    """The requirements of an extra, with those of the extras that it names."""
    found = []
    for requirement in EXTRAS[extra]:
        inner = re.fullmatch(r"edgekit-ml\[(.+)\]", requirement)
        found += [r for name in inner[1].split(",") for r in _expanded(name)] if inner else [requirement]
    return found


def test_every_pip_line_in_the_code_names_an_extra_that_exists() -> None:
    for path in (*ROOT.glob("edgekit/**/*.py"), *ROOT.glob("models/*.py"), *ROOT.glob("converters/*.py")):
        text = path.read_text()
        for extra in re.findall(r"""extra=["']([\w-]+)["']""", text):
            assert extra in EXTRAS, f"{path.name}: {extra}"
        assert not re.search(r"pip install '?edgekit[\[' ]", text), path.name


def test_recipes_are_the_documented_ones() -> None:
    page = (ROOT / "docs/recipes.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [p.value for p in Precision]


def _with_doctests() -> list[str]:
    return sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in ROOT.glob("edgekit/**/*.py")
        if ">>> " in path.read_text()
    )


@pytest.mark.parametrize("name", _with_doctests())
def test_examples_in_docstrings_are_true(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
