"""From a trained model to verified TFLite and ONNX files: load, lower, quantize, embed card, verify, publish."""

from dataclasses import dataclass
from pathlib import Path

from edgekit.artifact import Format
from edgekit.converters.report import ConversionReport
from edgekit.data.base import Dataset
from edgekit.recipe import Precision, Recipe
from edgekit.workers import Progress, silent

BOTH = (Format.TFLITE, Format.ONNX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of one conversion.

    ``formats`` empty means both, and leaves out what a format lacks; a format named is meant. ``calibration`` is data
    as `edgekit.data.open_data` understands it, or data already opened; ``None`` means the card's training data.
    ``preprocess`` and ``labels`` replace what the source's card says.
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


def convert(request: Request, *, progress: Progress = silent) -> ConversionReport:
    """The report on the files written beside the source or into ``request.output_dir``: all of them, or none.

    `InputError` and `DataError` for what the user can mend, `ConversionError` for a step that failed, `CheckFailedError`
    when a finished file is outside the tolerance of its recipe.
    """
    raise NotImplementedError
