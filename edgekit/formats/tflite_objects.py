"""TFLite files as objects that can be changed, by the schema that comes with LiteRT."""

import copy
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import need


def open_model(path: Path) -> Any:
    """The file as objects, with all content inside them."""
    return parse_model(path.read_bytes())


def parse_model(data: bytes) -> Any:
    """The bytes of a file as objects, with all content inside them."""
    schema = need("ai_edge_litert.schema_py_generated", extra="litert")
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # the content stands behind the tables, which are about to move
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def pack_model(model: Any) -> bytes:
    """The objects as the bytes of a file."""
    builder = need("flatbuffers", extra="litert").Builder(1 << 10)
    aligned = copy.copy(model)
    aligned.buffers = [_Aligned(buffer) for buffer in model.buffers]
    builder.Finish(aligned.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Aligned:
    """A buffer whose content begins at a multiple of 16 bytes, as the schema asks and its generated code forgets."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer

    def Pack(self, builder: Any) -> int:
        if self._buffer.data is not None:
            builder.Prep(16, len(self._buffer.data))
        return int(self._buffer.Pack(builder))


def save_model(model: Any, path: Path) -> None:
    """Write the objects as a file."""
    path.write_bytes(pack_model(model))
