"""The vocabularies of trainings, made from what is learned from alone."""

from collections import Counter
from collections.abc import Iterable

from edgekit.errors import DataError
from edgekit.sequences import Level, Vocabulary
from edgekit.tasks.texts import tokenize, vocabulary_of

UNKNOWN, PADDING = "<unknown>", "<padding>"
MOST_CHARACTERS = 2000
"""Of a text; one of more is no alphabetic one, or none at all."""


def characters_of(texts: Iterable[str], name: str, *, lower: bool, unknown: bool, padding: bool) -> Vocabulary:
    """The characters of ``texts`` by their code."""
    found = sorted({character for text in texts for character in (text.lower() if lower else text)})
    if len(found) > MOST_CHARACTERS:
        raise DataError(
            f"{name} has {len(found):,} different characters; expected {MOST_CHARACTERS:,} or fewer: give a text of an "
            "alphabet."
        )
    return vocabulary_of(
        found,
        level=Level.CHARACTER,
        lower=lower,
        unknown=UNKNOWN if unknown else None,
        padding=PADDING if padding else None,
    )


def words_of(texts: Iterable[str], name: str, most: int | None = None) -> Vocabulary:
    """The words of ``texts`` in lower case, the commonest first: with padding and unknown no more than ``most``.

    `DataError` where there are none.
    """
    counts = Counter(word for text in texts for word in tokenize(text, Level.WORD, lower=True))
    if not counts:
        raise DataError(f"{name} has no word in what is to be learned; expected letters or digits.")
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    chosen = ordered if most is None else ordered[: most - 2]
    return vocabulary_of(chosen, level=Level.WORD, lower=True, unknown=UNKNOWN, padding=PADDING)
