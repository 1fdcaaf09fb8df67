"""What the file of a sequence model says of its texts or series: how they become inputs, and what its outputs spell."""

from dataclasses import dataclass
from enum import StrEnum

from edgekit.errors import CardError

FORECASTING, TEXT_GENERATION, ANSWERS = "forecasting", "text-generation", "sequence-to-sequence"
"""Tasks of such files whose outputs are no score for each class."""
MOST_TOKENS = 1_000_000
"""Of a vocabulary; GPT-4o's has 200,000."""
MOST_STEPS = 1_000_000
"""Of a sequence that a file takes at once."""


class Level(StrEnum):
    """What the tokens of a text are. Words are runs of letters, digits and apostrophes, and each of ``! ?``."""

    CHARACTER = "character"
    WORD = "word"


class Side(StrEnum):
    """An end of a sequence."""

    START = "start"
    END = "end"


class Encoding(StrEnum):
    """What a model takes for a token: a vector with a 1 at its number, or the number."""

    ONE_HOT = "one-hot"
    INDEX = "index"


class Scaling(StrEnum):
    """What the values of a window of a series are divided by."""

    NONE = "none"
    LAST = "last"  # the window's last value, which an answer is multiplied by


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The tokens by their numbers.

    ``unknown`` is the number of the token for all others, ``padding`` that of the one which fills up short texts; where
    there is none, such texts are refused. With ``lower`` a text is made lower case first.
    """

    level: Level
    tokens: tuple[str, ...]
    unknown: int | None = None
    padding: int | None = None
    lower: bool = False

    def __post_init__(self) -> None:
        if not 2 <= len(self.tokens) <= MOST_TOKENS:
            raise CardError(f"A vocabulary has 2 to {MOST_TOKENS:,} tokens; got {len(self.tokens):,}.")
        if len(set(self.tokens)) != len(self.tokens):
            raise CardError("A vocabulary has a token twice; expected each once.")
        for what, number in (("unknown", self.unknown), ("padding", self.padding)):
            if number is not None and not 0 <= number < len(self.tokens):
                raise CardError(
                    f"A vocabulary of {len(self.tokens)} tokens has the {what} token {number}; expected one of them."
                )
        if self.unknown is not None and self.unknown == self.padding:
            raise CardError(f"A vocabulary has token {self.unknown} as unknown and as padding; expected two tokens.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """How a text becomes ``length`` tokens: one that is longer keeps its ``keep``, a shorter one is filled at ``fill``.

    The array is (length, tokens) float32 or (length,) int32, as ``encoding`` says.
    """

    vocabulary: Vocabulary
    length: int
    encoding: Encoding
    keep: Side = Side.START
    fill: Side = Side.END

    def __post_init__(self) -> None:
        _require_steps(self.length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """How a window of ``length`` rows of a series becomes an input, (length, columns) float32.

    The model forecasts the next value of the first of ``columns``, scaled as its inputs are.
    """

    length: int
    columns: tuple[str, ...]
    scaling: Scaling

    def __post_init__(self) -> None:
        _require_steps(self.length)
        if not self.columns:
            raise CardError("A series has no column; expected the one that is forecast.")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A state of a model of one time step: what ``output`` gives is the next step's ``input``; zeros come first."""

    input: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequences:
    """What a sequence model takes: ``text``, or a ``series``.

    ``answer`` is what its output spells where that is another text; without one the output of a text generator are
    logits of the token that follows each one given, (length, tokens). A model of one time step has ``states``, and its
    other input and output lack the axis of time; of that of a stranger, nothing else may be known.
    """

    text: Text | None = None
    series: Series | None = None
    answer: Text | None = None
    states: tuple[State, ...] = ()

    def __post_init__(self) -> None:
        if (self.text is None) == (self.series is None) and not (self.text is None and self.states):
            raise CardError("A sequence model takes either text or a series; its card tells of both or of none.")
        names = [name for state in self.states for name in (state.input, state.output)]
        if len(set(names)) != len(names):
            raise CardError("Two states of a card share an input or an output; expected one of each for every state.")


def _require_steps(length: int) -> None:
    if not 1 <= length <= MOST_STEPS:
        raise CardError(f"A sequence has 1 to {MOST_STEPS:,} steps; got {length}.")
