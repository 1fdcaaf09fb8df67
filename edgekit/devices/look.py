"""What a device says of itself before anything of edgekit runs there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import DataError

LOOK = (Path(__file__).parent / "agent" / "look.py").read_text(encoding="utf-8")
"""The program that says it, as JSON on standard output."""

OLDEST_PYTHON = (3, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A device by its Python: ``base`` is the interpreter of which it is an environment, else itself.

    ``glibc`` is None where it has another C library; ``free_bytes`` are those of the disk of ``home``; ``packages``
    are the versions of numpy and the engines.
    """

    python: str
    executable: str
    base: str
    system: str
    machine: str
    bits: int
    glibc: str | None
    venv: bool
    ensurepip: bool
    home: str
    writable: bool
    free_bytes: int
    memory_available_bytes: int | None
    packages: Mapping[str, str]

    def __post_init__(self) -> None:
        if not re.match(r"\d{1,3}\.\d{1,3}", self.python):
            raise DataError(f"A device has the Python {self.python[:20]!r}; expected a version, such as 3.11.2.")

    @property
    def version(self) -> tuple[int, ...]:
        """Major and minor version of its Python."""
        return tuple(int(part) for part in re.findall(r"\d+", self.python)[:2])

    @property
    def arm32(self) -> bool:
        """Whether its Python is one for 32-bit ARM, whatever the kernel is."""
        return self.bits == 32 and self.machine.startswith(("arm", "aarch64"))
