"""A user's own ratings for a model that is there already: items by id or title, found even if written otherwise."""

import heapq
import re
from collections import Counter
from functools import cached_property
from pathlib import Path

import numpy as np

from edgekit.data.csv_table import Table, parse_table
from edgekit.data.packed import unpacked
from edgekit.data.ratings_table import ITEM, RATING, TITLE, USER, column_of
from edgekit.errors import LONGEST_NAME, MOST_COMPARED, DataError, listed, nearest, quoted
from edgekit.ratings import Array, Ratings, places_of, user_of

_YEAR = re.compile(r"\(\d{4}\)$")
_ARTICLE = re.compile(r"^(.*), (the|a|an)$")
_CLOSE = 3
"""Titles that are offered for one that is unknown."""


def own_ratings(path: Path, how: Ratings) -> list[tuple[str, Array]]:
    """(user, ratings) of the table ``path``, a row a rating, all of one user called "" where no column names any.

    An item is told by its id or title. `DataError` names the line of one that the model does not know, with the titles
    that come close, and of a rating that is off its scale.
    """
    table = parse_table(unpacked(path), str(path))
    column = column_of(table, (*ITEM, TITLE))
    if column is None or RATING not in table.columns:
        raise DataError(f"{path} has the columns {listed(table.columns)}; expected {RATING}, and {TITLE} or {ITEM[0]}.")
    ratings, known = table.numbers(RATING), _Known(how)
    named = column_of(table, USER)
    users = table.column(named) if named is not None else [""] * len(ratings)
    found: dict[str, dict[str, float]] = {}
    for (line, _), user, item, rating in zip(table.rows, users, table.column(column), ratings, strict=True):
        if not how.on_scale(rating):
            table.fail(line, f"rating {rating:g}; expected {how.lowest:g} to {how.highest:g}")
        key = how.items[_place(table, line, column, item, known)]
        own = found.setdefault(user, {})
        if key in own:
            table.fail(line, f"{column} {quoted(item)} once more; expected one rating of each")
        own[key] = rating
    return [(user, user_of(np.array(list(own)), np.array(list(own.values())))) for user, own in found.items()]


class _Known:
    """The items of the model whose card tells ``how``, by all that they may be called."""

    def __init__(self, how: Ratings) -> None:
        self.titles = how.titles
        self.ids, self.exact, self.counts = places_of(how.items), places_of(how.titles), Counter(how.titles)

    @cached_property
    def dated(self) -> dict[str, list[int]]:
        """The places of the titles by their `_words`."""
        return _by_words(self.titles, dated=True)

    @cached_property
    def undated(self) -> dict[str, list[int]]:
        """The places of the titles by their `_words` without years."""
        return _by_words(self.titles, dated=False)

    def close(self, item: str) -> list[str]:
        """The titles that hold all words of ``item``, else those that are written much alike."""
        written = _words(item, dated=False)
        words = set(written.split())
        found = (places for key, places in self.undated.items() if words and words <= set(key.split()))
        holding = sorted(place for places in found for place in places)
        if holding:
            return [self.titles[place] for place in holding[:_CLOSE]]
        keys = heapq.nsmallest(MOST_COMPARED, self.undated, key=lambda key: abs(len(key) - len(written)))
        alike = nearest(written, keys, _CLOSE)
        return [self.titles[self.undated[key][0]] for key in alike]


def _place(table: Table, line: int, column: str, item: str, known: _Known) -> int:
    """The place in what is ``known`` of what the cell ``item`` means: in a column of titles a title before an id."""
    if column != TITLE and item in known.ids:
        return known.ids[item]
    if known.counts[item] == 1:
        return known.exact[item]
    means = known.dated.get(_words(item), ()) or known.undated.get(_words(item), ())
    if len(means) == 1:
        return means[0]
    if not means and item in known.ids:
        return known.ids[item]
    close = [known.titles[place] for place in means[:_CLOSE]] or known.close(item)
    several = " or ".join(quoted(title, LONGEST_NAME) for title in dict.fromkeys(close))
    mend = f"did you mean {several}?" if close else "leave the line out."
    what = "which several items of the model are called" if means else "which the model does not know"
    raise DataError(f"{table.name}, line {line}, has the {column} {quoted(item)}, {what}; {mend}")


def _by_words(titles: tuple[str, ...], *, dated: bool) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, title in enumerate(titles):
        found.setdefault(_words(title, dated=dated), []).append(place)
    return found


def _words(title: str, *, dated: bool = True) -> str:
    """A title as it may be written otherwise, maybe without its year.

    >>> _words("Matrix, The (1999)"), _words("the matrix"), _words("Matrix, The (1999)", dated=False)
    ('the matrix (1999)', 'the matrix', 'the matrix')
    """
    year = _YEAR.search(title)
    name = _YEAR.sub("", title).casefold().strip()
    if turned := _ARTICLE.match(name):
        name = f"{turned[2]} {turned[1]}"
    name = " ".join(re.sub(r"[^\w\s]", " ", name).split())
    return f"{name} {year[0].strip()}" if year and dated else name
