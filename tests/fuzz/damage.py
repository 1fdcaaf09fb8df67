"""Ways in which a file gets damaged, each a pure function of the bytes and of a seeded generator.

``damaged(data, seed)`` applies one to three of them; the same bytes and seed give the same result everywhere.
"""

import io
import random
import struct
import zipfile
from collections.abc import Callable

Operator = Callable[[bytes, random.Random], bytes]


def truncate(data: bytes, rng: random.Random) -> bytes:
    """The beginning only; one time in three all but a few bytes of it."""
    if rng.random() < 1 / 3:
        return data[: -rng.randint(1, min(16, len(data)))]
    return data[: rng.randrange(len(data))]


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """One to eight bits turned over."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to sixteen bytes replaced."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 16)):
        out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)


def zero_stretch(data: bytes, rng: random.Random) -> bytes:
    """A stretch of zeros, as a hole in a copy leaves it."""
    start, end = _stretch(data, rng)
    return data[:start] + bytes(end - start) + data[end:]


def swap_blocks(data: bytes, rng: random.Random) -> bytes:
    """Two blocks of one length in each other's place."""
    size = rng.randint(1, max(1, len(data) // 4))
    first, second = sorted(rng.randrange(max(1, len(data) - size)) for _ in range(2))
    second = max(second, first + size)
    return (
        data[:first]
        + data[second : second + size]
        + data[first + size : second]
        + data[first : first + size]
        + data[second + size :]
    )


def insert(data: bytes, rng: random.Random) -> bytes:
    """Up to 64 bytes more, random or copied from elsewhere in the file."""
    at, size = rng.randrange(len(data) + 1), rng.randint(1, 64)
    start = rng.randrange(len(data))
    more = rng.randbytes(size) if rng.random() < 0.5 else data[start : start + size]
    return data[:at] + more + data[at:]


def remove(data: bytes, rng: random.Random) -> bytes:
    """A stretch left out."""
    start, end = _stretch(data, rng)
    return data[:start] + data[end:]


def wrong_length(data: bytes, rng: random.Random) -> bytes:
    """A number of 1 to 8 bytes made one that lengths and offsets trip over: 0, all ones, the largest, off by one."""
    kind = rng.choice("bhiq")
    size = struct.calcsize("<" + kind)
    if len(data) < size:
        return data + b"\xff"
    # Formats align their numbers; one time in four any position will do.
    at = rng.randrange(len(data) - size + 1)
    if rng.random() < 0.75:
        at -= at % size
    (old,) = struct.unpack_from("<" + kind, data, at)
    largest = (1 << (8 * size - 1)) - 1
    new = rng.choice([0, 1, -1, largest, -largest - 1, old + 1, old - 1, old * 2, len(data)])
    out = bytearray(data)
    struct.pack_into("<" + kind, out, at, (new + largest + 1) % (2 * largest + 2) - largest - 1)
    return bytes(out)


def change_text(data: bytes, rng: random.Random) -> bytes:
    """A digit, bracket, quote or separator replaced by another: the file stays text and means something else."""
    marks = b'0123456789[]{}",:.-+eE nulltruefalse\n'
    places = [i for i, byte in enumerate(data) if byte in marks]
    if not places:
        return change_bytes(data, rng)
    out = bytearray(data)
    for place in rng.sample(places, min(len(places), rng.randint(1, 4))):
        out[place] = rng.choice(marks)
    return bytes(out)


OPERATORS: dict[str, Operator] = {
    "truncate": truncate,
    "flip": flip_bits,
    "change": change_bytes,
    "zero": zero_stretch,
    "swap": swap_blocks,
    "insert": insert,
    "remove": remove,
    "length": wrong_length,
    "text": change_text,
}
FOR_MODELS = ("truncate", "flip", "zero", "swap")
"""What happens to files on disks and lines."""


def damaged(data: bytes, seed: int) -> bytes:
    """``data`` after one to three of `OPERATORS`; one time in four inside a member, where ``data`` is a zip."""
    rng = random.Random(seed)  # noqa: S311 - nothing secret
    if data[:2] == b"PK" and rng.random() < 0.75:
        return in_member(data, rng, tuple(OPERATORS))
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = OPERATORS[rng.choice(sorted(OPERATORS))](data, rng) if data else data
    return data


def in_member(data: bytes, rng: random.Random, operators: tuple[str, ...]) -> bytes:
    """The zip ``data``, written anew with one member damaged: its checksums are right, so that readers go on."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as out:
        names = sorted(source.namelist())
        chosen = rng.choice(names)
        for name in names:
            content = source.read(name)
            if name == chosen and content:
                content = OPERATORS[rng.choice(operators)](content, rng)
            out.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return target.getvalue()


def _stretch(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.randint(1, max(1, len(data) // 4)))
