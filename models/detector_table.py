"""The table of the zoo's detectors, from the registry and a file of results."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.models.prediction_layers import prediction_lines
from edgekit.models.spec import ModelSpec
from edgekit.report.words import percent

Json = Mapping[str, Any]

PARITY = (("close", 0.01), ("near", 0.03), ("apart", 1.0))
"""Classes of int8 files by the most that their mean average precision at .50 differs from the float model's."""
_INT8 = ("tflite", "onnx")


def detector_table(specs: Sequence[ModelSpec], rows: Mapping[str, Json], prediction: list[Json]) -> list[str]:
    """The lines of a section of ``docs/zoo/README.md``."""
    columns = [
        "model", "data", "parameters, M", "multiply-accumulates, G", "mAP .50 float, %", "int8 TFLite", "int8 ONNX",
        "published mAP", "p50, ms", "size ratio", "p50 ratio", "parity", "training",
    ]  # fmt: skip
    return [
        "## Detectors",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *(_row(spec, rows[spec.name]) for spec in specs),
        "",
        "- **Parameters** and **multiply-accumulates** are those of the source's arguments, the rest is of the small",
        "  preset: mAP at an overlap of .50 by COCO's code on scenes that were never learned from; published figures",
        "  are those of the source, on its data, where nothing else is said at .50:.95.",
        "- **p50**: one scene through the int8 files, TFLite and ONNX, without decoding, on one thread; of detectors",
        "  that look at regions the first file once, and the last one for the most regions of a scene, one by one,",
        "  without finding and cutting them out.",
        "- **Parity** as above, but int8 is "
        + ", ".join(f"*{name}* up to {100 * most:g}" for name, most in PARITY[:-1])
        + f" points of difference in mAP .50, else *{PARITY[-1][0]}*.",
        "",
        *prediction_lines(prediction),
    ]


def _row(spec: ModelSpec, row: Json) -> str:
    int8 = {file["format"]: file for file in row["files"] if file["recipe"] == "int8"}
    fp32 = [file for file in row["files"] if file["recipe"] == "fp32"]
    figures, published, found = row["default"], spec.published, row["metrics"]["map50"]
    most = max(abs(int8[fmt]["map50"] - found) for fmt in _INT8)
    parity = next(name for name, limit in PARITY if most <= limit)
    cells = [
        f"[{spec.name}]({spec.name}.md)",
        row["data"],
        f"{figures['parameters'] / 1e6:.2f}",
        f"{figures['macs'] / 1e9:.2f}",
        percent(found),
        *(percent(int8[fmt]["map50"]) for fmt in _INT8),
        "" if published.map is None else f"{percent(published.map)} on {published.map_data}",
        " / ".join(f"{int8[fmt]['p50_ms']:.2f}{'' if int8[fmt]['valid'] else '?'}" for fmt in _INT8),
        " / ".join(f"{1 / int8[fmt]['ratio']:.2f}" for fmt in _INT8),
        " / ".join(f"{int8[fmt]['p50_ratio']:.2f}" for fmt in _INT8),
        f"{parity}: {max(file['max_abs'] for file in fp32):.0e}, "
        + " / ".join(f"{int8[fmt]['sqnr_db']:.1f}" for fmt in _INT8)
        + " dB",
        f"{row['train_seconds'] / 60:.1f} min, {row['train_peak_rss_bytes'] / 1e9:.1f} GB",
    ]
    return f"| {' | '.join(cells)} |"
