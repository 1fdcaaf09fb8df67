"""Which file in which engine is the fastest here, within an accuracy loss that the user states."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.artifact import Artifact
from edgekit.data import Dataset
from edgekit.devices import open_device
from edgekit.errors import ArtifactError, InputError
from edgekit.measure.benchmark import open_artifacts, plan, reported
from edgekit.measure.data_for import data_for
from edgekit.measure.losses import Loss, Losses, measure_losses
from edgekit.measure.settings import BenchmarkReport, BenchmarkResult, BenchmarkSettings, Job
from edgekit.measure.stats import Ratio, median_ratio
from edgekit.measure.subjects import Subject, open_subjects
from edgekit.runtimes import default_engine, installed_engines
from edgekit.runtimes.probe import probe
from edgekit.workers import Progress, silent

DEVICE = "local"
MAX_LOSS_POINTS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file in an engine at a number of threads.

    ``within``: its loss is allowed, or was not looked at. ``ratio`` is its time to the pick's.
    """

    result: BenchmarkResult
    loss: Loss | None
    within: bool
    ratio: Ratio | None

    @property
    def eligible(self) -> bool:
        """Whether it may be picked."""
        return self.within and self.result.valid


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The fastest of all eligible ``candidates``: ``pick``, or None where there is none.

    ``ties`` are those eligible whose interval of the ratio to the pick holds 1. ``losses`` is None where accuracy was
    not looked at. ``left_out`` are sentences on files that an engine did not run.
    """

    candidates: tuple[Candidate, ...]
    pick: Candidate | None
    ties: tuple[Candidate, ...]
    max_loss_points: float
    losses: Losses | None
    left_out: tuple[str, ...]


def best(
    paths: Sequence[Path],
    settings: BenchmarkSettings | None = None,
    *,
    engines: Sequence[str] = (),
    max_loss_points: float = MAX_LOSS_POINTS,
    data: Dataset | str | None = None,
    data_dir: Path | None = None,
    preprocess: str | None = None,
    labels: tuple[str, ...] | None = None,
    samples: int | None = None,
    progress: Progress = silent,
) -> tuple[BenchmarkReport, Choice]:
    """Time the files on this machine in every installed engine that runs them, or in ``engines``, and choose.

    The metric of the task, see `measure_losses`, is measured in the same call on held-out items of ``data``, for every
    file in every engine, since engines answer differently; without data it is not looked at. An engine that does not
    run a file is left out with a sentence, but one that was named is an `ArtifactError`, and so is a file that no
    engine runs.
    """
    settings = settings or BenchmarkSettings()
    if not 0 <= max_loss_points < math.inf:
        raise InputError(f"The loss that is allowed is 0 points or more; got {max_loss_points:g}.")
    artifacts = open_artifacts(paths)
    dataset = None if data is None else data_for(paths, data, data_dir=data_dir)
    jobs = plan(artifacts, engines) if engines else _everywhere(artifacts)
    kept: list[Job] = []
    subjects: list[Subject] = []
    left_out: list[str] = []
    for done, job in enumerate(jobs):
        progress("trying", done, len(jobs))
        try:
            if dataset is None:
                probe(job.artifact.path, engine=job.engine)
            else:
                subjects += open_subjects(
                    [job.artifact.path], preprocess=preprocess, labels=labels, threads=1, engines=[str(job.engine)]
                )
        except ArtifactError as error:
            if engines:
                raise
            left_out.append(str(error))
        else:
            kept.append(job)
    _require_one_each(artifacts, kept, left_out)
    losses = (
        None
        if dataset is None
        else measure_losses(subjects, dataset, samples=samples, seed=settings.seed, progress=progress)
    )
    subjects.clear()  # frees their memory before anything is timed
    device = open_device(DEVICE)
    report = reported({device.uri: device.measure(kept, settings, progress=progress)}, settings)
    return report, choose(report.results, losses, max_loss_points=max_loss_points, left_out=left_out)


def choose(
    results: Sequence[BenchmarkResult], losses: Losses | None, *, max_loss_points: float, left_out: Sequence[str] = ()
) -> Choice:
    """The lowest p50 of the valid ``results`` whose loss is allowed, and those that cannot be told apart from it.

    In the mode of submissions it is the p90 that ranks.
    """
    rated = [_rate(result, losses, max_loss_points) for result in results]
    pick = min((c for c in rated if c.eligible), key=lambda c: c.result.figure_ms, default=None)
    if pick is not None:
        rated = [_compared(candidate, pick) for candidate in rated]
        pick = rated[[c.result for c in rated].index(pick.result)]
    ties = tuple(
        c for c in rated if pick is not None and c is not pick and c.eligible and c.ratio and not c.ratio.decided
    )
    return Choice(
        candidates=tuple(rated),
        pick=pick,
        ties=ties,
        max_loss_points=max_loss_points,
        losses=losses,
        left_out=tuple(left_out),
    )


def _everywhere(artifacts: Sequence[Artifact]) -> list[Job]:
    """Each file in every installed engine for it; where there is none, in the default, whose error says what to do."""
    return [
        Job(artifact=artifact, engine=name)
        for artifact in artifacts
        for name in installed_engines(artifact.format) or (default_engine(artifact.format),)
    ]


def _require_one_each(artifacts: Sequence[Artifact], kept: Sequence[Job], left_out: Sequence[str]) -> None:
    for artifact in artifacts:
        if not any(job.artifact is artifact for job in kept):
            raise ArtifactError(f"No installed engine runs {artifact.path}: {' '.join(left_out)}")


def _rate(result: BenchmarkResult, losses: Losses | None, max_loss_points: float) -> Candidate:
    timing = result.timing
    loss = None if losses is None else losses.by_key[str(timing.artifact.path), timing.runtime_name]
    within = loss is None or loss.points <= max_loss_points
    return Candidate(result=result, loss=loss, within=within, ratio=None)


def _compared(candidate: Candidate, pick: Candidate) -> Candidate:
    ours, theirs = candidate.result.timing.rounds_ms, pick.result.timing.rounds_ms
    ratio = median_ratio(ours, theirs, seed=candidate.result.settings.seed)
    return Candidate(result=candidate.result, loss=candidate.loss, within=candidate.within, ratio=ratio)
