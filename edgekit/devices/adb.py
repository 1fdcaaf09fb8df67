"""Android phones: timed by ``benchmark_model``, or by edgekit's own runner where the adb shell has a Python."""

import dataclasses
import re
from typing import Any, Self

from edgekit.devices.android.client import find_device
from edgekit.devices.android.facts import STATE_SCRIPT, Phone, read_state, told_of_power
from edgekit.devices.android.phone import PhoneDevice
from edgekit.devices.linked import LinkedDevice
from edgekit.errors import InputError
from edgekit.measure.interleave import State

_ADDRESS = re.compile(r"adb://([A-Za-z0-9_\[][A-Za-z0-9._:%\[\]-]*)?(/.+)?")


def adb_device(uri: str) -> "PhoneDevice | RunnerDevice":
    """The device at ``adb://serial`` by `benchmark_model`, at ``adb://serial/path/to/python3`` by edgekit's runner.

    Without a serial it is the only one connected. `InputError` for an address that is none; nothing is connected yet.
    """
    match = _ADDRESS.fullmatch(uri)
    if match is None:
        raise InputError(
            f"{uri!r} is no address of an Android device; expected adb://, adb://SERIAL or "
            "adb://SERIAL/path/to/python3, with a serial of: adb devices"
        )
    serial, python = match.groups()
    return PhoneDevice(uri, serial) if python is None else RunnerDevice(uri, serial, python)


class RunnerDevice(LinkedDevice):
    """The phone whose adb shell runs the interpreter ``python``; adb tells what that Python cannot see."""

    def __init__(self, uri: str, serial: str | None, python: str) -> None:
        super().__init__(uri, lambda: find_device(self.uri, serial).link(python))
        self._serial = serial

    def __enter__(self) -> Self:
        find_device(self.uri, self._serial)
        return self

    def host(self) -> dict[str, Any]:
        """Facts of the phone."""
        phone = self._phone()
        return {
            **super().host(),
            "throttled": list(phone.conditions.throttled),
            "android": told_of_power(phone),
        }

    def state(self) -> State:
        """How the phone is now."""
        phone, state = self._phone().conditions, super().state()
        conditions = dataclasses.replace(
            state.conditions,
            throttled=(*state.conditions.throttled, *phone.throttled),
            temperature_c={**state.conditions.temperature_c, **phone.temperature_c},
        )
        return dataclasses.replace(state, conditions=conditions)

    def _phone(self) -> Phone:
        return read_state(find_device(self.uri, self._serial).shell(STATE_SCRIPT).text)
