"""Model inputs on disk, so that processes share them without holding them all in memory."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError

Array = npt.NDArray[Any]
_INDEX = "samples.json"


@dataclass(frozen=True, slots=True)
class Samples:
    """``count`` items in ``folder``: ``<position>.npy`` of each name is (count, ...), without batch axis."""

    folder: Path
    names: tuple[str, ...]
    count: int

    @classmethod
    def write(cls, folder: Path, feeds: Iterable[Mapping[str, Array]], count: int) -> Self:
        """``count`` items of ``feeds``, written one by one; all have the names, shapes and dtypes of the first."""
        folder.mkdir(parents=True)
        files: dict[str, npt.NDArray[Any]] = {}
        written = 0
        for index, feed in enumerate(feeds):
            for position, (name, values) in enumerate(feed.items()):
                if name not in files:
                    files[name] = np.lib.format.open_memmap(
                        folder / f"{position}.npy", mode="w+", dtype=values.dtype, shape=(count, *values.shape)
                    )
                files[name][index] = values
            written += 1
        if written != count:
            raise DataError(f"The data gave {written} items; expected {count}.")
        for file in files.values():
            file.flush()  # type: ignore[attr-defined]
        (folder / _INDEX).write_text(json.dumps({"names": list(files), "count": count}))
        return cls(folder, tuple(files), count)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """What `write` left in ``folder``."""
        index = json.loads((folder / _INDEX).read_text())
        return cls(folder, tuple(index["names"]), int(index["count"]))

    def arrays(self) -> dict[str, Array]:
        """All items by name, (count, ...), mapped from the files and read when used."""
        return {name: np.load(self.folder / f"{i}.npy", mmap_mode="r") for i, name in enumerate(self.names)}

    def items(self, start: int, end: int) -> dict[str, Array]:
        """The items from ``start`` up to ``end``, or to the last, with batch axis."""
        return {name: np.array(values[start:end]) for name, values in self.arrays().items()}

    def batches(self, size: int, limit: int | None = None) -> Iterator[dict[str, Array]]:
        """The first ``limit`` items in batches of ``size``, in order, with batch axis."""
        end = self.count if limit is None else min(limit, self.count)
        for start in range(0, end, size):
            yield self.items(start, min(start + size, end))
