"""The pages of the zoo: one for each entry and a table of all, from the registry and a file of results."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgekit.models.detector_table import detector_table
from edgekit.models.spec import ModelSpec
from edgekit.models.task_figures import TASK_FIGURES, TaskFigures
from edgekit.report.words import percent

Json = Mapping[str, Any]

PARITY = (("close", 0.99), ("near", 0.95), ("apart", 0.0))
"""Classes of int8 files by the least fraction of held-out items that they put where the float model does."""
ARM = "cortex-a72"


def index_page(specs: Sequence[ModelSpec], results: Json) -> str:
    """``docs/zoo/README.md``: the tables of all entries."""
    rows = {row["name"]: row for row in results["results"]}
    unmeasured = [spec for spec in specs if spec.name not in rows]
    specs = measured(specs, results)
    detectors = [spec for spec in specs if spec.task == "detection"]
    others = [spec for spec in specs if spec.task not in ("classification", "detection")]
    lines = [
        "# The zoo",
        "",
        "Written by `benchmarks/zoo_pages.py` from the registry and [results.json](results.json), never by hand.",
        "",
        "## Classifiers",
        "",
        "| model | data | top-1 float, % | published | int8 TFLite | int8 ONNX | size ratio | p50 ratio | parity "
        "| training |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_index_row(spec, rows[spec.name]) for spec in specs if spec.task == "classification"]
    lines += [
        "",
        "- **Top-1** on the held-out test part, with the 95 % interval of the float model; published figures are those",
        "  of the source, on its data. `small` presets are narrow, see small images and train for minutes, so they are",
        "  not expected to reach them.",
        "- **Size ratio** and **p50 ratio**: the int8 file over the fp32 file of the same format, TFLite and ONNX;",
        "  the smaller the better. Times of one thread, all four files in turns.",
        "- **Parity**: the largest difference of the fp32 files' outputs, and the SQNR of the int8 files', both",
        "  against the Keras model; int8 is "
        + ", ".join(f"*{name}* from {100 * least:g} %" for name, least in PARITY[:-1])
        + f" of held-out items in the same class on, else *{PARITY[-1][0]}*.",
        "- **Training**: minutes and the largest memory of the process. Converted with `--portable`.",
        "",
        *(detector_table(detectors, rows, results["prediction_layers"]) if detectors else []),
        *(_other_tasks(others, rows) if others else []),
        *(_unmeasured(unmeasured) if unmeasured else []),
        "## All files",
        "",
        _everywhere(results),
        "",
        f"Measured on {_host(results)}. Repeat it there, in about {_told_minutes(rows.values())}:",
        "",
        "<!-- not run: takes hours -->",
        "```sh",
        *(
            f"edgekit train --all --task {task} --preset small --data-dir DATA -o RUNS"
            for task in dict.fromkeys(row["task"] for row in rows.values())
        ),
        "edgekit report RUNS -o zoo.html",
        "```",
    ]
    return "\n".join(lines) + "\n"


def measured(specs: Iterable[ModelSpec], results: Json) -> list[ModelSpec]:
    """Those of ``specs`` that ``results`` has figures of."""
    names = {row["name"] for row in results["results"]}
    return [spec for spec in specs if spec.name in names]


def entry_page(spec: ModelSpec, results: Json) -> str:
    """``docs/zoo/NAME.md``."""
    (row,) = (row for row in results["results"] if row["name"] == spec.name)
    published, told = spec.published, TASK_FIGURES[spec.task]
    figures = row["default"]
    lines = [
        f"# {spec.name}",
        "",
        _prose(f"{spec.title}. Source: {spec.source}."),
        "",
        "| by default | here | published |",
        "|---|---|---|",
        f"| parameters | {figures['parameters']:,} | {published.parameters:,} |",
        f"| multiply-accumulates | {figures['macs']:,} | {'' if published.macs is None else f'{published.macs:,}'} |",
        f"| {told.title} | | {_published(spec)} |",
        "",
        *(_prose(f"- {note[0].upper()}{note[1:]}", hanging="  ") for note in published.notes),
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
        f"| file | {' | '.join(told.columns)} | bytes | ratio | p50, ms | max-abs | SQNR, dB | same on Cortex-A72 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    figures = [told.written(row["metrics"][name]) if name in row["metrics"] else "" for name in told.of_files]
    lines.append(f"| model.keras | {' | '.join(figures)} | | | | | | |")
    lines += [_file_row(file, told) for file in row["files"]]
    lines += ["", *_losses(row, told)]
    return "\n".join(lines).rstrip() + "\n"


def _index_row(spec: ModelSpec, row: Json) -> str:
    int8 = {file["format"]: file for file in row["files"] if file["recipe"] == "int8"}
    metrics = row["metrics"]
    fp32 = [file for file in row["files"] if file["recipe"] == "fp32"]
    cells = [
        f"[{spec.name}]({spec.name}.md)",
        row["data"],
        f"{percent(metrics['top1'])} ({percent(metrics['top1_low'])}–{percent(metrics['top1_high'])})",
        _published(spec),
        *(percent(int8[fmt]["top1"]) for fmt in ("tflite", "onnx")),
        " / ".join(f"{1 / int8[fmt]['ratio']:.2f}" for fmt in ("tflite", "onnx")),
        " / ".join(f"{int8[fmt]['p50_ratio']:.2f}{'' if int8[fmt]['valid'] else '?'}" for fmt in ("tflite", "onnx")),
        f"{_parity(int8.values())}: {max(file['max_abs'] for file in fp32):.0e}, "
        + " / ".join(f"{int8[fmt]['sqnr_db']:.1f}" for fmt in ("tflite", "onnx"))
        + " dB",
        f"{row['train_seconds'] / 60:.1f} min, {row['train_peak_rss_bytes'] / 1e9:.1f} GB",
    ]
    return f"| {' | '.join(cells)} |"


def _other_tasks(specs: Sequence[ModelSpec], rows: Mapping[str, Json]) -> list[str]:
    """The table of sequence models."""
    lines = [
        "## Sequences",
        "",
        "| model | data | figure | float | int8 TFLite | int8 ONNX | size ratio | p50 ratio | training |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for spec in specs:
        row, told = rows[spec.name], TASK_FIGURES[spec.task]
        int8 = {file["format"]: file for file in row["files"] if file["recipe"] == "int8"}
        both = [int8[fmt] for fmt in ("tflite", "onnx")]
        metric = told.of_files[0]
        cells = [
            f"[{spec.name}]({spec.name}.md)",
            row["data"],
            told.title + told.unit,
            *(told.written(value) for value in (row["metrics"][metric], *(file[metric] for file in both))),
            " / ".join(f"{1 / file['ratio']:.2f}" for file in both),
            " / ".join(f"{file['p50_ratio']:.2f}{'' if file['valid'] else '?'}" for file in both),
            f"{row['train_seconds'] / 60:.1f} min, {row['train_peak_rss_bytes'] / 1e9:.1f} GB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _unmeasured(specs: Sequence[ModelSpec]) -> list[str]:
    """Which entries have no figures, so that nobody takes the tables for all there is."""
    names = ", ".join(f"`{spec.name}` ({spec.task})" for spec in specs)
    return ["## Not measured yet", "", _prose(f"{names}."), ""]


def _parity(files: Iterable[Json]) -> str:
    """The class of the worse file."""
    agreement = min(file["agreement"] for file in files)
    return next(name for name, least in PARITY if agreement >= least)


def _everywhere(results: Json) -> str:
    """What was found of all files where one engine is installed, and on ARM."""
    files = [file for row in results["results"] for file in row["files"]]
    custom = sorted({name for file in files for name in file["custom_operators"]})
    alone = sum(e["metrics"]["identical"] == 1 for f in files for name, e in f["elsewhere"].items() if name != ARM)
    there = [file["elsewhere"][ARM] for file in files]
    items, same = sum(e["n"] for e in there), sum(_same_class(e) for e in there)
    bits = sum(e["metrics"]["identical"] == 1 for e in there)
    held = f"custom operators: {', '.join(custom)}" if custom else "no custom operator"
    return _prose(
        f"The {len(files)} files hold {held}. With `[litert]` or `[onnx]` alone installed, {alone} of them give the "
        f"same bits as here. On an emulated Cortex-A72, the core of a Raspberry Pi 4, {same:,} of {items:,} items get "
        f"the same class or the same objects, and {bits} files give the same bits."
    )


def _prose(text: str, *, hanging: str = "") -> str:
    return textwrap.fill(text, 140, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)


def _same_class(elsewhere: Json) -> int:
    return round(float(elsewhere["metrics"]["agreement"]) * int(elsewhere["n"]))


def _published(spec: ModelSpec) -> str:
    published = spec.published
    if published.map is not None:
        return f"{percent(published.map)} on {published.map_data}"
    return "" if published.top1 is None else f"{percent(published.top1)} on {published.top1_data}"


def _training(spec: ModelSpec, row: Json) -> str:
    settings, told = row["settings"], TASK_FIGURES[spec.task]
    return _prose(
        f"`edgekit train {spec.name}` on {row['data']}: {settings['epochs']} epochs of batches of "
        f"{settings['batch_size']}, {settings['optimizer']} from {settings['learning_rate']:g}, seed "
        f"{settings['seed']}; "
        f"{row['train_seconds'] / 60:.1f} minutes and {row['train_peak_rss_bytes'] / 1e9:.2f} GB. "
        f"{told.title} on {row['n']:,} held-out items: {told.written(row['metrics'][told.of_files[0]])}{told.unit}."
    )


def _file_row(file: Json, told: TaskFigures) -> str:
    doubt = "" if file["valid"] else " ?"
    there = file["elsewhere"][ARM]
    bits = ", same bits" if there["metrics"]["identical"] else ""
    figures = " | ".join(told.written(file[name]) for name in told.of_files)
    return (
        f"| {file['artifact']} | {figures} | {file['model_bytes']:,} | "
        f"{file['ratio']:.2f} | {file['p50_ms']:.3f}{doubt} | {file['max_abs']:.1e} | {file['sqnr_db']:.1f} | "
        f"{_same_class(there)} of {there['n']}{bits} |"
    )


def _losses(row: Json, told: TaskFigures) -> list[str]:
    """The int8 files that lose more than they should, and what computes in float in the int8 files, and why."""
    int8 = [file for file in row["files"] if file["recipe"] == "int8"]
    metric = told.of_files[0]
    lost = {file["artifact"]: told.lost(row["metrics"][metric], file[metric]) for file in int8}
    losing = [
        f"- **{name} loses {f'{100 * much:.2f} points' if told.fractions else f'{much:.4f}'}.**"
        for name, much in lost.items()
        if much > told.loss
    ]
    floats = [
        f"- {file['artifact']}: {op['name']} ({op['op']}) computes in float, since {op['reason']}."
        for file in int8
        for op in file["float_ops"]
    ]
    return [*losing, *floats] or ["Every operator of the int8 files computes in integers."]


def _host(results: Json) -> str:
    host = results["host"]
    return f"{host['cpu']}, {host['cores']} cores"


def _told_minutes(rows: Iterable[Json]) -> str:
    """How long the entries of each task took."""
    minutes: dict[str, float] = {}
    for row in rows:
        minutes[row["task"]] = minutes.get(row["task"], 0.0) + float(row["seconds"]) / 60
    return " and ".join(f"{most:.0f} minutes for {task}" for task, most in minutes.items())
