"""Devices by their address: this machine, and others by adding a file and a line."""

import importlib

from edgekit.devices.base import Device
from edgekit.errors import InputError

# scheme: (module, name in it). What has the name is called with the whole URI; the module is imported only then.
SCHEMES: dict[str, tuple[str, str]] = {
    "local": ("edgekit.devices.local", "LocalDevice"),
    "ssh": ("edgekit.devices.ssh", "SSHDevice"),
    "adb": ("edgekit.devices.adb", "adb_device"),
}

__all__ = ["SCHEMES", "Device", "open_device"]


def open_device(uri: str) -> Device:
    """The device at ``uri`` (``scheme`` or ``scheme://address``); `InputError` names the kinds that there are."""
    scheme = uri.partition("://")[0]
    if scheme not in SCHEMES:
        raise InputError(f"There is no device {uri!r}; known kinds of device: {', '.join(SCHEMES)}.")
    module, name = SCHEMES[scheme]
    device: Device = getattr(importlib.import_module(module), name)(uri)
    return device
