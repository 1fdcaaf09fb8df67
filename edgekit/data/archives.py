"""Zip files, read member by member and never unpacked."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from edgekit.data.images import decode_image
from edgekit.errors import DataError, cut

MEMBER_LIMIT_BYTES = 64 * 2**20
"""A larger member is refused: it is no photo, and may be made to fill the memory."""

# A damaged, encrypted or unusually compressed member, in the words of `zipfile` and the decompressors.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(RuntimeError, NotImplementedError, ValueError, struct.error),
)


class ZipReader:
    """The members of a zip file by name. It stays open as long as it is used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise DataError(f"{path} is no regular file; expected a zip.")
        try:
            self._zip = zipfile.ZipFile(path)
        except _ZIP_ERRORS as error:
            raise DataError(f"{path} is not a readable zip file: {error}.") from None
        self._names = frozenset(self._zip.namelist())

    def has(self, name: str) -> bool:
        """Whether there is a member called ``name``."""
        return name in self._names

    def folder_of(self, name: str) -> str | None:
        """The prefix under which ``name`` stands: "", or one folder that holds everything; none where it is not."""
        places = sorted(n[: -len(name)] for n in self._names if PurePosixPath(n).name == name and n.count("/") <= 1)
        return places[0] if places else None

    def members(self, prefix: str, names: Sequence[str], *, listed_in: str) -> tuple[str, ...]:
        """The full names of members listed relative to ``prefix``; `DataError` for one that is not there."""
        for name in names:
            if prefix + name not in self._names:
                raise DataError(f"{self.path} has no member {cut(prefix + name)}, which its {listed_in} lists.")
        return tuple(prefix + name for name in names)

    def read(self, name: str) -> bytes:
        """The bytes of a member, at most `MEMBER_LIMIT_BYTES` whatever its header says."""
        try:
            with self._zip.open(name) as stream:
                data = stream.read(MEMBER_LIMIT_BYTES + 1)
        except _ZIP_ERRORS as error:
            raise DataError(f"{name} in {self.path} cannot be read: {error}.") from None
        if len(data) > MEMBER_LIMIT_BYTES:
            raise DataError(
                f"{name} in {self.path} unpacks to more than {MEMBER_LIMIT_BYTES // 2**20} MiB; expected less."
            )
        return data


@dataclass(frozen=True, slots=True)
class ZipImages:
    """Items that are images in a zip."""

    archive: ZipReader
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int, /) -> npt.NDArray[np.uint8]:
        name = self.names[index]
        return decode_image(self.archive.read(name), name=f"{name} in {self.archive.path}")
