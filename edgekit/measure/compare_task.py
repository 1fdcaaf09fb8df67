"""What files lose of the metric of their task beside a reference, where errors of outputs tell little of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit.artifact import open_artifact
from edgekit.card import ModelCard
from edgekit.data import Dataset
from edgekit.measure.evaluate_by_task import Report, evaluate_by_task
from edgekit.measure.kinds import KINDS
from edgekit.tasks import classification, verification

_TOLD = ("passes", "ood", "ood_n", "ood_left_out")
"""What an evaluation says of the figures of classifiers beside these."""


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
    reference: Path,
    paths: Sequence[Path],
    data: Dataset,
    *,
    ood: Dataset | None = None,
    passes: int | None = None,
    **options: Any,
) -> Report | None:
    """The evaluation of ``reference`` and the files at ``paths`` on the same items, each beside the reference.

    None where `tells_task` says so of a file, and neither ``ood`` nor ``passes`` ask for it; these and the options are
    those of `evaluate_by_task`.
    """
    files = [reference, *paths]
    cards = [open_artifact(path).card for path in files]
    if ood is None and passes is None and not all(tells_task(card, data) for card in cards):
        return None
    if any(card.task in KINDS for card in cards):
        options.pop("preprocess", None)  # of pictures, which a kind takes by the card alone
    return evaluate_by_task(files, data, ood=ood, passes=passes, **options)


def told_with(rows: Sequence[Mapping[str, Any]], lost: Report) -> list[dict[str, Any]]:
    """The JSON ``rows`` of compared files, with what they lost beside the reference, the first file of ``lost``."""
    return [
        {**row, **{name: told[name] for name in _TOLD if name in told}, "metrics": told["metrics"] | row["metrics"]}
        for row, told in zip(rows, lost.results()[1:], strict=True)
    ]
