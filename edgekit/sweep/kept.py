"""The finished pieces of a sweep: a JSON file each, which is there whole or not at all."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgekit import __version__
from edgekit.files import sha256_file, write_atomic

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What results of another edgekit, or damaged ones, raise."""


def files_of(data: Mapping[str, Any], home: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Each result with its file in ``home``, wherever that was when it was written."""
    return ((row, home / Path(row["artifact"]).name) for row in data["results"])


class Kept:
    """The results in ``folder``. A piece is found again where all that it was ``asked`` for is the same.

    A digest tells that nothing in its file was changed since; the version, that it is this edgekit's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """The envelope that ``name`` holds, or None where it was asked for something else, or not finished."""
        try:
            data: dict[str, Any] = json.loads((self.folder / name).read_bytes())
            whole = data["asked"] == {**asked, "edgekit": __version__} and data.pop("digest") == _digest(data)
        except _UNREADABLE:
            return None
        return data if whole else None

    def find_files(self, name: str, asked: Mapping[str, Any], home: Path) -> dict[str, Any] | None:
        """As `find`, where also the files in ``home`` that the results speak of are there, unchanged."""
        data = self.find(name, asked)
        try:
            same = data is not None and all(sha256_file(p) == r["sha256"] for r, p in files_of(data, home))
        except OSError:
            return None
        return data if same else None

    def keep(self, name: str, asked: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """``envelope`` as it is kept, in the place of what ``name`` held before."""
        data: dict[str, Any] = json.loads(json.dumps({**envelope, "asked": {**asked, "edgekit": __version__}}))
        whole = {**data, "digest": _digest(data)}
        write_atomic(self.folder / name, (json.dumps(whole, indent=2) + "\n").encode())
        return data


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
