"""The whole road once, on data that comes with scikit-learn: train, convert, evaluate, benchmark, report.

It stands above the layers that it joins, like the command line: nothing but the command line imports it.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.claims import sole_use
from edgekit.codec import to_jsonable
from edgekit.errors import InputError, require_installed
from edgekit.files import write_atomic
from edgekit.limits import TRAINING_BYTES, require_address_space
from edgekit.measure.benchmark import benchmark
from edgekit.measure.benchmark import to_json as benchmark_json
from edgekit.measure.evaluate import EvaluationReport, evaluate
from edgekit.measure.host import host_facts
from edgekit.measure.settings import BenchmarkReport, BenchmarkSettings
from edgekit.recipe import Precision, Recipe
from edgekit.report import Results, read_results, write_report
from edgekit.report.page import COLUMNS, cells
from edgekit.results import envelope
from edgekit.workers import Progress, silent

if TYPE_CHECKING:
    from edgekit.converters import ConversionReport

MODEL = "mobilenet_v2"
DATA = "digits"
RUN, FILES, PAGE = "mobilenet_v2-digits", "converted", "report.html"
RESULTS = ("train", "convert", "evaluate", "benchmark")
WRITTEN = (RUN, FILES, PAGE, *(f"{name}.json" for name in RESULTS))
"""All that a quickstart leaves in its folder."""

SETTINGS = BenchmarkSettings(runs=50, warmup=5, min_duration_s=0.5, rounds=10)

_RESERVE_BYTES = 16 << 20

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quickstart:
    """What was made and measured; ``seconds`` by step."""

    model: Path
    conversion: "ConversionReport"
    evaluation: EvaluationReport
    timing: BenchmarkReport
    results: Results
    page: Path
    seconds: Mapping[str, float]


def quickstart(
    output: Path,
    *,
    seed: int = 0,
    force: bool = False,
    progress: Progress = silent,
    announce: Announce = lambda _: None,
) -> Quickstart:
    """Do it all in the folder ``output``, which is new or empty unless ``force``; a failure leaves nothing there.

    A small MobileNetV2 learns 1,294 of scikit-learn's digits (143 more choose the best epoch), is converted to every
    recipe of both formats, and all files are evaluated on the 360 digits that neither training nor calibration saw.
    """
    from edgekit.converters import Request, convert
    from edgekit.models.listing import train_entry
    from edgekit.models.registry import find_spec
    from edgekit.models.train import TrainingInterruptedError, TrainRequest, train

    # What the last step needs is asked for before the first one.
    require_installed(("tensorflow", "keras", "sklearn", "litert_quantizer", "tf2onnx", "onnxruntime"), extra="convert")
    require_address_space(TRAINING_BYTES, "training")
    seconds: dict[str, float] = {}
    with _fresh(output, force=force):
        with _step("train", f"Training {MODEL} on {DATA}", seconds, announce):
            try:
                model = train(TrainRequest(spec=find_spec(MODEL), seed=seed), output / RUN, progress=progress)
            except TrainingInterruptedError:  # it promises to go on later; here nothing is kept
                raise KeyboardInterrupt from None
            arguments = ["train", MODEL, "--seed", str(seed), "-o", str(output / RUN)]
            _save(output, envelope("train", [train_entry(model)]), arguments)
        with _step("convert", "Converting to every recipe of TFLite and ONNX", seconds, announce):
            recipes = tuple(Recipe(precision=p, seed=seed) for p in Precision)
            request = Request(source=output / RUN, recipes=recipes, calibration=DATA, output_dir=output / FILES)
            conversion = convert(request, progress=progress)
            chosen = [word for p in Precision for word in ("-p", p.value)]
            arguments = ["convert", str(output / RUN), *chosen, "--calibration", DATA, "--seed", str(seed)]
            rows = [a.to_result() for a in conversion.artifacts]
            _save(output, envelope("convert", rows), [*arguments, "-o", str(output / FILES)])
        files = [a.path for a in conversion.artifacts]
        with _step("evaluate", f"Evaluating {len(files) + 1} files on held-out digits", seconds, announce):
            evaluation = evaluate([model, *files], DATA, seed=seed, progress=progress)
            arguments = ["evaluate", str(model), *map(str, files), "--data", DATA]
            _save(output, envelope("evaluate", evaluation.results(), host=host_facts()), arguments)
        with _step("benchmark", f"Measuring the latency of {len(files)} files here", seconds, announce):
            timing = benchmark(files, SETTINGS, progress=progress)
            arguments = ["benchmark", *map(str, files), "--runs", str(SETTINGS.runs)]
            _save(output, benchmark_json(timing), [*arguments, "--min-secs", str(SETTINGS.min_duration_s)])
        page = write_report(output, output / PAGE)
    return Quickstart(
        model=model,
        conversion=conversion,
        evaluation=evaluation,
        timing=timing,
        results=read_results(output),
        page=page,
        seconds=seconds,
    )


def table(done: Quickstart) -> tuple[str, list[str], list[list[str]]]:
    """(title, columns, rows) for people, narrow enough for a terminal of 80 characters; the page has all columns."""
    chosen = [COLUMNS.index(name) for name in ("size", "top-1, %", "agreement, %", "p50, ms", "timing")]
    rows = [[f"{row.format} {row.recipe}", *(cells(row)[i] for i in chosen)] for row in done.results.rows]
    return f"{done.evaluation.count} held-out {DATA}, one thread", ["file", *(COLUMNS[i] for i in chosen)], rows


def to_json(done: Quickstart) -> dict[str, Any]:
    """The JSON of ``edgekit quickstart``: one result a file, with all that was measured of it."""
    rows = [
        {
            "artifact": row.artifact,
            "sha256": row.sha256,
            "format": row.format,
            "recipe": row.recipe,
            "model_bytes": row.model_bytes,
            "ratio": row.ratio,
            "metrics": {
                name: value
                for name, value in (
                    ("top1", row.accuracy.value if row.accuracy else None),
                    ("agreement", row.agreement),
                    ("sqnr_db", row.sqnr_db),
                )
                if value is not None
            },
            "n": done.evaluation.count,
            "timings": to_jsonable(row.timings),
        }
        for row in done.results.rows
    ]
    data = envelope("quickstart", rows, host=dict(done.results.host) if done.results.host else None)
    return {**data, "seconds": dict(done.seconds), "verdicts": list(done.timing.verdicts), "report": str(done.page)}


@contextlib.contextmanager
def _fresh(folder: Path, *, force: bool) -> Iterator[None]:
    """``folder`` without what a quickstart writes; whatever ends the block early takes all of that away again."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; choose a folder with -o.")
    if folder.exists() and any(folder.iterdir()) and not force:
        raise InputError(
            f"{folder} is not empty; use --force to replace an earlier quickstart or -o for another folder."
        )
    made = [p for p in (folder, *folder.parents) if not p.exists()]
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(sole_use(folder))
            _remove(folder)
        except OSError as error:
            raise InputError(f"Cannot write to {folder}: {error.strerror}; choose another folder with -o.") from None
        reserve = bytearray(_RESERVE_BYTES)
        try:
            yield
        except BaseException:
            del reserve  # where memory is what ran out, removing needs some
            _remove(folder)
            for parent in made:
                with contextlib.suppress(OSError):  # something else is in it by now
                    parent.rmdir()
            raise


def _remove(folder: Path) -> None:
    for name in WRITTEN:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _step(name: str, what: str, seconds: dict[str, float], announce: Announce) -> Iterator[None]:
    announce(f"{len(seconds) + 1}/{len(RESULTS)} {what}")
    start = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - start, 1)


def _save(folder: Path, data: dict[str, Any], arguments: list[str]) -> None:
    """Write results as the verb itself would have, with ``--json``."""
    path = folder / f"{data['command']}.json"
    text = json.dumps({**data, "arguments": [*arguments, "--json", str(path)]}, indent=2)
    write_atomic(path, (text + "\n").encode())
