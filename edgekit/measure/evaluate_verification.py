"""How well files tell apart whom held-out pictures show: error rates of pairs, and one-shot trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data import Dataset, Part, open_data
from edgekit.devices import open_device
from edgekit.devices.engines import LOCAL
from edgekit.errors import InputError
from edgekit.measure.held_out import HeldOut
from edgekit.measure.judged import Judged, row_of
from edgekit.measure.subjects import on_device, run_subjects
from edgekit.measure.verifiers import Verifier, open_verifiers
from edgekit.tasks.labels import require_labels
from edgekit.tasks.trials import WAYS, Pairs, Trials, draw_pairs, draw_trials, pixels_likeness, require_pairs
from edgekit.tasks.verification import VerificationResult, eer_difference, embedding_of
from edgekit.tasks.verification import evaluate_verification as figures_of
from edgekit.workers import Progress, silent

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """Results on ``count`` pictures of the data set ``data``, those at ``indices``, and on their ``pairs``.

    ``left_out`` ones had calibrated or trained a file. ``host`` are the facts of the device, by
    `evaluate_verification`.
    """

    data: str
    count: int
    people: int
    pairs: Pairs
    indices: tuple[int, ...]
    left_out: int
    seed: int
    entries: tuple[Judged[VerificationResult], ...]
    host: Mapping[str, Any] = field(default_factory=dict)

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each file."""
        return [
            row_of(
                entry.subject,
                entry.metrics(),
                data=self.data,
                count=self.count,
                left_out=self.left_out,
                seed=self.seed,
                people=self.people,
                pairs=len(self.pairs),
                all_pairs=self.pairs.whole,
            )
            for entry in self.entries
        ]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people; the last row is the nearest neighbour by raw pixels."""
        ways, several = [trial.ways for trial in self.entries[0].result.one_shot], len(self.entries) > 1
        columns = ["file", "recipe", "engine", "EER %", "95 %", "AUC", *(f"{n}-way %" for n in ways), "seconds"]
        rows = []
        for entry in self.entries:
            result, subject, gap = entry.result, entry.subject, entry.difference
            row = [
                *(str(subject.given), subject.artifact.recipe, subject.engine, f"{100 * result.eer:.2f}"),
                f"{100 * result.eer_low:.1f}-{100 * result.eer_high:.1f}",
                f"{result.auc:.4f}",
                *(f"{100 * trial.accuracy:.1f}" for trial in result.one_shot),
                f"{subject.seconds:.1f}",
            ]
            told = ["-", "-"]
            if gap is not None:
                low, high = (100 * gap[f"eer_difference_{end}"] for end in ("low", "high"))
                told = [f"{100 * gap['eer_difference']:+.2f}", f"{low:+.2f} to {high:+.2f}"]
            rows.append([*row, *(told if several else ())])
        pixels = [f"{100 * trial.pixels:.1f}" for trial in self.entries[0].result.one_shot]
        if pixels:
            rows.append(["nearest pixels", *["-"] * 5, *pixels, "-", *(["-", "-"] if several else ())])
        kinds = "all" if self.pairs.whole else "drawn"
        where = on_device(entry.subject for entry in self.entries)
        title = f"{len(self.pairs):,} pairs ({kinds}) of {self.count:,} pictures of {self.people} people of {self.data}"
        return f"{title}{where}", [*columns, *(["difference, points", "95 %"] if several else ())], rows


def evaluate_verification(
    paths: Sequence[Path],
    data: Dataset | str,
    *,
    data_dir: Path | None = None,
    preprocess: str | None = None,
    labels: tuple[str, ...] | None = None,
    samples: int | None = None,
    threads: int = 1,
    engines: Sequence[str] = (),
    seed: int = 0,
    device: str = LOCAL,
    progress: Progress = silent,
) -> VerificationReport:
    """Embed each of the same pictures once with the files at ``paths``, and let their heads compare what they give.

    As `edgekit.measure.evaluate.evaluate` with files, items and the device. The classes of ``data`` are the people; a
    model knows none of them. Pairs and trials are drawn with ``seed``, the same ones for all files.
    """
    if labels is not None:
        raise InputError("--labels are the names of classes, which no model for verification has; leave them out.")
    dataset = open_data(data, part=Part.EVALUATION, data_dir=data_dir) if isinstance(data, str) else data
    people = require_labels(dataset)
    with open_device(device) as where:
        verifiers = open_verifiers(paths, preprocess=preprocess, threads=threads, engines=engines, device=where)
        report = evaluate_verifiers(verifiers, dataset, people, samples=samples, seed=seed, progress=progress)
        return replace(report, host=where.host())


def evaluate_verifiers(
    verifiers: Sequence[Verifier],
    dataset: Dataset,
    people: npt.NDArray[np.int64],
    *,
    pairs: Pairs | None = None,
    samples: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> VerificationReport:
    """As `evaluate_verification`, for files that are open; ``people`` (count,) tells whom each picture shows.

    Of ``pairs`` of ``dataset``'s pictures those are compared that no file has seen; without them pairs are drawn.
    """
    require_pairs(people, f"of {dataset.name}")  # told before the work where there are none
    subjects = [verifier.subject for verifier in verifiers]
    chosen = HeldOut(dataset, [s.artifact for s in subjects], samples=samples, seed=seed)
    embeddings: list[list[Array]] = [[] for _ in subjects]
    progress("embedding", 0, chosen.wanted)
    for outputs in run_subjects(subjects, chosen):
        for subject, answers, kept in zip(subjects, outputs, embeddings, strict=True):
            kept.extend(embedding_of(answer, model=str(subject.given)) for answer in answers)
        progress("embedding", len(embeddings[0]), chosen.wanted)
    progress("embedding", chosen.wanted, chosen.wanted)
    shown = people[chosen.indices]
    compared = draw_pairs(shown, seed) if pairs is None else pairs.among(chosen.indices)[0]
    trials = trials_of(shown, seed)
    pixels = np.stack([_values(subjects[0].feeder.prepare(dataset.items[index])) for index in chosen.indices])
    by_pixels = [pixels_likeness(pixels, trial) for trial in trials]
    results = [
        judged(verifier, np.stack(kept), compared, trials, by_pixels, seed=seed)
        for verifier, kept in zip(verifiers, embeddings, strict=True)
    ]
    return VerificationReport(
        data=dataset.name,
        count=len(chosen.indices),
        people=len(np.unique(shown)),
        pairs=compared,
        indices=tuple(chosen.indices),
        left_out=chosen.left_out,
        seed=seed,
        entries=tuple(
            Judged(
                subject=subject,
                result=result,
                difference=eer_difference(results[0], result, seed=seed) if number else None,
            )
            for number, (subject, result) in enumerate(zip(subjects, results, strict=True))
        ),
    )


def trials_of(people: npt.NDArray[np.int64], seed: int) -> tuple[Trials, ...]:
    """One-shot trials of each of `WAYS` for which there are as many ``people``."""
    there = len(np.unique(people))
    return tuple(draw_trials(people, ways, seed) for ways in WAYS if ways <= there)


def judged(
    verifier: Verifier,
    embeddings: Array,
    pairs: Pairs,
    trials: Sequence[Trials],
    by_pixels: Sequence[Array],
    *,
    seed: int,
) -> VerificationResult:
    """The figures of ``verifier``, which gave ``embeddings`` (count, size); each two pictures are compared once."""
    count = len(embeddings)
    asked = [np.broadcast_to(trial.asked[:, None], trial.offered.shape) for trial in trials]
    both = [(pairs.first, pairs.second), *((a, trial.offered) for a, trial in zip(asked, trials, strict=True))]
    keys = [np.minimum(a, b) * count + np.maximum(a, b) for a, b in both]
    unique = np.unique(np.concatenate([key.reshape(-1) for key in keys]))
    # Row by row, since those of all pairs would be many times the embeddings.
    told = verifier.likeness(*((embeddings[place] for place in places) for places in (unique // count, unique % count)))
    of_pairs, *of_trials = (told[np.searchsorted(unique, key)] for key in keys)
    threshold = verifier.how.threshold
    return figures_of(
        of_pairs,
        pairs,
        list(zip(trials, of_trials, by_pixels, strict=True)),
        threshold=None if threshold is None else verifier.how.likeness(threshold),
        seed=seed,
    )


def _values(item: Any) -> Array:
    values = next(iter(item.values())) if isinstance(item, Mapping) else item
    return np.asarray(values, np.float32).reshape(-1)
