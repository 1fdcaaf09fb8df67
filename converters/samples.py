"""Model inputs on disk, so that processes share them without holding them all in memory."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

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
        files: dict[str, tuple[IO[bytes], np.dtype[Any], tuple[int, ...]]] = {}
        written = 0
        with contextlib.ExitStack() as stack:  # not mapped to memory, where a full disk ends the process
            for feed in feeds:
                for position, (name, values) in enumerate(feed.items()):
                    if name not in files:
                        new = stack.enter_context((folder / f"{position}.npy").open("wb"))
                        files[name] = (new, values.dtype, values.shape)
                        _write_header(new, values, count)
                    stream, dtype, shape = files[name]
                    stream.write(np.asarray(values, dtype).reshape(shape).tobytes())
                written += 1
        if written != count:
            raise DataError(f"The data gave {written} items; expected {count}.")
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


def _write_header(stream: IO[bytes], first: Array, count: int) -> None:
    descr = np.lib.format.dtype_to_descr(first.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": (count, *first.shape)}
    np.lib.format.write_array_header_2_0(stream, header)
