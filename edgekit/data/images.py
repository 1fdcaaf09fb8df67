"""Image files, decoded when they are asked for."""

import io
import math
import os
import struct
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm")
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM")
# What Pillow's decoders raise on damaged files, beside their own errors (which are OSErrors).
_DECODER_ERRORS = (
    *(OSError, SyntaxError, RuntimeError, MemoryError, ValueError, EOFError),
    *(IndexError, TypeError, OverflowError, struct.error, zlib.error),
)


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image, whatever the case of its ending."""
    return name.lower().endswith(SUFFIXES)


def decode_image(source: Path | bytes, *, name: str) -> npt.NDArray[np.uint8]:
    """The image in a file or in bytes as (height, width, 3) RGB or (height, width, 1) gray, uint8.

    EXIF orientation is applied, palettes and CMYK become RGB, 16-bit gray is scaled to 8 bits, an opaque alpha channel
    is dropped. `DataError` naming ``name`` for what cannot be read, is larger than Pillow's limit, or is transparent.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if isinstance(source, Path):
        require_regular(source, "an image")
    try:
        # From memory, since Pillow asks for as many bytes as a damaged file claims, and a file reserves them first.
        stream = io.BytesIO(source if isinstance(source, bytes) else source.read_bytes())
        # Pillow warns of oddities in the metadata of other people's files. Filters are the process's, not a thread's.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        with Image.open(stream, formats=_FORMATS) as opened:
            if opened.width * opened.height > (Image.MAX_IMAGE_PIXELS or math.inf):
                raise Image.DecompressionBombError
            return _pixels(ImageOps.exif_transpose(opened), name)
    except Image.DecompressionBombError:
        limit = Image.MAX_IMAGE_PIXELS
        raise DataError(f"{name} is larger than {limit} pixels; expected a photo: scale it down first.") from None
    except UnidentifiedImageError:
        raise DataError(f"{name} is not a readable image; expected one of: {', '.join(SUFFIXES)}.") from None
    except _DECODER_ERRORS as error:
        raise DataError(f"{name} cannot be decoded as an image: {_reason(error)}.") from None


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) in pixels of the image at ``path`` as `decode_image` gives it, from its head alone."""
    from PIL import Image

    require_regular(path, "an image")
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        with Image.open(path, formats=_FORMATS) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF orientation: lying on a side
    except (*_DECODER_ERRORS, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is not a readable image: {_reason(error)}.") from None
    return (width, height) if turned else (height, width)


def require_regular(path: Path, expected: str) -> None:
    """`DataError` for what is there and is no file, where an image or another thing is ``expected``."""
    if path.exists() and not path.is_file():  # a pipe would be waited for, and a device such as /dev/zero has no end
        raise DataError(f"{path} is no regular file; expected {expected}: take it away or name another.")


def require_clip(path: Path) -> None:
    """As `require_regular`, of what OpenCV is to open, which takes cameras by names such as /dev/video0 too."""
    if not path.is_char_device():
        require_regular(path, "a clip")


def _pixels(image: "Image.Image", name: str) -> npt.NDArray[np.uint8]:
    gray = image.mode in ("1", "L", "LA", "La")
    if image.mode.startswith("I"):  # 16-bit gray, as itself or in 32 bits
        values = np.asarray(image).astype(np.int64)
        return ((np.clip(values, 0, 65535) + 128) // 257).astype(np.uint8)[..., None]
    if image.mode == "F":
        raise DataError(f"{name} holds floating-point pixels; expected 8 or 16 bits a channel.")
    if _has_transparency(image):
        image = image.convert("LA" if gray else "RGBA")
        if image.getextrema()[-1] != (255, 255):
            raise DataError(f"{name} has transparent pixels; expected an opaque image: put it on a background first.")
    pixels = np.array(image.convert("L" if gray else "RGB"))
    return pixels[..., None] if gray else pixels


def _has_transparency(image: "Image.Image") -> bool:
    """Whether pixels may be transparent; Pillow tells it from 10.1 on, and boards have older ones."""
    palette = image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A")
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info or palette


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip().rstrip(".") or type(error).__name__


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Items that are image files on disk."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> npt.NDArray[np.uint8]:
        return decode_image(self.paths[index], name=str(self.paths[index]))


def image_paths(folder: Path, *, deep: bool) -> tuple[Path, ...]:
    """The images of a folder and with ``deep`` those of its sub-folders, sorted; hidden entries are passed over."""
    found: list[Path] = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if deep and not f.startswith("."))
        found += [Path(root) / f for f in files if is_image_name(f) and not f.startswith(".")]
    return tuple(sorted(found))


def photos_in(folder: Path) -> tuple[Path, ...]:
    """The images of ``folder`` itself; `DataError` where there are none, with a sub-folder that has some."""
    if paths := image_paths(folder, deep=False):
        return paths
    for inner in sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        if image_paths(inner, deep=False):
            raise DataError(f"{folder} holds images in its sub-folders only; name one of them, such as {inner}.")
    raise DataError(f"{folder} holds no images; expected files that end in {', '.join(SUFFIXES)}.")


def class_labels(counts: Iterable[int]) -> npt.NDArray[np.int64]:
    """Class ids 0, 1, … each repeated as often as ``counts`` says.

    >>> class_labels([2, 1]).tolist()
    [0, 0, 1]
    """
    return np.repeat(np.arange(len(sizes := list(counts)), dtype=np.int64), sizes)
