"""The passes of Bayesian classifiers over the same items, averaged; other classifiers pass once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from edgekit.card import TensorSpec
from edgekit.data.base import Item
from edgekit.errors import InputError
from edgekit.measure.metrics import require_finite
from edgekit.measure.subjects import Subject, run_subjects
from edgekit.runtimes import Array
from edgekit.tasks.classification import as_probabilities, class_scores, entropy_of
from edgekit.uncertainty import MOST_PASSES

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """The predictive ``entropy`` of an item in nats, and how much of it is between passes: their mutual information.

    A single pass has none of that.
    """

    entropy: float
    mutual_information: float | None

    def to_json(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        told = {"entropy": self.entropy}
        return told if self.mutual_information is None else told | {"mutual_information": self.mutual_information}

    @property
    def cells(self) -> list[str]:
        """The figures in a table, below `doubt_columns`."""
        return [f"{figure:.3f}" for figure in self.to_json().values()]


def doubt_columns(passes: int) -> list[str]:
    """Heads of `Doubt.cells` after so many ``passes``.

    >>> doubt_columns(1), doubt_columns(20)
    (['entropy'], ['entropy', 'of it between passes'])
    """
    return ["entropy", *(["of it between passes"] if passes > 1 else [])]


@dataclass(slots=True)
class Told:
    """What one file told of each item: ``scores``, (classes,) each, as the file gives them after a single pass.

    After several they are the mean of the probabilities, and ``pass_entropies`` are the means of the entropies of each
    pass, in nats.
    """

    scores: list[Array] = field(default_factory=list)
    pass_entropies: list[float] = field(default_factory=list)

    def stacked(self) -> tuple[Array, Floats | None]:
        """(count, classes) scores, and the entropies (count,) where there are any."""
        return np.stack(self.scores), np.array(self.pass_entropies, np.float64) if self.pass_entropies else None

    def doubts(self) -> tuple[Doubt, ...]:
        """How unsure the file is of each item."""
        scores, pass_entropies = self.stacked()
        entropies = entropy_of(as_probabilities(scores))
        between = [None] * len(scores) if pass_entropies is None else (entropies - pass_entropies).tolist()
        return tuple(
            Doubt(entropy=entropy, mutual_information=more)
            for entropy, more in zip(entropies.tolist(), between, strict=True)
        )


def item_inputs(subject: Subject) -> tuple[TensorSpec, ...]:
    """The inputs of the file that items are for: those that are not drawn."""
    stated = subject.artifact.card.uncertainty
    drawn = {noise.name for noise in stated.noises} if stated is not None else set()
    return tuple(spec for spec in subject.runtime.inputs if spec.name not in drawn)


def takes_noise(subject: Subject) -> bool:
    """Whether a run of the file is one pass of several."""
    stated = subject.artifact.card.uncertainty
    return stated is not None and bool(stated.noises)


def passes_of(subject: Subject, wanted: int | None = None) -> int:
    """How often an item goes through the file: ``wanted``, or as its card says; once without noise."""
    stated = subject.artifact.card.uncertainty
    if stated is None or not stated.noises:
        return 1
    return stated.passes if wanted is None else wanted


def passes_in_words(passes: Iterable[int]) -> str:
    """Words for the title of a table of files with noise, which see an item in so many ``passes``; nothing for none.

    >>> passes_in_words([20, 20]), passes_in_words([1]), passes_in_words([])
    (', with noise in 20 passes', ', with noise in one pass', '')
    """
    several = sorted(set(passes))
    if several in ([], [1]):
        return ", with noise in one pass" if several else ""
    return f", with noise in {' and '.join(map(str, several))} passes"


def require_passes(subjects: Sequence[Subject], wanted: int | None) -> None:
    """`InputError` for a number of passes that cannot be, or where no file takes noise."""
    if wanted is None:
        return
    if not 1 <= wanted <= MOST_PASSES:
        raise InputError(f"A Bayesian classifier is run 1 to {MOST_PASSES:,} times; got {wanted} passes.")
    if not any(map(takes_noise, subjects)):
        *others, last = (str(subject.given) for subject in subjects)
        without = f"{', '.join(others)} and {last} take none" if others else f"{last} takes none"
        raise InputError(
            f"--passes is for files that take noise; {without}: give the file .sample of a Bayesian network, or leave "
            "it out."
        )


def require_probabilities(subjects: Sequence[Subject], what: str) -> None:
    """`InputError` where ``what`` needs the entropy of all classes and a file has none."""
    for subject in subjects:
        if subject.artifact.card.independent_scores:
            raise InputError(
                f"{what} looks at the entropy of probabilities, and the scores of {subject.given} tell of each class "
                "for itself, as its card says; give classifiers with logits or probabilities."
            )


def in_passes(
    subjects: Sequence[Subject], items: Iterable[Item], told: Sequence[Told], *, passes: int | None = None
) -> Iterator[int]:
    """The number of items that each of ``told`` has taken in, chunk by chunk, from the subject at the same place.

    A file with noise sees each item in ``passes`` passes, or in as many as its card says. `DataError` for what is no
    classifier, and for outputs that are not finite.
    """
    runs = [
        [replace(subject, feeder=replace(subject.feeder, number=number), seconds=0.0) for number in range(count)]
        for subject, count in ((subject, passes_of(subject, passes)) for subject in subjects)
    ]
    for outputs in run_subjects([run for each in runs for run in each], items):
        remaining = iter(outputs)
        for subject, each, kept in zip(subjects, runs, told, strict=True):
            model = str(subject.given)
            answers = [[class_scores(answer, model=model) for answer in next(remaining)] for _ in each]
            scores: Array = np.array(answers)  # (passes, items, classes)
            require_finite(scores, f"The output of {model}")
            if len(each) > 1:
                probabilities = np.stack([as_probabilities(of_pass) for of_pass in scores])
                kept.pass_entropies.extend(np.mean([entropy_of(p) for p in probabilities], axis=0).tolist())
                kept.scores.extend(probabilities.mean(axis=0))
            else:
                kept.scores.extend(scores[0])
            subject.seconds += sum(run.seconds for run in each)
            for run in each:
                run.seconds = 0.0
        yield len(told[0].scores)
