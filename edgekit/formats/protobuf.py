"""The wire format of Protocol Buffers, as far as reading a model needs it; every length is checked.

The format: https://protobuf.dev/programming-guides/encoding/
"""

import struct
from collections.abc import Iterator
from typing import NoReturn

from edgekit.errors import ArtifactError

Value = int | memoryview
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Message:
    """One message: fields by number; nested messages and bytes are views, not copies."""

    __slots__ = ("_fields", "data", "where")

    def __init__(self, data: memoryview, where: str) -> None:
        self.data = data
        self.where = where
        self._fields: dict[int, list[tuple[int, Value]]] | None = None

    def fail(self, why: str) -> NoReturn:
        """Raise the `ArtifactError` for a damaged file."""
        raise ArtifactError(f"{self.where} is damaged: {why}; copy, download or convert it again.")

    def spans(self) -> Iterator[tuple[int, int, Value, int, int]]:
        """(field number, wire type, value, start, end) of every field, in order; start..end includes the tag."""
        position, size = 0, len(self.data)
        while position < size:
            start = position
            tag, position = self._varint(position)
            number, kind = tag >> 3, tag & 7
            value: Value
            if kind == VARINT:
                value, position = self._varint(position)
            elif kind == BYTES:
                length, position = self._varint(position)
                value, position = self._take(position, length)
            elif kind in (FIXED64, FIXED32):
                value, position = self._take(position, 8 if kind == FIXED64 else 4)
            else:
                self.fail(f"a field has wire type {kind}")
            yield number, kind, value, start, position

    def _field(self, number: int) -> list[tuple[int, Value]]:
        if self._fields is None:
            self._fields = {}
            for field, kind, value, _, _ in self.spans():
                self._fields.setdefault(field, []).append((kind, value))
        return self._fields.get(number, [])

    def _take(self, position: int, length: int) -> tuple[memoryview, int]:
        if position + length > len(self.data):
            self.fail(f"a field of {length} bytes goes beyond its end")
        return self.data[position : position + length], position + length

    def _varint(self, position: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if position >= len(self.data):
                self.fail("it ends in the middle of a number")
            byte = self.data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
        self.fail("a number has more than ten bytes")

    def messages(self, number: int) -> Iterator["Message"]:
        """The messages in the fields of that number."""
        return (Message(v, self.where) for v in self._views(number))

    def message(self, number: int) -> "Message | None":
        """The first message in the field."""
        return next(self.messages(number), None)

    def texts(self, number: int) -> tuple[str, ...]:
        """The strings in the fields of that number; what is not UTF-8 becomes U+FFFD."""
        return tuple(bytes(v).decode("utf-8", errors="replace") for v in self._views(number))

    def text(self, number: int) -> str:
        """The last string in the field, '' when absent."""
        return (self.texts(number) or ("",))[-1]

    def view(self, number: int) -> memoryview | None:
        """The bytes in the field, not copied, or None when absent."""
        return next(self._views(number), None)

    def _views(self, number: int) -> Iterator[memoryview]:
        for _, value in self._field(number):
            if not isinstance(value, memoryview):
                self.fail(f"field {number} is a number where text or a message belongs")
            yield value

    def integers(self, number: int) -> tuple[int, ...]:
        """The signed 64-bit integers in the fields of that number, packed or not."""
        found: list[int] = []
        for kind, value in self._field(number):
            if isinstance(value, int):
                found.append(value)
            elif kind == BYTES:
                packed, position = Message(value, self.where), 0
                while position < len(value):
                    item, position = packed._varint(position)
                    found.append(item)
            else:
                self.fail(f"field {number} is a float where an integer belongs")
        return tuple(_signed(v) for v in found)

    def integer(self, number: int, default: int = 0) -> int:
        """The last integer in the field."""
        return (self.integers(number) or (default,))[-1]

    def floats(self, number: int) -> tuple[float, ...]:
        """The 32-bit floats in the fields of that number, packed or not."""
        found: list[float] = []
        for view in self._views(number):
            if len(view) % 4:
                self.fail(f"field {number} has {len(view)} bytes of 32-bit floats")
            found.extend(struct.unpack(f"<{len(view) // 4}f", view))
        return tuple(found)


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def varint(value: int) -> bytes:
    """``value`` >= 0 as a base-128 number."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field_bytes(number: int, payload: bytes) -> bytes:
    """A field of text, bytes or a message."""
    return varint(number << 3 | BYTES) + varint(len(payload)) + payload
