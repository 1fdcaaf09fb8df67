"""The camera of a Raspberry Pi, which OpenCV cannot open."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.demos.captures import gone, stopwatch
from edgekit.demos.frames import Frame, Tell
from edgekit.errors import InputError, MissingExtraError

PICAMERA = "picamera"
"""What ``--source`` calls it."""

SIZE_WH = (640, 480)
RATE_HZ = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PiCamera:
    """The first camera that libcamera knows, by picamera2."""

    moving = True
    live = True
    name = PICAMERA

    def frames(self, stop: threading.Event, tell: Tell) -> Iterator[Frame]:  # noqa: ARG002 - as `Source.frames`
        """As `Source.frames`."""
        library = _picamera2()
        if not library.Picamera2.global_camera_info():
            raise InputError("libcamera knows no camera; see whether its ribbon is plugged in at both ends.")
        camera: Any = library.Picamera2()
        clock, empty = stopwatch(), True
        try:
            # In picamera2 BGR888 names the order in a register: an array of it is RGB.
            camera.configure(camera.create_video_configuration(main={"size": SIZE_WH, "format": "BGR888"}))
            camera.start()
            while not stop.is_set():
                start_s = time.perf_counter()
                try:
                    pixels = np.ascontiguousarray(camera.capture_array("main")[..., :3])
                except RuntimeError:  # such as "Camera frontend has timed out!" where the ribbon came off
                    raise gone(self.name, empty=empty) from None
                taken_s = time.perf_counter()
                empty = False
                yield Frame(
                    name=self.name,
                    pixels=pixels,
                    time_s=clock(),
                    rate_hz=RATE_HZ,
                    live=True,
                    capture_ms=(taken_s - start_s) * 1000,
                    taken_s=taken_s,
                )
        finally:
            camera.close()


def _picamera2() -> Any:
    try:
        import picamera2
    except ModuleNotFoundError as error:
        if error.name != "picamera2":
            raise
        raise MissingExtraError(
            "picamera2 is not installed; on a Raspberry Pi run: sudo apt install python3-picamera2, and make the "
            "environment with: python3 -m venv --system-site-packages"
        ) from None
    return picamera2
