"""Files of generators of pictures on the same noise, before one judge, beside real pictures and the first file."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import open_artifact
from edgekit.data import Dataset, Part, open_data
from edgekit.data.noise import drawn
from edgekit.devices import open_device
from edgekit.devices.engines import LOCAL
from edgekit.errors import InputError
from edgekit.generation import Generator
from edgekit.measure.generated import SAMPLES, GenerationResult, Judging, Reality, look_at_real
from edgekit.measure.held_out import HeldOut
from edgekit.measure.judged import row_of
from edgekit.measure.picture_judge import PictureJudge, open_judge
from edgekit.measure.subjects import Subject, on_device, open_subjects, run_subjects
from edgekit.runtimes import Array
from edgekit.tasks.generators import picture_of, require_generator
from edgekit.tasks.likeness import Likeness, likeness
from edgekit.tasks.picture_grid import Grid, grid_inputs, png
from edgekit.tasks.pictures import pixels_of, sheet
from edgekit.workers import Progress, silent

_SHEET_PIXELS = 1 << 20
"""Of the sheet in the JSON; of large pictures it shows fewer."""
_SHEET_ROWS, _SHEET_COLUMNS = 4, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a file makes beside the first on the same noise; ``frechet_change`` is a fraction of the first's distance.

    None where the first's distance is 0.
    """

    likeness: Likeness
    frechet_change: float | None

    def metrics(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        figures = {"psnr_db": self.likeness.psnr_db, "ssim": self.likeness.ssim}
        return figures if self.frechet_change is None else {**figures, "frechet_change": self.frechet_change}


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationEvaluation:
    """One file's result; ``sheet`` is a PNG of some pictures. The first file has no ``change``."""

    subject: Subject
    result: GenerationResult
    change: Change | None
    sheet: bytes

    def metrics(self) -> dict[str, float]:
        """All figures by their JSON names."""
        return self.result.metrics() | ({} if self.change is None else self.change.metrics())


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationReport:
    """Results of ``made`` pictures of each file beside ``count`` real ones of the data set ``data``, before ``judge``.

    ``left_out`` real pictures had trained a file or the judge. ``host`` are the facts of the device, by
    `evaluate_generation`.
    """

    data: str
    judge: PictureJudge
    real: Reality
    made: int
    count: int
    left_out: int
    seed: int
    entries: tuple[GenerationEvaluation, ...]
    host: Mapping[str, Any] = field(default_factory=dict)

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each file."""
        accuracy = self.real.accuracy
        judge = {
            "artifact": str(self.judge.given),
            "sha256": self.judge.artifact.sha256,
            "top1": None if accuracy is None else accuracy.value,
            "n": self.count,
        }
        return [
            row_of(
                entry.subject,
                entry.metrics(),
                data=self.data,
                count=self.made,
                left_out=self.left_out,
                seed=self.seed,
                judge=judge,
                sheet_png=base64.b64encode(entry.sheet).decode(),
            )
            for entry in self.entries
        ]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people; figures that no file has are left out."""
        figures = [entry.metrics() for entry in self.entries]
        shown = {name: words for name, words in _COLUMNS.items() if any(name in each for each in figures)}
        rows = [
            [
                str(entry.subject.given),
                entry.subject.artifact.recipe,
                entry.subject.engine,
                *(words[1](each[name]) if name in each else "-" for name, words in shown.items()),
                f"{entry.subject.seconds:.1f}",
            ]
            for entry, each in zip(self.entries, figures, strict=True)
        ]
        where = on_device(entry.subject for entry in self.entries)
        sure = self.real.accuracy
        title = f"{self.made:,} pictures beside {self.count:,} of {self.data}{where}, judged by {self.judge.given}" + (
            "" if sure is None else f" (top-1 {100 * sure.value:.2f} %)"
        )
        return title, ["file", "recipe", "engine", *(words[0] for words in shown.values()), "seconds"], rows


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "frechet": ("Frechet", lambda v: f"{v:.3f}"),
    "frechet_change": ("change %", lambda v: f"{100 * v:+.2f}"),
    "precision": ("precision %", _percent),
    "recall": ("recall %", _percent),
    "conditional_accuracy": ("asked class %", _percent),
    "purity": ("purity %", _percent),
    "purity_matched": ("matched %", _percent),
    "psnr_db": ("PSNR dB", lambda v: f"{v:.1f}"),
    "ssim": ("SSIM", lambda v: f"{v:.4f}"),
}


