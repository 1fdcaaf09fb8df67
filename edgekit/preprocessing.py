"""From a decoded image to a model's input: the one function used in training, calibration, evaluation and demos."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError, InputError, suggest


class Resize(StrEnum):
    """How an image of another size is brought to the model's size."""

    STRETCH = "stretch"  # both sides to the model's size, aspect ratio lost
    CROP = "crop"  # short side to `short_side`, then the centre
    LETTERBOX = "letterbox"  # the whole image inside, the rest padded


class Colour(StrEnum):
    """Order of the colour channels that the model was trained on."""

    RGB = "rgb"
    BGR = "bgr"
    GRAY = "gray"


class Layout(StrEnum):
    """Order of the dimensions of one batch of images."""

    NHWC = "nhwc"
    NCHW = "nchw"


DTYPES = ("float32", "float16", "uint8", "int8", "int16", "int32")
"""Types that preprocessing can give; integers are rounded and saturated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """What turns an image of 0..255 into the model's input: ``x * scale + offset`` for each channel, in model order.

    ``short_side`` (pixels) is used by `Resize.CROP` only, ``pad_value`` (0..255) by `Resize.LETTERBOX` only. An image
    that already has the model's size is never resampled or cropped.
    """

    size_hw: tuple[int, int]
    resize: Resize = Resize.CROP
    short_side: int | None = None
    pad_value: int = 114
    colour: Colour = Colour.RGB
    layout: Layout = Layout.NHWC
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if min(self.size_hw) < 1:
            raise InputError(f"An image size is at least 1 x 1; got {self.size_hw[0]} x {self.size_hw[1]}.")
        if self.resize is Resize.CROP and (self.short_side is None or self.short_side < max(self.size_hw)):
            raise InputError(
                f"A crop to {self.size_hw} needs a short side of {max(self.size_hw)} or more; got {self.short_side}."
            )
        for name, values in (("scale", self.scale), ("offset", self.offset)):
            if len(values) not in (1, self.channels):
                raise InputError(f"Preprocessing has {len(values)} values of {name}; expected 1 or {self.channels}.")
        if not 0 <= self.pad_value <= 255:
            raise InputError(f"A padding value is 0..255; got {self.pad_value}.")
        if self.dtype not in DTYPES:
            raise InputError(f"Preprocessing cannot give {self.dtype!r}; {suggest(self.dtype, DTYPES)}")

    @property
    def channels(self) -> int:
        """Number of colour channels of the model's input."""
        return 1 if self.colour is Colour.GRAY else 3


def describe(spec: Preprocessing) -> str:
    """``spec`` in a line for people.

    >>> describe(preset("tf", size_hw=(224, 224)))
    'rgb 224 x 224, crop from a short side of 256, x * (0.0078431) + (-1)'
    """
    height, width = spec.size_hw
    scale, offset = (", ".join(f"{v:.5g}" for v in values) for values in (spec.scale, spec.offset))
    how = f"{spec.resize} from a short side of {spec.short_side}" if spec.resize is Resize.CROP else spec.resize.value
    return f"{spec.colour} {height} x {width}, {how}, x * ({scale}) + ({offset})"


# Mean and standard deviation of ImageNet in the range 0..1, RGB, as torchvision publishes them with its weights.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

_AFFINE: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "unit": ((1 / 255,), (0.0,)),
    "tf": ((1 / 127.5,), (-1.0,)),
    "torch": (
        tuple(1 / (255 * s) for s in _IMAGENET_STD),
        tuple(-m / s for m, s in zip(_IMAGENET_MEAN, _IMAGENET_STD, strict=True)),
    ),
    "raw": ((1.0,), (0.0,)),
}
PRESETS = tuple(_AFFINE)


def preset(name: str, *, size_hw: tuple[int, int], channels: int = 3, layout: Layout = Layout.NHWC) -> Preprocessing:
    """The preprocessing called ``unit``, ``tf``, ``torch`` or ``raw`` for a model input of this size.

    ``unit`` is x / 255, ``tf`` is x / 127.5 - 1, ``torch`` is ImageNet's mean and standard deviation, ``raw`` leaves
    0..255. All resize the short side by 256 / 224 and take the centre crop, the evaluation protocol of most published
    ImageNet accuracies (e.g. He et al. 2016, section 3.4, at 224).
    """
    if name not in _AFFINE:
        raise InputError(f"There is no preprocessing {name!r}; {suggest(name, PRESETS)}")
    if channels not in (1, 3):
        raise InputError(f"Preprocessing {name!r} is for images of 1 or 3 channels; this model takes {channels}.")
    scale, offset = _AFFINE[name]
    if len(scale) > channels:
        raise InputError(f"Preprocessing {name!r} is for images of 3 channels; this model takes {channels}.")
    return Preprocessing(
        size_hw=size_hw,
        resize=Resize.CROP,
        short_side=round(max(size_hw) * 256 / 224),
        colour=Colour.RGB if channels == 3 else Colour.GRAY,
        layout=layout,
        scale=scale,
        offset=offset,
    )


