"""Texts as numbers and back: what a `Text` of a card makes of a string, the same on every machine."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError
from edgekit.sequences import Encoding, Level, Side, Text, Vocabulary

Array = npt.NDArray[Any]

_BREAK = re.compile(r"<br\s*/?>")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[!?]")


def tokenize(text: str, level: Level, *, lower: bool = False) -> list[str]:
    """The tokens of ``text``: its characters, or its words without the line breaks of HTML.

    >>> tokenize("It's late!<br />Go.", Level.WORD, lower=True)
    ["it's", 'late', '!', 'go']
    """
    if lower:
        text = text.lower()
    return list(text) if level is Level.CHARACTER else _WORD.findall(_BREAK.sub(" ", text))


def token_ids(text: str, vocabulary: Vocabulary) -> npt.NDArray[np.int32]:
    """The number of every token of ``text``, (tokens,); `DataError` for one that is not known where none may be.

    >>> token_ids("Ab?", Vocabulary(level=Level.CHARACTER, tokens=("?", "a", "b"), unknown=0, lower=True)).tolist()
    [1, 2, 0]
    """
    numbers, unknown = _numbers(vocabulary), vocabulary.unknown
    ids = [numbers.get(token, unknown) for token in tokenize(text, vocabulary.level, lower=vocabulary.lower)]
    if None in ids:
        index, characters = ids.index(None), vocabulary.level is Level.CHARACTER
        token = tokenize(text, vocabulary.level, lower=vocabulary.lower)[index]
        if characters and vocabulary.lower:
            token = _origin(text, index)
        known = "".join(_numbers(vocabulary)) if characters else f"{len(numbers):,} words"
        raise DataError(f"The model does not know {token!r}; it knows {known[:200]!r}: leave it out.")
    return np.array(ids, np.int32)


def _origin(text: str, index: int) -> str:
    """The character of ``text`` that the one at ``index`` came from; in lower case some are two."""
    ends = accumulate(len(character.lower()) for character in text)
    return next(character for character, end in zip(text, ends, strict=True) if index < end)


def spell(ids: Sequence[int] | Array, vocabulary: Vocabulary) -> str:
    """The text of token numbers, without padding.

    >>> spell([2, 1, 0], Vocabulary(level=Level.CHARACTER, tokens=("_", "a", "b"), padding=0))
    'ba'
    """
    between = "" if vocabulary.level is Level.CHARACTER else " "
    return between.join(vocabulary.tokens[int(i)] for i in ids if int(i) != vocabulary.padding)


def encode(text: str, how: Text) -> Array:
    """``text`` as one item of a model's input: (length, tokens) float32 of zeros and ones, or (length,) int32.

    `DataError` for a text that is too short where there is no padding.
    """
    return encode_ids(fitted(token_ids(text, how.vocabulary), how), how)


def fitted(ids: Array, how: Text) -> Array:
    """Token numbers, cut or filled to ``how.length``."""
    if len(ids) >= how.length:
        return ids[: how.length] if how.keep is Side.START else ids[len(ids) - how.length :]
    padding = how.vocabulary.padding
    if padding is None:
        raise DataError(f"A text has {len(ids)} tokens; the model takes {how.length}: give a longer one.")
    fill = np.full(how.length - len(ids), padding, np.int32)
    return np.concatenate([ids, fill] if how.fill is Side.END else [fill, ids])


def encode_ids(ids: Array, how: Text) -> Array:
    """Token numbers (steps,) as a model takes them."""
    if how.encoding is Encoding.INDEX:
        return ids.astype(np.int32)
    return np.eye(len(how.vocabulary.tokens), dtype=np.float32)[ids]


def vocabulary_of(
    tokens: Sequence[str], *, level: Level, lower: bool = False, unknown: str | None = None, padding: str | None = None
) -> Vocabulary:
    """A vocabulary of ``tokens``, with those named ``padding`` and ``unknown`` put before them."""
    special = [name for name in (padding, unknown) if name is not None]
    numbers = {name: index for index, name in enumerate(special)}
    return Vocabulary(
        level=level,
        tokens=(*special, *tokens),
        padding=numbers.get(padding) if padding is not None else None,
        unknown=numbers.get(unknown) if unknown is not None else None,
        lower=lower,
    )


@lru_cache(maxsize=8)
def _numbers(vocabulary: Vocabulary) -> dict[str, int]:
    special = {vocabulary.unknown, vocabulary.padding}
    return {token: index for index, token in enumerate(vocabulary.tokens) if index not in special}
