"""What the card of a model says that tells whether two pictures show the same: what its files compare, and how."""

import math
from dataclasses import dataclass
from enum import StrEnum

from edgekit.companion import Companion
from edgekit.errors import InputError


class Measure(StrEnum):
    """What the second file gives for two embeddings.

    ``logit``: that of "the same", of which the sigmoid is a probability (Koch et al. 2015, section 3.1).
    ``distance``: a squared Euclidean distance, 0 for equal ones (Hadsell et al. 2006; Schroff et al. 2015).
    """

    LOGIT = "logit"
    DISTANCE = "distance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A tower makes an embedding of each picture, and its ``head``, a small second file, compares two of them.

    They are taken for the same where the head's ``measure`` is ``threshold`` or more, of distances where it is that or
    less. The threshold has equal shares of both kinds of mistakes on pictures held out of the training; none before.
    ``head`` is none before the files are written.
    """

    measure: Measure = Measure.LOGIT
    threshold: float | None = None
    head: Companion | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise InputError(f"The threshold of a verification is a finite number; got {self.threshold}.")

    @property
    def rule(self) -> str:
        """What pictures of the same have, in words; '' without a threshold.

        >>> Verification(measure=Measure.DISTANCE, threshold=0.25).rule
        'a distance of 0.25 or less'
        """
        if self.threshold is None:
            return ""
        return (
            f"a {self.measure.value} of {self.threshold:.4g} or {'more' if self.measure is Measure.LOGIT else 'less'}"
        )

    def likeness(self, measured: float) -> float:
        """What the head ``measured`` as a number that is larger for pictures more alike.

        >>> Verification(measure=Measure.DISTANCE).likeness(2.0)
        -2.0
        """
        return measured if self.measure is Measure.LOGIT else -measured
