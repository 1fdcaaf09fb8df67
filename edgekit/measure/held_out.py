"""Items that no file has seen: a file must not be judged on what it was calibrated or trained with."""

from collections.abc import Iterator, Sequence

from edgekit.artifact import Artifact
from edgekit.data import Dataset, Item, draw, item_digest
from edgekit.errors import DataError


class HeldOut:
    """Up to ``samples`` items of ``data``, drawn with ``seed``, or all, without those that a card says were used.

    While it is iterated, ``indices`` and ``left_out`` tell which items were given and how many were not; ``wanted`` is
    the largest number there can be. `DataError` at the end when no item was left.
    """

    def __init__(self, data: Dataset, artifacts: Sequence[Artifact], *, samples: int | None, seed: int) -> None:
        self._data = data
        self._used = used_items(artifacts)
        self._order = range(len(data)) if samples is None else draw(len(data), len(data), seed)
        self.wanted = len(data) if samples is None else min(samples, len(data))
        self.indices: list[int] = []
        self.left_out = 0

    def __iter__(self) -> Iterator[Item]:
        for index in self._order:
            if len(self.indices) == self.wanted:
                return
            item = self._data.items[index]
            if self._used and item_digest(item) in self._used:
                self.left_out += 1
                continue
            self.indices.append(index)
            yield item
        if not self.indices:
            raise DataError(
                f"All {self.left_out} items of {self._data.name} were used to calibrate or train these files: "
                "use other data, or calibrate on fewer items."
            )


def used_items(artifacts: Sequence[Artifact]) -> frozenset[str]:
    """Digests of all items that calibrated or trained one of ``artifacts``."""
    uses = [u for a in artifacts for u in (a.card.provenance.calibration, a.card.provenance.training) if u is not None]
    return frozenset(digest for use in uses for digest in use.items)
