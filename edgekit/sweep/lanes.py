"""Cells measured on several devices at once, on each of them one after the other."""

import queue
import threading
from collections import deque
from collections.abc import Generator, Sequence

from edgekit.errors import DeviceError, EdgekitError
from edgekit.measure.settings import DeviceRun
from edgekit.sweep.plan import Cell
from edgekit.sweep.site import Site
from edgekit.sweep.turns import Turns, machine_of
from edgekit.workers import Progress

STOPPING_S = 5.0
"""For so long an interrupted sweep waits for its devices to end; what they run ends with this process anyway."""

Outcome = DeviceRun | EdgekitError
_Answers = queue.SimpleQueue[tuple[Cell, Outcome] | BaseException | None]


class _Stopped(BaseException):
    """Ends the work of a thread whose sweep is over."""


def measured(cells: Sequence[Cell], site: Site, turns: Turns, *, progress: Progress) -> Generator[tuple[Cell, Outcome]]:
    """Each of ``cells`` with its timings or why there are none, as it is finished; a thread for every device.

    Devices on one machine take ``turns``, since they would slow each other.

    Closing the iterator, or an exception such as that of Ctrl-C, ends what is being timed at its next turn.
    """
    stop, answers = threading.Event(), _Answers()
    lanes: dict[str, deque[Cell]] = {}
    for cell in cells:
        lanes.setdefault(cell.device, deque()).append(cell)

    def told(what: str, done: int, total: int) -> None:
        if stop.is_set():
            raise _Stopped
        progress(what, done, total)

    # Daemons: a device that hangs must not keep the program from ending.
    threads = [
        threading.Thread(target=_work, args=(uri, lane, site, turns, told, answers), daemon=True)
        for uri, lane in lanes.items()
    ]
    for thread in threads:
        thread.start()
    try:
        ended = 0
        while ended < len(threads):
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            if answer is None:
                ended += 1
            else:
                yield answer
    finally:
        stop.set()
        for thread in threads:
            thread.join(STOPPING_S)


def _work(uri: str, lane: deque[Cell], site: Site, turns: Turns, progress: Progress, answers: _Answers) -> None:
    try:
        while lane:
            _visit(uri, lane, site, turns, progress, answers)
        answers.put(None)
    except _Stopped:
        pass
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
        answers.put(error)


def _visit(uri: str, lane: deque[Cell], site: Site, turns: Turns, progress: Progress, answers: _Answers) -> None:
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
                    answers.put((cell, run))
                except EdgekitError as error:
                    answers.put((cell, error))
                    if isinstance(error, DeviceError):  # the next one finds out whether it comes back
                        return
    except EdgekitError as error:
        while lane:
            answers.put((lane.popleft(), error))
