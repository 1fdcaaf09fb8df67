"""What every source of pictures gives, whether photos, a clip, a camera or a stream."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError

Pixels = npt.NDArray[np.uint8]
Tell = Callable[[str], None]
"""Takes a line for people."""

USUAL_RATE_HZ = 25.0
"""For sources that do not tell theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """``pixels`` (height, width, 1 or 3) uint8, RGB or gray; ``time_s`` since the start of a clip, camera or stream.

    ``rate_hz`` is how many frames a second a clip or camera gives. A ``live`` frame is worth nothing once there is a
    newer one. It took ``capture_ms`` to get it, until ``taken_s`` on the clock of `time.perf_counter`.
    """

    name: str
    pixels: Pixels
    time_s: float | None = None
    rate_hz: float = USUAL_RATE_HZ
    live: bool = False
    capture_ms: float = 0.0
    taken_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A photo of a folder that cannot be decoded; ``reason`` is the sentence that says why."""

    name: str
    reason: str


class LostSourceError(DataError):
    """A camera or stream gave pictures, and gives no more; or a clip gave fewer than it says it holds."""


class Source(Protocol):
    """Where frames come from."""

    @property
    def name(self) -> str:
        """What it is called, without what nobody else should read, such as a password."""

    @property
    def moving(self) -> bool:
        """Whether the frames are those of one scene, in time."""

    @property
    def live(self) -> bool:
        """Whether it goes on by itself, without an end that is known."""

    def frames(self, stop: threading.Event, tell: Tell) -> Iterator[Frame | Unreadable]:
        """The frames in their order, until the end or until ``stop`` is set; ``tell`` takes what people should know.

        `DataError` for what cannot be decoded, `InputError` for what is not there, `LostSourceError` for what has gone.
        """
