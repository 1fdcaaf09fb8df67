"""Folders of processes that were killed are removed by the next one, and those of the living never."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit import claims
from edgekit.claims import claimed_folder, release, remove_abandoned
from edgekit.errors import InputError
from edgekit.files import STAGING_PREFIX, Staging, refuse_existing, scratch_folder, write_atomic

OWNER = """
import sys, time
from pathlib import Path
from edgekit.files import Staging, scratch_folder
with Staging(Path(sys.argv[1])) as stage, scratch_folder() as scratch:
    (stage.path / "half.bin").write_bytes(b"half")
    (Path(scratch) / "samples.npy").write_bytes(b"x")
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that stages in ``tmp_path / "out"`` and has a temporary folder in ``tmp_path / "tmp"``."""
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def hidden(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.name.startswith(STAGING_PREFIX))


def test_what_a_killed_process_left_is_removed_by_the_next(
    owner: "subprocess.Popen[str]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    out = tmp_path / "out"
    assert len(hidden(out)) == 1
    write_atomic(out / "a.bin", b"a")  # while the owner lives
    scratch_folder().cleanup()
    assert len(hidden(out)) == 1
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert len(hidden(out)) == 1
    write_atomic(out / "b.bin", b"b")
    scratch_folder().cleanup()
    assert sorted(p.name for p in out.iterdir()) == ["a.bin", "b.bin"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_second_staging_of_the_same_process_leaves_the_first(tmp_path: Path) -> None:
    with Staging(tmp_path) as first:
        (first.path / "a.bin").write_bytes(b"a")
        write_atomic(tmp_path / "b.bin", b"b")
        first.publish("a.bin")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "b.bin"]


def test_a_folder_that_is_taken_away_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = tempfile.mkdtemp

    def overtaken(**options: str) -> str:
        made.append(real(**options))
        if len(made) == 1:
            remove_abandoned(tmp_path, "x-")  # another process, in the moment between making and locking
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", overtaken)
    path, claim = claimed_folder(tmp_path, "x-")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert str(path) == made[1]
    release(claim)


def test_a_folder_that_another_holds_in_that_moment_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, True])
    monkeypatch.setattr(claims, "_lock", lambda _claim: next(answers))
    path, claim = claimed_folder(tmp_path, "x-")
    assert len(list(tmp_path.iterdir())) == 2
    assert path.is_dir()
    release(claim)


def test_without_locks_nothing_is_taken_for_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_lock", lambda _claim: None)
    path, claim = claimed_folder(tmp_path, "x-")
    release(claim)
    remove_abandoned(tmp_path, "x-")
    assert path.is_dir()


def test_only_folders_of_the_prefix_are_removed_and_links_stay(tmp_path: Path) -> None:
    mine, elsewhere = tmp_path / ".edgekit", tmp_path / "elsewhere"
    for folder in (mine, elsewhere, tmp_path / "place"):
        folder.mkdir()
    (tmp_path / "place" / f"{STAGING_PREFIX}link").symlink_to(elsewhere)
    (tmp_path / "place" / f"{STAGING_PREFIX}file").write_text("x")
    remove_abandoned(tmp_path / "place", STAGING_PREFIX)
    remove_abandoned(tmp_path, STAGING_PREFIX)
    remove_abandoned(tmp_path / "no such folder", STAGING_PREFIX)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [
        ".edgekit", f"{STAGING_PREFIX}file", f"{STAGING_PREFIX}link", "elsewhere", "place",
    ]  # fmt: skip


def _write_many(folder: str, number: int) -> None:
    for round_ in range(60):
        write_atomic(Path(folder) / f"{number}.bin", bytes([number]) * 1000)
        write_atomic(Path(folder) / "shared.bin", bytes([number]) * (1000 + round_))


def test_many_processes_stage_in_one_folder_without_harm(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_many, args=(str(tmp_path), n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.bin", "1.bin", "2.bin", "3.bin", "shared.bin"]
    shared = (tmp_path / "shared.bin").read_bytes()
    assert len(set(shared)) == 1
    assert len(shared) >= 1000


def test_a_scratch_folder_goes_when_it_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder() as name:
        (Path(name) / "a").mkdir()
    assert list(tmp_path.iterdir()) == []
    kept = scratch_folder()
    shutil.rmtree(kept.name)
    kept.cleanup()
    kept.cleanup()


def test_a_refused_run_removes_what_a_killed_one_left(owner: "subprocess.Popen[str]", tmp_path: Path) -> None:
    owner.kill()
    owner.wait()
    out = tmp_path / "out"
    (out / "a.bin").write_bytes(b"a")
    with pytest.raises(InputError):
        refuse_existing([out / "a.bin"], force=False)
    assert [p.name for p in out.iterdir()] == ["a.bin"]
