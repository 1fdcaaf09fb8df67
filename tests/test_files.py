"""Files are whole or absent."""

import hashlib
import os
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.files import Staging, refuse_existing, sha256_file, write_atomic


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
