"""Frames with what was seen written on them, and the files and windows that take them."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgekit.demos.frames import Source
from edgekit.demos.seen import Pixels, Seen
from edgekit.errors import InputError, need
from edgekit.files import Staging, refuse_existing

_PHOTOS = (".png", ".jpg", ".jpeg")


class Show(Protocol):
    """Takes frames one after the other; false when the viewer wants no more."""

    def __call__(self, pixels: Pixels, seen: Seen, /) -> bool: ...


def labelled(seen: Seen) -> Pixels:
    """The frame of ``seen`` (height, width, 3) uint8 RGB, with what was seen on it."""
    from PIL import Image

    pixels = seen.frame.pixels
    image = Image.fromarray(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)
    seen.answer.draw(image)
    return np.asarray(image)


@contextlib.contextmanager
def saving(target: Path | None, source: Source, *, force: bool) -> Iterator[Show]:
    """Writes frames to ``target``, whole or not at all: a photo, a folder of photos, or the clip of a moving source."""
    if target is None:
        yield lambda _pixels, _seen: True
        return
    if source.moving and target.suffix.lower() != ".mp4":
        raise InputError(f"A clip is written as .mp4; got {target}: write --save {target.with_suffix('.mp4')}.")
    several = len(source.paths) > 1
    if not source.moving and not several and target.suffix.lower() not in _PHOTOS:
        raise InputError(
            f"A photo is written as .png or .jpg; got {target}: write --save {target.with_suffix('.png')}."
        )
    shown = {path.resolve() for path in (*source.paths, *([source.clip] if source.clip is not None else []))}
    if target.resolve() in shown | ({path.parent for path in shown} if several else set()):
        raise InputError(f"{target} is what is shown; choose another place with --save.")
    refuse_existing([target], force=force, option="--save")
    # A folder that is there keeps what is in it; photos of the same name are replaced.
    with Staging(target if several else target.parent, option="--save") as stage:
        with _clip(stage.path / target.name) if source.moving else _photos(stage.path, target, source) as show:
            yield show
        stage.publish(*sorted(path.name for path in stage.path.iterdir()), force=force or several)


@contextlib.contextmanager
def _photos(folder: Path, target: Path, source: Source) -> Iterator[Show]:
    from PIL import Image

    several = len(source.paths) > 1
    names = _saved_as(source.paths) if several else {}

    def show(pixels: Pixels, seen: Seen) -> bool:
        Image.fromarray(pixels).save(folder / (names[seen.frame.name] if several else target.name))
        return True

    yield show


def _saved_as(photos: tuple[Path, ...]) -> dict[str, str]:
    """For each photo the name that it is saved by, which no other one gets."""
    names: dict[str, str] = {}
    for photo in sorted(photos, key=lambda path: path.suffix.lower() not in _PHOTOS):  # those that keep theirs first
        name = photo.name
        while name in names.values() or not name.lower().endswith(_PHOTOS):
            name += ".png"
        names[str(photo)] = name
    return names


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
