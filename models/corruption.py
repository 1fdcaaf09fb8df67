"""Damage to the inputs that a denoising autoencoder learns to undo (Vincent et al. 2008; 2010, section 3.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.models.spec import Value

Array = npt.NDArray[Any]
KINDS = ("zero", "gaussian")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """A number is hit with the probability ``share``: it becomes 0, or if ``gaussian`` gets noise of the deviation 1.

    Rows of a table are standardized, so that 0 is the mean of a column and 1 its deviation.
    """

    share: float
    gaussian: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Value]) -> "Corruption | None":
        """That which the ``arguments`` of an entry ask for, if any."""
        if "corruption" not in arguments:
            return None
        return cls(share=float(arguments["share"]), gaussian=arguments["corruption"] == "gaussian")

    def damaged(self, values: Array, random: np.random.Generator) -> Array:
        """``values`` (...) float32 with some of them changed."""
        hit = random.random(values.shape) < self.share
        noise = random.standard_normal(values.shape, np.float32) if self.gaussian else -values
        return np.where(hit, values + noise, values)
