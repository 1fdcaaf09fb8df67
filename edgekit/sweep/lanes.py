"""Cells measured on several devices at once, on each of them one after the other."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from functools import partial

from edgekit.crew import side_by_side
from edgekit.errors import DeviceError, EdgekitError
from edgekit.measure.settings import DeviceRun
from edgekit.measure.turns import Turns, machine_of
from edgekit.sweep.plan import Cell
from edgekit.sweep.site import Site
from edgekit.workers import Progress

Outcome = DeviceRun | EdgekitError


def measured(cells: Sequence[Cell], site: Site, turns: Turns, *, progress: Progress) -> Generator[tuple[Cell, Outcome]]:
    """Each of ``cells`` with its timings or why there are none, as it is finished; a thread for every device.

    Devices on one machine take ``turns``, since they would slow each other.

    Closing the iterator, or an exception such as that of Ctrl-C, ends what is being timed at its next turn.
    """
    lanes: dict[str, deque[Cell]] = {}
    for cell in cells:
        lanes.setdefault(cell.device, deque()).append(cell)
    return side_by_side([partial(_work, uri, lane, site, turns) for uri, lane in lanes.items()], progress=progress)


def _work(uri: str, lane: deque[Cell], site: Site, turns: Turns, progress: Progress) -> Iterator[tuple[Cell, Outcome]]:
    while lane:
        yield from _visit(uri, lane, site, turns, progress)


def _visit(uri: str, lane: deque[Cell], site: Site, turns: Turns, progress: Progress) -> Iterator[tuple[Cell, Outcome]]:
    """Open the device and measure cells until none is left or it is lost; all that are left where it is not there."""

    def told(what: str, done: int, total: int) -> None:
        progress(f"{uri}: {what}", done, total)

    try:
        with site.open(uri) as device:
            machine = machine_of(device.host(), uri)
            while lane:
                cell = lane.popleft()
                try:
                    with turns.on(machine):
                        run = device.measure([cell.job], cell.settings, progress=told)
                except EdgekitError as error:
                    yield cell, error
                    if isinstance(error, DeviceError):  # the next one finds out whether it comes back
                        return
                else:
                    yield cell, run
    except EdgekitError as error:
        while lane:
            yield lane.popleft(), error
