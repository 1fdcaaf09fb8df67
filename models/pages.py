"""The pages of the zoo: one for each entry and a table of all, from the registry and a file of results."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgekit.models.detector_table import detector_table
from edgekit.models.everywhere_words import everywhere, same_there
from edgekit.models.other_tables import FORMATS, OTHERS, Table, each, int8_files, published_figure, times, training
from edgekit.models.spec import GENERATION, ModelSpec
from edgekit.models.uncertain_table import pass_table, uncertain_table
from edgekit.report.task_figures import TASK_FIGURES, TaskFigures
from edgekit.report.words import percent

Json = Mapping[str, Any]

PARITY = (("close", 0.99), ("near", 0.95), ("apart", 0.0))
"""Classes of int8 files by the least fraction of held-out items that they put where the float model does."""


def index_page(specs: Sequence[ModelSpec], results: Json) -> str:
    """``docs/zoo/README.md``: the tables of all entries."""
    rows = {row["name"]: row for row in results["results"]}
    unmeasured = [spec for spec in specs if spec.name not in rows]
    specs = measured(specs, results)
    detectors = [spec for spec in specs if spec.task == "detection"]
    unsure = [spec for spec in specs if spec.sampler]
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
        "- **Training**: minutes and the largest memory of the process. Converted with `--portable`, but for sigmoids",
        "  and layers that stay in float.",
        "",
        *(uncertain_table(unsure, rows) if unsure else []),
        *(detector_table(detectors, rows, results["prediction_layers"]) if detectors else []),
        *(line for tasks, table in OTHERS for line in _section(specs, rows, tasks, table)),
        *(_unmeasured(unmeasured) if unmeasured else []),
        "## All files",
        "",
        _prose(everywhere(results)),
        "",
        _prose(f"Measured on {_host(results)}. Repeat it there, in about so many minutes: {_minutes(rows.values())}."),
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


def _section(specs: Iterable[ModelSpec], rows: Mapping[str, Json], tasks: Sequence[str], table: Table) -> list[str]:
    chosen = [spec for spec in specs if spec.task in tasks]
    return table(chosen, rows) if chosen else []


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
    columns = {**dict(zip(told.of_files, told.columns, strict=True)), **_extras(row, told)}
    heads = [*columns.values(), "bytes", "ratio", "p50, ms", "max-abs", "SQNR, dB", "same on Cortex-A72"]
    lines += [f"| file | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    figures = [_figure(name, row["metrics"][name], told) if name in row["metrics"] else "" for name in columns]
    lines.append(f"| model.keras | {' | '.join(figures)} | | | | | | |")
    lines += [_file_row(file, columns, told) for file in row["files"]]
    lines += [f"| {file['artifact']} {'| - ' * len(heads)}|" for file in _left_out(row)]
    lines += ["", *_losses(row, told), "", *pass_table(row), *_beside_published(spec, row, told)]
    return "\n".join(lines).rstrip() + "\n"


def _beside_published(spec: ModelSpec, row: Json, told: TaskFigures) -> list[str]:
    """The figures of the source that the float model has too, one by one."""
    metrics = row["metrics"]
    both = [name for name in spec.published.figures if name in metrics]
    if not both:
        return []
    titles = {**dict(zip(told.of_files, told.columns, strict=True)), **told.where_there, **told.beside}
    lines = [f"| {titles[name]} | {told.written(metrics[name])} | {published_figure(spec, name)} |" for name in both]
    return ["## Beside the published figures", "", "| figure | here, float | published |", "|---|---|---|", *lines]


def _extras(row: Json, told: TaskFigures) -> dict[str, str]:
    return {name: column for name, column in told.where_there.items() if name in row["metrics"]}


def _figure(name: str, value: float, told: TaskFigures) -> str:
    return percent(value) if name in told.where_there else told.written(value)


def _left_out(row: Json) -> Sequence[Json]:
    """The files that could not be made; rows of earlier versions were of entries that have all."""
    found: Sequence[Json] = row.get("left_out", ())
    return found


def _index_row(spec: ModelSpec, row: Json) -> str:
    int8 = int8_files(row)
    metrics = row["metrics"]
    fp32 = [file for file in row["files"] if file["recipe"] == "fp32"]
    cells = [
        f"[{spec.name}]({spec.name}.md)",
        row["data"],
        f"{percent(metrics['top1'])} ({percent(metrics['top1_low'])}–{percent(metrics['top1_high'])})",
        _published(spec),
        *(percent(int8[fmt]["top1"]) for fmt in FORMATS),
        each(int8, lambda file: f"{1 / file['ratio']:.2f}"),
        times(int8),
        f"{_parity(int8.values())}: {max(file['max_abs'] for file in fp32):.0e}, "
        + each(int8, lambda file: f"{file['sqnr_db']:.1f}")
        + " dB",
        training(row),
    ]
    return f"| {' | '.join(cells)} |"


def _unmeasured(specs: Sequence[ModelSpec]) -> list[str]:
    """Which entries have no figures, so that nobody takes the tables for all there is."""
    names = ", ".join(f"`{spec.name}` ({spec.task})" for spec in specs)
    return ["## Not measured yet", "", _prose(f"{names}."), ""]


def _parity(files: Iterable[Json]) -> str:
    """The class of the worse file."""
    agreement = min(file["agreement"] for file in files)
    return next(name for name, least in PARITY if agreement >= least)


def _prose(text: str, *, hanging: str = "") -> str:
    return textwrap.fill(text, 140, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)


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
        + (
            f"{told.title} of {row['n']:,} pictures to real ones, before the judge {row['judge']['artifact']} "
            f"(top-1 {percent(row['judge']['top1'])} %): "
            if spec.task == GENERATION
            else f"{told.title} on {row['n']:,} held-out items: "
        )
        + f"{told.with_interval(row['metrics'])}{told.unit}."
    )


def _file_row(file: Json, columns: Iterable[str], told: TaskFigures) -> str:
    doubt = "" if file["valid"] else " ?"
    figures = " | ".join(_figure(name, file[name], told) for name in columns)
    return (
        f"| {file['artifact']} | {figures} | {file['model_bytes']:,} | "
        f"{file['ratio']:.2f} | {file['p50_ms']:.3f}{doubt} | {file['max_abs']:.1e} | {file['sqnr_db']:.1f} | "
        f"{same_there(file)} |"
    )


def _losses(row: Json, told: TaskFigures) -> list[str]:
    """What the int8 files lose beyond what they should, what computes in float in them, and what there is not."""
    int8 = [file for file in row["files"] if file["recipe"] == "int8"]
    metric = told.of_files[0]
    lost = [(file, told.lost(row["metrics"][metric], file[metric])) for file in int8]
    losing = [
        f"- **{file['artifact']} loses {told.written_loss(much)}.**{told.chance(file)}"
        for file, much in lost
        if much > told.loss
    ]
    floats = [line for file in int8 for line in _in_float(file)]
    absent = [_prose(f"- There is no {file['artifact']}: {file['reason']}", hanging="  ") for file in _left_out(row)]
    return [*losing, *floats, *absent] or ["Every operator of the int8 files computes in integers."]


def _in_float(file: Json) -> list[str]:
    """Which operators of ``file`` compute in float, those with one reason together."""
    reasons: dict[str, list[str]] = {}
    for op in file["float_ops"]:
        reasons.setdefault(op["reason"], []).append(f"{op['name']} ({op['op']})")
    lines = []
    for reason, names in reasons.items():
        told = f"{names[0]} computes in float, since {reason}."
        if len(names) > 1:
            told = f"{len(names)} operators compute in float, since {reason}: {', '.join(names)}."
        lines.append(_prose(f"- {file['artifact']}: {told}", hanging="  "))
    return lines


def _host(results: Json) -> str:
    host = results["host"]
    return f"{host['cpu']}, {host['cores']} cores"


def _minutes(rows: Iterable[Json]) -> str:
    """How long the entries of each task took."""
    minutes: dict[str, float] = {}
    for row in rows:
        minutes[row["task"]] = minutes.get(row["task"], 0.0) + float(row["seconds"]) / 60
    return ", ".join(f"{task} {most:.0f}" for task, most in minutes.items())
