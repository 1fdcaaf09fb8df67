"""Files are whole or absent."""

import hashlib
import os
import tempfile
import threading
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.files import Staging, refuse_existing, require_writable, scratch_folder, sha256_file, write_atomic


def test_a_staged_file_appears_when_it_is_published(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    with Staging(target) as stage:
        (stage.path / "a.bin").write_bytes(b"a")
        (stage.path / "b.bin").write_bytes(b"b")
        assert not (target / "a.bin").exists()
        assert stage.publish("a.bin") == (target / "a.bin",)
    assert sorted(p.name for p in target.iterdir()) == ["a.bin"]


def test_nothing_is_left_after_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with Staging(tmp_path / "new" / "folder") as stage:
            (stage.path / "a.bin").write_bytes(b"a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_two_may_make_one_folder_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, mkdir = tmp_path / "new", Path.mkdir

    def slow(folder: Path) -> None:
        monkeypatch.undo()
        mkdir(folder)  # by the other process, a moment before ours
        mkdir(folder)

    monkeypatch.setattr(Path, "mkdir", slow)
    with Staging(target) as stage:
        (stage.path / "a.bin").write_bytes(b"a")
    assert target.is_dir()  # it is the other's to remove


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("x")
    with Staging(tmp_path) as stage:
        (stage.path / "model").mkdir()
        (stage.path / "model" / "new").write_text("y")
        stage.publish("model")
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["new"]


def test_a_target_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError) as caught:
        Staging(tmp_path / "file" / "folder").__enter__()
    assert str(caught.value) == (
        f"Cannot write to {tmp_path / 'file' / 'folder'}: Not a directory; choose another folder with -o."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_target_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError) as caught:
        write_atomic(tmp_path / "a.bin", b"a")
    assert str(caught.value) == f"Cannot write to {tmp_path}: Permission denied; choose another folder with -o."


def test_folders_made_for_nothing_go_when_no_file_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(InputError) as caught:
        write_atomic(tmp_path / "new" / "folder" / "a.bin", b"a")
    assert str(caught.value) == (
        f"Cannot write to {tmp_path / 'new' / 'folder'}: No space left on device; choose another folder with -o."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"long content")
    write_atomic(path, b"short")
    assert path.read_bytes() == b"short"
    assert list(tmp_path.iterdir()) == [path]
    assert sha256_file(path) == hashlib.sha256(b"short").hexdigest()


def test_files_that_exist_are_refused_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    refuse_existing([path], force=False)
    path.write_bytes(b"a")
    refuse_existing([path], force=True)
    with pytest.raises(InputError) as caught:
        refuse_existing([path], force=False)
    assert str(caught.value) == f"{path} exists; use --force to replace it or -o to write elsewhere."


def test_a_folder_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "mine.json").write_text("x")
    for write in (
        lambda: write_atomic(folder, b"a"),
        lambda: _publish(tmp_path, "results"),
        lambda: require_writable(folder),
    ):
        with pytest.raises(InputError) as caught:
            write()
        assert str(caught.value) == f"{folder} is a folder; give the name of a file to write."
    assert [p.name for p in tmp_path.rglob("*")] == ["results", "mine.json"]


def _publish(target: Path, name: str) -> None:
    with Staging(target) as stage:
        (stage.path / "other").write_bytes(b"o")
        (stage.path / name).write_bytes(b"a")
        stage.publish("other", name)


def test_a_shared_file_stays_where_its_bytes_are_there(tmp_path: Path) -> None:
    def publish() -> None:
        with Staging(tmp_path) as stage:
            for name in ("own", "shared"):
                (stage.path / name).write_bytes(b"new")
            stage.publish("own", "shared", force=False, shared=("shared",))

    (tmp_path / "shared").write_bytes(b"new")
    before = (tmp_path / "shared").stat().st_ino
    publish()
    assert (tmp_path / "own").read_bytes() == b"new"
    assert (tmp_path / "shared").stat().st_ino == before
    with pytest.raises(InputError, match=f"^{tmp_path / 'own'} exists; "):
        publish()
    (tmp_path / "own").unlink()
    (tmp_path / "shared").write_bytes(b"other")
    with pytest.raises(InputError, match=f"^{tmp_path / 'shared'} exists; "):
        publish()
    assert not (tmp_path / "own").exists()


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "model", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_pipe_takes_the_data_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomic(pipe, b"data")
    reader.join()
    assert (read, pipe.is_fifo()) == ([b"data"], True)


def test_what_lies_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "folder" / "a.json")
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / "folder" / "a.json"
    with pytest.raises(InputError) as caught:
        require_writable(path)
    assert str(caught.value) == f"Cannot write to {path}: {tmp_path / 'file'} is not a folder; choose another folder."


def test_no_place_for_temporary_files_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(InputError) as caught:
        scratch_folder()
    assert str(caught.value) == (
        "No temporary folder can be made: No such file or directory; make room, or set TMPDIR to a folder to write to."
    )


def test_an_interrupt_before_the_work_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgekit.files.claimed_folder", interrupted)
    with pytest.raises(KeyboardInterrupt), Staging(tmp_path / "a" / "b"):
        pass
    assert list(tmp_path.iterdir()) == []
