"""What comparing pictures is tested by: pairs that are the same or not, and choices of one picture among several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

WAYS = (4, 9, 16, 25, 36, 40)
"""How many people there are in a trial of one-shot recognition, as in the book."""
TRIALS = 1000
MOST_PAIRS = 50_000
"""Where the pictures have more pairs than this, half as many of each kind are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Places of pictures (count,) that are compared, whether both show the ``same``, and whom each of them shows.

    ``whole`` tells whether these are all pairs that there are.
    """

    first: Indices
    second: Indices
    people: Indices
    whole: bool

    @property
    def same(self) -> Flags:
        """Whether both pictures of each pair show the same, (count,) bool."""
        return np.asarray(self.people[self.first] == self.people[self.second])

    def __len__(self) -> int:
        return len(self.first)

    def among(self, places: Sequence[int]) -> tuple["Pairs", Flags]:
        """The pairs of the pictures at ``places`` alone, which are counted anew, and which of these they are.

        >>> pairs = Pairs(first=np.array([0, 0]), second=np.array([1, 2]), people=np.array([7, 7, 8]), whole=False)
        >>> few, kept = pairs.among([0, 2])
        >>> few.second.tolist(), kept.tolist()
        ([1], [False, True])
        """
        anew = np.full(len(self.people), -1, np.int64)
        anew[list(places)] = np.arange(len(places))
        first, second = anew[self.first], anew[self.second]
        kept = np.asarray((first >= 0) & (second >= 0))
        fewer = Pairs(first=first[kept], second=second[kept], people=self.people[list(places)], whole=self.whole)
        return fewer, kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """One-shot trials (Lake et al. 2011): ``asked`` (count,), and ``offered`` (count, ways), where the first is right.

    Each offered picture shows somebody else; the first shows whom the asked one shows, and is another picture.
    """

    asked: Indices
    offered: Indices


def draw_pairs(people: Indices, seed: int) -> Pairs:
    """All pairs of different pictures, or `MOST_PAIRS` drawn with ``seed``; ``people`` (count,) tells whom each shows.

    `DataError` without both kinds.
    """
    require_pairs(people)
    count = len(people)
    if count * (count - 1) // 2 <= MOST_PAIRS:
        first, second = np.triu_indices(count, 1)
        return Pairs(first=first.astype(np.int64), second=second.astype(np.int64), people=people, whole=True)
    random = np.random.default_rng(seed)
    chosen = [*_same_pairs(people, random), *_different_pairs(people, random)]
    first, second = np.array(chosen, np.int64).T
    return Pairs(first=first, second=second, people=people, whole=False)


def require_pairs(people: Indices, what: str = "") -> None:
    """`DataError` unless pictures of ``people`` (count,) make pairs of both kinds; ``what`` tells which they are."""
    counts = np.unique(people, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        lacking = "of the same person" if counts.max(initial=0) < 2 else "of different people"
        called = " ".join(filter(None, (f"The {len(people)} pictures", what)))
        raise DataError(f"{called} have no two {lacking}; expected two or more people, and one with two or more.")


def _same_pairs(people: Indices, random: np.random.Generator) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for person in random.permutation(np.unique(people)):
        members = random.permutation(np.flatnonzero(people == person))[:20].tolist()
        found += [(a, b) for place, a in enumerate(members) for b in members[place + 1 :]]
    order = random.permutation(len(found))[: MOST_PAIRS // 2]
    return [found[place] for place in order]


def _different_pairs(people: Indices, random: np.random.Generator) -> list[tuple[int, int]]:
    found: dict[tuple[int, int], None] = {}
    for _ in range(100):
        drawn = random.integers(0, len(people), (MOST_PAIRS, 2))
        told = drawn[people[drawn[:, 0]] != people[drawn[:, 1]]]
        found |= dict.fromkeys((min(a, b), max(a, b)) for a, b in told.tolist())
        if len(found) >= MOST_PAIRS // 2:
            break
    return list(found)[: MOST_PAIRS // 2]


def draw_trials(people: Indices, ways: int, seed: int, count: int = TRIALS) -> Trials:
    """``count`` trials with ``ways`` people each, as ``seed`` draws them from pictures of ``people`` (count,)."""
    random = np.random.default_rng([seed, ways])
    members = {int(person): np.flatnonzero(people == person) for person in np.unique(people)}
    several = [person for person, own in members.items() if len(own) > 1]
    if len(members) < ways or not several:
        raise DataError(f"There are {len(members)} people; expected {ways} or more, and one with two pictures or more.")
    asked, offered = np.empty(count, np.int64), np.empty((count, ways), np.int64)
    names = np.array(list(members))
    for trial in range(count):
        person = several[random.integers(len(several))]
        others = random.permutation(names[names != person])[: ways - 1]
        asked[trial], offered[trial, 0] = random.permutation(members[person])[:2]
        offered[trial, 1:] = [random.choice(members[int(other)]) for other in others]
    return Trials(asked=asked, offered=offered)


def pixels_likeness(pictures: Array, trials: Trials) -> Floats:
    """How near the offered ``pictures`` (all, values) are to those asked about, (count, ways): less is farther."""
    rows = [
        -np.square(pictures[offered].astype(np.float64) - pictures[asked]).sum(axis=1)
        for asked, offered in zip(trials.asked, trials.offered, strict=True)
    ]
    return np.stack(rows)
