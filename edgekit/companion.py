"""The file that a model needs beside its own, as the card of the first one names it."""

import re
from dataclasses import dataclass
from pathlib import PureWindowsPath

from edgekit.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """The second file of a model: in the same folder as the first, called ``name``, with these bytes."""

    name: str
    sha256: str

    def __post_init__(self) -> None:
        plain = PureWindowsPath(self.name).name == self.name != ".."  # on Linux too: cards travel
        if not self.name or not plain or not self.name.isprintable():
            raise InputError(f"A model's second file is called {self.name!r}; expected a name without a folder.")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise InputError(f"The sha256 of a model's second file is 64 hexadecimal digits; got {self.sha256!r}.")
