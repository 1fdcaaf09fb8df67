"""Claim: of every recurrent model and generator each format and recipe works, or is refused with a reason; the files
hold built-in operators alone, run where their engine is all there is, and answer the same on an ARM CPU.

    python benchmarks/recurrent_everywhere.py MODEL.keras... -o FOLDER [--judge RUN] [--data-dir DIR] [--items N]
        [--here]

Each MODEL was trained by edgekit; its card names the data. FOLDER gets the files, `recurrent.json` with a row for each
model, format, recipe and form (whole sequences, one time step), and `recurrent.md`, the page `docs/zoo/recurrent.md`;
what is there already stays, so that models can be looked at one after the other. Generators need the --judge. Accuracy
is of all held-out items, or of --samples of them; answers elsewhere are of N items. With --here answers are not looked
at elsewhere; else `make aarch64` is needed. p50 is of a sequence, and of a step for files of one step.
"""

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import alike
import numpy as np
from aarch64.places import Place, arm, here, run
from alone import alone
from material import held_out_inputs

from edgekit.artifact import Format, open_artifact
from edgekit.card import takes_steps
from edgekit.data import Dataset, Part, open_data
from edgekit.errors import CheckFailedError, EdgekitError
from edgekit.files import write_atomic
from edgekit.measure.evaluate_by_task import evaluate_by_task
from edgekit.measure.host import host_facts
from edgekit.measure.inspect import inspect
from edgekit.measure.sample_inputs import sample_feeds
from edgekit.models.run_folder import MODEL
from edgekit.recipe import Precision, Rnn
from edgekit.results import envelope

RESULTS, PAGE = "recurrent.json", "recurrent.md"
EXTRAS = {Format.TFLITE: "litert", Format.ONNX: "onnx"}
FORMS = (None, Rnn.STEP)
LOWERED = ("fused", "unrolled", "a loop")
"""What the notes of a conversion say that recurrent layers became."""
ABOUT = """\
# Recurrent models and generators in every form

Written by `benchmarks/recurrent_everywhere.py`, never by hand. *Whole* files take a sequence at once, or noise, *step*
files one time step. What recurrent layers of a TFLite file became follows *works*. SQNR is that to the Keras model; the
figure of the task is of {items} held-out items, or of as many pictures, whose Frechet distance is larger the fewer they
are: [the index](README.md) has those of 10,000. p50 is of one sequence or step on one thread. Same answers: where the
engine of the file is all there is, and on an emulated Cortex-A72, as the fraction of items or tokens for which the same
was chosen, or whether all numbers are within the limits of the recipe.
"""
"""What is told above the table."""
CPU = "cortex-a72"
METRICS = {
    "nats_per_token": "nats/token {:.4f}",
    "mse_ratio": "MSE ratio {:.3f}",
    "exact": "exact {:.3f}",
    "frechet": "Frechet {:.3f}",
    "top1": "top-1 {:.4f}",
}
"""What is told of a file, the first of these that it has."""


