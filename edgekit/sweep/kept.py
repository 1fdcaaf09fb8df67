"""The finished pieces of a sweep: a JSON file each, which is there whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.files import sha256_file, write_atomic

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)
"""What results of another edgekit, or damaged ones, raise."""


class Kept:
    """The results in ``folder``. A piece is found again where all that it was ``asked`` for is the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """The envelope that ``name`` holds, or None where it was asked for something else, or not finished."""
        try:
            data = json.loads((self.folder / name).read_bytes())
            whole = data["asked"] == asked and all(isinstance(row["sha256"], str) for row in data["results"])
        except _UNREADABLE:
            return None
        return data if whole else None

    def find_files(self, name: str, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """As `find`, where also the files that the results speak of are there, unchanged."""
        data = self.find(name, asked)
        try:
            same = data is not None and all(sha256_file(Path(r["artifact"])) == r["sha256"] for r in data["results"])
        except _UNREADABLE:
            return None
        return data if same else None

    def keep(self, name: str, asked: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """``envelope`` as it is kept, in the place of what ``name`` held before."""
        data = {**envelope, "asked": dict(asked)}
        write_atomic(self.folder / name, (json.dumps(data, indent=2) + "\n").encode())
        return data
