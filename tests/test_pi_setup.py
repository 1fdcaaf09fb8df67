"""What a Raspberry Pi for tests needs, told in a sentence where it is missing; folders that are made once."""

import os
import sys
from pathlib import Path

import pytest
from pi_stand_in import UnavailableError, pi, start_pi, wait

from edgekit.errors import EdgekitError

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from aarch64.once import is_made, made_once
from aarch64.pi_board import write_board


def refusal(folder: Path) -> str:
    with pytest.raises(UnavailableError) as caught:
        pi(folder=folder).__enter__()
    assert not folder.exists()
    return str(caught.value)


def test_others_than_root_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refusal(tmp_path / "pi") == "A Raspberry Pi is imitated by root only, who may mount; run it as root."
    with pytest.raises(pytest.skip.Exception, match=r"^A Raspberry Pi is imitated by root only"), start_pi():
        pass


def test_a_missing_program_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path / "unshare")
    assert refusal(tmp_path / "pi") == "ssh is not installed; it is in Debian's package openssh-client."
    for name in ("ssh", "scp", "ssh-keygen"):
        program(tmp_path / name)
    assert refusal(tmp_path / "pi") == (
        "qemu-aarch64-static is not installed; it is in Debian's package qemu-user-static."
    )


def test_a_pi_that_cannot_be_built_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("unshare", "ssh", "scp", "ssh-keygen", "qemu-aarch64-static"):
        program(tmp_path / name)
    assert refusal(tmp_path / "pi") == (
        "The Raspberry Pi sysroot is made of Debian's packages, and apt or "
        "/usr/share/keyrings/debian-archive-keyring.gpg is missing here."
    )
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == []


def test_the_files_of_a_start_say_what_a_raspberry_pi_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin/ssh-keygen", 'for path; do :; done; echo secret >"$path"; echo public >"$path.pub"')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    write_board(tmp_path, 2222)
    assert (tmp_path / "texts/proc/cpuinfo").read_text().count("CPU part\t: 0xd08") == 4
    assert (tmp_path / "texts/sys/devices/system/cpu/present").read_text() == "0-3\n"
    assert (tmp_path / "known_hosts").read_text() == "[127.0.0.1]:2222 public\n"
    assert (tmp_path / "etc/ssh/authorized_keys").read_text() == "public\n"
    assert "StrictHostKeyChecking yes" in (tmp_path / "ssh_config").read_text()


def test_keys_that_cannot_be_made_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin/ssh-keygen", "echo 'Saving key failed: No space left on device' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    with pytest.raises(EdgekitError) as caught:
        write_board(tmp_path, 2222)
    assert str(caught.value) == (
        "No key for the Raspberry Pi can be made: ssh-keygen says: Saving key failed: No space left on device"
    )


def test_waiting_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aarch64.pi._SECONDS", 0)
    with pytest.raises(EdgekitError) as caught:
        wait(lambda: False, lambda: "It is not there.")
    assert str(caught.value) == "It is not there."


def program(path: Path, script: str = "exit 0") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_folder_is_made_once_for_a_stamp(tmp_path: Path) -> None:
    made: list[str] = []

    def make(folder: Path) -> None:
        made.append(folder.name)
        (folder / f"content{len(made)}").touch()

    for stamp in ("a", "a", "b"):
        assert made_once(tmp_path / "folder", stamp, make) == tmp_path / "folder"
        assert is_made(tmp_path / "folder", stamp)
    assert len(made) == 2
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["built", "content2"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise EdgekitError("No server answers.")

    with pytest.raises(EdgekitError, match=r"^No server answers\.$"):
        made_once(tmp_path / "folder", "a", fail)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "folder").mkdir()  # interrupted, by an older way of making it
    made_once(tmp_path / "folder", "a", lambda folder: (folder / "whole").touch())
    assert (tmp_path / "folder/whole").exists()


def test_of_two_who_make_a_folder_the_first_counts(tmp_path: Path) -> None:
    def late(folder: Path) -> None:
        made_once(tmp_path / "folder", "a", lambda other: (other / "first").touch())
        (folder / "second").touch()

    made_once(tmp_path / "folder", "a", late)
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["built", "first"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
