"""The pages of the zoo: one for each entry and a table of all, from the registry and a file of results."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.models.spec import ModelSpec

Json = Mapping[str, Any]


def index_page(specs: Sequence[ModelSpec], results: Json) -> str:
    """``docs/zoo/README.md``: the table of all entries."""
    rows = {row["name"]: row for row in results["results"]}
    lines = [
        "# The zoo",
        "",
        "Written by `benchmarks/zoo_pages.py` from the registry and [results.json](results.json), never by hand.",
        "",
        "| model | data | top-1 float, % | published | int8 TFLite | int8 ONNX | size ratio | p50 ratio | parity |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_index_row(spec, rows[spec.name]) for spec in specs]
    lines += [
        "",
        "- **Top-1** on the held-out test part, with the 95 % interval of the float model; published figures are those",
        "  of the source, on its data. `small` presets are narrow, see small images and train for minutes, so they are",
        "  not expected to reach them.",
        "- **Size ratio** and **p50 ratio**: the int8 file over the fp32 file of the same format, TFLite and ONNX;",
        "  the smaller the better. Times of one thread, all four files in turns.",
        "- **Parity**: the largest difference of the fp32 files' outputs, and the SQNR of the int8 files', both",
        "  against the Keras model.",
        "",
        f"Measured on {_host(results)}. Repeat it, in about {_minutes(results):.0f} minutes on two cores:",
        "",
        "<!-- not run: takes hours -->",
        "```sh",
        "edgekit train --all --preset small --data-dir DATA -o RUNS",
        "edgekit report RUNS -o zoo.html",
        "```",
    ]
    return "\n".join(lines) + "\n"


def entry_page(spec: ModelSpec, results: Json) -> str:
    """``docs/zoo/NAME.md``."""
    (row,) = (row for row in results["results"] if row["name"] == spec.name)
    published = spec.published
    figures = row["default"]
    lines = [
        f"# {spec.name}",
        "",
        f"{spec.title}. Source: {spec.source}.",
        "",
        "| by default | here | published |",
        "|---|---|---|",
        f"| parameters | {figures['parameters']:,} | {published.parameters:,} |",
        f"| multiply-accumulates | {figures['macs']:,} | {'' if published.macs is None else f'{published.macs:,}'} |",
        f"| top-1 | | {_published(spec)} |",
        "",
        *(f"- {note[0].upper()}{note[1:]}" for note in published.notes),
        *([""] if published.notes else []),
        "| argument | default | small |",
        "|---|---|---|",
    ]
    small = spec.presets["small"]
    for argument in spec.arguments:
        lines.append(
            f"| {argument.name} | {argument.default} | {small.arguments.get(argument.name, argument.default)} |"
        )
    lines += ["", "## Trained here", "", _training(spec, row), ""]
    lines += [
        "| file | top-1, % | agreement, % | bytes | ratio | p50, ms | max-abs | SQNR, dB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines.append(f"| model.keras | {_percent(row['metrics']['top1'])} | | | | | | |")
    lines += [_file_row(file) for file in row["files"]]
    lines += ["", *_floats(row)]
    return "\n".join(lines).rstrip() + "\n"


def _index_row(spec: ModelSpec, row: Json) -> str:
    int8 = {file["format"]: file for file in row["files"] if file["recipe"] == "int8"}
    metrics = row["metrics"]
    fp32 = [file for file in row["files"] if file["recipe"] == "fp32"]
    cells = [
        f"[{spec.name}]({spec.name}.md)",
        row["data"],
        f"{_percent(metrics['top1'])} ({_percent(metrics['top1_low'])}–{_percent(metrics['top1_high'])})",
        _published(spec),
        *(_percent(int8[fmt]["top1"]) for fmt in ("tflite", "onnx")),
        " / ".join(f"{1 / int8[fmt]['ratio']:.2f}" for fmt in ("tflite", "onnx")),
        " / ".join(f"{int8[fmt]['p50_ratio']:.2f}{'' if int8[fmt]['valid'] else '?'}" for fmt in ("tflite", "onnx")),
        f"{max(file['max_abs'] for file in fp32):.0e}, "
        + " / ".join(f"{int8[fmt]['sqnr_db']:.1f} dB" for fmt in ("tflite", "onnx")),
    ]
    return f"| {' | '.join(cells)} |"


def _published(spec: ModelSpec) -> str:
    published = spec.published
    return "" if published.top1 is None else f"{_percent(published.top1)} on {published.top1_data}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _training(spec: ModelSpec, row: Json) -> str:
    settings = row["settings"]
    return (
        f"`edgekit train {spec.name}` on {row['data']}: {settings['epochs']} epochs of batches of "
        f"{settings['batch_size']}, {settings['optimizer']} from {settings['learning_rate']:g}, seed "
        f"{settings['seed']}; "
        f"{row['train_seconds'] / 60:.1f} minutes and {row['train_peak_rss_bytes'] / 1e9:.2f} GB. Top-1 on "
        f"{row['n']:,} held-out items: {_percent(row['metrics']['top1'])} %."
    )


def _file_row(file: Json) -> str:
    doubt = "" if file["valid"] else " ?"
    return (
        f"| {file['artifact']} | {_percent(file['top1'])} | {_percent(file['agreement'])} | {file['model_bytes']:,} | "
        f"{file['ratio']:.2f} | {file['p50_ms']:.3f}{doubt} | {file['max_abs']:.1e} | {file['sqnr_db']:.1f} |"
    )


def _floats(row: Json) -> list[str]:
    """What computes in float in the int8 files, and why."""
    lines = [
        f"- {file['artifact']}: {op['name']} ({op['op']}) computes in float, since {op['reason']}."
        for file in row["files"]
        if file["recipe"] == "int8"
        for op in file["float_ops"]
    ]
    return lines or ["Every operator of the int8 files computes in integers."]


def _host(results: Json) -> str:
    host = results["host"]
    return f"{host['cpu']}, {host['cores']} cores"


def _minutes(results: Json) -> float:
    return sum(float(row["seconds"]) for row in results["results"]) / 60
