"""Comparing the outputs of a finished file with those of its source, and refusing what is outside tolerance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import ModelCard
from edgekit.converters.report import Parity
from edgekit.converters.tolerances import TOLERANCES
from edgekit.errors import CheckFailedError
from edgekit.measure.choices import same_choices
from edgekit.measure.metrics import cosine, max_abs, sqnr_db
from edgekit.recipe import Precision

Array = npt.NDArray[Any]

_TOO_SMALL = 1e-5
"""Deviations as a part of the output. A forecast that is almost the last value has 2e-6, and loses 0.003 in correlation
where float additions are done in another order."""


_FEW_DB = 10.0
"""Noise has a tenth of the signal's energy: within the limits of a recipe, but a task may have lost more than that."""


def compare_outputs(
    reference: Mapping[str, Array],
    other: Mapping[str, Array],
    *,
    what: str,
    synthetic: bool,
    card: ModelCard | None = None,
) -> Parity:
    """The worst figures over all outputs, (count, ...) each; `CheckFailedError` for a wrong name, shape, type or value.

    ``what`` names the file in messages; its ``card``, where it has one, tells which outputs choose something.
    """
    if set(reference) != set(other):
        raise CheckFailedError(f"{what} has the outputs {sorted(other)}; the source has {sorted(reference)}.")
    rows = [
        _compare_one(name, np.asarray(reference[name]), np.asarray(other[name]), what, card)
        for name in sorted(reference)
    ]
    correlations = [r[3] for r in rows if r[3] is not None]
    agreements = [r[4] for r in rows if r[4] is not None]
    return Parity(
        max_abs=max(r[0] for r in rows),
        sqnr_db=min(r[1] for r in rows),
        cosine=min(r[2] for r in rows),
        correlation=min(correlations) if correlations else None,
        agreement=min(agreements) if agreements else None,
        count=len(next(iter(reference.values()))),
        synthetic=synthetic,
    )


def require_tolerance(
    reference: Mapping[str, Array], other: Mapping[str, Array], parity: Parity, precision: Precision, *, what: str
) -> None:
    """`CheckFailedError` naming the first limit of ``precision`` that the file exceeds."""
    limit = TOLERANCES[precision]
    refused = f"{what} is refused, and nothing was written"
    if limit.max_abs is not None:
        for name, values in reference.items():
            allowed = limit.max_abs * max(1.0, float(np.max(np.abs(values), initial=0.0)))
            found = max_abs(np.asarray(values), np.asarray(other[name]))
            if found > allowed:
                raise CheckFailedError(
                    f"{refused}: output {name!r} differs from the source by {found:.3g}; "
                    f"{precision} allows {allowed:.3g}."
                )
    if parity.sqnr_db < limit.min_sqnr_db:
        raise CheckFailedError(
            f"{refused}: its outputs keep {parity.sqnr_db:.1f} dB of the source's signal; "
            f"{precision} needs {limit.min_sqnr_db:.1f} dB."
        )
    if parity.correlation is not None and parity.correlation < limit.min_correlation:
        raise CheckFailedError(
            f"{refused}: its outputs follow the source's with a correlation of {parity.correlation:.3f}; "
            f"{precision} needs {limit.min_correlation:.3f}: a model that has hardly learned, or whose states grow "
            "with every step, keeps no more: train it on, take the recipe dynamic, or find the layer that costs it "
            "with edgekit compare --layers."
        )


def remarks(parity: Parity) -> tuple[str, ...]:
    """What is to be said of a file within its limits whose figures tell little, or are poor."""
    found = {
        f"Only {parity.sqnr_db:.1f} dB of the source's signal are left: see with edgekit evaluate what its task has "
        "lost": parity.sqnr_db < _FEW_DB,
        f"The source answers nearly the same to all {parity.count} items, so the comparison tells little: see with "
        "edgekit evaluate whether source and file do their task": parity.correlation is None and parity.count > 1,
    }
    return tuple(note for note, said in found.items() if said)


def _compare_one(
    name: str, reference: Array, other: Array, what: str, card: ModelCard | None
) -> tuple[float, float, float, float | None, float | None]:
    if reference.shape != other.shape:
        raise CheckFailedError(
            f"Output {name!r} of {what} has the shape {other.shape[1:]} for an item; "
            f"the source has {reference.shape[1:]}."
        )
    if np.issubdtype(reference.dtype, np.floating) != np.issubdtype(other.dtype, np.floating):
        raise CheckFailedError(f"Output {name!r} of {what} is {other.dtype}; the source has {reference.dtype}.")
    for values, owner in ((reference, "the source"), (other, what)):
        if not np.all(np.isfinite(values)):
            raise CheckFailedError(
                f"Output {name!r} of {owner} has values that are NaN or infinite; expected finite numbers."
            )
    same = same_choices(card, name, reference, other)
    return (
        max_abs(reference, other),
        sqnr_db(reference, other),
        cosine(reference, other),
        _correlation(reference, other),
        None if same is None else float(np.mean(same)),
    )


def _correlation(reference: Array, other: Array) -> float | None:
    """Cosine of the deviations from the mean item; ``None`` when the source's output does not depend on its input.

    Nor is it told where deviations are so small that what float32 rounds of the output itself is more than a hundredth.
    """
    a, b = (values.astype(np.float64) - values.astype(np.float64).mean(axis=0) for values in (reference, other))
    if np.linalg.norm(a) <= _TOO_SMALL * np.linalg.norm(reference.astype(np.float64)):
        return None
    return cosine(a, b)
