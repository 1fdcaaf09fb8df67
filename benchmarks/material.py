"""Model files that the benchmarks measure where none are given: made here, in a temporary folder."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    yield _converted("mlp", "digits", folder)
    data_dir = os.environ.get("EDGEKIT_DATA")
    weights = None if data_dir is None else Path(data_dir) / WEIGHTS
    if weights is not None and weights.is_file():
        yield _converted("mobilenet_v2", "imagenet_mini", folder, "--weights", str(weights))
    else:
        print(f"No MobileNetV2 is measured: EDGEKIT_DATA holds no {WEIGHTS}.")


def _converted(name: str, data: str, folder: Path, *options: str) -> Material:
    """Made by commands: TensorFlow in the process that measures would slow it down, collecting garbage alone."""
    source, files = folder / f"{name}.keras", folder / name
    _edgekit("zoo", "build", name, *options, "-o", str(source))
    _edgekit("convert", str(source), "-p", "fp32", "-p", "int8", "--calibration", data, "-o", str(files))
    found = (*sorted(files.glob("*.tflite")), *sorted(files.glob("*.onnx")))
    return Material(name=name, files=found, data=data)


def _edgekit(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "edgekit", *arguments], check=True, stdout=subprocess.DEVNULL)
