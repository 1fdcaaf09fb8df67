"""Messages over a stream of bytes, between the desk and a device: a line of JSON, then arrays as they are in memory.

::

    {"number": 7, "operation": "run", "value": {}, "arrays": [["float32", [1, 224, 224, 3]]], "more": 0}\n
    <602,112 bytes, little-endian, the last axis fastest>

``more`` bytes follow the arrays where a file is sent. Neither end believes the other's sizes: all have a limit.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError

Array = npt.NDArray[Any]
Json = dict[str, Any]
Take = Callable[[int], bytes]
"""Gives the next n bytes, fewer only at the end."""

DTYPES = frozenset(
    ("float32", "float16", "float64", "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
)
MOST_HEADER = 16 << 20
MOST_ARRAYS = 2 << 30
"""Bytes of all arrays of a message: what a device can hold."""


class Writable(Protocol):
    """Where a message goes."""

    def write(self, data: bytes, /) -> Any:
        """Take all of ``data``."""

    def flush(self) -> Any:
        """Send it."""


def write_frame(stream: Writable, message: Mapping[str, Any], arrays: Sequence[Array] = (), more: bytes = b"") -> None:
    """Send ``message`` with ``arrays``, and the bytes of a file."""
    stream.write(packed_frame(message, arrays, more))
    stream.flush()


def packed_frame(message: Mapping[str, Any], arrays: Sequence[Array] = (), more: bytes = b"") -> bytes:
    """The bytes of a message."""
    described = [[str(values.dtype), list(values.shape)] for values in arrays]
    for dtype, _ in described:
        if dtype not in DTYPES:
            raise DataError(
                f"An array of {dtype} cannot be sent to a device; expected one of: {', '.join(sorted(DTYPES))}."
            )
    header = json.dumps({**message, "arrays": described, "more": len(more)}).encode() + b"\n"
    little = [np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes() for values in arrays]
    return b"".join([header, *little, more])


def read_header(line: bytes) -> Json:
    """The message of a ``line``; `DataError` where it is none."""
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"A message is not JSON: {line[:80]!r}.") from None
    if not isinstance(header, dict) or not _sized(header.get("arrays"), header.get("more")):
        raise DataError(f"A message lacks its arrays or sizes: {line[:80]!r}.")
    return header


def read_arrays(header: Mapping[str, Any], take: Take) -> list[Array]:
    """The arrays that follow ``header``; `DataError` where the stream ends before."""
    arrays = []
    for name, shape in header["arrays"]:
        dtype = np.dtype(name).newbyteorder("<")
        size = math.prod(shape) * dtype.itemsize
        data = take(size)
        if len(data) != size:
            raise DataError(f"An array of {size:,} bytes ended after {len(data):,}.")
        arrays.append(np.frombuffer(data, dtype).reshape(shape).astype(name, copy=False))
    return arrays


def parse_frame(data: bytes) -> tuple[Json, list[Array]]:
    """The one message in ``data``, such as the body of a request; `DataError` for anything else."""
    line, _, rest = data.partition(b"\n")
    header, place = read_header(line), 0

    def take(count: int) -> bytes:
        nonlocal place
        place += count
        return rest[place - count : place]

    arrays = read_arrays(header, take)
    if place + header["more"] != len(rest):
        raise DataError(f"A message has {len(rest):,} bytes; expected {place + header['more']:,}.")
    return header, arrays


def _sized(arrays: Any, more: Any) -> bool:
    """Whether a header's sizes are numbers within the limits."""
    if not isinstance(arrays, list) or type(more) is not int or not 0 <= more <= MOST_ARRAYS:
        return False
    total = 0
    for each in arrays:
        if not isinstance(each, list) or len(each) != 2 or not all(map(isinstance, each, (str, list))):
            return False
        name, shape = each
        if name not in DTYPES or len(shape) > 32 or any(type(size) is not int or size < 0 for size in shape):
            return False
        # An axis of nothing counts as one: beside it another may be of any length.
        total += math.prod(max(1, size) for size in shape) * np.dtype(name).itemsize
    return total <= MOST_ARRAYS
