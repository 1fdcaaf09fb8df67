"""Random changes of training images, as a function of their pixels and a generator."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random changes of a training image: a shift of up to ``shift_pixels`` each way, a mirror image, another scale and
    another brightness, by up to the fractions ``zoom`` and ``brightness``.
    """

    shift_pixels: int = 0
    flip: bool = False
    zoom: float = 0.0
    brightness: float = 0.0

    def apply(self, pixels: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
        """(count, height, width, channels) uint8, changed; what a shift or zoom brings in repeats the border pixel."""
        count, height, width = pixels.shape[:3]
        if self.flip:
            mirrored: npt.NDArray[np.bool_] = np.less(random.random(count), 0.5)
            pixels = np.where(mirrored[:, None, None, None], pixels[:, :, ::-1], pixels)
        if self.shift_pixels or self.zoom:
            down, right = random.integers(-self.shift_pixels, self.shift_pixels + 1, (2, count))
            step = np.ones(count)
            if self.zoom:
                step += random.uniform(-self.zoom, self.zoom, count)
            rows, columns = _places(height, down, step), _places(width, right, step)
            pixels = pixels[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
        if self.brightness:
            gain = 1 + random.uniform(-self.brightness, self.brightness, (count, 1, 1, 1)).astype(np.float32)
            pixels = np.minimum(pixels * gain, 255).astype(np.uint8)
        return pixels


def _places(size: int, shift: npt.NDArray[np.int64], step: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The pixel that each of ``size`` new ones shows, (count, size): ``step`` apart, the middle moved by ``shift``."""
    middle = (size - 1) / 2
    places = (np.arange(size) - middle) * step[:, None] + middle - shift[:, None]
    return np.clip(np.rint(places), 0, size - 1).astype(np.int64)
