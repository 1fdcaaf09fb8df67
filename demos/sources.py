"""What ``--source`` names: a photo, the photos of a folder, a clip, a camera, a stream."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekit.data.images import decode_image, is_image_name, photos_in, require_clip
from edgekit.demos.captures import Camera, Clip
from edgekit.demos.frames import Frame, Source, Tell, Unreadable
from edgekit.demos.picamera import PICAMERA, PiCamera
from edgekit.demos.streams import Stream
from edgekit.errors import DataError, InputError
from edgekit.urls import is_stream_url, without_secrets

CAMERAS = 1000
"""Numbers of cameras are smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photos:
    """One photo, or those of a ``folder``, of which one that cannot be read does not end the others."""

    paths: tuple[Path, ...]
    folder: Path | None = None
    moving = False
    live = False

    @property
    def name(self) -> str:
        """The photo or the folder."""
        return str(self.folder or self.paths[0])

    def frames(self, stop: threading.Event, tell: Tell) -> Iterator[Frame | Unreadable]:
        """As `Source.frames`."""
        for path in self.paths:
            if stop.is_set():
                return
            start_s = time.perf_counter()
            try:
                pixels = decode_image(path, name=str(path))
            except DataError as error:
                if self.folder is None:
                    raise
                tell(str(error))
                yield Unreadable(name=str(path), reason=str(error))
                continue
            taken_s = time.perf_counter()
            yield Frame(name=str(path), pixels=pixels, capture_ms=(taken_s - start_s) * 1000, taken_s=taken_s)


def find_source(text: str) -> Source:
    """What ``--source`` names; `InputError` or `DataError` where there is no such thing."""
    if is_stream_url(text):
        return Stream(url=text)
    path = Path(text)
    if not path.exists():
        if text == PICAMERA:
            return PiCamera()
        if text.isascii() and text.isdecimal() and int(text) < CAMERAS:
            return Camera(number=int(text))
        raise InputError(
            f"There is no photo, folder or clip {without_secrets(text)}; a number such as 0 names a camera, "
            "http:// or rtsp:// a stream."
        )
    if path.is_dir():
        return Photos(paths=photos_in(path), folder=path)
    if is_image_name(path.name):
        return Photos(paths=(path,))
    require_clip(path)
    return Clip(path=path)
