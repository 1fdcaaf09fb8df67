"""What the file of a generator says of its inputs: what is drawn for them, and what its pictures' values are."""

from dataclasses import dataclass

from edgekit.errors import CardError

MOST_DRAWN = 100_000
"""Numbers of one input; the book's generators take 100."""
_MOST = (2 - 2**-23) * 2.0**127  # of float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The input ``name`` of ``size`` numbers, drawn evenly between ``low`` and ``high``."""

    name: str
    size: int
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MOST_DRAWN:
            raise CardError(f"Input {self.name!r} of a generator has 1 to {MOST_DRAWN:,} numbers; got {self.size}.")
        if not _is_range(self.low, self.high):
            raise CardError(
                f"Input {self.name!r} of a generator is drawn between {self.low} and {self.high}; expected two ends, "
                "the lower one first, in the range of float32."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The input ``name`` with a 1 at the number of one of ``classes`` classes, and zeros besides.

    ``asked`` says whether these are the labels of the card; else they are categories that the generator found itself.
    """

    name: str
    classes: int
    asked: bool

    def __post_init__(self) -> None:
        if not 2 <= self.classes <= MOST_DRAWN:
            raise CardError(f"A generator has 2 to {MOST_DRAWN:,} classes; got {self.classes}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """Inputs of a generator of pictures. ``code`` are numbers that each change something of a picture.

    The output is (1, height, width, channels), from ``low`` for black to ``high`` for white.
    """

    noise: Drawn
    condition: Condition | None = None
    code: Drawn | None = None
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        parts = (self.noise, self.condition, self.code)
        names = [part.name for part in parts if part is not None]
        if len(set(names)) != len(names):
            raise CardError(f"Two inputs of a generator have one name: {', '.join(names)}; expected different ones.")
        if not _is_range(self.low, self.high):
            raise CardError(
                f"A generator's black is {self.low} and its white {self.high}; expected black below white, in the "
                "range of float32."
            )


def _is_range(low: float, high: float) -> bool:
    """Whether both and what is between are numbers that float32 holds."""
    return max(abs(low), abs(high)) <= _MOST and 0 < high - low <= _MOST
