"""How like two sets of the same pictures are: what quantization did to the pictures of a generator."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError
from edgekit.measure.metrics import IDENTICAL_DB, require_finite

Array = npt.NDArray[Any]

_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Sums over pictures, from which the figures follow; those of parts add up."""

    pictures: int = 0
    values: int = 0
    squares: float = 0.0
    ssims: float = 0.0
    span: float = 1.0

    def __add__(self, more: "Likeness") -> "Likeness":
        return Likeness(
            pictures=self.pictures + more.pictures,
            values=self.values + more.values,
            squares=self.squares + more.squares,
            ssims=self.ssims + more.ssims,
            span=more.span,
        )

    @property
    def psnr_db(self) -> float:
        """Peak signal to noise ratio over all values, in dB: 10 log10(span² / mean squared difference), at most 200."""
        if self.squares == 0.0:
            return IDENTICAL_DB
        return min(IDENTICAL_DB, float(10.0 * np.log10(self.span**2 * self.values / self.squares)))

    @property
    def ssim(self) -> float:
        """The mean over pictures of their structural similarity; 1 for equal ones."""
        return self.ssims / self.pictures if self.pictures else 1.0


def likeness(reference: Array, other: Array, *, low: float, high: float) -> Likeness:
    """How like ``other`` is to ``reference``, both (count, height, width, channels) from ``low`` to ``high``.

    Structural similarity is that of Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural
    Similarity", equation 13: a Gaussian window of 11 x 11 pixels, sigma 1.5, that lies wholly inside the picture; K1
    0.01, K2 0.03; covariances weighted by the window; the mean over windows and channels. `DataError` for other shapes,
    pictures smaller than the window and values that are not finite.

    >>> same = np.zeros((1, 12, 12, 1))
    >>> found = likeness(same, same + 0.2, low=-1.0, high=1.0)
    >>> round(found.psnr_db, 6)
    20.0
    """
    if reference.shape != other.shape or reference.ndim != 4 or min(reference.shape[1:3]) < _WINDOW:
        raise DataError(
            f"Pictures to compare are {reference.shape} and {other.shape}; expected equal ones (count, height, width, "
            f"channels) of at least {_WINDOW} x {_WINDOW} pixels."
        )
    require_finite(reference, "A picture of the reference")
    require_finite(other, "A picture")
    a, b = reference.astype(np.float64), other.astype(np.float64)
    gap = (a - b).ravel()
    return Likeness(
        pictures=len(a),
        values=a.size,
        squares=float(gap @ gap),
        ssims=float(_ssims(a, b, high - low).sum()),
        span=high - low,
    )


def _ssims(a: Array, b: Array, span: float) -> Array:
    """The structural similarity of each picture, (count,)."""
    c1, c2 = (_K1 * span) ** 2, (_K2 * span) ** 2
    mean_a, mean_b = _blurred(a), _blurred(b)
    spread = _blurred(a * a) - mean_a**2 + _blurred(b * b) - mean_b**2
    common = _blurred(a * b) - mean_a * mean_b
    local = (2 * mean_a * mean_b + c1) * (2 * common + c2) / ((mean_a**2 + mean_b**2 + c1) * (spread + c2))
    means: Array = local.mean(axis=(1, 2, 3))
    return means


def _blurred(pictures: Array) -> Array:
    """The weighted mean in every window that lies inside, by rows and then by columns."""
    places = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-0.5 * (places / _SIGMA) ** 2)
    weights /= weights.sum()
    height, width = (n - _WINDOW + 1 for n in pictures.shape[1:3])
    rows: Array = sum(w * pictures[:, i : i + height] for i, w in enumerate(weights))
    both: Array = sum(w * rows[:, :, i : i + width] for i, w in enumerate(weights))
    return both