def resize(image: npt.NDArray[np.uint8], spec: Preprocessing) -> npt.NDArray[np.uint8]:
    """``image`` (height, width, channels) uint8, RGB or gray, as (size_h, size_w, channels) uint8, model colour order.

    Pillow's antialiased bilinear filter on every machine. A gray image becomes RGB by repetition; a coloured one never
    becomes gray by itself, since that loses information (`DataError`).
    """
    if image.dtype != np.uint8 or image.ndim != 3:
        raise DataError(f"An image is (height, width, channels) uint8; got {image.shape} {image.dtype}.")
    image = _match_channels(image, spec.channels)
    height, width = spec.size_hw
    if image.shape[:2] != (height, width):
        image = _resample(image, spec)
    return image[..., ::-1] if spec.colour is Colour.BGR else image


def normalize(images: npt.NDArray[Any], spec: Preprocessing) -> npt.NDArray[Any]:
    """(..., height, width, channels) in 0..255 as the model's values, dtype and layout."""
    scale, offset = np.asarray(spec.scale, np.float32), np.asarray(spec.offset, np.float32)
    values = images.astype(np.float32) * scale + offset
    if spec.layout is Layout.NCHW:
        values = np.moveaxis(values, -1, -3)
    if np.issubdtype(np.dtype(spec.dtype), np.integer):
        info = np.iinfo(spec.dtype)
        values = np.clip(np.rint(values), info.min, info.max)
    return np.ascontiguousarray(values, dtype=spec.dtype)


def preprocess(image: npt.NDArray[np.uint8], spec: Preprocessing) -> npt.NDArray[Any]:
    """A decoded image, (height, width, channels) uint8 RGB or gray, as one item of the model's input, no batch axis."""
    return normalize(resize(image, spec), spec)


def _match_channels(image: npt.NDArray[np.uint8], channels: int) -> npt.NDArray[np.uint8]:
    got = image.shape[2]
    if got == channels:
        return image
    if got == 1 and channels == 3:
        return np.repeat(image, 3, axis=2)
    if (
        got == 3
        and channels == 1
        and np.array_equal(image[..., 0], image[..., 1])
        and np.array_equal(image[..., 0], image[..., 2])
    ):
        return image[..., :1]
    raise DataError(
        f"An image has {got} channels; the model takes {channels}: convert the images or choose another model."
    )


_LONGEST = 100  # the scaled image is made whole before it is cropped: a strip of pixels would fill the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the whole image lies in the model's input, in pixels of the input: its size and its upper left corner.

    ``top`` and ``left`` are negative where a crop cuts it, positive where a letterbox pads it.
    """

    height: int
    width: int
    top: int = 0
    left: int = 0


def placement(image_hw: tuple[int, int], spec: Preprocessing) -> Placement:
    """Where an image of ``image_hw`` pixels lies once `resize` has brought it to the model's size."""
    height, width = image_hw
    target_h, target_w = spec.size_hw
    if image_hw == spec.size_hw or spec.resize is Resize.STRETCH:
        return Placement(height=target_h, width=target_w)
    if spec.resize is Resize.CROP:
        assert spec.short_side is not None  # noqa: S101 - checked in __post_init__
        factor = spec.short_side / min(height, width)
        inner_h, inner_w = round(height * factor), round(width * factor)
        return Placement(
            height=inner_h, width=inner_w, top=-((inner_h - target_h) // 2), left=-((inner_w - target_w) // 2)
        )
    factor = min(target_h / height, target_w / width)
    inner_h, inner_w = max(1, round(height * factor)), max(1, round(width * factor))
    return Placement(height=inner_h, width=inner_w, top=(target_h - inner_h) // 2, left=(target_w - inner_w) // 2)


def _resample(image: npt.NDArray[np.uint8], spec: Preprocessing) -> npt.NDArray[np.uint8]:
    height, width = image.shape[:2]
    if spec.resize is Resize.CROP and max(height, width) > _LONGEST * min(height, width):
        raise DataError(
            f"An image is {height} x {width}; expected at most {_LONGEST} times as long as wide to crop from."
        )
    place = placement((height, width), spec)
    scaled = _bilinear(image, place.height, place.width)
    target_h, target_w = spec.size_hw
    if spec.resize is Resize.LETTERBOX:
        canvas = np.full((target_h, target_w, image.shape[2]), spec.pad_value, np.uint8)
        canvas[place.top : place.top + place.height, place.left : place.left + place.width] = scaled
        return canvas
    return scaled[-place.top : target_h - place.top, -place.left : target_w - place.left]


def _bilinear(image: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    from PIL import Image

    if image.shape[:2] == (height, width):
        return image
    source = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    return np.asarray(source.resize((width, height), Image.Resampling.BILINEAR)).reshape(height, width, image.shape[2])
