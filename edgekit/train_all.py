"""The whole zoo: every entry trained, converted, evaluated and timed, each verb in a process of its own.

It stands above the layers that it joins, like the command line: nothing but the command line imports it.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.artifact import Format
from edgekit.claims import sole_use
from edgekit.entry_verbs import UNREADABLE, Announce, Verb, call, is_done
from edgekit.errors import InputError
from edgekit.files import write_atomic
from edgekit.measure.host import host_facts
from edgekit.models.passes import SAMPLE, sample_path
from edgekit.models.registry import find_spec
from edgekit.models.run_folder import HISTORY, MODEL
from edgekit.models.spec import GENERATION, VERIFICATION
from edgekit.models.stages import SECONDS
from edgekit.recipe import Precision
from edgekit.report.task_figures import TASK_FIGURES
from edgekit.results import envelope
from edgekit.stage_figures import as_one, by_kind, image_p50_ms

if TYPE_CHECKING:
    from edgekit.models.spec import ModelSpec

RESULTS = "zoo.json"
"""The file with one row for each entry."""
PRECISIONS = (Precision.FP32, Precision.INT8)
JUDGE = "cnn"
"""The entry that judges generators, trained as its own verb says."""

_KINDS = tuple((fmt.value, p.value) for fmt in Format if fmt is not Format.KERAS for p in PRECISIONS)
"""Format and recipe of all files that an entry can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How the verbs of a task differ.

    With ``portable`` int8 gives the same bits on all machines, but for Bayesian classifiers, which have layers in
    float; no recurrent layer has an operator for it. ``calibrated`` takes the data to measure ranges on, where a
    generator draws noise; ``judged`` asks `JUDGE`.
    """

    portable: bool = False
    calibrated: bool = True
    judged: bool = False


WAYS: Mapping[str, Ways] = {
    "classification": Ways(portable=True),
    "detection": Ways(portable=True),
    "text-generation": Ways(),
    "text-classification": Ways(),
    "forecasting": Ways(),
    "sequence-to-sequence": Ways(),
    "anomaly-detection": Ways(),
    "recommendation": Ways(),
    GENERATION: Ways(calibrated=False, judged=True),
    VERIFICATION: Ways(),
}
"""Every task of the zoo."""
UNPORTABLE = frozenset({"dbn"})
"""Entries with sigmoids, which have no form in 8 bits that gives the same bits everywhere."""


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

    plan = partial(Plan, folder=folder, preset=preset, data_dir=data_dir, epochs=epochs, seed=seed)
    plans = {s.name: plan(spec=s) for s in specs if task in (None, s.task)}
    for chosen in plans.values():
        chosen.require_data()
    others = {s.name: plan(spec=s) for s in specs if s.name not in plans and s.has_data(preset)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}; choose another folder with -o.") from None
    found = []
    with sole_use(folder):
        earlier = {**plans, **others}
        rows = {spec.name: _earlier_row(earlier[spec.name]) for spec in specs if spec.name in earlier}
        for number, (name, chosen) in enumerate(plans.items(), 1):
            announce(f"{number}/{len(plans)} {name}")
            failure, row = _run(chosen, announce, force=force), None
            if not failure:
                try:
                    row = _row(chosen)
                except UNREADABLE as error:
                    failure = f"the results cannot be read ({type(error).__name__}: {error}); remove {folder}/*.json"
            found.append(Entry(name=name, row=row, failure=failure))
            rows[name] = row
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
        figures = (row["metrics"][metric], *(int8.get(fmt.value) for fmt in (Format.TFLITE, Format.ONNX)))
        cells = ("-" if figure is None else f"{told.written(figure)}{told.unit}" for figure in figures)
        lines.append([row["name"], row["data"], metric, *cells, f"{row['seconds'] / 60:.1f}"])
    columns = ["name", "data", "metric", "float", "int8 TFLite", "int8 ONNX", "minutes"]
    return "The zoo, trained here", columns, lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done for the entry ``spec`` in ``folder``."""

    spec: "ModelSpec"
    folder: Path
    preset: str
    data_dir: Path | None
    epochs: int | None
    seed: int

    @property
    def run(self) -> Path:
        """The folder of its training and its files."""
        return self.folder / self.spec.name

    @property
    def judge(self) -> "Plan | None":
        """That of the entry that judges this one."""
        return replace(self, spec=find_spec(JUDGE)) if WAYS[self.spec.task].judged else None

    def require_data(self) -> str:
        """The data set that it learns; `InputError` without one."""
        data = self.spec.preset(self.preset).data
        if data is None:
            raise InputError(
                f"The preset {self.preset} of {self.spec.name} has no data set of its own; choose another --preset."
            )
        return data

    def verbs(self) -> Iterator[Verb]:
        """One after the other: which files are evaluated and timed is read when the verb before them is done."""
        spec, run, ways, data = self.spec, str(self.run), WAYS[self.spec.task], self.require_data()
        given = ("--data-dir", str(self.data_dir)) if self.data_dir is not None else ()
        seeded = ("--seed", str(self.seed))
        shorter = ("--epochs", str(self.epochs)) if self.epochs is not None else ()
        yield self._verb("train", spec.name, "--preset", self.preset, *given, *shorter, *seeded, "-o", run)
        recipes = tuple(word for precision in PRECISIONS for word in ("-p", precision.value))
        calibration = ("--calibration", data, *given) if ways.calibrated else ()
        portable = ("--portable",) if ways.portable and _is_portable(spec) else ()
        convert = self._verb("convert", run, *recipes, *calibration, *seeded, *portable, "-o", run, "--force")
        yield convert
        made = {Path(row["artifact"]).name for row in json.loads(convert.results.read_bytes())["results"]}
        files, passes, *seconds = (
            [str(self.run / name) for fmt, recipe in _KINDS if (name := f"{stem}.{recipe}.{fmt}") in made]
            for stem in (spec.name, f"{spec.name}.{SAMPLE}", *(f"{spec.name}.{second.name}" for second in SECONDS))
        )
        judged = ("--judge", str(self.judge.run)) if self.judge is not None else ()
        looked = [str(sample_path(self.run / MODEL)), *passes] if spec.sampler else []
        ood = spec.preset(self.preset).ood
        beside = (*judged, *(("--ood", ood) if ood is not None else ()))
        yield self._verb("evaluate", str(self.run / MODEL), *files, *looked, "--data", data, *beside, *given, *seeded)
        yield self._verb("benchmark", *files, *passes, *chain(*seconds))

    def _verb(self, name: str, *arguments: str) -> Verb:
        return Verb(
            name=name,
            arguments=(name, *arguments),
            home=self.run,
            results=self.folder / f"{self.spec.name}.{name}.json",
            judge=self.judge.run / MODEL if name == "evaluate" and self.judge is not None else None,
        )


