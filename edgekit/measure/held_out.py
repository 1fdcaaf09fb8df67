"""Items that no file has seen: a file must not be judged on what it was calibrated or trained with."""

from collections.abc import Iterator, Sequence

from edgekit.artifact import Artifact
from edgekit.data import Dataset, Item, draw, item_digest
from edgekit.data.table_rows import rows_for
from edgekit.data.windows import cut_for
from edgekit.errors import DataError, InputError
from edgekit.sequences import Sequences


class HeldOut:
    """Up to ``samples`` items of ``data``, drawn with ``seed``, or all, without those that a card says were used.

    Of a long text or a series the items are the windows that the files of ``artifacts`` take, those of ``self.data``,
    and of a table the rows of the columns that they take.
    While it is iterated, ``indices`` and ``left_out`` tell which items were given and how many were not; ``wanted`` is
    the largest number there can be. `DataError` at the end when no item was left.
    """

    def __init__(self, data: Dataset, artifacts: Sequence[Artifact], *, samples: int | None, seed: int) -> None:
        self.data = data = cut_for_all(data, artifacts)
        self._used = used_items(artifacts)
        self._order = range(len(data)) if samples is None else draw(len(data), len(data), seed)
        self.wanted = len(data) if samples is None else min(samples, len(data))
        self.indices: list[int] = []
        self.left_out = 0

    def __iter__(self) -> Iterator[Item]:
        for index in self._order:
            if len(self.indices) == self.wanted:
                return
            item = self.data.items[index]
            if self._used and item_digest(item) in self._used:
                self.left_out += 1
                continue
            self.indices.append(index)
            yield item
        if not self.indices and not self.left_out:
            raise DataError(
                f"{self.data.name} has no item for these files; expected what they take: a table with dates is a "
                "series, so leave its dates out for models of rows."
            )
        if not self.indices:
            raise DataError(
                f"All {self.left_out} items of {self.data.name} were used to calibrate or train these files: "
                "use other data, or calibrate on fewer items."
            )


def cut_for_all(data: Dataset, artifacts: Sequence[Artifact]) -> Dataset:
    """``data`` as items that all ``artifacts`` take; `InputError` where they take other windows, or other columns."""
    if data.whole is None:
        return _rows_for_all(data, artifacts)
    cuts: dict[object, Artifact] = {}
    for artifact in artifacts:
        if (how := artifact.card.sequences) is not None:
            cuts.setdefault(_window(how), artifact)
    if len(cuts) > 1:
        first, second = list(cuts.values())[:2]
        raise InputError(
            f"{first.path} takes windows of {_told(first)} and {second.path} of {_told(second)}; expected one kind: "
            "run them apart."
        )
    return cut_for(data, next(iter(cuts.values())).card.sequences if cuts else None)


def _rows_for_all(data: Dataset, artifacts: Sequence[Artifact]) -> Dataset:
    tables = {artifact.card.tabular.names: artifact for artifact in artifacts if artifact.card.tabular is not None}
    if not tables:
        return data
    first, *others = tables.values()
    if others:
        raise InputError(
            f"{first.path} and {others[0].path} take other columns, or in another order; expected one table: run them "
            "apart."
        )
    return rows_for(data, first.card.tabular)


def _window(how: Sequences) -> tuple[int, tuple[str, ...]]:
    if how.series is not None:
        return how.series.length, how.series.columns
    return 0 if how.text is None else how.text.length, ()


def _told(artifact: Artifact) -> str:
    how = artifact.card.sequences
    assert how is not None  # noqa: S101 - it is one of those that were cut for
    length, columns = _window(how)
    return f"{length} steps" + (f" of {', '.join(columns)}" if columns else "")


def used_items(artifacts: Sequence[Artifact]) -> frozenset[str]:
    """Digests of all items that calibrated or trained one of ``artifacts``."""
    uses = [u for a in artifacts for u in (a.card.provenance.calibration, a.card.provenance.training) if u is not None]
    return frozenset(digest for use in uses for digest in use.items)
