"""The whole zoo: every entry trained, converted, evaluated and timed, each verb in a process of its own.

It stands above the layers that it joins, like the command line: nothing but the command line imports it.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.artifact import Format
from edgekit.claims import sole_use
from edgekit.errors import InputError
from edgekit.files import sha256_file, write_atomic
from edgekit.measure.host import host_facts
from edgekit.models.run_folder import HISTORY, MODEL
from edgekit.models.stages import HEADS, has_two_files
from edgekit.models.task_figures import TASK_FIGURES
from edgekit.recipe import Precision
from edgekit.results import envelope
from edgekit.stage_figures import as_one, by_kind, image_p50_ms

if TYPE_CHECKING:
    from edgekit.models.spec import ModelSpec

RESULTS = "zoo.json"
"""The file with one row for each entry."""
PRECISIONS = (Precision.FP32, Precision.INT8)

Announce = Callable[[str], None]

_UNREADABLE = (OSError, ValueError, KeyError, TypeError)
"""What results of another edgekit, or damaged ones, raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One command of an entry: its ``arguments`` without ``--json``, the folder of its files, its file of results."""

    name: str
    arguments: tuple[str, ...]
    home: Path
    results: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was done for one entry. ``row`` is none where a verb failed, which ``failure`` then tells."""

    name: str
    row: dict[str, Any] | None
    failure: str = ""


def train_all(
    specs: "Sequence[ModelSpec]",
    folder: Path,
    *,
    preset: str,
    task: str | None = None,
    data_dir: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    force: bool = False,
    announce: Announce = lambda _: None,
) -> tuple[Entry, ...]:
    """Go through those of ``specs`` that are of ``task`` in the folder ``folder``; one's failure stops no other.

    What an earlier run in the same folder finished, with the same arguments, is not done again, unless ``force``.
    ``folder`` gets a folder and JSON files for each entry, which `edgekit report` draws, and `RESULTS`, in which what
    earlier runs finished of other tasks stays.
    """

    def plan(spec: "ModelSpec") -> tuple[Verb, ...]:
        return _verbs(spec, folder, preset=preset, data_dir=data_dir, epochs=epochs, seed=seed)

    plans = {s.name: plan(s) for s in specs if task in (None, s.task)}
    others = {s.name: plan(s) for s in specs if s.name not in plans and s.has_data(preset)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}; choose another folder with -o.") from None
    found = []
    with sole_use(folder):
        earlier = {**plans, **others}
        rows = {spec.name: _earlier_row(spec, earlier[spec.name]) for spec in specs if spec.name in earlier}
        for number, (spec, verbs) in enumerate(((s, plans[s.name]) for s in specs if s.name in plans), 1):
            announce(f"{number}/{len(plans)} {spec.name}")
            failure = _run(verbs, announce, force=force)
            row = None
            if not failure:
                try:
                    row = _row(spec, verbs)
                except _UNREADABLE as error:
                    failure = f"the results cannot be read ({type(error).__name__}: {error}); remove {folder}/*.json"
            found.append(Entry(name=spec.name, row=row, failure=failure))
            rows[spec.name] = row
            data = envelope("train all", [r for r in rows.values() if r is not None], host=host_facts())
            write_atomic(folder / RESULTS, (json.dumps(data, indent=2) + "\n").encode())
    return tuple(found)


def results_table(rows: Sequence[dict[str, Any]]) -> tuple[str, list[str], list[list[str]]]:
    """(title, columns, rows) for people: the figure that tells most of every entry and of its int8 files."""
    lines = []
    for row in rows:
        told = TASK_FIGURES[row["task"]]
        metric = told.measured[0]
        int8 = {f["format"]: f[metric] for f in row["files"] if f["recipe"] == Precision.INT8.value}
        figures = (row["metrics"][metric], *(int8[fmt.value] for fmt in (Format.TFLITE, Format.ONNX)))
        minutes = f"{row['seconds'] / 60:.1f}"
        lines.append([row["name"], row["data"], metric, *(f"{told.written(f)}{told.unit}" for f in figures), minutes])
    columns = ["name", "data", "metric", "float", "int8 TFLite", "int8 ONNX", "minutes"]
    return "The zoo, trained here", columns, lines


def _verbs(
    spec: "ModelSpec", folder: Path, *, preset: str, data_dir: Path | None, epochs: int | None, seed: int
) -> tuple[Verb, ...]:
    data = spec.preset(preset).data
    if data is None:
        raise InputError(f"The preset {preset} of {spec.name} has no data set of its own; choose another --preset.")
    run = folder / spec.name
    model = str(run / MODEL)
    kinds = [f"{p.value}.{f.value}" for f in Format if f is not Format.KERAS for p in PRECISIONS]
    files = [str(run / f"{spec.name}.{kind}") for kind in kinds]
    two = has_two_files(spec.detection(spec.preset(preset).arguments))
    seconds = [str(run / f"{spec.name}.{HEADS}.{kind}") for kind in kinds if two]
    given = ("--data-dir", str(data_dir)) if data_dir is not None else ()
    seeded = ("--seed", str(seed))
    shorter = ("--epochs", str(epochs)) if epochs is not None else ()
    recipes = tuple(word for precision in PRECISIONS for word in ("-p", precision.value))
    lines = {
        "train": (spec.name, "--preset", preset, *given, *shorter, *seeded, "-o", str(run)),
        "convert": (
            str(run),
            *recipes,
            "--calibration",
            data,
            *given,
            *seeded,
            "--portable",
            "-o",
            str(run),
            "--force",
        ),
        "evaluate": (model, *files, "--data", data, *given, *seeded),
        "benchmark": (*files, *seconds),
    }
    return tuple(
        Verb(name=name, arguments=(name, *line), home=run, results=folder / f"{spec.name}.{name}.json")
        for name, line in lines.items()
    )


