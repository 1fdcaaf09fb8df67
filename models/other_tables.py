"""The tables of the zoo's models that are no classifiers or detectors, from the registry and a file of results."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgekit.models.spec import GENERATION, VERIFICATION, ModelSpec
from edgekit.report.task_figures import TASK_FIGURES
from edgekit.report.words import percent

Json = Mapping[str, Any]
Table = Callable[[Sequence[ModelSpec], Mapping[str, Json]], list[str]]
"""From entries and the rows of all by name to the lines of a section."""

FORMATS = ("tflite", "onnx")
_LAST = ("size ratio", "p50 ratio", "training")
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


def _sequence_table(specs: Sequence[ModelSpec], rows: Mapping[str, Json]) -> list[str]:
    """The section of models of texts and series."""
    columns = ["model", "data", "figure", "float", "int8 TFLite", "int8 ONNX", *_LAST]
    lines = _head("Sequences", columns)
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


def _generator_table(specs: Sequence[ModelSpec], rows: Mapping[str, Json]) -> list[str]:
    """The section of generators of pictures."""
    columns = ["model", "data", "Frechet float", "int8 TFLite", "int8 ONNX", "SSIM int8", "classes, %", *_LAST]
    lines = _head("Generators", columns)
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
    """The row of an entry: its float figure and those of the int8 files, after ``first`` and before ``more``."""
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


def _anomaly_table(specs: Sequence[ModelSpec], rows: Mapping[str, Json]) -> list[str]:
    columns = ["model", "data", "PR-AUC float", "int8 TFLite", "int8 ONNX", "ROC-AUC float", "published PR-AUC"]
    lines = []
    for spec in specs:
        row = rows[spec.name]
        lines.append(_line(spec, row, [], [f"{row['metrics']['roc_auc']:.4g}", published_figure(spec, "pr_auc")]))
    return [
        *_head("Detectors of anomalies", [*columns, *_LAST]),
        *lines,
        "",
        "- **PR-AUC** is the average precision of the errors of reconstruction, with its 95 % interval over held-out",
        "  items; published figures are of far more payments with far fewer frauds among them, and no rivals.",
        "- **Size ratio** above 1: what the card says of the 2,000 rows of calibration weighs more than the weights.",
        "- [Every set and recipe](anomalies.md): the library ODDS too, an isolation forest and the distance from the",
        "  mean beside them, and where int8 keeps too little.",
        "",
    ]


def _rating_table(specs: Sequence[ModelSpec], rows: Mapping[str, Json]) -> list[str]:
    columns = ["model", "data", "MSE over that of item means", "int8 TFLite", "int8 ONNX", "MSE", "of item means"]
    columns += ["of means with a user's offset", "published MSE"]
    lines = []
    for spec in specs:
        row = rows[spec.name]
        mse = [f"{row['metrics'][name]:.4f}" for name in ("mse", "item_mean_mse", "offset_mse")]
        lines.append(_line(spec, row, [], [*mse, published_figure(spec, "mse")]))
    return [
        *_head("Recommenders", [*columns, *_LAST]),
        *lines,
        "",
        "- **MSE** of the hidden fifth of the ratings of users who were held out, ratings being from 0 to 1; the ratio",
        "  with its 95 % interval over users.",
        "",
    ]


def _verification_table(specs: Sequence[ModelSpec], rows: Mapping[str, Json]) -> list[str]:
    columns = ["model", "data", "equal error rate, %", "int8 TFLite", "int8 ONNX", "area under the curve, %"]
    lines = [_line(spec, rows[spec.name], [], [percent(rows[spec.name]["metrics"]["auc"])]) for spec in specs]
    return [
        *_head("Comparing pictures", [*columns, *_LAST]),
        *lines,
        "",
        "- **Equal error rate** of all pairs of held-out pictures, of people whose other pictures were learned from;",
        "  with its 95 % interval over people. One-shot trials, beside the published ones, are on the model's page; of",
        "  people who were not trained on `benchmarks/unseen_people.py` tells.",
        "",
    ]


def _head(title: str, columns: Sequence[str]) -> list[str]:
    return [f"## {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def published_figure(spec: ModelSpec, name: str) -> str:
    """The figure ``name`` of the source, as it prints it, and what it is of; nothing where it prints none."""
    figures = spec.published.figures
    if name not in figures:
        return ""
    return f"{TASK_FIGURES[spec.task].written(figures[name])} on {spec.published.figures_data}"


OTHERS: tuple[tuple[tuple[str, ...], Table], ...] = (
    (("text-generation", "text-classification", "forecasting", "sequence-to-sequence"), _sequence_table),
    ((GENERATION,), _generator_table),
    (("anomaly-detection",), _anomaly_table),
    (("recommendation",), _rating_table),
    ((VERIFICATION,), _verification_table),
)
"""The section of the entries of these tasks."""
