"""Tables of ratings: a user, an item and a rating in each row."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.base import Dataset, Item, Part
from edgekit.data.csv_table import Table, parse_table
from edgekit.data.packed import unpacked
from edgekit.errors import DataError, listed, quoted
from edgekit.ratings import MOST, MOST_CHARACTERS, user_of

Array = npt.NDArray[Any]

USER, ITEM, RATING, TITLE = ("user", "userId", "user_id"), ("item", "movieId", "itemId", "item_id"), "rating", "title"
"""Names of columns, MovieLens' among them."""
TITLE_FILES = ("titles.csv", "movies.csv")
"""Where titles are looked for beside a table without a column of them, as they are or in gzip."""
TEST_FRACTION = 0.2
"""The share of the users who are held out, and of the ratings of each of them that are hidden."""
LEAST_USERS = 5
_SEED = 0


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is rated: ``titles`` by the ids of the items, and the range of all ratings."""

    titles: dict[str, str]
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Users:
    """The ratings of users: ``ids`` of all items, and for each user places in these, ratings, and which are hidden."""

    ids: Array
    users: tuple[tuple[Array, Array, Array], ...]

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, index: int, /) -> Item:
        places, ratings, hidden = self.users[index]
        return user_of(self.ids[places], ratings, hidden)


def is_ratings(table: Table) -> bool:
    """Whether ``table`` has columns of users, items and ratings."""
    return RATING in table.columns and all(column_of(table, names) for names in (USER, ITEM))


def lacking_for_ratings(table: Table) -> tuple[str, ...]:
    """The one column that ``table`` lacks to be a table of ratings; none where more than one of three is not there."""
    missing = tuple(names[0] for names in (USER, ITEM, (RATING,)) if column_of(table, names) is None)
    return missing if len(missing) == 1 else ()


def ratings_of(table: Table, part: Part | None, *, name: str, folder: Path) -> Dataset:
    """The users of ``table`` with their ratings, and of a ``part`` its own.

    About a fifth of the users, by digests of their names, is for evaluation, and a fifth of the ratings of each of
    these is hidden, at least one; users with a single rating are left out there. Titles are a column ``title``, or in
    a file beside the table in ``folder``, see `TITLE_FILES`; else items are called by their ids.
    """
    columns = [str(column_of(table, names)) for names in (USER, ITEM)]
    users, items = (_filled(table, column) for column in columns)
    ratings = np.array(table.numbers(RATING), np.float64)
    for (line, _), rating in zip(table.rows, ratings.tolist(), strict=True):
        if not np.isfinite(rating):
            table.fail(line, f"rating {rating}; expected a finite number: leave the line out")
        if abs(rating) > MOST:
            table.fail(line, f"rating {rating:g}; expected one from {-MOST:g} to {MOST:g}")
    lowest, highest = float(ratings.min()), float(ratings.max())
    if np.float32(lowest) == np.float32(highest):
        raise DataError(f"All ratings of {table.name} are {lowest:g}; expected different ones.")
    ids, places = _coded(items)
    names, numbers = _coded(users)
    _require_once(table, places, numbers, columns)
    if part is not None and len(names) < LEAST_USERS:
        raise DataError(
            f"{table.name} has ratings by {len(names)} user{'' if len(names) == 1 else 's'}; expected {LEAST_USERS} or "
            "more, of which a fifth is held out."
        )
    order = np.argsort(numbers, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(numbers))[:-1])
    found = []
    for number in _users_of(part, names):
        own = rows[number][np.argsort(places[rows[number]])]
        hidden = np.zeros(len(own), np.bool_)
        if part is Part.EVALUATION:
            if len(own) < 2:
                continue
            hidden[hidden_rows(len(own), names[number], _SEED)] = True
        found.append((places[own], ratings[own].astype(np.float32), hidden))
    if not found:
        raise DataError(
            f"No user of {table.name} who is held out has two ratings; expected one to show and one to hide: give more "
            "ratings."
        )
    titles = _titles(table, columns[1], folder)
    known = {item: titles.get(item) or item for item in ids}
    catalogue = Catalogue(titles=known, lowest=lowest, highest=highest)
    return Dataset(name=name, items=Users(np.array(ids, np.object_), tuple(found)), catalogue=catalogue)


def movielens(path: Path, part: Part, name: str) -> Dataset:
    """MovieLens' ratings in the file ``path``, with the titles beside it."""
    return ratings_of(parse_table(unpacked(path), str(path)), part, name=name, folder=path.parent)


