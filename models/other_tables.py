"""The tables of the zoo's sequence models and generators, from the registry and a file of results."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgekit.models.spec import ModelSpec
from edgekit.models.task_figures import TASK_FIGURES
from edgekit.report.words import percent

Json = Mapping[str, Any]

FORMATS = ("tflite", "onnx")
ABSENT = "-"
"""What stands for a file that could not be made; the entry's page says why."""


def int8_files(row: Json) -> dict[str, Json]:
    """The int8 files of an entry by format, as far as there are any."""
    return {file["format"]: file for file in row["files"] if file["recipe"] == "int8"}


def each(files: Mapping[str, Json], written: Callable[[Json], str]) -> str:
    """What ``written`` tells of the file of each format."""
    return " / ".join(written(files[fmt]) if fmt in files else ABSENT for fmt in FORMATS)


def times(files: Mapping[str, Json]) -> str:
    """How long each file takes, as a part of the fp32 file's time."""
    return each(files, lambda file: f"{file['p50_ratio']:.2f}{'' if file['valid'] else '?'}")


def training(row: Json) -> str:
    """What the training took."""
    return f"{row['train_seconds'] / 60:.1f} min, {row['train_peak_rss_bytes'] / 1e9:.1f} GB"


def sequence_table(specs: Sequence[ModelSpec], rows: Mapping[str, Json]) -> list[str]:
    """The section of models of texts and series."""
    columns = ["model", "data", "figure", "float", "int8 TFLite", "int8 ONNX", "size ratio", "p50 ratio", "training"]
    lines = ["## Sequences", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for spec in specs:
        row, told = rows[spec.name], TASK_FIGURES[spec.task]
        lines.append(_line(spec, row, [told.title + told.unit], []))
    return [
        *lines,
        "",
        "- **Nats per token** and **MSE over that of no change**: the smaller the better; with 95 % intervals where",
        "  they are known. **Right answers** have every token right. **-**: the format has no int8 form of the layer.",
        "- **p50 ratio** of fused LSTMs in TFLite is above 1 on x86, where LiteRT has no fast kernel of them in int8.",
        "- [Every format, recipe and form](recurrent.md) of these models and of the generators below.",
        "",
    ]


def generator_table(specs: Sequence[ModelSpec], rows: Mapping[str, Json]) -> list[str]:
    """The section of generators of pictures."""
    columns = ["model", "data", "Frechet float", "int8 TFLite", "int8 ONNX", "SSIM int8", "classes, %"]
    columns += ["size ratio", "p50 ratio", "training"]
    lines = ["## Generators", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for spec in specs:
        row, told = rows[spec.name], TASK_FIGURES[spec.task]
        classes = [percent(row["metrics"][name]) for name in told.where_there if name in row["metrics"]]
        more = [each(int8_files(row), lambda file: f"{file['ssim']:.3f}"), *(classes or [""])]
        lines.append(_line(spec, row, [], more))
    return [
        *lines,
        "",
        "- **Frechet** distance of made pictures to real ones in the features of the judge, [cnn](cnn.md): the smaller",
        "  the better. **SSIM** is the likeness of what an int8 file and the Keras model make of the same noise.",
        "- **Classes**: of `cgan` how often the judge sees the class that was asked for, of `infogan` the purity of",
        "  the categories that it found itself; both of the Keras model.",
        "",
    ]


def _line(spec: ModelSpec, row: Json, first: list[str], more: list[str]) -> str:
    int8, told = int8_files(row), TASK_FIGURES[spec.task]
    metric = told.of_files[0]
    cells = [
        f"[{spec.name}]({spec.name}.md)",
        row["data"],
        *first,
        told.with_interval(row["metrics"]),
        *(told.written(int8[fmt][metric]) if fmt in int8 else ABSENT for fmt in FORMATS),
        *more,
        each(int8, lambda file: f"{1 / file['ratio']:.2f}"),
        times(int8),
        training(row),
    ]
    return f"| {' | '.join(cells)} |"
