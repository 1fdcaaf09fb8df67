"""A recommender at work: the items that somebody will like by the ratings of others, and what it makes of the given."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgekit.artifact import open_artifact
from edgekit.data.own_ratings import own_ratings
from edgekit.errors import DataError, InputError, cut, nearest, printable
from edgekit.measure.metrics import require_finite
from edgekit.measure.subjects import Subject, open_subjects, run_one
from edgekit.ratings import RECONSTRUCTION
from edgekit.tasks import recommendation
from edgekit.tasks.recommendation import Recommended, best_unseen

_CLOSE = 3
"""Names of users that are offered for one that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The ``best`` items for ``user``, who has rated ``rated`` others.

    ``error`` is how far the model is off at the ratings given, the root of the mean square in their units; none where
    the file does not tell.
    """

    subject: Subject
    user: str
    rated: int
    best: tuple[Recommended, ...]
    error: float | None

    def results(self) -> list[dict[str, Any]]:
        """One JSON object."""
        told = {"user": self.user, "rated": self.rated, "error": self.error}
        return [{**self.subject.describe(), **told, "recommended": [asdict(item) for item in self.best]}]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people."""
        whose = f" for {printable(self.user)}" if self.user else ""
        rows = [[printable(item.title), f"{item.rating:.2f}"] for item in self.best]
        return (
            f"Recommended{whose} by {self.rated:,} rating{'s' if self.rated > 1 else ''}",
            ["title", "expected rating"],
            rows,
        )

    def words(self) -> str:
        """How well the model knows the user, and that nothing is left to recommend, in a line."""
        if not self.best:
            return f"All {self.rated:,} items that {self.subject.given} knows are rated; none is left to recommend."
        if self.error is None:
            return f"{self.subject.given} does not tell how far it is off at the ratings given."
        return f"At the ratings given it is off by {self.error:.2f} (root mean square)."


def recommend(
    path: Path, ratings: Path, *, user: str | None = None, top: int = 10, threads: int = 1, engine: str | None = None
) -> Recommendation:
    """The ``top`` items that the model at ``path`` expects the user of the table ``ratings`` to like.

    `InputError` for a file that is no recommender, and where the table has several users of whom none is chosen.
    """
    card = open_artifact(path).card
    if card.task not in (None, recommendation.TASK):
        raise InputError(f"{path} is for {card.task}; expected a model for {recommendation.TASK}.")
    if card.ratings is None:
        raise InputError(
            f"The card of {path} does not say which items are rated; expected a model that edgekit trained on ratings."
        )
    users = dict(own_ratings(ratings, card.ratings))
    if user is not None and user not in users:
        raise InputError(f"{ratings} has no user {user!r}; {_others(user, users)}")
    if user is None and len(users) > 1:
        raise InputError(f"{ratings} has ratings by {len(users):,} users; choose one with --user.")
    name = next(iter(users)) if user is None else user
    engines = () if engine is None else (engine,)
    (subject,) = open_subjects([path], preprocess=None, labels=None, threads=threads, engines=engines)
    outputs = run_one(subject, users[name])
    if RECONSTRUCTION not in outputs:
        raise DataError(f"A recommender has an output {RECONSTRUCTION!r}; {path} has: {', '.join(outputs)}.")
    require_finite(outputs[RECONSTRUCTION], f"Output {RECONSTRUCTION!r} of {path}")
    score = outputs.get("score")
    return Recommendation(
        subject=subject,
        user=name,
        rated=len(users[name]),
        best=best_unseen(outputs[RECONSTRUCTION], users[name], card.ratings, top),
        error=None if score is None else card.ratings.span * max(0.0, float(score.reshape(-1)[0])) ** 0.5,
    )


def _others(user: str, users: Iterable[str]) -> str:
    """The end of an error about a ``user`` who is none of the ``users`` of a table."""
    names = list(users)
    if names == [""]:
        return "it has no column of users: leave --user out."
    close = nearest(user, names, _CLOSE) or names[:_CLOSE]
    return f"choose one of {len(names):,}, such as {', '.join(map(cut, close))}."
