"""Pictures one after the other: a photo, the photos of a folder, a clip, or a camera."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.images import SUFFIXES, decode_image, image_paths, is_image_name
from edgekit.errors import DataError, InputError, need

USUAL_RATE_HZ = 25.0
"""For sources that do not tell theirs."""
CAMERAS = 1000
"""Numbers of cameras are smaller."""
CLIPS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """``pixels`` (height, width, 1 or 3) uint8, RGB or gray; ``time_s`` since the start of a clip or camera.

    ``rate_hz`` is how many frames a second a clip or camera gives.
    """

    name: str
    pixels: npt.NDArray[np.uint8]
    time_s: float | None = None
    rate_hz: float = USUAL_RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where frames come from: ``paths`` of photos, or what OpenCV opens: a clip, or the number of a ``camera``."""

    paths: tuple[Path, ...] = ()
    clip: Path | None = None
    camera: int | None = None

    @property
    def moving(self) -> bool:
        """Whether the frames are those of one scene, in time."""
        return not self.paths


def find_source(text: str) -> Source:
    """What ``--source`` names; `InputError` where there is no such thing."""
    path = Path(text)
    if not path.exists() and text.isascii() and text.isdecimal() and int(text) < CAMERAS:
        return Source(camera=int(text))
    if path.is_dir():
        paths = image_paths(path, deep=False)
        if not paths:
            raise InputError(f"{path} holds no images; expected files that end in {', '.join(SUFFIXES)}.")
        return Source(paths=paths)
    if not path.is_file():
        raise InputError(f"There is no photo, folder or clip {text}; a number such as 0 names a camera.")
    if is_image_name(path.name):
        return Source(paths=(path,))
    return Source(clip=path)


def frames(source: Source) -> Iterator[Frame]:
    """The frames of ``source``; `DataError` for what cannot be decoded, `InputError` for a camera that is not there."""
    for path in source.paths:
        yield Frame(name=str(path), pixels=decode_image(path, name=str(path)))
    if source.moving:
        yield from _captured(source)


def _captured(source: Source) -> Iterator[Frame]:
    cv2 = need("cv2", extra="camera")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read when a clip is opened
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # its words say nothing to a user
    name = str(source.clip) if source.clip is not None else f"camera {source.camera}"
    capture: Any = cv2.VideoCapture(str(source.clip) if source.clip is not None else source.camera)
    try:
        if not capture.isOpened():
            if source.clip is None:
                raise InputError(f"There is no {name}; give another number, or a photo, folder or clip.")
            raise DataError(f"{name} cannot be decoded as a clip; expected one that ends in {', '.join(CLIPS)}.")
        number, rate_hz = 0, float(capture.get(cv2.CAP_PROP_FPS)) or USUAL_RATE_HZ
        start_s = time.monotonic()
        while True:
            taken, pixels = capture.read()
            if not taken:
                break
            clip_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            time_s = clip_s if source.clip is not None else time.monotonic() - start_s
            number += 1
            yield Frame(name=name, pixels=np.ascontiguousarray(pixels[..., ::-1]), time_s=time_s, rate_hz=rate_hz)
        if not number:
            raise DataError(f"{name} gave no picture; give another clip or camera.")
    finally:
        capture.release()
