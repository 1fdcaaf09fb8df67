"""Every reader keeps its promise on damaged files: a few hundred here, more in `make fuzz`; and detectors detect."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from fuzz.contract import broken_promise
from fuzz.damage import FOR_MODELS, OPERATORS, damaged
from fuzz.fuzzing import Case, try_case, try_content
from fuzz.readers import CORPUS, TARGETS

from edgekit.errors import DataError

FEW = {"h5": 2, "keras": 3}
"""Readers that start a process for a file get fewer of them."""
COUNT = 40
REFUSED = ("weights.h5", "weights.npz", "quoted.csv", "preprocessing.npz")
"""Whole, but weights without a model or of a part of one, a list of files that are not there, arrays of all lengths."""
FOUND = sorted(CORPUS.glob("*/found-*"))


Apart = Callable[..., str | None]


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    """Calls in a process of their own: limits and alarms must not meet the threads of engines that other tests left."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield lambda function, *args: pool.submit(function, *args).result()


@pytest.mark.parametrize("reader", TARGETS)
def test_a_damaged_file_is_read_or_refused_in_a_sentence(reader: str, apart: Apart, tmp_path: Path) -> None:
    count = FEW.get(reader, COUNT)
    seeds = len(TARGETS[reader].seeds)
    broken = {case: report for case in (Case(reader=reader, seed_file=i % seeds, seed=i) for i in range(count))
              if (report := apart(try_case, case, tmp_path)) is not None}  # fmt: skip
    assert not broken, "\n".join(f"{case}: {report}" for case, report in broken.items())


@pytest.mark.parametrize("reader", TARGETS)
def test_whole_files_are_read(reader: str, tmp_path: Path) -> None:
    """Otherwise the damage would be tried on what nobody reads anyway."""
    for seed in TARGETS[reader].seeds:
        path = tmp_path / f"whole{TARGETS[reader].suffix}"
        path.write_bytes(seed.read_bytes())
        if seed.name not in REFUSED:
            TARGETS[reader].read(path)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_broke_a_reader_does_not_any_more(path: Path, apart: Apart, tmp_path: Path) -> None:
    assert apart(try_content, TARGETS[path.parent.name], path.read_bytes(), tmp_path) is None


def test_damage_is_the_same_for_a_seed_and_changes_the_file() -> None:
    data = (CORPUS / "image" / "rgb.png").read_bytes()
    archive = (CORPUS / "archive" / "photos.zip").read_bytes()
    for whole in (data, archive):
        made = [damaged(whole, seed) for seed in range(100)]
        assert made == [damaged(whole, seed) for seed in range(100)]
        assert sum(m != whole for m in made) > 90
        assert len(set(made)) > 80
    assert set(FOR_MODELS) < set(OPERATORS)


def _value_error(_path: Path) -> None:
    raise ValueError("a bug")


def _endless(_path: Path) -> None:
    while True:
        time.sleep(0.01)


def _greedy(_path: Path) -> None:
    bytearray(3 << 30)


class _TwoLinesError(DataError):
    def __str__(self) -> str:
        return "one\ntwo"


def _two_lines(_path: Path) -> None:
    raise _TwoLinesError


@pytest.mark.parametrize(
    ("reader", "told"),
    [(_value_error, "ValueError: a bug"), (_endless, "no end within"), (_two_lines, "an error of 2 lines")],
)
def test_a_broken_promise_is_noticed(reader: object, told: str, apart: Apart, tmp_path: Path) -> None:
    report = apart(partial(broken_promise, time_s=0.2), reader, tmp_path)
    assert report is not None
    assert told in report


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a process to its size")
def test_greed_is_noticed(apart: Apart, tmp_path: Path) -> None:
    report = apart(broken_promise, _greedy, tmp_path)
    assert report is not None
    assert "MemoryError" in report


@pytest.mark.parametrize(("reader", "told"), [("crash", "SIGABRT"), ("hang", "SIGKILL")])
def test_what_takes_the_process_down_is_kept_and_told(reader: str, told: str, tmp_path: Path) -> None:
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.canary", "--reader", reader, "--seconds", "0.8", "--into", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(folder.parent)])},
        check=False,
    )
    assert done.returncode == 1, done.stderr
    reports = sorted(tmp_path.glob(f"{reader}-*.json.txt"))
    assert reports, done.stdout
    assert told in reports[0].read_text()
    assert str(reports[0].with_suffix("")) in done.stdout
