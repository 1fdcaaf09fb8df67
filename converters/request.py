"""What is asked of one conversion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.artifact import Format
from edgekit.companion import Companion
from edgekit.data.base import Dataset
from edgekit.recipe import Precision, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of one conversion.

    ``formats`` empty means both, and leaves out what a format lacks; a format named is meant. ``calibration`` is data
    as `edgekit.data.open_data` understands it, or data already opened; ``None`` means the card's training data.
    ``preprocess`` and ``labels`` replace what the source's card says. A ``source`` that is the manifest of an earlier
    conversion repeats that one: of the rest, only ``output_dir`` and ``force`` count then. ``companions`` are the
    second files of a model of two, by the names of the files that need them.
    """

    source: Path
    recipes: tuple[Recipe, ...] = (Recipe(precision=Precision.INT8),)
    formats: tuple[Format, ...] = ()
    calibration: Dataset | str | None = None
    data_dir: Path | None = None
    preprocess: str | None = None
    labels: tuple[str, ...] | None = None
    output_dir: Path | None = None
    force: bool = False
    companions: Mapping[str, Companion] = field(default_factory=dict)
