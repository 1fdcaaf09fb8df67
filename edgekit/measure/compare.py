"""How far the outputs of model files are from those of a reference, on the same inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import Artifact
from edgekit.card import TensorSpec
from edgekit.data import Dataset
from edgekit.devices import open_device
from edgekit.devices.engines import LOCAL
from edgekit.errors import DataError, InputError
from edgekit.measure.choices import same_choices
from edgekit.measure.data_for import data_for
from edgekit.measure.held_out import HeldOut
from edgekit.measure.metrics import Totals, require_finite, totals
from edgekit.measure.passes import passes_in_words, takes_noise
from edgekit.measure.subjects import Subject, answer_specs, on_device, open_subjects, run_subjects
from edgekit.workers import Progress, silent

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputComparison:
    """One output beside the reference's output ``reference``, over ``count`` items.

    ``agreement`` is the fraction of items, or of tokens of texts, of which both choose the same, see
    `edgekit.measure.choices`; None for an output that chooses nothing.
    """

    name: str
    reference: str
    totals: Totals
    agreement: float | None
    count: int

    def metrics(self) -> dict[str, float]:
        """The figures by their JSON names."""
        t = self.totals
        figures = {"max_abs": t.max_abs, "mean_abs": t.mean_abs, "sqnr_db": t.sqnr_db, "cosine": t.cosine}
        return figures if self.agreement is None else {**figures, "agreement": self.agreement}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One file's outputs beside the reference's. ``by_position`` says that names differ and the order paired them."""

    subject: Subject
    outputs: tuple[OutputComparison, ...]
    by_position: bool

    @property
    def artifact(self) -> Artifact:
        """The compared file."""
        return self.subject.artifact

    def metrics(self) -> dict[str, float]:
        """The worst figure over all outputs, by JSON name."""
        each = [o.metrics() for o in self.outputs]
        worst = {name: max(m[name] for m in each) for name in ("max_abs", "mean_abs")}
        worst |= {name: min(m[name] for m in each) for name in ("sqnr_db", "cosine")}
        agreements = [o.agreement for o in self.outputs if o.agreement is not None]
        return worst | {"agreement": min(agreements)} if agreements else worst


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonReport:
    """Files beside ``reference`` on ``count`` items of ``data``; ``left_out`` ones had calibrated or trained a file.

    ``host`` are the facts of the device that ran the files, by `compare`.
    """

    reference: Subject
    data: str
    count: int
    left_out: int
    seed: int
    entries: tuple[Comparison, ...]
    host: Mapping[str, Any] = field(default_factory=dict)

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each compared file; ``metrics`` are the worst over its ``outputs``."""
        return [
            {
                **entry.subject.describe(),
                "reference": str(self.reference.given),
                "reference_sha256": self.reference.artifact.sha256,
                "data": self.data,
                "n": self.count,
                "left_out": self.left_out,
                "seed": self.seed,
                "matched": "position" if entry.by_position else "name",
                "metrics": entry.metrics(),
                "outputs": [{"name": o.name, "reference": o.reference, "metrics": o.metrics()} for o in entry.outputs],
            }
            for entry in self.entries
        ]

    def notes(self) -> list[str]:
        """What to think of the figures where one of two files takes noise, and the other none."""
        pairs = [sorted((self.reference, entry.subject), key=takes_noise) for entry in self.entries]
        return [
            f"{noisy.given} takes noise and {other.given} none, by which their outputs differ too; compare a file "
            ".sample with the .sample it was made from, to see what a conversion changed."
            for other, noisy in pairs
            if takes_noise(noisy) and not takes_noise(other)
        ]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people, a row for each output."""
        columns = ["file", "recipe", "output", "max abs", "mean abs", "SQNR dB", "cosine", "agreement %"]
        rows = [
            [
                str(entry.subject.given),
                entry.artifact.recipe,
                o.name + (f" (for {o.reference})" if entry.by_position else ""),
                f"{o.totals.max_abs:.3g}",
                f"{o.totals.mean_abs:.3g}",
                f"{o.totals.sqnr_db:.1f}",
                f"{o.totals.cosine:.6f}",
                "-" if o.agreement is None else f"{100 * o.agreement:.2f}",
            ]
            for entry in self.entries
            for o in entry.outputs
        ]
        where = on_device(entry.subject for entry in self.entries)
        noise = passes_in_words([1] if any(takes_noise(entry.subject) for entry in self.entries) else [])
        title = f"Outputs beside {self.reference.given} on {self.count:,} items of {self.data}{noise}{where}"
        return title, columns, rows


