"""TFLite files whose weights lie behind the graph, rewritten for readers that look for them inside it only."""

from edgekit.formats.tflite import IDENTIFIER, open_root
from edgekit.formats.tflite_card import BUFFERS, KNOWN_FIELDS, SCHEMA_VERSION, Writer, moved

_ALIGNMENT = 64  # of the old file in the new one, so that no weight loses its alignment
_TABLE_BYTES = 128  # more than the root, or a buffer's own table, vector and padding take


def with_inner_weights(data: bytes, *, where: str) -> bytes:
    """The same model with all weights in the graph's own buffers; a file that has them there is returned as it is.

    As with a card, a new root and new tables go in front of the old bytes, which keep their offsets.
    """
    root = open_root(data, where)
    outer = {
        number: data[table.integer(1, "Q") : table.integer(1, "Q") + table.integer(2, "Q")]
        for number, table in enumerate(root.tables(BUFFERS))
        if table.integer(1, "Q") > 1
    }
    if not outer:
        return data
    old = root.targets(BUFFERS)
    size = _TABLE_BYTES + 4 * len(old) + sum(len(weights) + _TABLE_BYTES for weights in outer.values())
    size += -size % _ALIGNMENT
    write = Writer(b"\0\0\0\0" + IDENTIFIER)
    present = {n: root.buffer.target(root.field(n)) for n in range(1, KNOWN_FIELDS) if root.field(n)}
    places = write.table({SCHEMA_VERSION: root.integer(SCHEMA_VERSION, "I"), **dict.fromkeys(present, 0)})
    write.point(0, places[-1])
    for number, target in present.items():
        write.point(places[number], target + size)
    start, items = write.vector([0 if n in outer else p + size for n, p in enumerate(old)])
    write.point(places[BUFFERS], start)
    for number, weights in outer.items():
        table = write.table({0: 0})
        write.point(items[number], table[-1])
        write.point(table[0], write.block(weights, align=16))
    return bytes(write.out).ljust(size, b"\0") + moved(data, root, size)
