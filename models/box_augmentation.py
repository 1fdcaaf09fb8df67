"""Random changes of training images and of the boxes in them, as a function of both and a generator."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgekit.data import Boxes
from edgekit.tasks.boxes import areas, iou

Pixels = npt.NDArray[np.uint8]
Random = np.random.Generator

_OVERLAPS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
"""Least overlaps of a crop with some object, of which one is drawn (Liu et al. 2016, SSD, section 2.2)."""
_LEAST_SIDE, _TRIES = 0.5, 20
"""No side of a crop is twice the other, which is the paper's bound too."""
_LEAST_SEEN = 0.4
"""An object stays where at least so much of its area is inside; the rest of it is cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxAugmentation:
    """Each change has its own probability or largest size; 0 leaves it out.

    ``colour`` is the largest relative change of brightness, contrast and saturation. ``crop`` is the probability of a
    crop around some objects, ``expand`` the largest factor by which an image is made smaller on a plain ground,
    ``mosaic`` the probability that four images become one (Bochkovskiy et al. 2020, YOLOv4, section 3.3), ``flip``
    mirrors one of two.
    """

    colour: float = 0.0
    crop: float = 0.0
    expand: float = 1.0
    mosaic: float = 0.0
    flip: bool = False

    def apply(self, pixels: Pixels, boxes: Sequence[Boxes], random: Random) -> tuple[Pixels, list[Boxes]]:
        """``pixels`` (count, height, width, channels) uint8 and their ``boxes``, changed."""
        out, found = np.empty_like(pixels), []
        for index in range(len(pixels)):
            image, own = pixels[index], boxes[index]
            if random.random() < self.mosaic and len(pixels) > 1:
                others = random.integers(len(pixels), size=3)
                image, own = _mosaic([(pixels[i], boxes[i]) for i in (index, *others)], random)
            elif random.random() < self.crop:
                image, own = _crop(image, own, random)
            elif self.expand > 1 and random.random() < 0.5:
                image, own = _expand(image, own, self.expand, random)
            if self.flip and random.random() < 0.5:
                image, own = _mirror(image, own)
            out[index] = _coloured(image, self.colour, random) if self.colour else image
            found.append(own)
        return out, found


def window(image: Pixels, boxes: Boxes, box: tuple[float, float, float, float]) -> tuple[Pixels, Boxes]:
    """What is inside ``box``, left, top, right, bottom in fractions of the image, in the image's size."""
    height, width = image.shape[:2]
    left, top, right, bottom = box
    pixels = _resized(image, (height, width), (left * width, top * height, right * width, bottom * height))
    shift, scale = np.array([left, top] * 2), np.array([right - left, bottom - top] * 2)
    return pixels, _kept(boxes, ((boxes.corners - shift) / scale).astype(np.float32))


def _kept(boxes: Boxes, moved: npt.NDArray[np.float32]) -> Boxes:
    """``boxes`` at ``moved``, cut at the edges, without those of which too little is left."""
    cut = np.clip(moved, 0, 1)
    stay = areas(cut) >= _LEAST_SEEN * np.maximum(areas(moved), 1e-9)
    stay &= areas(cut) > 0
    return replace(boxes, corners=cut[stay], classes=boxes.classes[stay], crowd=boxes.crowd[stay])


def _crop(image: Pixels, boxes: Boxes, random: Random) -> tuple[Pixels, Boxes]:
    least = random.choice(_OVERLAPS)
    for _ in range(_TRIES):
        width, height = random.uniform(_LEAST_SIDE, 1, 2)
        left, top = random.uniform(0, 1 - width), random.uniform(0, 1 - height)
        box = (left, top, left + width, top + height)
        if not len(boxes) or iou(np.array([box]), boxes.corners).max() >= least:
            return window(image, boxes, box)
    return image, boxes


def _expand(image: Pixels, boxes: Boxes, most: float, random: Random) -> tuple[Pixels, Boxes]:
    """The image smaller by up to the factor ``most``, on a ground of its mean colour."""
    height, width, channels = image.shape
    factor = random.uniform(1, most)
    inner_h, inner_w = max(1, round(height / factor)), max(1, round(width / factor))
    top, left = int(random.integers(height - inner_h + 1)), int(random.integers(width - inner_w + 1))
    out = np.empty_like(image)
    out[:] = image.reshape(-1, channels).mean(axis=0).astype(np.uint8)
    out[top : top + inner_h, left : left + inner_w] = _resized(image, (inner_h, inner_w))
    scale = np.array([inner_w / width, inner_h / height] * 2)
    moved = boxes.corners * scale + np.array([left / width, top / height] * 2)
    return out, _kept(boxes, moved.astype(np.float32))


def _mosaic(parts: Sequence[tuple[Pixels, Boxes]], random: Random) -> tuple[Pixels, Boxes]:
    """Four images around a random point near the middle, each scaled to its quarter."""
    height, width = parts[0][0].shape[:2]
    x, y = (round(side * random.uniform(0.35, 0.65)) for side in (width, height))
    out, placed = np.empty_like(parts[0][0]), []
    quarters = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
    for (image, boxes), (left, top, right, bottom) in zip(parts, quarters, strict=True):
        out[top:bottom, left:right] = _resized(image, (bottom - top, right - left))
        scale = np.array([(right - left) / width, (bottom - top) / height] * 2)
        moved = boxes.corners * scale + np.array([left / width, top / height] * 2)
        placed.append(_kept(boxes, moved.astype(np.float32)))
    return out, replace(
        placed[0],
        corners=np.concatenate([own.corners for own in placed]),
        classes=np.concatenate([own.classes for own in placed]),
        crowd=np.concatenate([own.crowd for own in placed]),
    )


def _mirror(image: Pixels, boxes: Boxes) -> tuple[Pixels, Boxes]:
    corners = boxes.corners.copy()
    corners[:, [0, 2]] = 1 - boxes.corners[:, [2, 0]]
    return image[:, ::-1], replace(boxes, corners=corners)


def _coloured(image: Pixels, most: float, random: Random) -> Pixels:
    """Another brightness, contrast and saturation."""
    gain, contrast, saturation = random.uniform(1 - most, 1 + most, 3)
    values = image.astype(np.float32) * gain
    values = (values - values.mean()) * contrast + values.mean()
    gray = values.mean(axis=-1, keepdims=True)
    changed: Pixels = np.clip(gray + (values - gray) * saturation, 0, 255).astype(np.uint8)
    return changed


def _resized(image: Pixels, size_hw: tuple[int, int], box: tuple[float, float, float, float] | None = None) -> Pixels:
    from PIL import Image

    source = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    resized = np.asarray(source.resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR, box=box), np.uint8)
    return resized.reshape(*size_hw, image.shape[2])
