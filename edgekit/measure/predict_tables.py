"""What users give to models of tables, and what a detector of anomalies says of an item."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from edgekit.anomaly import SCORE
from edgekit.card import ModelCard
from edgekit.data.base import Item
from edgekit.data.packed import kind_of
from edgekit.data.tables import read_rows
from edgekit.errors import DataError
from edgekit.measure.anomaly_kind import score_of
from edgekit.measure.kind import Array
from edgekit.tasks.anomalies import ANOMALY, NORMAL


def is_table(path: Path, card: ModelCard) -> bool:
    """Whether ``path`` is called like a table, and the model of ``card`` takes rows of one."""
    return card.tabular is not None and kind_of(path) == ".csv"


def table_sources(given: Path, card: ModelCard) -> Iterator[tuple[str, Item]]:
    """(name, row) for every row of the table ``given``, with the columns that the model of ``card`` takes."""
    if not given.is_file():
        raise DataError(f"There is no file {given}.")
    assert card.tabular is not None  # noqa: S101 - whoever asks has looked
    for number, row in enumerate(read_rows(given, card.tabular.names), 1):
        yield f"{given}, row {number}", row


def verdict(score: float, card: ModelCard) -> str:
    """What ``score`` makes of an item by the threshold of ``card``."""
    assert card.anomaly is not None  # noqa: S101 - whoever asks has looked
    return ANOMALY if score > card.anomaly.threshold else NORMAL


def verdict_of(card: ModelCard, outputs: Mapping[str, Array]) -> dict[str, str | float]:
    """The score and the verdict by one item's ``outputs``; nothing of a model that tells no anomalies."""
    if card.anomaly is None or SCORE not in outputs:
        return {}
    score = score_of(outputs)
    return {"score": score, "verdict": verdict(score, card)}