def called(model: Path) -> str:
    """The name of a Keras model: that of its folder where a training wrote it."""
    return model.parent.name if model.name == MODEL else model.stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A conversion that is tried."""

    model: Path
    fmt: Format
    precision: Precision
    form: Rnn | None

    def describe(self) -> dict[str, str]:
        """What its row is called."""
        form = "whole" if self.form is None else self.form.value
        return {"model": called(self.model), "format": self.fmt.value, "recipe": self.precision.value, "form": form}


def edgekit(*arguments: str) -> tuple[dict[str, Any] | None, str]:
    """The JSON of a command, or None and the sentence with which it was refused."""
    command = [sys.executable, "-m", "edgekit", *arguments, "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout), ""
    return None, (done.stderr.strip().splitlines() or [""])[-1].removeprefix("edgekit: ")


def converted(wish: Wish, data: str | None, folder: Path) -> tuple[Path | None, dict[str, Any]]:
    """The file that ``wish`` makes, none where it is refused, and what its row says of that.

    It is calibrated on ``data``, if any.
    """
    home = folder / "-".join(wish.describe().values())
    form = () if wish.form is None else ("--rnn", wish.form.value)
    asked = ("-f", wish.fmt.value, "-p", wish.precision.value, *form, *(("--calibration", data) if data else ()))
    told, refused = edgekit("convert", str(wish.model), *asked, "-o", str(home), "--force")
    if told is None:
        return None, {"works": False, "reason": refused.replace(str(wish.model), wish.model.name)}
    (made,) = told["results"]
    return home / Path(made["artifact"]).name, {"works": True, "parity": made["metrics"], "notes": made["notes"]}


def inputs_of(path: Path, paths: list[Path], data: Dataset, items: int) -> dict[str, Any]:
    """Inputs (items, ...) by name: held-out items, and for files of one step seeded tokens and states."""
    card = open_artifact(path).card
    if not takes_steps(card):
        return held_out_inputs(path, paths, data, items)
    feeds = sample_feeds(card, samples=items, seed=0)
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def elsewhere(path: Path, inputs: Mapping[str, Any], places: Sequence[Place]) -> dict[str, Any]:
    """What other machines answer beside this one, tokens as items."""
    artifact, reference, found = open_artifact(path), run(here(), path, inputs).outputs, {}
    for place in places:
        found[place.name] = alike.sameness(artifact, reference, run(place, path, inputs).outputs)[1]
    return found


def answers_elsewhere(path: Path, inputs: Mapping[str, Any], places: Sequence[Place]) -> dict[str, Any]:
    """What a row says of other machines: of int16x8, which XNNPACK does not run, why its answers were not compared."""
    try:
        return {"elsewhere": elsewhere(path, inputs, places) if places else {}}
    except CheckFailedError as error:
        return {"elsewhere": {}, "not_compared": str(error)}


def measured(path: Path) -> dict[str, Any]:
    """Size, operators and latency of a file."""
    artifact = open_artifact(path)
    told, refused = edgekit("benchmark", str(path), "--mode", "quick")
    facts = inspect(path)
    return {
        "artifact": path.name,
        "sha256": artifact.sha256,
        "model_bytes": artifact.model_bytes,
        "custom_operators": sorted(facts.custom_operators),
        "p50_ms": None if told is None else told["results"][0]["latency_ms"]["p50"],
        "benchmark": refused,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How models are looked at: where the files of each format answer, on which data, and who judges generators."""

    folder: Path
    places: Mapping[Format, Sequence[Place]]
    data_dir: Path | None
    judge: Path | None
    items: int
    samples: int


def rows_of(model: Path, look: Look) -> list[dict[str, Any]]:
    """The rows of one Keras model."""
    card = open_artifact(model).card
    training = card.provenance.training
    if training is None:
        sys.exit(f"The card of {model} names no data; expected a model that edgekit trained.")
    data = open_data(training.name, part=Part.EVALUATION, data_dir=look.data_dir)
    forms, calibration = (FORMS, training.name) if card.generator is None else (FORMS[:1], None)
    wishes = [Wish(model=model, fmt=f, precision=p, form=r) for f in EXTRAS for p in Precision for r in forms]
    made = [(wish, *converted(wish, calibration, look.folder)) for wish in wishes]
    files = [path for _, path, _ in made if path is not None]
    judge = None if card.generator is None else look.judge
    report = evaluate_by_task([model, *files], data, samples=look.samples or None, judge=judge)
    figures = {row["sha256"]: row["metrics"] for row in report.results()}
    source = {"model": called(model), "format": "keras", "works": True, "metrics": report.results()[0]["metrics"]}
    found = [source]
    for wish, path, told in made:
        row = {**wish.describe(), **told}
        if path is not None:
            row |= measured(path)
            row["metrics"] = figures[row["sha256"]]
            row |= answers_elsewhere(path, inputs_of(path, files, data, look.items), look.places[wish.fmt])
        found.append(row)
        print(line(row), flush=True)
    return found


def known(folder: Path, models: Sequence[str]) -> list[dict[str, Any]]:
    """The rows that ``folder`` has of other ``models``."""
    if not (folder / RESULTS).is_file():
        return []
    rows: list[dict[str, Any]] = json.loads((folder / RESULTS).read_bytes())["results"]
    return [row for row in rows if row["model"] not in models]