def hidden_rows(count: int, user: str, seed: int) -> Array:
    """Which of the ``count`` ratings of ``user`` are hidden: a function of the user and ``seed`` alone."""
    order = np.random.default_rng([seed, *user.encode()]).permutation(count)
    return np.sort(order[: max(1, round(TEST_FRACTION * count))])


def _users_of(part: Part | None, users: Sequence[str]) -> Sequence[int]:
    """The places of the ``users`` of a part. By names alone, so that those who come later move nobody to another."""
    if part is None:
        return range(len(users))
    ranks = [int.from_bytes(hashlib.sha256(user.encode()).digest()[:8]) / 2**64 for user in users]
    held = {place for place, rank in enumerate(ranks) if rank < TEST_FRACTION}
    if not held or len(held) == len(users):  # of few users
        held = {int(np.argmin(ranks))}
    return [place for place in range(len(users)) if (place in held) == (part is Part.EVALUATION)]


def column_of(table: Table, names: Sequence[str]) -> str | None:
    """The first of ``names`` that is a column of ``table``."""
    return next((name for name in names if name in table.columns), None)


def _filled(table: Table, column: str) -> list[str]:
    cells = table.column(column)
    for (line, _), cell in zip(table.rows, cells, strict=True):
        if not cell:
            table.fail(line, f"{column} {cell!r}; expected a name or a number")
        if len(cell) > MOST_CHARACTERS:
            table.fail(
                line, f"{column} {quoted(cell)} of {len(cell):,} characters; expected {MOST_CHARACTERS} or fewer"
            )
    return cells


def _coded(cells: Sequence[str]) -> tuple[list[str], Array]:
    """The different ``cells``, sorted, and the place of each cell among them.

    Not by `numpy.unique`, which would give every cell the room of the longest.
    """
    known = sorted(set(cells))
    places = {cell: place for place, cell in enumerate(known)}
    return known, np.fromiter((places[cell] for cell in cells), np.int64, len(cells))


def _require_once(table: Table, places: Array, numbers: Array, columns: Sequence[str]) -> None:
    pairs = np.stack([numbers, places])
    order = np.lexsort(pairs[::-1])
    again = order[1:][np.all(pairs[:, order[1:]] == pairs[:, order[:-1]], axis=0)]
    if len(again):
        line, row = table.rows[int(again.min())]
        user, item = (row[table.columns.index(column)] for column in columns)
        table.fail(
            line, f"{columns[1]} {quoted(item)} of {columns[0]} {quoted(user)} once more; expected one rating of each"
        )


def _titles(table: Table, column: str, folder: Path) -> dict[str, str]:
    if TITLE in table.columns:
        return dict(zip(table.column(column), table.column(TITLE), strict=True))
    for path in (folder / f"{name}{packed}" for name in TITLE_FILES for packed in ("", ".gz")):
        if path.is_file():
            titles = parse_table(unpacked(path), str(path))
            item = column_of(titles, ITEM)
            if item is None or TITLE not in titles.columns:
                raise DataError(
                    f"{path} has the columns {listed(titles.columns)}; expected {ITEM[0]} or {ITEM[1]}, and {TITLE}."
                )
            return dict(zip(titles.column(item), titles.column(TITLE), strict=True))
    return {}
