"""What users give to models of texts and series, and what these say of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.base import Item
from edgekit.data.packed import kind_of
from edgekit.data.series_table import read_series
from edgekit.data.tables import read_csv
from edgekit.data.text_files import read_text
from edgekit.errors import DataError, InputError, printable
from edgekit.measure.subjects import Subject
from edgekit.ratings import RECONSTRUCTION, is_user
from edgekit.sequences import Sequences, Series
from edgekit.tasks import answers, text_generation
from edgekit.tasks.classification import as_probabilities
from edgekit.tasks.recommendation import best_unseen
from edgekit.tasks.series import scale_of
from edgekit.tasks.texts import spell, token_ids, tokenize

Array = npt.NDArray[Any]

_SHOWN = 40
"""Characters of a text by which it is called."""


def is_sequence(path: Path) -> bool:
    """Whether ``path`` is called like a text or a table."""
    return kind_of(path) in (".txt", ".csv")


def sequence_sources(given: Path, subject: Subject) -> Iterator[tuple[str, Item]]:
    """(name, item) for what ``given`` holds for the model ``subject``, whose card tells of texts or a series.

    Of a series the last rows; of a text for a generator its end; for other models of texts the lines of a ``.txt``, or
    the column ``text`` or ``input`` of a ``.csv``.
    """
    how, kind = require_sequences(subject), kind_of(given)
    if not given.is_file():
        raise DataError(f"There is no file {given}.")
    if how.series is not None:
        if kind != ".csv":
            raise DataError(f"{given} is no series; {subject.given} takes a .csv with {', '.join(how.series.columns)}.")
        yield str(given), last_window(given, how.series)
    elif kind == ".csv":
        items = read_csv(given).items
        for number in range(len(items)):
            item = items[number]
            if not isinstance(item, str):
                raise DataError(f"{given} holds no texts; expected a column called text or input.")
            yield called(item), text_item(item, subject)
    else:
        text = str(read_text(given, None).whole)
        for each in [text] if subject.artifact.card.task == text_generation.TASK else text.splitlines():
            if each.strip():
                yield called(each), text_item(each, subject)


def last_window(path: Path, how: Series) -> Array:
    """The last rows of the series in ``path`` that a model takes at once."""
    series = read_series(path, None, how.columns).whole
    assert isinstance(series, np.ndarray)  # noqa: S101 - by `read_series`
    if len(series) < how.length:
        raise DataError(f"{path} has {len(series):,} rows; the model takes {how.length:,}: give a longer series.")
    return series[len(series) - how.length :]


def text_item(text: str, subject: Subject) -> str:
    """``text`` as an item for ``subject``: of a generator, which goes on with it, the end."""
    how = require_sequences(subject)
    if how.text is None:
        raise InputError(f"{subject.given} takes a series; give a .csv in place of texts.")
    if not tokenize(text, how.text.vocabulary.level):
        raise InputError(f"The text {text!r} is empty; expected at least one {how.text.vocabulary.level}.")
    if subject.artifact.card.task == answers.TASK:
        count = len(token_ids(text, how.text.vocabulary))
        if count > how.text.length:
            raise InputError(
                f"The text {called(text)!r} has {count} tokens; the model takes {how.text.length} at most."
            )
    if subject.artifact.card.task != text_generation.TASK:
        return text
    return text[max(0, len(text) - how.text.length) :]


def require_sequences(subject: Subject) -> Sequences:
    """What the card of ``subject`` says of texts and series; `InputError` where it says nothing."""
    how = subject.artifact.card.sequences
    if how is None:
        raise InputError(
            f"The card of {subject.given} says nothing of texts or series; expected a model that edgekit trained on "
            "them."
        )
    return how


def said_of(subject: Subject, item: Item, outputs: Mapping[str, Array]) -> dict[str, str | float]:
    """What one item's ``outputs`` say by the task of ``subject``: the answer, the forecast, or what it recommends."""
    card = subject.artifact.card
    if card.ratings is not None and is_user(item) and RECONSTRUCTION in outputs:
        best = best_unseen(outputs[RECONSTRUCTION], item, card.ratings, 1)
        return {"recommended": best[0].title, "rating": best[0].rating} if best else {}
    how, values = card.sequences, next(iter(outputs.values()))
    if how is None or len(outputs) != 1:
        return {}
    if how.series is not None and isinstance(item, np.ndarray) and values.size == 1:
        scale, scaled = scale_of(item, how.series), float(values.reshape(-1)[0])
        last = float(item[how.series.length - 1, 0])
        return {"forecast": scaled * scale, "last": last, "scaled": scaled}
    if card.task == answers.TASK and how.answer is not None:
        answers.require_answer(values, how.answer)
        return {"answer": spell(values.argmax(axis=1), how.answer.vocabulary)}
    return {}


def next_tokens(subject: Subject, outputs: Mapping[str, Array]) -> tuple[tuple[str, ...], Array] | None:
    """The tokens of a generator of text, and the probability of each to be the next; None for another model."""
    card = subject.artifact.card
    if card.task != text_generation.TASK or card.sequences is None or card.sequences.text is None:
        return None
    tokens, values = card.sequences.text.vocabulary.tokens, next(iter(outputs.values()))
    if len(outputs) != 1 or values.shape[-1:] != (len(tokens),):
        return None
    return tokens, as_probabilities(values.reshape(-1, len(tokens))[-1:])[0]


def unknown_words(text: str, subject: Subject) -> int:
    """How many tokens of ``text`` the model does not know, where it has one that stands for them."""
    how = require_sequences(subject).text
    if how is None or how.vocabulary.unknown is None:
        return 0
    return int((token_ids(text, how.vocabulary) == how.vocabulary.unknown).sum())


def called(text: str) -> str:
    """A text in one line, cut.

    >>> called("It was" + chr(10) + "a " + 30 * "very " + "long night")
    'It was a very very very very very very …'
    """
    line = printable(" ".join(text.split()))
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1].rstrip() + " …"
