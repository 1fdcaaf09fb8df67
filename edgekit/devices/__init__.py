"""Devices by their address: this machine, and others by adding a file and a line."""

import importlib

from edgekit.devices.base import Device
from edgekit.errors import InputError

# scheme: (module, class). The class is called with the whole URI. A module is imported when its scheme is used.
SCHEMES: dict[str, tuple[str, str]] = {
    "local": ("edgekit.devices.local", "LocalDevice"),
    "ssh": ("edgekit.devices.ssh", "SSHDevice"),
    "web": ("edgekit.devices.web", "WebDevice"),
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
