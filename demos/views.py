"""Where frames are shown, and the keys that come from there."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, Protocol

from edgekit.demos.frames import Pixels
from edgekit.errors import InputError, need


class Key(StrEnum):
    """What a viewer may ask for."""

    STOP = "stop"  # q or Esc
    PAUSE = "pause"  # space; once more to go on
    SAVE = "save"  # s
    NEXT = "next"  # any other key: the next photo


class View(Protocol):
    """Shows frames to somebody, or to nobody where ``watched`` is false."""

    watched: bool

    def show(self, pixels: Pixels, fps: float | None) -> None:
        """Show ``pixels`` (height, width, 3) uint8 RGB, which nobody changes afterwards."""

    def keys(self, wait_s: float = 0.0) -> Sequence[Key]:
        """What was asked for since the last call; once something was shown, it waits for that up to ``wait_s``."""


class NoView:
    """Nobody looks."""

    watched = False

    def show(self, pixels: Pixels, fps: float | None) -> None:
        """Nowhere."""

    def keys(self, wait_s: float = 0.0) -> Sequence[Key]:  # noqa: ARG002 - as `View.keys`
        """Nothing, ever."""
        return ()


_KEYS = {ord("q"): Key.STOP, 27: Key.STOP, ord(" "): Key.PAUSE, ord("s"): Key.SAVE}
_NO_KEY = 255
MOST_WH = (1280, 720)
"""Width and height of a window; larger frames are scaled down to be shown."""


class Window:
    """A window of OpenCV, made when there is a frame to show, and never larger than most screens."""

    watched = True

    def __init__(self, title: str) -> None:
        self._cv2: Any = need("cv2", extra="gui")
        self._title = title
        self._shape: tuple[int, ...] | None = None

    def show(self, pixels: Pixels, fps: float | None) -> None:  # noqa: ARG002 - it stands on the picture
        """As `View.show`."""
        cv2 = self._cv2
        if pixels.shape != self._shape:
            if self._shape is None:
                cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            self._shape = pixels.shape
            height, width = pixels.shape[:2]
            factor = min(1.0, MOST_WH[0] / width, MOST_WH[1] / height)
            cv2.resizeWindow(self._title, max(1, round(width * factor)), max(1, round(height * factor)))
        cv2.imshow(self._title, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))

    def keys(self, wait_s: float = 0.0) -> Sequence[Key]:
        """As `View.keys`; who closes the window wants no more."""
        if self._shape is None:
            return ()
        # Also what lets the window draw itself: a wait of 0 would be one without an end.
        code = self._cv2.waitKey(max(1, round(wait_s * 1000))) & 0xFF
        if self._cv2.getWindowProperty(self._title, self._cv2.WND_PROP_VISIBLE) < 1:
            return (Key.STOP,)
        return () if code == _NO_KEY else (_KEYS.get(code, Key.NEXT),)


@contextlib.contextmanager
def window(title: str) -> Iterator[Window]:
    """A window; `InputError` where there can be none."""
    if not has_window():
        raise InputError(
            "There is no display for a window, or OpenCV was built without windows; use --view web or --view none."
        )
    view = Window(title)
    try:
        yield view
    finally:
        need("cv2", extra="gui").destroyAllWindows()


def has_window() -> bool:
    """Whether a window can be opened: without a display OpenCV ends the process."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        import cv2
    except ModuleNotFoundError:
        return False
    return any("GUI:" in line and "NONE" not in line for line in cv2.getBuildInformation().splitlines())