def _is_portable(spec: "ModelSpec") -> bool:
    """Whether all of its files can be integers of the same bits, which layers in float and square roots rule out."""
    return not spec.keep_float and not spec.sampler and spec.name not in UNPORTABLE


def _run(plan: Plan, announce: Announce, *, force: bool) -> str:
    """Do what is not done yet of the verbs of ``plan``; why it failed, or nothing."""
    if plan.judge is not None:
        judged = next(plan.judge.verbs())  # never forced: it belongs to an entry of its own
        failure = "" if is_done(judged) else _do(judged, announce)
        if failure:
            return f"{JUDGE}, which judges it: {failure}"
    fresh = force
    for verb in plan.verbs():
        if not fresh and is_done(verb):
            announce(f"  {verb.name}: done before")
            continue
        fresh = True
        if failure := _do(verb, announce, ["--force"] if force and verb.name == "train" else []):
            return failure
    return ""


def _do(verb: Verb, announce: Announce, more: Sequence[str] = ()) -> str:
    """Why ``verb`` failed, or nothing."""
    announce(f"  edgekit {shlex.join(verb.arguments)}")
    if failure := call(verb, announce, more):
        announce(f"  failed: {failure}")
        return f"{verb.name}: {failure}"
    return ""


def _earlier_row(plan: Plan) -> dict[str, Any] | None:
    """The row of an entry that an earlier run finished."""
    try:
        return _row(plan) if all(map(is_done, plan.verbs())) else None
    except UNREADABLE:
        return None


