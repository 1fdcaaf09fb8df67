"""Arrays of ``.npy`` and ``.npz`` files from anywhere: nothing is unpickled, and no more memory taken than they fill.

The format: numpy/lib/format.py. numpy's own `load` believes the size that a header claims before there is any data, and
lets errors of Python's tokenizer through.
"""

import io
import lzma
import math
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BROKEN = (
    *(zipfile.BadZipFile, struct.error, zlib.error, lzma.LZMAError, tokenize.TokenError, SyntaxError, RuntimeError),
    *(OSError, EOFError, ValueError, KeyError, TypeError, OverflowError),
)
"""What damaged files raise here; `reason` words it."""

_MAGIC = b"\x93NUMPY"
_CHUNK_BYTES = 1 << 20
_MOST_PACKED = 1100  # deflate makes at most 1,032 bytes of one


def reason(error: BaseException) -> str:
    """The first line of an error in `BROKEN`, without its full stop."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def is_bare_array(path: Path) -> bool:
    """Whether the file is one array, not an archive of arrays."""
    _require_regular(path)
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def read_npy(path: Path) -> Array:
    """The array in an ``.npy`` file; one of `BROKEN` when there is none."""
    _require_regular(path)
    with path.open("rb") as stream:
        return _read(stream, path.stat().st_size)


def _require_regular(path: Path) -> None:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("it is no regular file")


def parse_npy(data: bytes) -> Array:
    """The array in the bytes of an ``.npy`` file; one of `BROKEN` when there is none."""
    return _read(io.BytesIO(data), len(data))


def read_npz(path: Path, *, wanted: Callable[[frozenset[str]], frozenset[str]] | None = None) -> dict[str, Array]:
    """The arrays of an ``.npz`` by name, those that ``wanted`` chooses of all names; one of `BROKEN` otherwise."""
    _require_regular(path)
    most = path.stat().st_size * _MOST_PACKED
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        chosen = members.keys() if wanted is None else wanted(frozenset(members))
        arrays = {}
        for name in members:
            if name in chosen:
                with archive.open(members[name]) as stream:
                    arrays[name] = _read(stream, min(members[name].file_size, most))
    return arrays


def write_npz(target: Path | IO[bytes], arrays: Mapping[str, Array]) -> None:
    """Write ``arrays`` as an ``.npz``, whatever their names; numpy's `savez` has parameters of its own."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def _read(stream: IO[bytes], size_bytes: int) -> Array:
    """The array that begins at the start of ``stream``, which has ``size_bytes``."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"its arrays are in version {version[0]}.{version[1]} of the format, not plain numbers")
    shape, fortran_order, dtype = readers[version](stream)
    if dtype.names is not None:
        raise ValueError("its arrays have named fields, and are not plain numbers")
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which are not opened")
    count = math.prod(shape)
    if count < 0 or count * dtype.itemsize > size_bytes:
        raise ValueError(f"its header tells of {count * dtype.itemsize} bytes, and the file has {size_bytes}")
    flat = np.empty(count, dtype)
    content, filled = np.frombuffer(flat, np.uint8) if flat.nbytes else np.empty(0, np.uint8), 0
    while filled < len(content):
        chunk = stream.read(min(_CHUNK_BYTES, len(content) - filled))
        if not chunk:
            raise EOFError(f"it ends after {filled} of {len(content)} bytes of an array")
        content[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    if dtype.kind == "U" and (flat.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder)) > sys.maxunicode).any():
        raise ValueError("its text is not Unicode")
    return flat.reshape(shape[::-1]).transpose() if fortran_order else flat.reshape(shape)
