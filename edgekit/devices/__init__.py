"""Devices by their address: this machine, and others by adding a file and a line."""

import importlib
from typing import Any, cast

from edgekit.devices.base import Device
from edgekit.devices.known import KnownDevice, add_device, known_devices
from edgekit.errors import InputError, suggest

# scheme: (module, name in it). What has the name is called with the whole URI; the module is imported only then.
SCHEMES: dict[str, tuple[str, str]] = {
    "local": ("edgekit.devices.local", "LocalDevice"),
    "ssh": ("edgekit.devices.ssh", "SSHDevice"),
    "adb": ("edgekit.devices.adb", "adb_device"),
    "web": ("edgekit.devices.web", "WebDevice"),
}
WITH_PYTHON = ("ssh",)
"""Kinds whose class takes ``python``, the interpreter on the device."""
_ADDRESSES = "ssh://user@host, adb:// or web://"

__all__ = ["SCHEMES", "Device", "add", "open_device"]


def open_device(uri: str) -> Device:
    """The device at ``uri`` (``scheme``, ``scheme://address``, or the name of a known one, which then is its ``uri``).

    `InputError` names the kinds that there are.
    """
    if "://" in uri or uri in SCHEMES:
        return cast(Device, _made(KnownDevice(uri=uri)))
    known = known_devices()
    if uri not in known:
        meant = _as_address(uri)
        words = f"did you mean {meant}?" if meant else suggest(uri, [*known, "local"])
        raise InputError(
            f"There is no device {uri!r}; {words} Others have an address, such as {_ADDRESSES}, "
            "or are given a name by: edgekit device add NAME URI"
        )
    named: Any = _made(known[uri])
    named.uri = uri
    return cast(Device, named)


def add(name: str, uri: str, *, python: str | None = None, force: bool = False) -> None:
    """Let ``name`` be the device at ``uri`` from now on; `InputError` where either is none. Nothing is connected."""
    device = KnownDevice(uri=uri, python=python)
    if name in SCHEMES:
        raise InputError(f"{name!r} is a kind of device, and cannot be the name of one; choose another name.")
    if "://" not in uri:
        meant = _as_address(uri)
        words = f"did you mean {meant}?" if meant else f"expected one such as {_ADDRESSES}."
        raise InputError(f"{uri!r} is no address of a device; {words}")
    _made(device)
    add_device(name, device, force=force)


def _as_address(text: str) -> str:
    """The address that ``text`` almost is, such as ssh:host or user@host; '' for anything else."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme in SCHEMES and scheme != "local":
        return f"{scheme}://{rest.lstrip('/')}"
    return f"ssh://{text}" if "@" in text else ""


def _made(known: KnownDevice) -> Any:
    scheme = known.uri.partition("://")[0]
    if scheme not in SCHEMES:
        raise InputError(f"There is no device {known.uri!r}; known kinds of device: {', '.join(SCHEMES)}.")
    if known.python is not None and scheme not in WITH_PYTHON:
        raise InputError(f"--python is for devices at {'://, '.join(WITH_PYTHON)}://; got {known.uri}.")
    module, name = SCHEMES[scheme]
    options = {} if known.python is None else {"python": known.python}
    return getattr(importlib.import_module(module), name)(known.uri, **options)
