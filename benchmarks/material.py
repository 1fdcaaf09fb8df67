"""Models and files that the benchmarks measure where none are given: made here, in a temporary folder."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import open_artifact
from edgekit.data import Dataset
from edgekit.data.noise import draws
from edgekit.feeding import Feeder
from edgekit.measure.held_out import HeldOut
from edgekit.runtimes import open_runtime
from edgekit.runtimes.base import quantize

V1_WEIGHTS = "models/mobilenet_v1_0.25_128_imagenet_float.npz"
V2_WEIGHTS = "models/mobilenet_v2_1.0_224_imagenet_float.npz"
IMAGENET_LABELS = "models/labels_imagenet_1001.txt"
RESNET8 = "models/resnet8_cifar10_float.h5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A network's fp32 and int8 files in both formats, and the data that tell what they lose."""

    name: str
    files: tuple[Path, ...]
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A Keras model, and how the data that it was trained for reach it."""

    name: str
    path: Path
    data: str
    data_dir: Path | None = None
    preprocess: str | None = None
    labels: tuple[str, ...] | None = None


def made(folder: Path) -> Iterator[Material]:
    """The zoo's `mlp`, untrained, for scikit-learn's digits; and MobileNetV2 where its ImageNet weights are.

    They are looked for in EDGEKIT_DATA: without them an int8 MobileNetV2 means nothing, and `convert` refuses it.
    """
    yield _converted("mlp", "digits", folder)
    if _data_file(V2_WEIGHTS) is not None:
        yield _converted("mobilenet_v2", "imagenet_mini", folder, "--weights", str(_data_file(V2_WEIGHTS)))


def mobilenet_v2(folder: Path) -> Trained | None:
    """MobileNetV2 1.0 for images of 224 pixels, where its ImageNet weights are."""
    weights = _data_file(V2_WEIGHTS)
    if weights is None:
        return None
    path = folder / "mobilenet_v2.keras"
    _edgekit("zoo", "build", "mobilenet_v2", "--weights", str(weights), "-o", str(path))
    return Trained(name="MobileNetV2 1.0-224", path=path, data="imagenet_mini")


def trained(folder: Path) -> Iterator[Trained]:
    """The zoo's `cnn`, a ResNet and an Inception trained on digits; and what EDGEKIT_DATA holds trained weights of."""
    cnn = folder / "cnn"
    _edgekit("train", "cnn", "--data", "digits", "-o", str(cnn))
    yield Trained(name="cnn", path=cnn / "model.keras", data="digits")
    for name in ("resnet", "inception"):
        path = folder / f"{name}.keras"
        script = Path(__file__).with_name("architectures.py")
        subprocess.run([sys.executable, str(script), name, str(path)], check=True, stdout=subprocess.DEVNULL)
        yield Trained(name=name, path=path, data="digits", preprocess="unit")
    resnet8 = _data_file(RESNET8)
    if resnet8 is not None:
        yield Trained(name="ResNet8", path=resnet8, data="cifar10", preprocess="raw")
    yield from mobilenets(folder)


def mobilenets(folder: Path) -> Iterator[Trained]:
    """The MobileNets whose ImageNet weights are there."""
    v1, v2 = _data_file(V1_WEIGHTS), mobilenet_v2(folder)
    if v1 is not None:
        path = folder / "mobilenet_v1.keras"
        options = ["--size", "128", "--alpha", "0.25", "--weights", str(v1)]
        _edgekit("zoo", "build", "mobilenet_v1", *options, "-o", str(path))
        labels = _data_file(IMAGENET_LABELS)
        names = None if labels is None else tuple(labels.read_text().splitlines())
        yield Trained(name="MobileNetV1 0.25-128", path=path, data="imagenet_mini", labels=names)
    if v2 is not None:
        yield v2


def held_out_inputs(path: Path, paths: list[Path], data: Dataset, items: int) -> dict[str, Any]:
    """``items`` held-out items as the file at ``path`` takes them, (items, ...) of each input; drawn for generators."""
    card, specs = open_artifact(path).card, open_runtime(path).inputs
    if card.generator is not None:
        noise = draws(card.generator, items, seed=0)
        return {s.name: quantize(noise[s.name], s) if s.quantized else noise[s.name] for s in specs}
    feeder = Feeder(specs, card.preprocessing, card.sequences, card.tabular)
    fed = [feeder.feed(item) for item in held_out_items(paths, data, items)]
    return {name: np.stack([feed[name] for feed in fed]) for name in fed[0]}


def held_out_items(paths: list[Path], data: Dataset, items: int) -> HeldOut:
    """``items`` of ``data`` that no file of ``paths`` has seen."""
    return HeldOut(data, [open_artifact(path) for path in paths], samples=items, seed=0)


def _data_file(name: str) -> Path | None:
    data_dir = os.environ.get("EDGEKIT_DATA")
    path = None if data_dir is None else Path(data_dir) / name
    if path is None or not path.is_file():
        print(f"EDGEKIT_DATA holds no {name}: what needs it is left out.")
        return None
    return path


def _converted(name: str, data: str, folder: Path, *options: str) -> Material:
    """Made by commands: TensorFlow in the process that measures would slow it down, collecting garbage alone."""
    source, files = folder / f"{name}.keras", folder / name
    _edgekit("zoo", "build", name, *options, "-o", str(source))
    _edgekit("convert", str(source), "-p", "fp32", "-p", "int8", "--calibration", data, "-o", str(files))
    found = (*sorted(files.glob("*.tflite")), *sorted(files.glob("*.onnx")))
    return Material(name=name, files=found, data=data)


def _edgekit(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "edgekit", *arguments], check=True, stdout=subprocess.DEVNULL)