def evaluate_generation(
    paths: Sequence[Path],
    data: Dataset | str,
    *,
    judge: Path | None,
    data_dir: Path | None = None,
    preprocess: str | None = None,
    decoder: str | None = None,
    labels: tuple[str, ...] | None = None,
    samples: int | None = None,
    threads: int = 1,
    engines: Sequence[str] = (),
    seed: int = 0,
    device: str = LOCAL,
    progress: Progress = silent,
) -> GenerationReport:
    """Let the generator files at ``paths`` make pictures of the same noise, drawn with ``seed``, and judge them.

    The ``judge`` is a classifier, see `edgekit.measure.picture_judge.open_judge`. ``samples`` pictures (10,000) stand
    beside as many real ones of ``data``, or all where it has fewer; those that trained a file or the judge are left
    out. Files are run as `edgekit.measure.evaluate.evaluate` does, and the judge here. `InputError` without a judge,
    and for files that are no generators by their cards.
    """
    dataset = open_data(data, part=Part.EVALUATION, data_dir=data_dir) if isinstance(data, str) else data
    if preprocess is not None or decoder is not None:
        raise InputError("A generator takes no pictures and finds no objects; leave --preprocess and --decoder out.")
    for path in paths:
        require_generator(open_artifact(path).card, model=str(path))
    if judge is None:
        raise InputError(
            "What a generator makes is judged by a classifier of the same data: train one with edgekit train cnn "
            f"--data {dataset.name} -o judge, and name it with --judge judge."
        )
    with open_device(device) as where:
        subjects = open_subjects(paths, preprocess=None, labels=labels, threads=threads, engines=engines, device=where)
        report = evaluate_generators(
            subjects, dataset, open_judge(judge), samples=samples, seed=seed, progress=progress
        )
        return replace(report, host=where.host())


def evaluate_generators(
    subjects: Sequence[Subject],
    dataset: Dataset,
    judge: PictureJudge,
    *,
    samples: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> GenerationReport:
    """As `evaluate_generation`, for files and a judge that are open."""
    generator, count = _common(subjects), samples or SAMPLES
    chosen = HeldOut(dataset, [judge.artifact, *(s.artifact for s in subjects)], samples=count, seed=seed)
    progress("judging", 0, count)
    real = look_at_real(judge, dataset, chosen)
    judgings = [Judging(judge, real, generator, s.artifact.card.labels, model=str(s.given)) for s in subjects]
    alike = [Likeness() for _ in subjects]
    noise = drawn(generator, count, seed)
    done = 0
    for outputs in run_subjects(subjects, noise):
        made = [_pictures(s, answers) for s, answers in zip(subjects, outputs, strict=True)]
        asked = None if noise.labels is None else noise.labels[done : done + len(made[0])]
        for place, (judging, pictures) in enumerate(zip(judgings, made, strict=True)):
            judging.add(pictures, asked)
            if place:
                alike[place] += likeness(made[0], pictures, low=generator.low, high=generator.high)
        done += len(made[0])
        progress("judging", done, count)
    results = [judging.result() for judging in judgings]
    sheets = _sheets(subjects, generator, seed)
    entries = []
    for place, (subject, result) in enumerate(zip(subjects, results, strict=True)):
        change, first = None, results[0].frechet
        if place:
            change = Change(likeness=alike[place], frechet_change=result.frechet / first - 1 if first > 0 else None)
        entries.append(GenerationEvaluation(subject=subject, result=result, change=change, sheet=sheets[place]))
    return GenerationReport(
        data=dataset.name,
        judge=judge,
        real=real,
        made=count,
        count=len(real),
        left_out=chosen.left_out,
        seed=seed,
        entries=tuple(entries),
    )


def _common(subjects: Sequence[Subject]) -> Generator:
    """What all files are fed; `InputError` where one takes other inputs or makes other pictures than the first."""
    first, *others = subjects
    generator = require_generator(first.artifact.card, model=str(first.given))
    size = first.artifact.card.outputs[0].shape[1:]
    for other in others:
        theirs = require_generator(other.artifact.card, model=str(other.given))
        if theirs != generator or other.artifact.card.outputs[0].shape[1:] != size:
            raise InputError(
                f"{other.given} takes other noise or makes other pictures than {first.given}; expected files of one "
                "generator, which are compared on the same noise: evaluate others by themselves."
            )
    return generator


def _pictures(subject: Subject, answers: Sequence[Mapping[str, Array]]) -> Array:
    return np.stack([picture_of(answer, model=str(subject.given)) for answer in answers])


def _sheets(subjects: Sequence[Subject], generator: Generator, seed: int) -> list[bytes]:
    """A PNG of each file's pictures of the same noise, classes along the columns."""
    height, width = (n or 1 for n in subjects[0].artifact.card.outputs[0].shape[1:3])
    columns = min(_SHEET_COLUMNS, max(1, _SHEET_PIXELS // (height * width)))
    rows = min(_SHEET_ROWS, max(1, _SHEET_PIXELS // (height * width * columns)))
    grid = Grid(rows, columns)
    made: list[list[Array]] = [[] for _ in subjects]
    for outputs in run_subjects(subjects, grid_inputs(generator, grid, seed=seed)):
        for subject, kept, answers in zip(subjects, made, outputs, strict=True):
            kept.extend(_pictures(subject, answers))
    return [png(sheet(pixels_of(np.stack(kept), generator), grid.columns)) for kept in made]
