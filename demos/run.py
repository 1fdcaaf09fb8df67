"""A demo from its options to its report."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekit.demos.frames import Source, Tell
from edgekit.demos.report import DemoReport
from edgekit.demos.saving import saving
from edgekit.demos.seen import Look
from edgekit.demos.show import Show
from edgekit.demos.sources import find_source
from edgekit.demos.views import NoView, View, has_window, window
from edgekit.demos.web import LOOPBACK, PORT, web_view
from edgekit.errors import DataError, EdgekitError, InputError

VIEWER_S = 10.0
"""For so long a clip waits for somebody to open the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is shown, where, and for how many frames at most (none: all).

    ``view`` is "auto", "window", "web" or "none"; the page of "web" is served at ``host`` and ``port``. ``asked`` says
    that results are wanted, such as ``--json``: then auto serves no page.
    """

    source: str
    view: str = "auto"
    save: Path | None = None
    max_frames: int | None = None
    force: bool = False
    host: str | None = None
    port: int | None = None
    asked: bool = False


def run_demo(look: Look, options: Options, *, tell: Tell) -> DemoReport:
    """Show what ``look`` sees until the source, the frames or the viewer's patience end; Ctrl-C too.

    What ends it before the first frame is raised, `KeyboardInterrupt` too, or `DataError` where no photo can be read;
    what ends it later is in the report. `InputError` for a clip that could not be saved whole.
    """
    source = find_source(options.source)
    kind = chosen_view(options, source)
    with contextlib.ExitStack() as stack:
        view = stack.enter_context(_opened(kind, options, f"edgekit: {look.subject.given.name}", source, tell))
        save = stack.enter_context(saving(options.save, source, force=options.force, tell=tell))
        show = Show(source=source, view=view, save=save, tell=tell, max_frames=options.max_frames)
        trouble, interrupted = None, False
        try:
            show.run(look)
        except EdgekitError as error:
            if not show.timings.count:
                raise
            trouble = str(error)
        except KeyboardInterrupt:
            interrupted = True
        report = show.report(look, trouble=trouble, interrupted=interrupted)
        if not report.timings.count:  # nothing to tell, or the viewer wanted nothing
            raise KeyboardInterrupt if interrupted or report.problem is None else DataError(report.problem)
    return report


def require_possible(options: Options) -> None:
    """`InputError` where `run_demo` would refuse ``options``, before a look that takes long to make."""
    source = find_source(options.source)
    chosen_view(options, source)
    with saving(options.save, source, force=options.force, tell=lambda _: None):
        pass


def require_something_to_show(options: Options) -> None:
    """`InputError` or `DataError` where a camera or stream gives nothing, or a display is missing."""
    source = find_source(options.source)
    if chosen_view(options, source) == "window":
        with window("edgekit"):
            pass
    if source.live:
        next(source.frames(threading.Event(), lambda _: None), None)


def chosen_view(options: Options, source: Source) -> str:
    """Where to show it: "window", "web" or "none".

    Without a display, auto serves a page of what moves, unless the results go elsewhere; of a clip only where there is
    somebody at a terminal to open it.
    """
    page = options.host is not None or options.port is not None
    if page and options.view not in ("auto", "web"):
        raise InputError(f"--host and --port are of the page of --view web; got --view {options.view}.")
    if options.view != "auto":
        return options.view
    if page:
        return "web"
    if has_window():
        return "window"
    elsewhere = options.asked or options.save is not None or options.max_frames is not None
    return "web" if source.moving and not elsewhere and (source.live or sys.stderr.isatty()) else "none"


@contextlib.contextmanager
def _opened(kind: str, options: Options, title: str, source: Source, tell: Tell) -> Iterator[View]:
    if kind == "none":
        yield NoView()
    elif kind == "window":
        with window(title) as shown:
            yield shown
    else:
        port = PORT if options.port is None else options.port
        with web_view(title, host=options.host or LOOPBACK, port=port, tell=tell) as page:
            if source.moving and not source.live:
                page.invite(f"; it begins when you do, or in {VIEWER_S:.0f} s")
                page.wait_for_viewer(VIEWER_S)
            yield page
