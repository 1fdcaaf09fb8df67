"""Writing metadata into a TFLite file without touching the model: a new root table goes in front of the old bytes.

FlatBuffers offsets are relative and point forward, so everything behind the inserted bytes stays valid as it is. Only
two kinds of number count from the beginning of the file and are moved along: external buffers and large custom options.
The weights, an appended zip and unknown tables are kept to the byte, and the inserted part can be taken off again::

    root offset | TFL3 | mark | inserted bytes | old root offset | new root, vectors, card | old file
"""

import struct

from edgekit.errors import ArtifactError
from edgekit.formats.flatbuffer import FlatBuffer, Table
from edgekit.formats.tflite import IDENTIFIER, open_root

_MARK = b"edgekit1"
_ALIGNMENT = 64  # of the old file in the new one, so that no weight loses its alignment
_FIXED_BYTES = 256  # more than the mark, the tables and the padding between them take
KNOWN_FIELDS = 10  # of table Model; all but the first hold offsets
SCHEMA_VERSION, BUFFERS, METADATA = 0, 4, 6


def write_metadata(data: bytes, key: str, value: bytes, *, where: str) -> bytes:
    """The file with the metadata entry ``key`` set to ``value``; the same bytes when written twice."""
    data = remove_metadata(data, where=where)
    root = open_root(data, where)
    if any(root.field(n) for n in range(KNOWN_FIELDS, root.fields)):
        raise ArtifactError(f"{where} has a newer schema than this edgekit can add a card to; use a newer edgekit.")
    entries = [t.position for t in root.tables(METADATA) if t.text(0) != key]
    buffers = root.targets(BUFFERS)
    size = _FIXED_BYTES + len(key.encode()) + len(value) + 4 * (len(entries) + len(buffers))
    size += -size % _ALIGNMENT
    head = _insertion(root, entries, buffers, key, value, size=size)
    return head.ljust(size, b"\0") + moved(data, root, size)


def remove_metadata(data: bytes, *, where: str) -> bytes:
    """The file as it was before `write_metadata`; a file without its mark is returned as it is."""
    if data[8:16] != _MARK:
        return data
    buffer = FlatBuffer(data, where)
    size, old_root = buffer.integer("I", 16), buffer.integer("I", 20)
    if not 24 <= size <= len(data) - 8:
        buffer.fail(f"its card says that it takes {size} of {len(data)} bytes")
    body = data[size:]
    body = struct.pack("<I", old_root) + IDENTIFIER + body[8:]
    return moved(body, open_root(body, where), -size)


class Writer:
    """Bytes that grow at the end; offsets to what comes later are filled in afterwards."""

    def __init__(self, start: bytes) -> None:
        self.out = bytearray(start)

    def align(self, to: int, *, ahead: int = 0) -> int:
        self.out.extend(b"\0" * (-(len(self.out) + ahead) % to))
        return len(self.out)

    def u32(self, value: int) -> int:
        self.out.extend(struct.pack("<I", value))
        return len(self.out) - 4

    def point(self, position: int, target: int) -> None:
        struct.pack_into("<I", self.out, position, target - position)

    def vector(self, targets: list[int]) -> tuple[int, list[int]]:
        """(position of the vector, positions of its items); targets of 0 are filled in later."""
        start = self.align(4)
        self.u32(len(targets))
        items = [self.u32(0) for _ in targets]
        for item, target in zip(items, targets, strict=True):
            if target:
                self.point(item, target)
        return start, items

    def block(self, content: bytes, *, align: int, end: bytes = b"") -> int:
        """Position of a vector of bytes whose content is aligned."""
        start = self.align(align, ahead=4)
        self.u32(len(content))
        self.out.extend(content + end)
        return start

    def table(self, fields: dict[int, int]) -> dict[int, int]:
        """Positions of the 4-byte fields of a new table by field number, and of the table itself under -1."""
        count = max(fields) + 1
        vtable = self.align(4)
        offsets = {n: 4 + 4 * i for i, n in enumerate(sorted(fields))}
        self.out.extend(struct.pack("<HH", 4 + 2 * count, 4 + 4 * len(fields)))
        self.out.extend(b"".join(struct.pack("<H", offsets.get(n, 0)) for n in range(count)))
        start = self.align(4)
        self.out.extend(struct.pack("<i", start - vtable))
        places = {n: self.u32(fields[n]) for n in sorted(fields)}
        return {**places, -1: start}


def _insertion(root: Table, entries: list[int], buffers: list[int], key: str, value: bytes, *, size: int) -> bytes:
    """What goes in front, when the old file begins at ``size``."""
    old_root = root.position
    write = Writer(b"\0\0\0\0" + IDENTIFIER + _MARK + struct.pack("<II", size, old_root))
    present = {n: root.buffer.target(root.field(n)) for n in range(1, KNOWN_FIELDS) if root.field(n)}
    fields = {n: 0 for n in {*present, BUFFERS, METADATA}}
    places = write.table({SCHEMA_VERSION: root.integer(SCHEMA_VERSION, "I"), **fields})
    write.point(0, places[-1])
    for number, target in present.items():
        write.point(places[number], target + size)
    for number, old, make in ((BUFFERS, buffers, _new_buffer), (METADATA, entries, _new_entry)):
        start, items = write.vector([p + size for p in old] + [0])
        write.point(places[number], start)
        make(write, items[-1], key, value, len(buffers))
    return bytes(write.out)


def _new_buffer(write: Writer, item: int, _key: str, value: bytes, _index: int) -> None:
    places = write.table({0: 0})
    write.point(item, places[-1])
    write.point(places[0], write.block(value, align=16))


def _new_entry(write: Writer, item: int, key: str, _value: bytes, index: int) -> None:
    places = write.table({0: 0, 1: index})
    write.point(item, places[-1])
    write.point(places[0], write.block(key.encode(), align=4, end=b"\0"))


def moved(data: bytes, root: Table, by: int) -> bytes:
    """``data`` with every number that counts from the beginning of the file increased by ``by``."""
    out = bytearray(data)
    moved: set[int] = set()
    tables = [(b, 1) for b in root.tables(BUFFERS)]
    tables += [(operator, 9) for subgraph in root.tables(2) for operator in subgraph.tables(3)]
    for table, number in tables:
        place = table.field(number)
        if place and table.integer(number, "Q") > 1 and place not in moved:
            moved.add(place)
            struct.pack_into("<Q", out, place, table.integer(number, "Q") + by)
    return bytes(out)
