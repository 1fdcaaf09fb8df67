"""A model file on disk, with what it says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edgekit.card import ModelCard
from edgekit.errors import ArtifactError
from edgekit.files import sha256_file


class Format(StrEnum):
    """Kinds of model file."""

    TFLITE = "tflite"
    ONNX = "onnx"
    KERAS = "keras"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A model file and its card, both read from the file.

    A file that edgekit did not write has a card made of what can be read from it; ``card.unknown()`` names the rest,
    and ``foreign`` is true.
    """

    path: Path
    format: Format
    sha256: str
    model_bytes: int
    card: ModelCard
    foreign: bool

    @property
    def recipe(self) -> str:
        """The recipe's code, or ``unknown`` for a foreign file; a Keras model is ``source``."""
        if self.card.provenance.recipe is not None:
            return self.card.provenance.recipe.code
        return "source" if self.format is Format.KERAS else "unknown"
