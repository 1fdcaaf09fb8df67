"""Model files that the benchmarks measure where none are given: made here, in a temporary folder."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.converters import Request, convert
from edgekit.models.build import build_file
from edgekit.models.registry import find_spec
from edgekit.recipe import Precision, Recipe

WEIGHTS = "models/mobilenet_v2_1.0_224_imagenet_float.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A network's fp32 and int8 files in both formats, and the data that tell what they lose."""

    name: str
    files: tuple[Path, ...]
    data: str


def made(folder: Path) -> Iterator[Material]:
    """The zoo's `mlp`, untrained, for scikit-learn's digits; and MobileNetV2 where its ImageNet weights are.

    They are looked for in EDGEKIT_DATA: without them an int8 MobileNetV2 means nothing, and `convert` refuses it.
    """
    yield _converted("mlp", "digits", folder, weights=None)
    data_dir = os.environ.get("EDGEKIT_DATA")
    weights = None if data_dir is None else Path(data_dir) / WEIGHTS
    if weights is not None and weights.is_file():
        yield _converted("mobilenet_v2", "imagenet_mini", folder, weights=weights)
    else:
        print(f"No MobileNetV2 is measured: EDGEKIT_DATA holds no {WEIGHTS}.")


def _converted(name: str, data: str, folder: Path, *, weights: Path | None) -> Material:
    source = folder / f"{name}.keras"
    build_file(find_spec(name), source, overrides={}, weights=weights)
    recipes: Sequence[Recipe] = [Recipe(precision=p) for p in (Precision.FP32, Precision.INT8)]
    report = convert(Request(source=source, recipes=tuple(recipes), calibration=data, output_dir=folder / name))
    return Material(name=name, files=tuple(row.path for row in report.artifacts), data=data)
