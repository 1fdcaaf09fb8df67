"""Where images come from on a device: photos by Pillow; cameras, clips and streams by OpenCV, where it is installed."""

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.bundle.runner.answers import Pixels
from edgekit.data.images import decode_image, is_image_name, require_clip
from edgekit.errors import DataError, MissingExtraError

_OLDEST_PILLOW = (9, 1)
"""The first that knows its filters by the names that edgekit uses."""


def read_photo(path: str) -> Pixels:
    """The photo at ``path``; `DataError` where it is none, `MissingExtraError` without Pillow."""
    require_pillow()
    if not Path(path).is_file():
        raise DataError(f"There is no file {path}; check the path.")
    return decode_image(Path(path), name=path)


def frames(source: str) -> Iterator[Pixels]:
    """The images of ``source``: a photo, the number of a camera, or a clip or address that OpenCV opens."""
    if is_image_name(source) and "://" not in source:
        yield read_photo(source)
        return
    if "://" not in source:
        require_clip(Path(source))
    require_pillow()
    if importlib.util.find_spec("cv2") is None:
        raise MissingExtraError(
            f"OpenCV is not installed, which opens {source}. Run: pip install opencv-python-headless, or give a photo"
        )
    cv2: Any = importlib.import_module("cv2")
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not capture.isOpened():
        kind = "camera" if source.isdigit() else "clip or stream"
        raise DataError(f"OpenCV cannot open the {kind} {source}; check that it is there and free.")
    try:
        while True:
            read, frame = capture.read()
            if not read:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


def require_pillow() -> None:
    """`MissingExtraError` where there is no Pillow, or one that is too old: it decodes photos and resizes images."""
    if importlib.util.find_spec("PIL") is None:
        raise MissingExtraError("Pillow is not installed, which resizes images. Run: pip install pillow")
    version: str = importlib.import_module("PIL").__version__
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_PILLOW:
        oldest = ".".join(map(str, _OLDEST_PILLOW))
        raise MissingExtraError(f"Pillow is {version}; expected {oldest} or newer. Run: pip install --upgrade pillow")
