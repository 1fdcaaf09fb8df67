"""The files of a bundle, in its folder or still in the zip, each compared with its checksum when it is read."""

import hashlib
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from edgekit.bundle.runner.manifest import MANIFEST, Entry, Manifest, read_manifest
from edgekit.data import npy
from edgekit.errors import ArtifactError, InputError, suggest

Array = npt.NDArray[Any]

SUMS = "SHA256SUMS"
"""Checksums of all other files, in the format of ``sha256sum``."""
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_AGAIN = "copy and unpack the whole bundle again"


class _Place(Protocol):
    def read(self, name: str) -> bytes: ...


class Contents:
    """A bundle at ``place``: its folder, or the path of its folder inside a zip."""

    def __init__(self, place: str) -> None:
        self._place: _Place = _Folder(Path(place)) if os.path.isdir(place) else _open_zip(Path(place))
        self._sums = _parse_sums(self._raw(SUMS))
        self.manifest: Manifest = read_manifest(self.read(MANIFEST))

    @property
    def names(self) -> tuple[str, ...]:
        """All files that have a checksum."""
        return tuple(self._sums)

    def read(self, name: str) -> bytes:
        """The file called ``name``, relative to the bundle; `ArtifactError` unless it is the one that was bundled."""
        if name not in self._sums:
            raise ArtifactError(f"{name} has no line in {SUMS}; {_AGAIN}.")
        data = self._raw(name)
        if hashlib.sha256(data).hexdigest() != self._sums[name]:
            raise ArtifactError(f"{name} is damaged or was changed: its checksum is another; {_AGAIN}.")
        return data

    def array(self, name: str) -> Array:
        """The array in an ``.npy`` file."""
        data = self.read(name)
        try:
            return npy.parse_npy(data)
        except npy.BROKEN as error:
            raise ArtifactError(f"{name} holds no array: {npy.reason(error)}; make the bundle anew.") from None

    def sha256(self, name: str) -> str:
        """The checksum of the file called ``name``."""
        return self._sums[name]

    def chosen(self, names: tuple[str, ...]) -> tuple[Entry, ...]:
        """The models called ``names``, all where none is named; `InputError` for one that is not there."""
        known = {entry.name: entry for entry in self.manifest.entries}
        for name in names:
            if name not in known:
                raise InputError(f"The bundle holds no model {name!r}; {suggest(name, known)}")
        return tuple(known[name] for name in names) if names else self.manifest.entries

    def _raw(self, name: str) -> bytes:
        try:
            return self._place.read(name)
        except npy.BROKEN:
            raise ArtifactError(f"{name} is missing from the bundle, or cannot be read; {_AGAIN}.") from None


def _parse_sums(data: bytes) -> Mapping[str, str]:
    sums = {}
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ArtifactError(f"Line {number} of {SUMS} is no checksum with a name; {_AGAIN}.")
        name = match[2]
        if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
            raise ArtifactError(f"{SUMS} names {name!r}, which is outside the bundle; use one that edgekit made.")
        sums[name] = match[1]
    return sums


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path.resolve()

    def read(self, name: str) -> bytes:
        path = (self._path / name).resolve()
        if self._path not in path.parents:
            raise ArtifactError(f"{name} is a link that leaves the bundle; {_AGAIN}.")
        return path.read_bytes()


class _Zip:
    def __init__(self, path: Path, prefix: str) -> None:
        self._archive, self._prefix, self._most = zipfile.ZipFile(path), prefix, path.stat().st_size

    def read(self, name: str) -> bytes:
        member = self._archive.getinfo(f"{self._prefix}/{name}")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size > self._most:  # it could fill the memory
            raise ArtifactError(f"{name} is compressed, as in no bundle of edgekit's; use its zip, or unpack this one.")
        return self._archive.read(member)


def _open_zip(place: Path) -> _Zip:
    for archive in place.parents:
        if archive.is_file():
            try:
                return _Zip(archive, place.relative_to(archive).as_posix())
            except npy.BROKEN as error:
                raise ArtifactError(f"{archive} is no whole zip: {npy.reason(error)}; copy it again.") from None
    raise ArtifactError(f"There is no bundle at {place}; check the path.")
