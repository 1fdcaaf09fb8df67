"""What a generator's outputs are: pictures of 8 bits, and many of them on one sheet."""

from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.generation import Generator

Pixels = npt.NDArray[np.uint8]


def pixels_of(images: npt.NDArray[Any], generator: Generator) -> Pixels:
    """Images (count, height, width, channels) in the range of ``generator`` as uint8; what is outside is clipped.

    >>> from edgekit.generation import Drawn
    >>> pixels_of(np.array([-1.0, 0.0, 1.0, 2.0]), Generator(noise=Drawn(name="noise", size=1))).tolist()
    [0, 128, 255, 255]
    """
    shares = (images.astype(np.float64) - generator.low) / (generator.high - generator.low)
    return np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)


def sheet(pixels: Pixels, columns: int) -> Pixels:
    """Pictures (count, height, width, channels) in rows of ``columns``, (rows x height, columns x width, channels).

    >>> sheet(np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1), 2)[..., 0].tolist()
    [[0, 1], [2, 0]]
    """
    count, height, width, channels = pixels.shape
    rows = -(-count // columns)
    whole = np.zeros((rows * columns, height, width, channels), np.uint8)
    whole[:count] = pixels
    lines = whole.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return lines.reshape(rows * height, columns * width, channels)
