"""The files that a device runs, as one zip with a digest."""

import functools
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle.shipped import package_sources

MODULES = (
    "edgekit.devices.agent",
    "edgekit.devices.agent.frames",
    "edgekit.devices.agent.operations",
    "edgekit.devices.agent.serve",
    "edgekit.devices.agent.store",
)
"""Beside those of a bundle's runner."""

START = (Path(__file__).parent / "agent" / "start.py").read_text(encoding="utf-8")
"""The program that takes the parcel, or finds it, and runs what is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A zip as bytes, and its sha256."""

    data: bytes
    sha256: str


@functools.cache
def parcel() -> Parcel:
    """What a device runs; the same bytes for the same edgekit."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(package_sources(MODULES, empty=("edgekit.devices",)).items()):
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), data)
    data = stream.getvalue()
    return Parcel(data=data, sha256=hashlib.sha256(data).hexdigest())
