"""Files that take labelled frames: a photo, a folder of photos, a clip, a snapshot."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from edgekit.demos.captures import CLIPS, Clip, opencv
from edgekit.demos.frames import Frame, Pixels, Source, Tell
from edgekit.demos.sources import Photos
from edgekit.errors import InputError
from edgekit.files import Staging, refuse_existing

CLIP = ".mp4"
PHOTOS = (".png", ".jpg", ".jpeg")
LONGEST_STILL_S = 2.0
"""A live source that gave nothing for longer, as while it was lost, leaves no more than this in the clip."""


class Save(Protocol):
    """Takes frames one after the other, each with what was seen on it."""

    def __call__(self, pixels: Pixels, frame: Frame, /) -> None: ...


@contextlib.contextmanager
def saving(target: Path | None, source: Source, *, force: bool, tell: Tell) -> Iterator[Save]:
    """Writes frames to ``target``, whole or not at all: a photo, a folder of photos, or the clip of a moving source.

    ``tell`` hears at the end what was written.
    """
    if target is None:
        yield lambda _pixels, _frame: None
        return
    several = isinstance(source, Photos) and source.folder is not None
    _check_name(target, source)
    shown = _shown(source)
    if target.resolve() in shown | ({path.parent for path in shown} if several else set()):
        raise InputError(f"{target} is what is shown; choose another place with --save.")
    refuse_existing([target], force=force, option="--save")
    # A folder that is there keeps what is in it; photos of the same name are replaced.
    with Staging(target if several else target.parent, option="--save") as stage:
        if isinstance(source, Photos):
            yield _photos(stage.path, target, source)
        else:
            with _clip(stage.path / target.name) as save:
                yield save
        written = stage.publish(*sorted(path.name for path in stage.path.iterdir()), force=force or several)
    if written:
        tell(_written(target, written))


def _written(target: Path, files: tuple[Path, ...]) -> str:
    """The line that tells of the ``files`` which are now at ``target``.

    A clip's frames are those that the file itself tells.
    """
    size = f"{sum(path.stat().st_size for path in files):,} bytes"
    if target.suffix.lower() != CLIP:
        return f"Wrote {target}: {len(files):,} photo{'' if len(files) == 1 else 's'}, {size}."
    count = _frame_count(target)
    return f"Wrote {target}: {count:,} frame{'' if count == 1 else 's'}, {size}."


def snapshot(pixels: Pixels, folder: Path) -> Path:
    """Write ``pixels`` to the first of edgekit-1.png, edgekit-2.png … in ``folder`` that is free; its path."""
    from PIL import Image

    path, stream = _free(folder)
    try:
        with stream:
            Image.fromarray(pixels).save(stream, format="PNG")
    except BaseException:  # a full disk, an interrupt
        path.unlink(missing_ok=True)
        raise
    return path


def _free(folder: Path) -> tuple[Path, BinaryIO]:
    """The first of edgekit-1.png, edgekit-2.png … in ``folder`` that nobody has, made and open."""
    number = 1
    while True:
        path = folder / f"edgekit-{number}.png"
        try:
            return path, path.open("xb")
        except FileExistsError:
            number += 1


def _check_name(target: Path, source: Source) -> None:
    """`InputError` where ``target`` is not called as what is to be written there."""
    suffix = target.suffix.lower()
    if not isinstance(source, Photos):
        if suffix != CLIP:
            raise InputError(f"A clip is written as .mp4; got {target}: write --save {target.with_suffix('.mp4')}.")
    elif source.folder is not None:
        if suffix in (*PHOTOS, *CLIPS):
            raise InputError(
                f"The photos of a folder are written to a folder; got {target}: write --save {target.with_suffix('')}."
            )
    elif suffix not in PHOTOS:
        raise InputError(
            f"A photo is written as .png or .jpg; got {target}: write --save {target.with_suffix('.png')}."
        )


def _shown(source: Source) -> set[Path]:
    """The files that are shown, which nothing may be written to."""
    if isinstance(source, Photos):
        return {path.resolve() for path in source.paths}
    return {source.path.resolve()} if isinstance(source, Clip) else set()


def _photos(folder: Path, target: Path, source: Photos) -> Save:
    from PIL import Image

    names = {str(source.paths[0]): target.name} if source.folder is None else _saved_as(source.paths)

    def save(pixels: Pixels, frame: Frame) -> None:
        path = folder / names[frame.name]
        try:
            Image.fromarray(pixels).save(path)
        except BaseException:  # an interrupt too: what there is afterwards is whole
            path.unlink(missing_ok=True)
            raise

    return save


def _saved_as(photos: tuple[Path, ...]) -> dict[str, str]:
    """For each photo the name that it is saved by, which no other one gets."""
    names: dict[str, str] = {}
    for photo in sorted(photos, key=lambda path: path.suffix.lower() not in PHOTOS):  # those that keep theirs first
        name = photo.name
        while name in names.values() or not name.lower().endswith(PHOTOS):
            name += ".png"
        names[str(photo)] = name
    return names


@contextlib.contextmanager
def _clip(target: Path) -> Iterator[Save]:
    """A clip that plays as fast as its source went: live frames fill the time until the next one."""
    cv2 = opencv()
    writer: Any = None
    size = (0, 0)
    written, filled_s, last_s = 0, 0.0, 0.0

    def save(pixels: Pixels, frame: Frame) -> None:
        nonlocal writer, size, written, filled_s, last_s
        picture = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        if writer is None:
            size = (pixels.shape[1], pixels.shape[0])
            writer = cv2.VideoWriter(str(target), cv2.VideoWriter_fourcc(*"mp4v"), frame.rate_hz, size)
            if not writer.isOpened():
                raise InputError(f"OpenCV cannot write {target.name} here; leave --save out.")
        if (pixels.shape[1], pixels.shape[0]) != size:  # a stream that came back with another size
            picture = cv2.resize(picture, size)
        now_s = frame.time_s or 0.0
        filled_s, last_s = filled_s + min(max(now_s - last_s, 0.0), LONGEST_STILL_S), now_s
        due = int(filled_s * frame.rate_hz) + 1 if frame.live else written + 1
        for _ in range(written, due):
            writer.write(picture)
        written = max(written, due)

    try:
        yield save
    finally:
        if writer is not None:
            writer.release()
    if writer is not None and (there := _frame_count(target)) != written:  # a full disk is no error to OpenCV
        raise InputError(
            f"{target.name} holds {there} of the {written} frames that were written; make room, or leave --save out."
        )


def _frame_count(clip: Path) -> int:
    """How many frames the file ``clip`` says it holds, none where it cannot be read."""
    cv2 = opencv()
    capture = cv2.VideoCapture(str(clip))
    try:
        return max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        capture.release()