def compare(
    reference: Path,
    paths: Sequence[Path],
    data: Dataset | str,
    *,
    data_dir: Path | None = None,
    preprocess: str | None = None,
    samples: int | None = None,
    threads: int = 1,
    engines: Sequence[str] = (),
    seed: int = 0,
    device: str = LOCAL,
    progress: Progress = silent,
) -> ComparisonReport:
    """Run ``reference`` and the files at ``paths`` on the same items and measure how far each output is off.

    The files, not the reference, run in those of ``engines`` that take them, or in the engines of their formats; on
    ``device``, and the reference here.
    ``samples`` items of ``data`` (labels are not needed) are drawn with ``seed``, all are used without it; those that
    calibrated or trained any of the files, by the records in their cards, are left out. Outputs are paired by
    name; where the names differ by position, if there are as many of the same shapes. `DataError` when they cannot be
    paired or an output is not finite.
    """
    dataset = data_for([reference, *paths], data, data_dir=data_dir)
    with open_device(device) as where:
        subjects = (
            *open_subjects([reference], preprocess=preprocess, labels=None, threads=threads),
            *open_subjects(paths, preprocess=preprocess, labels=None, threads=threads, engines=engines, device=where),
        )
        report = compare_subjects(subjects[0], subjects[1:], dataset, samples=samples, seed=seed, progress=progress)
        return replace(report, host=where.host())


def compare_subjects(
    reference: Subject,
    others: Sequence[Subject],
    dataset: Dataset,
    *,
    samples: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> ComparisonReport:
    """As `compare`, for files that are open."""
    if not len(dataset):
        raise InputError(f"The data set {dataset.name} is empty; expected at least one item to compare on.")
    subjects = (reference, *others)
    running = [_Running(reference, subject) for subject in others]
    chosen = HeldOut(dataset, [s.artifact for s in subjects], samples=samples, seed=seed)
    done = 0
    progress("comparing", 0, chosen.wanted)
    for outputs in run_subjects(subjects, chosen):
        for each, answers in zip(running, outputs[1:], strict=True):
            each.add(outputs[0], answers)
        done += len(outputs[0])
        progress("comparing", done, chosen.wanted)
    progress("comparing", chosen.wanted, chosen.wanted)
    return ComparisonReport(
        reference=reference,
        data=dataset.name,
        count=done,
        left_out=chosen.left_out,
        seed=seed,
        entries=tuple(r.result() for r in running),
    )


class _Running:
    """The sums for one file, growing chunk by chunk, so that large outputs need not be kept."""

    def __init__(self, reference: Subject, subject: Subject) -> None:
        self._subject = subject
        self._files = (str(reference.given), str(subject.given))
        self._pairs, self._by_position = pair_outputs(answer_specs(reference), answer_specs(subject), files=self._files)
        self._totals = {pair: Totals() for pair in self._pairs}
        self._same: dict[tuple[str, str], list[npt.NDArray[np.bool_]]] = {pair: [] for pair in self._pairs}
        self._count = 0

    def add(self, references: Sequence[dict[str, Array]], others: Sequence[dict[str, Array]]) -> None:
        """Take in the outputs for some items."""
        self._count += len(references)
        for pair in self._pairs:
            a = np.stack([r[pair[0]] for r in references])
            b = np.stack([o[pair[1]] for o in others])
            for values, name, file in zip((a, b), pair, self._files, strict=True):
                require_finite(values, f"Output {name!r} of {file}")
            self._totals[pair] += totals(a, b)
            same = same_choices(self._subject.artifact.card, pair[1], a, b)
            if same is not None:
                self._same[pair].append(same)

    def result(self) -> Comparison:
        """The figures over all items."""
        outputs = []
        for pair in self._pairs:
            same = self._same[pair]
            outputs.append(
                OutputComparison(
                    name=pair[1],
                    reference=pair[0],
                    totals=self._totals[pair],
                    agreement=float(np.mean(np.concatenate(same))) if same else None,
                    count=self._count,
                )
            )
        return Comparison(subject=self._subject, outputs=tuple(outputs), by_position=self._by_position)


def pair_outputs(
    reference: tuple[TensorSpec, ...], other: tuple[TensorSpec, ...], *, files: tuple[str, str]
) -> tuple[list[tuple[str, str]], bool]:
    """Names (reference, other) of outputs that belong together, and whether position paired them, not the name."""
    by_name = {spec.name: spec for spec in other}
    if {spec.name for spec in reference} == set(by_name):
        pairs = [(spec, by_name[spec.name]) for spec in reference]
    elif len(reference) == len(other):
        pairs = list(zip(reference, other, strict=True))
    else:
        raise DataError(
            f"{files[0]} has {len(reference)} outputs ({_names(reference)}) and {files[1]} has {len(other)} "
            f"({_names(other)}); expected the same outputs."
        )
    for a, b in pairs:
        if not _same_shape(a, b):
            raise DataError(
                f"Output {a.name!r} of {files[0]} is {_shape(a)} and {b.name!r} of {files[1]} is {_shape(b)}; "
                "expected one shape."
            )
    return [(a.name, b.name) for a, b in pairs], any(a.name != b.name for a, b in pairs)


def _same_shape(a: TensorSpec, b: TensorSpec) -> bool:
    """Whether items of both have one shape, as far as the files tell."""
    return len(a.shape) == len(b.shape) and all(
        m is None or n is None or m == n for m, n in zip(a.shape[1:], b.shape[1:], strict=True)
    )


def _shape(spec: TensorSpec) -> str:
    return " x ".join("any" if d is None else str(d) for d in spec.shape) or "a scalar"


def _names(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(spec.name for spec in specs)
