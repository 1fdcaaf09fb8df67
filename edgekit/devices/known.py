"""Devices that the user has named, in a file of his configuration."""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.claims import sole_use
from edgekit.codec import from_jsonable, to_jsonable
from edgekit.errors import InputError, suggest
from edgekit.files import write_atomic

SCHEMA_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_MOST_BYTES = 1 << 20
_WAIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDevice:
    """A device by its address; ``python`` is the interpreter there, or that of its environment; None for any."""

    uri: str
    python: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    schema_version: int
    devices: Mapping[str, KnownDevice]


def devices_file() -> Path:
    """Where they are kept: below ``XDG_CONFIG_HOME``, or ``~/.config``."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "edgekit" / "devices.json"


def known_devices() -> dict[str, KnownDevice]:
    """The devices by their names, in the order of these; `InputError` where the file cannot be used."""
    path = devices_file()
    try:
        with path.open("rb") as stream:
            text = stream.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unusable(error) from None
    if len(text) > _MOST_BYTES:
        raise InputError(f"{path} is larger than {_MOST_BYTES:,} bytes; remove it, and add the devices again.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON; mend it, or remove it and add the devices again.") from None
    kept = from_jsonable(_File, data, where=str(path))
    if kept.schema_version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has the schema version {kept.schema_version}; expected {SCHEMA_VERSION}: it is another edgekit's."
        )
    return dict(sorted(kept.devices.items()))


def add_device(name: str, device: KnownDevice, *, force: bool = False) -> None:
    """Keep ``device`` under ``name``; `InputError` for what is no name, and without ``force`` for one that is taken."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name of a device; expected letters, digits, dots, hyphens and underscores.")
    if device.python is not None and not (device.python.startswith("/") and device.python.isprintable()):
        raise InputError(
            f"--python is the path of an interpreter on the device, such as /usr/bin/python3; got {device.python!r}."
        )

    def added(known: dict[str, KnownDevice]) -> None:
        if name in known and not force:
            raise InputError(f"There is a device {name!r} already, {known[name].uri}; use --force to replace it.")
        known[name] = device

    _change(added)


def remove_device(name: str) -> None:
    """Forget the device called ``name``; `InputError` where there is none."""

    def removed(known: dict[str, KnownDevice]) -> None:
        if name not in known:
            known_as = suggest(name, known) if known else "none was added."
            raise InputError(f"There is no device called {name!r}; {known_as}")
        del known[name]

    _change(removed)


def _change(change: Callable[[dict[str, KnownDevice]], None]) -> None:
    """Do ``change`` to the devices, alone among all processes."""
    path = devices_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(error) from None
    with sole_use(path.parent, wait_s=_WAIT_S, way_out="see what it does there"):
        known = known_devices()
        change(known)
        data = to_jsonable(_File(schema_version=SCHEMA_VERSION, devices=dict(sorted(known.items()))))
        write_atomic(path, (json.dumps(data, indent=2) + "\n").encode())


def _unusable(error: OSError) -> InputError:
    return InputError(
        f"{error.filename} cannot hold devices: {error.strerror}; mend that, or set XDG_CONFIG_HOME to another folder."
    )
