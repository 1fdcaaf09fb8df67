"""The zip: the same bytes for the same files, wherever and whenever it is written."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekit.bundle.runner.contents import SUMS
from edgekit.runtimes import Array

FOLDER = "bundle"
_START = b'import runpy\n\nrunpy.run_module("bundle", run_name="__main__")\n'
_MODE = 0o100644 << 16
_UNIX = 3


def pack(files: Mapping[str, bytes]) -> bytes:
    """A zip with ``files`` in the folder ``bundle``, their checksums, and what lets Python run the zip itself.

    Nothing is compressed, since libraries of other versions compress otherwise, and models hardly shrink.
    """
    inside = {**files, SUMS: _sums(files)}
    members = {"__main__.py": _START, **{f"{FOLDER}/{name}": inside[name] for name in sorted(inside)}}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = _UNIX, _MODE
            archive.writestr(info, data)
    return stream.getvalue()


def npy(values: Array) -> bytes:
    """``values`` as an ``.npy`` file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _sums(files: Mapping[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode()


def json_bytes(data: Any) -> bytes:
    """``data`` as JSON text, the same for the same data."""
    return (json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
