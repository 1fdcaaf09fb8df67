"""Devices by their address: this machine, and others by adding a file and a line."""

import importlib
from typing import Any, cast

from edgekit.devices.base import Device
from edgekit.devices.known import KnownDevice, add_device, known_devices
from edgekit.errors import InputError, suggest

# scheme: (module, class). The class is called with the whole URI. A module is imported when its scheme is used.
SCHEMES: dict[str, tuple[str, str]] = {
    "local": ("edgekit.devices.local", "LocalDevice"),
    "ssh": ("edgekit.devices.ssh", "SSHDevice"),
}
WITH_PYTHON = ("ssh",)
"""Kinds whose class takes ``python``, the interpreter on the device."""

__all__ = ["SCHEMES", "Device", "add", "open_device"]


def open_device(uri: str) -> Device:
    """The device at ``uri`` (``scheme``, ``scheme://address``, or the name of a known one, which then is its ``uri``).

    `InputError` names the kinds that there are.
    """
    if "://" in uri or uri in SCHEMES:
        return cast(Device, _made(KnownDevice(uri=uri)))
    known = known_devices()
    if uri not in known:
        raise InputError(
            f"There is no device {uri!r}; {suggest(uri, [*known, *SCHEMES])} Others have an address, such as "
            "ssh://user@host, or are given a name by: edgekit device add NAME URI"
        )
    named: Any = _made(known[uri])
    named.uri = uri
    return cast(Device, named)


def add(name: str, uri: str, *, python: str | None = None, force: bool = False) -> None:
    """Let ``name`` be the device at ``uri`` from now on; `InputError` where either is none. Nothing is connected."""
    device = KnownDevice(uri=uri, python=python)
    if name in SCHEMES or "://" not in uri:
        raise InputError(
            f"A name stands for an address, as ssh://user@host, and is no kind of device; got {name!r} for {uri!r}."
        )
    _made(device)
    add_device(name, device, force=force)


def _made(known: KnownDevice) -> Any:
    scheme = known.uri.partition("://")[0]
    if scheme not in SCHEMES:
        raise InputError(f"There is no device {known.uri!r}; known kinds of device: {', '.join(SCHEMES)}.")
    if known.python is not None and scheme not in WITH_PYTHON:
        raise InputError(f"--python is for devices at {'://, '.join(WITH_PYTHON)}://; got {known.uri}.")
    module, name = SCHEMES[scheme]
    options = {} if known.python is None else {"python": known.python}
    return getattr(importlib.import_module(module), name)(known.uri, **options)
