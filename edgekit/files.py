"""Files that are either whole or absent: staged on the target's file system, then renamed."""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from edgekit.claims import claimed_folder, release, remove_abandoned, sole_use
from edgekit.errors import InputError

_PUBLISH_S = 30.0  # renames take no time, unless the disk is very busy
STAGING_PREFIX, SCRATCH_PREFIX = ".edgekit-staging-", "edgekit-scratch-"


def sha256_file(path: Path) -> str:
    """Hexadecimal sha256 of the file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def refuse_existing(paths: Iterable[Path], *, force: bool, option: str = "-o") -> None:
    """`InputError` for the first of ``paths`` that exists, unless ``force``; ``option`` is what named them."""
    for path in paths:
        if path.exists() and not force:
            remove_abandoned(path.parent, STAGING_PREFIX)  # that of a run which was killed after it had published
            raise InputError(f"{path} exists; use --force to replace it or {option} to write elsewhere.")


def require_writable(path: Path) -> None:
    """`InputError` unless a file can be written to ``path``, whose folders may be still to be made."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file to write.")
    place = path if path.exists() else next(p for p in path.absolute().parents if p.exists())
    folder = place.parent if place.is_file() else place
    if place != path and not place.is_dir():
        raise InputError(f"Cannot write to {path}: {place} is not a folder; choose another folder.")
    if not os.access(folder, os.W_OK):
        raise InputError(f"Cannot write to {path}: Permission denied; choose another folder.")


class Scratch:
    """A temporary folder called ``name``, removed by ``cleanup`` or on leaving a ``with``."""

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        remove_abandoned(parent, SCRATCH_PREFIX)
        path, self._claim = claimed_folder(parent, SCRATCH_PREFIX)
        self.name = str(path)
        # Removed as well where nobody does it in time, such as at the end of the interpreter.
        self._finalizer = weakref.finalize(self, _remove_claimed, path, self._claim)

    def cleanup(self) -> None:
        """Remove the folder with all that is in it."""
        self._finalizer()

    def __enter__(self) -> str:
        return self.name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()


def scratch_folder() -> Scratch:
    """A new temporary folder; `InputError` where none can be made."""
    try:
        return Scratch()
    except OSError as error:
        raise InputError(
            f"No temporary folder can be made: {error.strerror}; make room, or set TMPDIR to a folder to write to."
        ) from None


def _remove_claimed(path: Path, claim: int | None) -> None:
    shutil.rmtree(path, ignore_errors=True)
    release(claim)


class Staging:
    """A hidden folder beside the target in which files are made, and from which finished ones are published by rename.

    Leaving the block removes everything that was not published, and folders that were created for nothing; where the
    process was killed in it, the next one that stages in this folder does::

        with Staging(Path("out")) as stage:
            (stage.path / "model.tflite").write_bytes(data)
            stage.publish("model.tflite")
    """

    def __init__(self, target: Path, *, option: str = "-o") -> None:
        self.target = target
        self._option = option
        self._created: list[Path] = []

    def __enter__(self) -> Self:
        missing = [p for p in (self.target, *self.target.parents) if not p.exists()]
        try:
            for folder in reversed(missing):
                self._created.append(folder)
                try:
                    folder.mkdir()
                except FileExistsError:
                    self._created.remove(folder)
                    if not folder.is_dir():  # a folder is that of another process which works at the same time
                        raise
            remove_abandoned(self.target, STAGING_PREFIX)
            self.path, self._claim = claimed_folder(self.target, STAGING_PREFIX)
        except OSError as error:
            self._remove_created()
            raise InputError(
                f"Cannot write to {self.target}: {error.strerror}; choose another folder with {self._option}."
            ) from None
        except BaseException:  # an interrupt, after which nobody would leave the block
            self._remove_created()
            raise
        return self

    def publish(self, *names: str, force: bool = True, shared: Collection[str] = ()) -> tuple[Path, ...]:
        """Move the staged files or folders of these names to the target, replacing what is there; their final paths.

        A file never takes the place of a folder, nor without ``force`` that of a file: that is an `InputError`, and
        nothing is moved. Files called one of ``shared`` stay where they are there already with the same bytes. Of two
        processes that publish the same names, one comes after the other.
        """
        with sole_use(self.target, wait_s=_PUBLISH_S) if len(names) > 1 or not force else contextlib.nullcontext():
            moved = [name for name in names if name not in shared or not self._is_there(name)]
            refuse_existing((self.target / name for name in moved), force=force)
            for name in moved:
                if (self.target / name).is_dir() and not (self.path / name).is_dir():
                    raise InputError(f"{self.target / name} is a folder; give the name of a file to write.")
            for name in moved:
                final = self.target / name
                _to_disk(self.path / name)
                if final.is_dir() and not final.is_symlink():
                    shutil.rmtree(final)
                os.replace(self.path / name, final)
            _to_disk(self.target)
        return tuple(self.target / n for n in names)

    def _is_there(self, name: str) -> bool:
        final = self.target / name
        return final.is_file() and sha256_file(final) == sha256_file(self.path / name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _remove_claimed(self.path, self._claim)
        self._remove_created()

    def _remove_created(self) -> None:
        for folder in reversed(self._created):
            try:
                folder.rmdir()
            except FileNotFoundError:  # it could not be made
                continue
            except OSError:  # something was published into it
                return


def _to_disk(path: Path) -> None:
    """Wait until the file or folder is on its disk, so that a power cut leaves no empty file under a new name."""
    if os.name == "nt" and path.is_dir():  # where a folder cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not every file system can say
            raise
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``: either all of it is there afterwards, or what was there before.

    A symbolic link stays one, and its target is written. What is neither a file nor a folder, such as a pipe or
    ``/dev/stdout``, takes the data as it is, since no file may stand in its place.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file to write.")
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            stream.write(data)
        return
    path = Path(os.path.realpath(path))
    with Staging(path.parent) as stage:
        try:
            (stage.path / path.name).write_bytes(data)
            stage.publish(path.name)
        except OSError as error:
            error.filename = str(path)  # a disk that is full says no name, and the staged one means nothing to anybody
            raise
