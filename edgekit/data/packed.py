"""Files of text, as they are or in gzip."""

import gzip
import zlib
from pathlib import Path

from edgekit.errors import DataError

MOST_BYTES = 1 << 30
"""Of an unpacked text; War and Peace has 3 MB."""
GZIP = ".gz"
_PART_BYTES = 1 << 20


def kind_of(path: Path) -> str:
    """The ending of ``path`` without that of gzip, in lower case.

    >>> kind_of(Path("prices.CSV.gz"))
    '.csv'
    """
    return _without_gzip(path).suffix.lower()


def stem_of(path: Path) -> str:
    """The name of ``path`` without its endings."""
    return _without_gzip(path).stem


def unpacked(path: Path) -> bytes:
    """The bytes of the text in ``path``; `DataError` where it cannot be read or is too large."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise DataError(f"{path} is no file; expected one with a text or a table.")
        with gzip.open(path) if path.suffix.lower() == GZIP else path.open("rb") as file:
            # Not all at once, which would take the memory of the largest text for each.
            parts, left = [], MOST_BYTES + 1
            while left > 0 and (part := file.read(min(left, _PART_BYTES))):
                parts.append(part)
                left -= len(part)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a readable gzip file: {error}.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    if not left:
        raise DataError(f"{path} holds more than {MOST_BYTES:,} bytes of text; expected fewer: cut it.")
    return b"".join(parts)


def _without_gzip(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() == GZIP else path
