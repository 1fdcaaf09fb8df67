"""What the file of a recommender says of the ratings that it takes and gives, and how a user's become its input."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import CardError, DataError, quoted

if TYPE_CHECKING:
    from typing import TypeGuard  # which Python 3.9 lacks, where bundles carry this file

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

MOST = 1e18
"""No rating is farther from 0: float32 holds the squares of such ratings, and of their differences."""
UNRATED = -1.0
"""What stands in an input for an item without a rating; ratings are 0 to 1 there."""
MOST_ITEMS = 1_000_000
MOST_CHARACTERS = 200
"""Of an id: an array of ids gives each of them as much room as the longest takes."""
RECONSTRUCTION = "reconstruction"
"""The output with what a recommender expects of every item, (batch, items) from 0 to 1."""
FIELDS = ("item", "rating", "hidden")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """How the ratings of a user become an input (items,) float32.

    ``items`` are the ids of what is rated, ``titles`` what people call it. A rating from ``lowest`` to ``highest``
    becomes a number from 0 to 1, and an item without one is `UNRATED`. ``means`` are the mean ratings of the items by
    those who were learned from, ``mean`` is that of all their ratings; both in the units of the ratings.
    """

    items: tuple[str, ...]
    titles: tuple[str, ...]
    lowest: float
    highest: float
    mean: float
    means: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.items) <= MOST_ITEMS:
            raise CardError(f"A recommender knows 1 to {MOST_ITEMS:,} items; got {len(self.items):,}.")
        if len(set(self.items)) != len(self.items):
            raise CardError("A recommender's card has an item twice; expected each once.")
        longest = max(self.items, key=len)
        if len(longest) > MOST_CHARACTERS:
            raise CardError(
                f"A recommender's card has the item {quoted(longest)} of {len(longest):,} characters; expected "
                f"{MOST_CHARACTERS} or fewer."
            )
        for what, given in (("titles", self.titles), ("means", self.means)):
            if len(given) != len(self.items):
                raise CardError(
                    f"A recommender's card has {len(self.items):,} items and {len(given):,} {what}; expected as many."
                )
        if not self.lowest < self.highest:
            raise CardError(
                f"Ratings go from {self.lowest:g} to {self.highest:g} in a recommender's card; expected two ends, the "
                "lower one first."
            )
        if not -MOST <= self.lowest <= self.highest <= MOST or np.float32(self.lowest) == np.float32(self.highest):
            raise CardError(
                f"Ratings go from {self.lowest!r} to {self.highest!r} in a recommender's card; expected ends from "
                f"{-MOST:g} to {MOST:g} that are different numbers in float32."
            )
        if not all(self.lowest <= mean <= self.highest for mean in (self.mean, *self.means)):
            raise CardError(
                f"A mean rating in a recommender's card is not between {self.lowest:g} and {self.highest:g}."
            )

    @property
    def span(self) -> float:
        """The distance of the best rating from the worst."""
        return self.highest - self.lowest

    def scaled(self, ratings: Any) -> Floats:
        """``ratings`` as numbers from 0 to 1; `DataError` for one that is off the scale."""
        with np.errstate(over="ignore"):  # judged next
            given = np.asarray(ratings, np.float32)
        outside = given[~self.on_scale(given)]
        if outside.size:
            raise DataError(
                f"A rating is {outside.flat[0]:g}; the model takes {self.lowest:g} to {self.highest:g}: give it on "
                "that scale."
            )
        scaled: Floats = ((given.astype(np.float64) - self.lowest) / self.span).astype(np.float32)
        return np.clip(scaled, 0, 1)

    def on_scale(self, ratings: Any) -> npt.NDArray[np.bool_]:
        """Which of ``ratings`` are on the scale, to the precision of float32."""
        with np.errstate(over="ignore"):  # what is infinite in float32 is on no scale
            given = np.asarray(ratings, np.float32)
        found: npt.NDArray[np.bool_] = (given >= np.float32(self.lowest)) & (given <= np.float32(self.highest))
        return found


def user_of(items: Array, ratings: Array, hidden: Array | None = None) -> Array:
    """The ratings of a user, (count,) with the fields `FIELDS`: those that are ``hidden`` no model is shown.

    >>> user_of(np.array(["a", "b"]), np.array([3.5, 2.0])).tolist()
    [('a', 3.5, False), ('b', 2.0, False)]
    """
    longest = max((len(item) for item in items.tolist()), default=1)
    user = np.zeros(len(items), [("item", f"<U{max(1, longest)}"), ("rating", "<f4"), ("hidden", "?")])
    user["item"], user["rating"] = items, ratings
    user["hidden"] = False if hidden is None else hidden
    return user


def is_user(item: Any) -> "TypeGuard[Array]":
    """Whether ``item`` is what `user_of` gives."""
    return isinstance(item, np.ndarray) and item.dtype.names == FIELDS


def encode_user(user: Array, how: Ratings) -> Floats:
    """The ratings of ``user`` that are not hidden as an input, (items,) float32; unknown items are passed over.

    >>> how = Ratings(items=("a", "b"), titles=("A", "B"), lowest=1, highest=5, mean=3, means=(3, 3))
    >>> encode_user(user_of(np.array(["b", "c"]), np.array([4.0, 1.0])), how).tolist()
    [-1.0, 0.75]
    """
    encoded = np.full(len(how.items), UNRATED, np.float32)
    places, ratings = known_ratings(user[~user["hidden"]], how)
    encoded[places] = ratings
    return encoded


def hidden_of(user: Array, how: Ratings) -> tuple[npt.NDArray[np.int64], Floats]:
    """Places in ``how`` and scaled ratings of the items whose ratings are hidden, those that it knows."""
    return known_ratings(user[user["hidden"]], how)


def known_ratings(user: Array, how: Ratings) -> tuple[npt.NDArray[np.int64], Floats]:
    """Places in ``how`` of the items of ``user`` that it knows, and their scaled ratings."""
    known = places_of(how.items)
    found = [(known[item], row) for row, item in enumerate(user["item"].tolist()) if item in known]
    places = np.array([place for place, _ in found], np.int64)
    return places, how.scaled(user["rating"][[row for _, row in found]])


@lru_cache(maxsize=8)
def places_of(names: tuple[str, ...]) -> dict[str, int]:
    """The place of each of ``names``."""
    return {name: place for place, name in enumerate(names)}