def line(row: Mapping[str, Any]) -> str:
    """A row of the table in Markdown."""
    told = [row["model"], row["format"], row.get("recipe", "-"), row.get("form", "whole")]
    if not row["works"]:
        return f"| {' | '.join([*told, 'refused: ' + row['reason']])} | | | | | |"
    metrics = row["metrics"]
    name = next((name for name in METRICS if name in metrics), None)
    metric = "-" if name is None else METRICS[name].format(metrics[name])
    if "ssim" in metrics:
        metric += f", SSIM {metrics['ssim']:.4f}"
    if "sha256" not in row:
        return f"| {' | '.join([*told, 'source'])} | | {metric} | | | |"
    p50 = "-" if row["p50_ms"] is None else f"{row['p50_ms']:.3g}"
    same = ", ".join(f"{place} {alike.told(metrics)}" for place, metrics in row["elsewhere"].items())
    figures = [f"{row['parity']['sqnr_db']:.1f}", metric, f"{row['model_bytes'] / 1000:.1f}", p50, same or "-"]
    return f"| {' | '.join([*told, works(row), *figures])} |"


def works(row: Mapping[str, Any]) -> str:
    """That a file was made, and what its recurrent layers became."""
    forms = (form for note in row.get("notes", ()) for form in LOWERED if f": {form}" in note)
    return ", ".join(["works", *dict.fromkeys(forms)])


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """All rows in Markdown."""
    heads = ["model", "format", "recipe", "form", "", "SQNR dB", "metric", "kB", "p50 ms", "same answers"]
    return "\n".join([f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *map(line, joined(rows))]) + "\n"


def joined(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``rows`` with one for all that are refused for the same reason, where the first of them is."""
    found: dict[Any, dict[str, Any]] = {}
    for place, row in enumerate(rows):
        key = place if row["works"] else (row["model"], row["form"], row["reason"])
        first = found.setdefault(key, dict(row))
        for name in () if row["works"] else ("format", "recipe"):
            first[name] = ", ".join(dict.fromkeys([*first[name].split(", "), row[name]]))
    return list(found.values())


def page(rows: Sequence[Mapping[str, Any]], host: Mapping[str, Any], *, samples: int) -> str:
    """The table with what its columns mean, where the claim fails, and the machine."""
    rest = ["Not the same answers, or not as claimed:", "", *wrong, ""] if (wrong := failing(rows)) else []
    measured = f"Measured on {host['cpu']}, {host['cores']} cores.\n"
    return "\n".join([ABOUT.format(items=f"{samples} of the" if samples else "all"), table(rows), *rest, measured])


def failing(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines for which the claim fails."""
    return [line(row) for row in rows if not holds(row)]


def holds(row: Mapping[str, Any]) -> bool:
    """Whether the claim is true of one row."""
    if not row["works"]:
        told = row["reason"]
        return bool(told) and not any(word in told for word in ("Traceback", "ended with code", "last words"))
    if "sha256" not in row:  # the source itself
        return True
    same = all(map(alike.holds, row["elsewhere"].values()))
    excused = "not_compared" not in row or row["recipe"] == Precision.INT16X8.value
    return same and excused and not row["custom_operators"] and not row.get("benchmark")


def main() -> None:
    """Try everything; 1 where the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--samples", type=int, default=0)
    parser.add_argument("--here", action="store_true")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    rows = known(given.output, [called(model) for model in given.models])
    with contextlib.ExitStack() as stack:
        places: dict[Format, list[Place]] = {fmt: [] for fmt in EXTRAS}
        if not given.here:
            core = arm(CPU)
            places = {fmt: [stack.enter_context(alone(extra)), core] for fmt, extra in EXTRAS.items()}
        look = Look(
            folder=given.output,
            places=places,
            data_dir=given.data_dir,
            judge=given.judge,
            items=given.items,
            samples=given.samples,
        )
        for model in given.models:
            rows += rows_of(model, look)
            data = envelope("benchmarks/recurrent_everywhere", rows, host=host_facts())
            write_atomic(given.output / RESULTS, (json.dumps(data, indent=2) + "\n").encode())
            write_atomic(given.output / PAGE, page(rows, data["host"], samples=given.samples).encode())
    wrong = failing(rows)
    print(f"{len(rows)} rows; the claim fails for {len(wrong)}:", *wrong, sep="\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    try:
        main()
    except EdgekitError as error:
        sys.exit(str(error))
