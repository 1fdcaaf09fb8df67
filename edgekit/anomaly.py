"""What the file of an anomaly detector says of its score."""

import math
from dataclasses import dataclass

from edgekit.errors import CardError

SCORE = "score"
"""The output that a detector of anomalies is judged by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """An item whose score is above ``threshold`` counts as an anomaly; ``chosen`` says how the threshold was found."""

    threshold: float
    chosen: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise CardError(f"The threshold of an anomaly score is {self.threshold}; expected a finite number.")
