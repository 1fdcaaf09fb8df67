"""Frames with what was seen written on them, and the files and windows that take them."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.demos.classify import Seen
from edgekit.demos.frames import Source
from edgekit.errors import InputError, need
from edgekit.files import Staging, refuse_existing

Pixels = npt.NDArray[np.uint8]

_PHOTOS = (".png", ".jpg", ".jpeg")
_BAR = (29, 99, 200)


class Show(Protocol):
    """Takes frames one after the other; false when the viewer wants no more."""

    def __call__(self, pixels: Pixels, seen: Seen, /) -> bool: ...


def labelled(seen: Seen) -> Pixels:
    """The frame of ``seen`` (height, width, 3) uint8 RGB, with a bar and a line of text for each class."""
    from PIL import Image, ImageDraw, ImageFont

    pixels = seen.frame.pixels
    image = Image.fromarray(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)
    size = max(11, min(image.size) // 24)
    font, draw = ImageFont.load_default(size), ImageDraw.Draw(image, "RGBA")
    width = image.size[0] // 2
    draw.rectangle((0, 0, width, 4 + len(seen.top) * (size + 6)), fill=(0, 0, 0, 140))
    for row, guess in enumerate(seen.top):
        y = 4 + row * (size + 6)
        draw.rectangle((0, y, int(width * guess.probability), y + size + 3), fill=(*_BAR, 200))
        draw.text((4, y), f"{guess.probability:4.0%} {guess.title}", font=font, fill="white")
    return np.asarray(image)


@contextlib.contextmanager
def saving(target: Path | None, source: Source, *, force: bool) -> Iterator[Show]:
    """Writes frames to ``target``, whole or not at all: a photo, a folder of photos, or the clip of a moving source."""
    if target is None:
        yield lambda _pixels, _seen: True
        return
    if source.moving and target.suffix.lower() != ".mp4":
        raise InputError(f"A clip is written as .mp4; got {target}: write --save {target.with_suffix('.mp4')}.")
    if not source.moving and len(source.paths) == 1 and target.suffix.lower() not in _PHOTOS:
        raise InputError(
            f"A photo is written as .png or .jpg; got {target}: write --save {target.with_suffix('.png')}."
        )
    refuse_existing([target], force=force)
    with Staging(target.parent) as stage:
        staged = stage.path / target.name
        with _clip(staged) if source.moving else _photos(staged, source) as show:
            yield show
        if staged.exists():
            stage.publish(target.name, force=force)


@contextlib.contextmanager
def _photos(target: Path, source: Source) -> Iterator[Show]:
    from PIL import Image

    several = len(source.paths) > 1
    if several:
        target.mkdir()

    def show(pixels: Pixels, seen: Seen) -> bool:
        Image.fromarray(pixels).save(target / _saved_as(Path(seen.frame.name)) if several else target)
        return True

    yield show


def _saved_as(photo: Path) -> str:
    """A name that no other photo of the folder gets."""
    return photo.name if photo.suffix.lower() in _PHOTOS else f"{photo.name}.png"


@contextlib.contextmanager
def _clip(target: Path) -> Iterator[Show]:
    cv2 = need("cv2", extra="camera")
    writer: Any = None

    def show(pixels: Pixels, seen: Seen) -> bool:
        nonlocal writer
        if writer is None:
            height, width = pixels.shape[:2]
            code = cv2.VideoWriter_fourcc(*"mp4v")
            writer = cv2.VideoWriter(str(target), code, seen.frame.rate_hz, (width, height))
            if not writer.isOpened():
                raise InputError(f"OpenCV cannot write {target.name} here; leave --save out.")
        writer.write(np.ascontiguousarray(pixels[..., ::-1]))
        return True

    try:
        yield show
    finally:
        if writer is not None:
            writer.release()


@contextlib.contextmanager
def window(title: str, *, wanted: bool | None) -> Iterator[Show]:
    """A window that shows the frames until q or Esc; ``wanted`` none: where there can be one."""
    can = has_window()
    if wanted and not can:
        raise InputError("There is no display for a window, or OpenCV was built without windows; use --view none.")
    if not (can if wanted is None else wanted):
        yield lambda _pixels, _seen: True
        return
    cv2 = need("cv2", extra="gui")

    def show(pixels: Pixels, seen: Seen) -> bool:
        cv2.imshow(title, np.ascontiguousarray(pixels[..., ::-1]))
        key = cv2.waitKey(1 if seen.frame.time_s is not None else 0)
        return (key & 0xFF) not in (ord("q"), 27)

    try:
        yield show
    finally:
        cv2.destroyAllWindows()


def has_window() -> bool:
    """Whether a window can be opened: without a display OpenCV ends the process."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        import cv2
    except ModuleNotFoundError:
        return False
    return any("GUI:" in line and "NONE" not in line for line in cv2.getBuildInformation().splitlines())
