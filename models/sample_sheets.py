"""What a generator makes of the same inputs after every epoch, as pictures to look at."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.noise import draws
from edgekit.errors import InputError
from edgekit.files import write_atomic
from edgekit.generation import Generator
from edgekit.tasks.pictures import pixels_of, sheet

Array = npt.NDArray[Any]

SAMPLES = "samples"
"""The folder of the sheets in a run's folder."""
_ROWS = 4
_COLUMNS = 10


def sample_inputs(generator: Generator, seed: int) -> dict[str, Array]:
    """Inputs for a sheet of 4 rows of 10: columns ask for the classes in turn, rows go from low to high codes."""
    count = _ROWS * _COLUMNS
    inputs = draws(generator, count, seed)
    if generator.condition is not None:
        classes = generator.condition.classes
        inputs[generator.condition.name] = np.eye(classes, dtype=np.float32)[np.arange(count) % _COLUMNS % classes]
    if generator.code is not None:
        steps = np.linspace(generator.code.low, generator.code.high, _ROWS, dtype=np.float32)
        inputs[generator.code.name][:, 0] = np.repeat(steps, _COLUMNS)
    return inputs


def require_folder(run_dir: Path) -> None:
    """`InputError` where the sheets of a training in ``run_dir`` could not be written."""
    folder = run_dir / SAMPLES
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is no folder, and the sheets of this training go there; move it away.")


def write_sheet(
    run_dir: Path, epoch: int, generator: Generator, make: Callable[[Mapping[str, Array]], Array], *, seed: int
) -> Path:
    """The sheet of ``epoch`` as a PNG in ``run_dir``; the first epoch removes those of an earlier training."""
    from PIL import Image

    folder = run_dir / SAMPLES
    folder.mkdir(exist_ok=True)
    if epoch == 1:
        for old in folder.glob("epoch_*.png"):
            old.unlink()
    pixels = sheet(pixels_of(make(sample_inputs(generator, seed)), generator), _COLUMNS)
    png = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(png, "png")
    path = folder / f"epoch_{epoch:04d}.png"
    write_atomic(path, png.getvalue())
    return path
