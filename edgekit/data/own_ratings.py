"""A user's own ratings for a model that is there already: items by id or title, found even if written otherwise."""

import difflib
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from edgekit.data.csv_table import Table, parse_table
from edgekit.data.packed import unpacked
from edgekit.data.ratings_table import ITEM, RATING, TITLE, USER, column_of
from edgekit.errors import DataError, printable
from edgekit.ratings import Array, Ratings, places_of, user_of

_YEAR = re.compile(r"\s*\(\d{4}\)$")
_ARTICLE = re.compile(r"^(.*), (the|a|an)$")
_CLOSE, _CUTOFF = 3, 0.6


def own_ratings(path: Path, how: Ratings) -> list[tuple[str, Array]]:
    """(user, ratings) of the table ``path``, a row a rating, all of one user called "" where no column names any.

    An item is told by its id or title. `DataError` names the line of one that the model does not know, with the titles
    that come close, and of a rating that is off its scale.
    """
    table = parse_table(unpacked(path), str(path))
    column = column_of(table, (*ITEM, TITLE))
    if column is None or RATING not in table.columns:
        raise DataError(
            f"{path} has the columns {', '.join(table.columns)}; expected {RATING}, and {TITLE} or {ITEM[0]}."
        )
    ratings = table.numbers(RATING)
    named = column_of(table, USER)
    users = table.column(named) if named is not None else [""] * len(ratings)
    found: dict[str, dict[str, float]] = {}
    for (line, _), user, item, rating in zip(table.rows, users, table.column(column), ratings, strict=True):
        if not how.on_scale(rating):
            table.fail(line, f"rating {rating:g}; expected {how.lowest:g} to {how.highest:g}")
        key = how.items[_place(table, line, column, item, how)]
        own = found.setdefault(user, {})
        if key in own:
            table.fail(line, f"{column} {printable(item)!r} once more; expected one rating of each")
        own[key] = rating
    return [(user, user_of(np.array(list(own)), np.array(list(own.values())))) for user, own in found.items()]


def _place(table: Table, line: int, column: str, item: str, how: Ratings) -> int:
    """The place in ``how`` of what the cell ``item`` means: in a column of titles a title before an id."""
    known, exact = places_of(how.items), places_of(how.titles)
    if column != TITLE and item in known:
        return known[item]
    if item in exact and how.titles.count(item) == 1:
        return exact[item]
    means = _by_words(how.titles).get(_words(item), ()) or _by_words(how.titles, dated=False).get(_words(item), ())
    if len(means) == 1:
        return means[0]
    if not means and item in known:
        return known[item]
    close = [how.titles[place] for place in means[:_CLOSE]] or _close(item, how.titles)
    mend = f"did you mean {' or '.join(map(repr, close))}?" if close else "leave the line out."
    several = len(means) > 1
    what = "which several items of the model are called" if several else "which the model does not know"
    raise DataError(f"{table.name}, line {line}, has the {column} {printable(item)!r}, {what}; {mend}")


def _close(item: str, titles: tuple[str, ...]) -> list[str]:
    """The titles that hold all words of ``item``, else those that are written much alike."""
    words = set(_words(item, dated=False).split())
    keys = [_words(title, dated=False) for title in titles]
    holding = [title for title, key in zip(titles, keys, strict=True) if words and words <= set(key.split())]
    if holding:
        return holding[:_CLOSE]
    alike = difflib.get_close_matches(_words(item, dated=False), keys, n=_CLOSE, cutoff=_CUTOFF)
    return list(dict.fromkeys(titles[keys.index(key)] for key in alike))


@lru_cache(maxsize=4)
def _by_words(titles: tuple[str, ...], *, dated: bool = True) -> dict[str, tuple[int, ...]]:
    """The places of the titles by their `_words`."""
    found: dict[str, tuple[int, ...]] = {}
    for place, title in enumerate(titles):
        key = _words(title, dated=dated)
        found[key] = (*found.get(key, ()), place)
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
