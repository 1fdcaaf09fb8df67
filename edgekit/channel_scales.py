"""Factors of activation channels in few bytes: each is a power of 2^(1/4), so that a letter records it exactly.

Equalization makes channels of an activation equally large. Whoever compares such a file with its source, layer by
layer, must know by which factors; estimated ones would hide the very errors that are looked for.
"""

import base64
import json
import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edgekit.errors import CardError

Scales = npt.NDArray[np.float32]

STEPS_PER_OCTAVE = 4
_LETTER_OF_ONE = ord("K")  # factors from 1/16 to 16 are ";" to "[", of which JSON escapes none
_LARGEST_TEXT = 1 << 24


def on_grid(scales: npt.NDArray[np.floating]) -> Scales:
    """``scales`` (above zero) rounded down to powers of 2^(1/4).

    >>> on_grid(np.array([0.5, 1.0, 1.1, 15.9])).round(3).tolist()
    [0.5, 1.0, 1.0, 13.454000473022461]
    """
    exponents = np.floor(np.log2(scales) * STEPS_PER_OCTAVE + 1e-4)
    rounded: Scales = np.exp2(exponents / STEPS_PER_OCTAVE).astype(np.float32)
    return rounded


def pack(scales: Mapping[str, Scales]) -> str:
    """The scales (channels,) of layers as text, without those that are all 1; empty where none is left."""
    letters = {}
    for layer, values in scales.items():
        exponents = np.rint(np.log2(values) * STEPS_PER_OCTAVE).astype(int)
        if exponents.any():
            letters[layer] = "".join(chr(_LETTER_OF_ONE + exponent) for exponent in exponents)
    if not letters:
        return ""
    text = json.dumps(letters, separators=(",", ":"), ensure_ascii=False)
    return base64.b85encode(zlib.compress(text.encode(), 9)).decode()


def unpack(text: str, *, where: str) -> dict[str, Scales]:
    """What `pack` packed; `CardError` for a text that it did not make. ``where`` begins the message."""
    if not text:
        return {}
    try:
        packed = zlib.decompressobj()
        letters = json.loads(packed.decompress(base64.b85decode(text), _LARGEST_TEXT))
        exponents = {str(layer): np.array([ord(c) for c in row]) - _LETTER_OF_ONE for layer, row in letters.items()}
    except (ValueError, zlib.error, AttributeError, TypeError, RecursionError):
        raise CardError(f"{where} holds channel scales that cannot be read; convert the model again.") from None
    return {layer: np.exp2(row / STEPS_PER_OCTAVE).astype(np.float32) for layer, row in exponents.items()}
