"""A FlatBuffers reader that checks every offset, for files from strangers.

The format: https://flatbuffers.dev/internals/ (little endian; a table begins with the signed distance to its vtable).
"""

import struct
from collections.abc import Iterator
from typing import NoReturn

from edgekit.errors import ArtifactError

# A damaged file can point many times at the same tables; real models stay far below this number of elements.
_MAX_ELEMENTS = 5_000_000


class FlatBuffer:
    """Bytes of a FlatBuffers file. Every read outside them is an `ArtifactError` that begins with ``where``."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data = data
        self.where = where
        self._elements = 0

    def fail(self, why: str) -> NoReturn:
        """Raise the `ArtifactError` for a damaged file."""
        raise ArtifactError(f"{self.where} is damaged: {why}; copy, download or convert it again.")

    def unpack(self, kind: str, position: int) -> int | float:
        """The number of `struct` format ``kind`` at ``position``."""
        size = struct.calcsize(kind)
        if position < 0 or position + size > len(self.data):
            self.fail(f"it points to byte {position} of {len(self.data)}")
        value: int | float = struct.unpack_from("<" + kind, self.data, position)[0]
        return value

    def integer(self, kind: str, position: int) -> int:
        """The integer of `struct` format ``kind`` at ``position``."""
        return int(self.unpack(kind, position))

    def target(self, position: int) -> int:
        """The position that the offset at ``position`` points to."""
        end = position + self.integer("I", position)
        if end >= len(self.data):
            self.fail(f"it points to byte {end} of {len(self.data)}")
        return end

    def vector(self, position: int, item_bytes: int, *, elements: bool = True) -> tuple[int, int]:
        """(position of the first item, count) of the vector at ``position``; it lies wholly inside the file."""
        count = self.integer("I", position)
        if position + 4 + count * item_bytes > len(self.data):
            self.fail(f"a list of {count} items goes beyond its end")
        self.count(count if elements else 1)
        return position + 4, count

    def count(self, elements: int) -> None:
        """Account for ``elements`` more that are read, so that reading always ends."""
        self._elements += elements
        if self._elements > _MAX_ELEMENTS:
            self.fail("its tables refer to each other without end")

    def root(self) -> "Table":
        """The root table."""
        return Table(self, self.target(0))


class Table:
    """One table; fields are asked for by their number in the schema, absent ones give the default."""

    __slots__ = ("_size", "_vtable", "buffer", "position")

    def __init__(self, buffer: FlatBuffer, position: int) -> None:
        buffer.count(1)
        self.buffer = buffer
        self.position = position
        self._vtable = position - buffer.integer("i", position)
        self._size = buffer.integer("H", self._vtable)
        if self._size < 4 or self._size % 2:
            buffer.fail(f"a table says that it has {self._size} bytes of fields")

    @property
    def fields(self) -> int:
        """Number of fields that the table has room for."""
        return (self._size - 4) // 2

    def field(self, number: int) -> int:
        """Position of the field's value, or 0 when it is absent."""
        if number >= self.fields:
            return 0
        offset = self.buffer.integer("H", self._vtable + 4 + 2 * number)
        return self.position + offset if offset else 0

    def integer(self, number: int, kind: str = "i", default: int = 0) -> int:
        """The integer in the field."""
        position = self.field(number)
        return self.buffer.integer(kind, position) if position else default

    def text(self, number: int) -> str:
        """The string in the field, '' when absent; what is not UTF-8 becomes U+FFFD."""
        return bytes(self.bytes(number)).decode("utf-8", errors="replace")

    def bytes(self, number: int) -> memoryview:
        """The vector of bytes in the field, not copied."""
        position = self.field(number)
        if not position:
            return memoryview(b"")
        first, count = self.buffer.vector(self.buffer.target(position), 1, elements=False)
        return memoryview(self.buffer.data)[first : first + count]

    def numbers(self, number: int, kind: str) -> tuple[int | float, ...]:
        """The vector of `struct` format ``kind`` in the field."""
        position = self.field(number)
        if not position:
            return ()
        first, count = self.buffer.vector(self.buffer.target(position), struct.calcsize(kind))
        return struct.unpack_from(f"<{count}{kind}", self.buffer.data, first)

    def integers(self, number: int, kind: str = "i") -> tuple[int, ...]:
        """The vector of integers in the field."""
        return tuple(int(v) for v in self.numbers(number, kind))

    def table(self, number: int) -> "Table | None":
        """The table in the field."""
        position = self.field(number)
        return Table(self.buffer, self.buffer.target(position)) if position else None

    def tables(self, number: int) -> Iterator["Table"]:
        """The tables of the vector in the field."""
        return (Table(self.buffer, p) for p in self.targets(number))

    def targets(self, number: int) -> list[int]:
        """Positions of the tables of the vector in the field."""
        position = self.field(number)
        if not position:
            return []
        first, count = self.buffer.vector(self.buffer.target(position), 4)
        return [self.buffer.target(first + 4 * i) for i in range(count)]
