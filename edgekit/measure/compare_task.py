"""What files lose of the metric of their task beside a reference, where errors of outputs tell little of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.artifact import open_artifact
from edgekit.card import ModelCard
from edgekit.data import Dataset
from edgekit.measure.evaluate_by_task import Report, evaluate_by_task
from edgekit.measure.kinds import KINDS
from edgekit.tasks import classification, verification


def tells_task(card: ModelCard, data: Dataset) -> bool:
    """Whether ``data`` has what the metric of the model with this ``card`` needs.

    Of classifiers only the Bayesian ones are asked: others are compared by their agreement, and by `evaluate`.
    """
    kind = KINDS.get(card.task or "")
    if kind is not None:
        return kind.how(card) is not None and kind.fits(data)
    told = card.task == verification.TASK or (card.task == classification.TASK and card.uncertainty is not None)
    return told and data.labels is not None


def compare_task(
    reference: Path, paths: Sequence[Path], data: Dataset, *, ood: Dataset | None = None, **options: Any
) -> Report | None:
    """The evaluation of ``reference`` and the files at ``paths`` on the same items, each beside the reference.

    None where `tells_task` says so of a file and there is no ``ood``; options are those of `evaluate_by_task`.
    """
    files = [reference, *paths]
    cards = [open_artifact(path).card for path in files]
    if ood is None and not all(tells_task(card, data) for card in cards):
        return None
    if any(card.task in KINDS for card in cards):
        options.pop("preprocess", None)  # of pictures, which a kind takes by the card alone
    return evaluate_by_task(files, data, ood=ood, **options)