def _row(plan: Plan) -> dict[str, Any]:
    """The figures of one entry, from the results of its verbs."""
    spec, verbs = plan.spec, tuple(plan.verbs())
    told = {verb.name: json.loads(verb.results.read_bytes()) for verb in verbs}
    (trained,) = told["train"]["results"]
    card = trained["card"]
    own, of_passes = {}, {}
    for name in ("convert", "evaluate", "benchmark"):
        parts = [_is_pass(row) for row in told[name]["results"]]
        own[name], of_passes[name] = (
            [row for row, part in zip(told[name]["results"], parts, strict=True) if part is wanted]
            for wanted in (False, True)
        )
    shared = {f"{spec.name}.{s.name}.{Precision.FP32}.{fmt}" for s in SECONDS if s.in_float for fmt in Format}
    kinds = {name: by_kind(rows, shared=shared if name == "convert" else ()) for name, rows in own.items()}
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
                **told_of.of(evaluated["metrics"], told_of.of_files),
                "max_abs": converted["metrics"]["max_abs"],
                "sqnr_db": converted["metrics"]["sqnr_db"],
                "float_ops": converted["float_ops"],
                "p50_ms": p50_ms[fmt, recipe],
                "p50_ratio": p50_ms[fmt, recipe] / p50_ms[fmt, Precision.FP32.value],
                "valid": all(row["valid"] for row in kinds["benchmark"][fmt, recipe]),
            }
        )
    left_out = [
        {
            "artifact": f"{spec.name}.{recipe}.{fmt}",
            "format": fmt,
            "recipe": recipe,
            "reason": _skipped(fmt, recipe, told["convert"]["notes"]),
        }
        for fmt, recipe in _KINDS
        if (fmt, recipe) not in kinds["convert"]
    ]
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
        "metrics": told_of.of(source["metrics"], told_of.measured),
        "n": source["n"],
        **({"judge": {**source["judge"], "artifact": f"{JUDGE}/{MODEL}"}} if plan.judge is not None else {}),
        "files": files,
        **({"passes": _passes(of_passes)} if spec.sampler else {}),
        "left_out": left_out,
        "train_seconds": train_seconds,
        "train_peak_rss_bytes": told["train"]["peak_rss_bytes"],
        "seconds": round(train_seconds + sum(told[verb.name]["seconds"] for verb in verbs[1:]), 1),
    }


def _is_pass(row: Mapping[str, Any]) -> bool:
    """Whether ``row`` is of the second network of a Bayesian classifier, or of a file of it."""
    return f".{SAMPLE}." in Path(row["artifact"]).name


def _passes(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The figures of the second network of a Bayesian classifier, and of its files, from the rows of each verb."""
    found = []
    for evaluated in rows["evaluate"]:
        same = {name: [row for row in rows[name] if row["sha256"] == evaluated["sha256"]] for name in rows}
        names = ("artifact", "sha256", "format", "recipe", "metrics", "n", "passes")
        converted = ({"model_bytes": row["model_bytes"], "ratio": row["ratio"]} for row in same["convert"])
        timed = ({"p50_ms": row["latency_ms"]["p50"], "valid": row["valid"]} for row in same["benchmark"])
        told = {name: evaluated[name] for name in names} | {"artifact": Path(evaluated["artifact"]).name}
        found.append({**told, **next(converted, {}), **next(timed, {})})
    return found


def _skipped(fmt: str, recipe: str, notes: Sequence[str]) -> str:
    """Why `convert` made no such file, as it noted."""
    words = f"Skipped {recipe} for {fmt}: "
    return next(note.removeprefix(words) for note in notes if note.startswith(words))
