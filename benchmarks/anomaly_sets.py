"""Claim: of every autoencoder of rows and every set of anomalies a recipe keeps 98 % of the area under the
precision-recall curve, or the page says which does; beside them are scores that need no network.

    python benchmarks/anomaly_sets.py -o RUNS [--data-dir DIR] [--models NAME...] [--data SET...]

Each entry is trained on each set with its small preset and seed 0, converted with every recipe of `RECIPES`, and
evaluated on the held-out part. RUNS gets the files, `anomalies.json` with a row for each, and `anomalies.md`, the page
`docs/zoo/anomalies.md`; what is there already is not done again. Run by hand.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from anomaly_baselines import OF_ROWS, baselines

from edgekit.entry_verbs import Verb, call, is_done
from edgekit.files import write_atomic
from edgekit.measure.host import host_facts
from edgekit.models.registry import ZOO
from edgekit.models.run_folder import MODEL
from edgekit.report.task_figures import TASK_FIGURES
from edgekit.results import envelope
from edgekit.tasks.anomalies import TASK

SETS = ("fraud", "mammography", "thyroid", "shuttle")
MODELS = tuple(spec.name for spec in ZOO if spec.task == TASK and not spec.channels)
RECIPES = ("fp32", "fp16", "dynamic", "int16x8", "int8")
FORMATS = ("tflite", "onnx")
RESULTS, PAGE = "anomalies.json", "anomalies.md"
FIGURES = TASK_FIGURES[TASK]
ABOUT = """\
# Detectors of anomalies on every set

Written by `benchmarks/anomaly_sets.py`, never by hand. PR-AUC, the average precision, on held-out items of each set, of
the Keras model with its 95 % interval, and of the TFLite and ONNX file of each recipe; **bold** where a file loses more
than 2 % of the model's. *refused*: `convert` wrote no file, since its answers were too far from the model's; -: the
format has no such recipe. The score itself stays in float in every recipe. `fraud` is a part of the payments that the
sources learn from; the others are of the library ODDS. 60 % of the normal rows are learned from, with the small preset
of each entry and seed 0.
"""


def main() -> None:
    """Do what is not done, and write the page; 1 where no quantized file of a model and set keeps enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--data", nargs="*", default=SETS)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    options = () if given.data_dir is None else ("--data-dir", str(given.data_dir))
    rows = [row for data in given.data for name in given.models for row in measured(name, data, given.output, options)]
    scores = [row for data in given.data for row in baselines(data, given.data_dir)]
    told = envelope("benchmarks/anomaly_sets", [*rows, *scores], host=host_facts())
    write_atomic(given.output / RESULTS, (json.dumps(told, indent=2) + "\n").encode())
    write_atomic(given.output / PAGE, page(rows, scores, told["host"]).encode())
    print(f"Wrote {given.output / PAGE}.")
    sys.exit(0 if all(any(map(keeps, of)) for of in groups(rows).values()) else 1)


def measured(name: str, data: str, folder: Path, options: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The row of the entry ``name`` trained on the set ``data``, and those of its files; those of refused ones too."""
    run, stem = folder / f"{name}_{data}", f"{name}_{data}"
    known = {"model": name, "data": data}
    trained = Verb(
        name="train",
        arguments=("train", name, "--data", data, *options, "-o", str(run)),
        home=run,
        results=folder / f"{stem}.train.json",
    )
    if reason := _do(trained):
        sys.exit(reason)
    files, refused = [], []
    for recipe in RECIPES:
        for fmt in FORMATS if recipe != "int16x8" else FORMATS[:1]:
            made = Verb(
                name="convert",
                arguments=(
                    *("convert", str(run), "-f", fmt, "-p", recipe, "--calibration", data, *options),
                    *("-o", str(run), "--force"),
                ),
                home=run,
                results=folder / f"{stem}.{recipe}.{fmt}.json",
            )
            if reason := _do(made):
                refused.append({**known, "format": fmt, "recipe": recipe, "refused": reason})
            else:
                files.append(str(run / f"{stem}.{recipe}.{fmt}"))
    evaluated = Verb(
        name="evaluate",
        arguments=("evaluate", str(run / MODEL), *files, "--data", data, *options),
        home=run,
        results=folder / f"{stem}.evaluate.json",
    )
    if reason := _do(evaluated):
        sys.exit(reason)
    rows = json.loads(evaluated.results.read_bytes())["results"]
    (source,) = (row for row in rows if row["format"] == "keras")
    for row in rows:
        lost = FIGURES.lost(source["metrics"]["pr_auc"], row["metrics"]["pr_auc"])
        told = {key: row[key] for key in ("format", "recipe", "n", "metrics", "sha256")}
        yield {**known, **told, **({} if row is source else {"lost": lost})}
    yield from refused


def _do(verb: Verb) -> str:
    """Why ``verb`` failed, or nothing."""
    if is_done(verb):
        return ""
    print(f"edgekit {shlex.join(verb.arguments)}", flush=True)
    return call(verb, lambda _: None)


def groups(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The quantized files of each set and model, refused ones too."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["format"] != "keras" and row["recipe"] != "fp32":
            found.setdefault((row["data"], row["model"]), []).append(row)
    return found


def keeps(row: Mapping[str, Any]) -> bool:
    """Whether a file loses no more than it may."""
    return "lost" in row and row["lost"] <= FIGURES.loss


def page(rows: Sequence[dict[str, Any]], scores: Sequence[dict[str, Any]], host: Mapping[str, Any]) -> str:
    """The whole page."""
    columns = ["model", "float (95 %)", "ROC-AUC", *(f"{r}: TFLite / ONNX" for r in RECIPES)]
    lines = [ABOUT]
    for data in dict.fromkeys(row["data"] for row in rows):
        here = [row for row in rows if row["data"] == data]
        (items,) = {row["n"] for row in here if "n" in row}
        lines += [f"## {data}", "", f"{items:,} held-out items.", "", f"| {' | '.join(columns)} |"]
        lines.append("|---" * len(columns) + "|")
        lines += [
            line([row for row in here if row["model"] == name]) for name in dict.fromkeys(r["model"] for r in here)
        ]
        lines += [
            f"| {row['score']} | {_area(row)} | {row['roc_auc']:.4f} |{' |' * len(RECIPES)}"
            for row in scores
            if row["data"] == data and row["score"] in OF_ROWS
        ]
        lines.append("")
    return "\n".join([*lines, f"Measured on {host['cpu']}, {host['cores']} cores."]) + "\n"


def line(rows: Sequence[Mapping[str, Any]]) -> str:
    """The row of the page for one model on one set."""
    (source,) = (row for row in rows if row["format"] == "keras")
    kinds = {(row["format"], row["recipe"]): row for row in rows}
    cells = [" / ".join(_cell(kinds.get((fmt, recipe))) for fmt in FORMATS) for recipe in RECIPES]
    metrics = source["metrics"]
    return f"| {source['model']} | {_area(metrics)} | {metrics['roc_auc']:.4f} | {' | '.join(cells)} |"


def _area(metrics: Mapping[str, Any]) -> str:
    return f"{metrics['pr_auc']:.4f} ({metrics['pr_auc_low']:.3f}–{metrics['pr_auc_high']:.3f})"


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    if "refused" in row:
        return "refused"
    area = f"{row['metrics']['pr_auc']:.4f}"
    return area if keeps(row) else f"**{area}**"


if __name__ == "__main__":
    main()
