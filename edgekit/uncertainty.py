"""What the file of a Bayesian network says of itself: the inputs drawn for a pass, and how passes are used."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edgekit.errors import CardError

MOST_PASSES = 1000
"""Whose answers are averaged; the papers use 10 to 100."""
LEAST_KEPT = 1e-6
"""No mask keeps fewer of its units; float32 holds 1 / keep."""


class Distribution(StrEnum):
    """What the numbers of a noise input are drawn from."""

    NORMAL = "normal"  # of mean 0 and deviation 1
    MASK = "mask"  # 1 / keep with the probability keep, else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The input ``name``, all of whose numbers are drawn anew, each by itself, for every pass.

    ``keep`` is the probability by which a unit under a mask stays; it means nothing for normal numbers.
    """

    name: str
    distribution: Distribution
    keep: float = 1.0

    def __post_init__(self) -> None:
        if not LEAST_KEPT <= self.keep <= 1:
            raise CardError(
                f"The mask {self.name!r} keeps units with probability {self.keep}; expected {LEAST_KEPT} to 1."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """How sure a Bayesian classifier is, and what that takes.

    ``noises`` are the inputs that are drawn; the mean network, which is one with them at their means, has none. The
    softmax of ``passes`` passes is averaged, and an item whose predictive entropy, in nats, is above ``threshold`` gets
    "I don't know" for an answer.
    """

    noises: tuple[Noise, ...] = ()
    passes: int = 1
    threshold: float | None = None

    def __post_init__(self) -> None:
        names = [noise.name for noise in self.noises]
        if len(set(names)) != len(names):
            raise CardError(f"Two noise inputs have one name: {', '.join(names)}; expected different ones.")
        if not 1 <= self.passes <= MOST_PASSES:
            raise CardError(f"A Bayesian classifier is run 1 to {MOST_PASSES:,} times; got {self.passes}.")
        if self.passes > 1 and not names:
            raise CardError(f"{self.passes} passes without noise are all the same; expected 1.")
        if self.threshold is not None and not self.threshold >= 0:
            raise CardError(f"An entropy is 0 or more; got {self.threshold} as the threshold.")

    def require_inputs(self, names: Sequence[str]) -> None:
        """`CardError` unless the ``noises`` are inputs of the model, whose inputs are ``names``, beside another one."""
        drawn = [noise.name for noise in self.noises]
        strange = [name for name in drawn if name not in names]
        if strange:
            raise CardError(
                f"The card draws noise for the input {strange[0]!r}, and the model's inputs are named "
                f"{', '.join(names)}: correct the card's uncertainty with `edgekit card attach`."
            )
        if drawn and len(drawn) == len(names):
            raise CardError(
                f"The card draws noise for all inputs of the model, {', '.join(names)}; expected one for the data: "
                "correct the card's uncertainty with `edgekit card attach`."
            )