def _run(verbs: Sequence[Verb], announce: Announce, *, force: bool) -> str:
    """Do what is not done yet of ``verbs``; why it failed, or nothing."""
    fresh = force
    for verb in verbs:
        if not fresh and _is_done(verb):
            announce(f"  {verb.name}: done before")
            continue
        announce(f"  edgekit {shlex.join(verb.arguments)}")
        failure = call(verb, announce, ["--force"] if force and verb.name == "train" else [])
        fresh = True
        if failure:
            announce(f"  failed: {failure}")
            return f"{verb.name}: {failure}"
    return ""


def _is_done(verb: Verb) -> bool:
    """Whether the results of ``verb`` are there, from the same arguments, and the files they speak of unchanged."""
    try:
        data = json.loads(verb.results.read_bytes())
        return all(_mean_the_same(a, b) for a, b in zip(data["verb"], verb.arguments, strict=True)) and all(
            sha256_file(verb.home / Path(row["artifact"]).name) == row["sha256"] for row in data["results"]
        )
    except _UNREADABLE:
        return False


def _mean_the_same(argument: str, other: str) -> bool:
    """Whether two arguments are equal, or paths of one and the same file or folder."""
    if argument == other:
        return True
    return Path(argument).exists() and Path(other).exists() and Path(argument).samefile(other)


def _earlier_row(spec: "ModelSpec", verbs: Sequence[Verb]) -> dict[str, Any] | None:
    """The row of an entry that an earlier run finished."""
    try:
        return _row(spec, verbs) if all(map(_is_done, verbs)) else None
    except _UNREADABLE:
        return None


def call(verb: Verb, announce: Announce, more: Sequence[str] = ()) -> str:
    """Run ``verb``; the sentence with which it failed, or nothing. Its time and memory go into its results."""
    told = verb.results.with_suffix(".part")  # those of an earlier run stay until there are new ones
    command = [sys.executable, "-m", "edgekit", *verb.arguments, *more, "--json", str(told)]
    start, last = time.monotonic(), "it said nothing"
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as child:
        try:
            for line in child.stderr or ():
                last = line.strip().removeprefix("edgekit: ")
                announce(f"    {last}")
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.terminate()  # it keeps what it can go on from
            raise
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        return last if child.returncode > 0 else f"ended by signal {-child.returncode} ({last})"
    data = json.loads(told.read_bytes())
    data |= {
        "verb": list(verb.arguments),
        "seconds": round(time.monotonic() - start, 1),
        "peak_rss_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    write_atomic(verb.results, (json.dumps(data, indent=2) + "\n").encode())
    told.unlink()
    return ""


def _row(spec: "ModelSpec", verbs: Sequence[Verb]) -> dict[str, Any]:
    """The figures of one entry, from the results of its verbs."""
    told = {verb.name: json.loads(verb.results.read_bytes()) for verb in verbs}
    (trained,) = told["train"]["results"]
    card = trained["card"]
    kinds = {name: by_kind(told[name]["results"]) for name in ("convert", "evaluate", "benchmark")}
    told_of = TASK_FIGURES[spec.task]
    source = next(row for (fmt, _), (row,) in kinds["evaluate"].items() if fmt == Format.KERAS.value)
    p50_ms = {kind: image_p50_ms(rows, card["detection"]) for kind, rows in kinds["benchmark"].items()}
    files = []
    for (fmt, recipe), rows in kinds["convert"].items():
        converted, (evaluated,) = as_one(rows), kinds["evaluate"][fmt, recipe]
        files.append(
            {
                "artifact": Path(converted["artifact"]).name,
                "sha256": converted["sha256"],
                "format": fmt,
                "recipe": recipe,
                "model_bytes": converted["model_bytes"],
                "ratio": converted["ratio"],
                **{name: evaluated["metrics"][name] for name in told_of.of_files},
                "max_abs": converted["metrics"]["max_abs"],
                "sqnr_db": converted["metrics"]["sqnr_db"],
                "float_ops": converted["float_ops"],
                "p50_ms": p50_ms[fmt, recipe],
                "p50_ratio": p50_ms[fmt, recipe] / p50_ms[fmt, Precision.FP32.value],
                "valid": all(row["valid"] for row in kinds["benchmark"][fmt, recipe]),
            }
        )
    epochs = json.loads((verbs[0].home / HISTORY).read_bytes())["epochs"]
    # A training that went on after a stop took longer than its last process.
    train_seconds = max(told["train"]["seconds"], round(sum(epoch["seconds"] for epoch in epochs), 1))
    return {
        "name": spec.name,
        "task": spec.task,
        "artifact": f"{spec.name}/{Path(trained['artifact']).name}",
        "sha256": trained["sha256"],
        "format": trained["format"],
        "recipe": trained["recipe"],
        "data": trained["data"],
        "data_digest": card["provenance"]["training"]["digest"],
        "settings": card["provenance"]["training_settings"],
        "metrics": {name: source["metrics"][name] for name in told_of.measured},
        "n": source["n"],
        "files": files,
        "train_seconds": train_seconds,
        "train_peak_rss_bytes": told["train"]["peak_rss_bytes"],
        "seconds": round(train_seconds + sum(told[verb.name]["seconds"] for verb in verbs[1:]), 1),
    }
