"""How far a finished file may be from its source. One table, with a reason for each line."""

from dataclasses import dataclass

from edgekit.recipe import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Limits of one recipe.

    ``max_abs`` is the largest difference allowed, times the larger of 1 and the largest output. ``min_correlation`` is
    that of the deviations from the mean output, which a file that ignores its input cannot pass.
    """

    max_abs: float | None
    min_sqnr_db: float
    min_correlation: float
    reason: str


TOLERANCES: dict[Precision, Tolerance] = {
    Precision.FP32: Tolerance(
        max_abs=1e-3,
        min_sqnr_db=60.0,
        min_correlation=0.999,
        reason="only the order of float additions differs; well-formed networks stay below 1e-5",
    ),
    Precision.FP16: Tolerance(
        max_abs=None,
        min_sqnr_db=20.0,
        min_correlation=0.99,
        reason="eleven significant bits; MobileNetV1 0.25 loses most, 37 dB",
    ),
    Precision.DYNAMIC: Tolerance(
        max_abs=None,
        min_sqnr_db=5.0,
        min_correlation=0.8,
        reason="ranges are taken per item, so only weights lose; per-tensor activations of depthwise layers cost most",
    ),
    Precision.INT8: Tolerance(
        max_abs=None,
        min_sqnr_db=3.0,
        min_correlation=0.5,
        reason="narrow networks keep 6 dB and are still useful; a damaged layer leaves less, or half the correlation",
    ),
    Precision.INT16X8: Tolerance(
        max_abs=None,
        min_sqnr_db=8.0,
        min_correlation=0.8,
        reason="activations are nearly exact, so only eight-bit weights lose",
    ),
}
