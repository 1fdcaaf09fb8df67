"""Writes preprocessing.npz: inputs made from an asymmetric colour image by a plain numpy resampler, in float64.

Run it with ``python tests/golden/make_preprocessing.py``. It shares no code with edgekit: bilinear interpolation with
the triangle filter widened by the reduction factor (antialiasing), pixel centres at half-integers.
"""

from pathlib import Path

import numpy as np

HEIGHT, WIDTH = 11, 17


def image() -> np.ndarray:
    """(11, 17, 3) uint8 RGB, without any symmetry: red grows to the right, green downwards, blue along a wave."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    red = 15 * columns
    green = 23 * rows
    blue = 127.5 + 120 * np.sin(0.9 * rows + 0.37 * columns)
    return np.stack([red, green, blue], axis=-1).round().astype(np.uint8)


def weights(source: int, target: int) -> np.ndarray:
    """(target, source) weights of every source pixel in every target pixel."""
    scale = source / target
    reach = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source) + 0.5 - centres[:, None]) / reach
    triangle = np.clip(1 - distance, 0, None)
    return triangle / triangle.sum(axis=1, keepdims=True)


def resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """``pixels`` (h, w, 3) as (height, width, 3) float64."""
    return np.einsum("ah,bw,hwc->abc", weights(pixels.shape[0], height), weights(pixels.shape[1], width), pixels)


def main() -> None:
    """Write the file beside this script."""
    pixels = image().astype(np.float64)
    short = resized(pixels, 9, round(WIDTH * 9 / HEIGHT))
    left = (short.shape[1] - 8) // 2
    crop = short[0:8, left : left + 8]
    letterbox = np.full((8, 8, 3), 114.0)
    inner = round(HEIGHT * 8 / WIDTH)
    top = (8 - inner) // 2
    letterbox[top : top + inner] = resized(pixels, inner, 8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    arrays = {
        "image": image(),
        "crop_raw": crop,
        "crop_unit": crop / 255,
        "crop_tf": crop / 127.5 - 1,
        "crop_torch": (crop / 255 - mean) / std,
        "stretch_bgr_nchw": resized(pixels, 8, 6)[..., ::-1].transpose(2, 0, 1),
        "letterbox_raw": letterbox,
    }
    stored = {name: a if a.dtype == np.uint8 else a.astype(np.float32) for name, a in arrays.items()}
    np.savez_compressed(Path(__file__).with_name("preprocessing.npz"), **stored)


if __name__ == "__main__":
    main()
