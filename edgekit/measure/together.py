"""Several devices at once, each in a thread that waits for it: they do the work, and not this machine."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial

from edgekit.crew import side_by_side
from edgekit.devices import Device
from edgekit.errors import EdgekitError
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job
from edgekit.measure.turns import Turns, machine_of
from edgekit.workers import Progress


def measure_together(
    devices: Sequence[Device], jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress
) -> tuple[dict[str, DeviceRun], dict[str, str]]:
    """What each of ``devices`` gave for all ``jobs``, and a sentence for each that failed, by their names.

    Devices on one machine, such as this one and a container on it, take turns, since they would slow each other. The
    error of the first is raised where none gave anything. Ctrl-C ends them after the turn that they are at.
    """
    if len(devices) == 1:  # without a thread, so that Ctrl-C ends it at once
        (device,) = devices
        with device:
            return {device.uri: device.measure(jobs, settings, progress=progress)}, {}
    turns = Turns()

    def work(device: Device, told: Progress) -> Iterator[tuple[str, DeviceRun | EdgekitError]]:
        def tell(what: str, done: int, total: int) -> None:
            told(f"{device.uri}: {what}", done, total)

        try:
            with device, turns.on(machine_of(device.host(), device.uri)):
                run = device.measure(jobs, settings, progress=tell)
        except EdgekitError as error:
            yield device.uri, error
        else:
            yield device.uri, run

    with closing(side_by_side([partial(work, device) for device in devices], progress=progress)) as answers:
        found = dict(answers)
    outcomes = {device.uri: found[device.uri] for device in devices}
    runs = {uri: outcome for uri, outcome in outcomes.items() if isinstance(outcome, DeviceRun)}
    errors = {uri: outcome for uri, outcome in outcomes.items() if isinstance(outcome, EdgekitError)}
    if not runs:
        raise next(iter(errors.values()))
    return runs, {uri: str(error) for uri, error in errors.items()}
