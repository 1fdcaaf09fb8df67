"""Several devices at once, each in a thread that waits for it: they do the work, and not this machine."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from edgekit.devices import Device
from edgekit.errors import EdgekitError
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job
from edgekit.workers import Progress


class _StoppedError(Exception):
    """The user has stopped all devices."""


def measure_together(
    devices: Sequence[Device], jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress
) -> tuple[dict[str, DeviceRun], dict[str, str]]:
    """What each of ``devices`` gave for all ``jobs``, and a sentence for each that failed, by their names.

    Devices on one machine, such as this one and a container on it, take turns, since they would slow each other. The
    error of the first is raised where none gave anything.
    """
    if len(devices) == 1:  # without a thread, so that Ctrl-C ends it at once
        (device,) = devices
        with device:
            return {device.uri: device.measure(jobs, settings, progress=progress)}, {}
    turns: dict[str, threading.Lock] = {}
    stopped = threading.Event()

    def work(device: Device) -> DeviceRun:
        def tell(what: str, done: int, total: int) -> None:
            if stopped.is_set():
                raise _StoppedError
            progress(f"{device.uri}: {what}", done, total)

        with device, turns.setdefault(str(device.host().get("boot_id", device.uri)), threading.Lock()):
            return device.measure(jobs, settings, progress=tell)

    runs: dict[str, DeviceRun] = {}
    errors: dict[str, EdgekitError] = {}
    with ThreadPoolExecutor(len(devices)) as pool:
        futures = {device.uri: pool.submit(work, device) for device in devices}
        try:
            for uri, future in futures.items():
                try:
                    runs[uri] = future.result()
                except EdgekitError as error:
                    errors[uri] = error
        finally:
            stopped.set()  # where Ctrl-C came between, the devices end after the turn that they are at
    if not runs:
        raise next(iter(errors.values()))
    return runs, {uri: str(error) for uri, error in errors.items()}
