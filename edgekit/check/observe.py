"""Measuring all models of an ``edgekit.toml``: their answers on the same items, then their latencies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgekit.artifact import open_artifact
from edgekit.card import takes_steps
from edgekit.check.answers import MEASURES, Work
from edgekit.check.baseline import FIRST_ITEMS, DataRecord, Metric, ModelRecord, Scores
from edgekit.check.budgets import Config, data_source, preprocess_option
from edgekit.check.items import record_data, same_items
from edgekit.check.latency import Ratios, time_against
from edgekit.check.scored import SCORED
from edgekit.data import Dataset, Item, item_digest
from edgekit.devices import Device, open_device
from edgekit.devices.engines import LOCAL
from edgekit.errors import InputError
from edgekit.measure.data_for import data_for
from edgekit.measure.evaluate_by_task import task_of
from edgekit.measure.evaluate_kinds import require_fit
from edgekit.measure.held_out import cut_for_all
from edgekit.measure.kinds import KINDS
from edgekit.measure.metrics import require_finite
from edgekit.measure.subjects import Subject, run_one
from edgekit.tasks import answers as sequence_answers
from edgekit.tasks import classification, detection, read_labels
from edgekit.tasks.classification import class_scores
from edgekit.workers import Progress, silent

WATCHED: Mapping[str, Metric] = {
    **{task: scored.metric for task, scored in SCORED.items()},
    **dict.fromkeys(classification.TASKS, Metric.TOP1),
    detection.TASK: Metric.MAP,
    sequence_answers.TASK: Metric.EXACT,
}
"""What is watched of models by their task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was measured: a record for each model, on those items of ``data`` that are at ``places``.

    ``left_out`` items calibrated or trained one of the files. ``reference_sha256`` is that of the file that others were
    timed against, None where nothing was timed; ``doubts`` are about the latencies, which are there where they are
    ``comparable``: not on a device that was throttled or emulated. ``host`` are the facts of ``device``.
    """

    metric: Metric
    data: DataRecord
    places: tuple[int, ...]
    left_out: int
    models: Mapping[str, ModelRecord]
    reference_sha256: str | None
    doubts: tuple[str, ...]
    comparable: bool
    device: str
    host: Mapping[str, Any]


def observe(
    config: Config,
    folder: Path,
    *,
    known: DataRecord | None = None,
    data_dir: Path | None = None,
    device: str = LOCAL,
    progress: Progress = silent,
) -> Observation:
    """Measure the models of ``config``, whose paths start in ``folder``, on the items of ``known`` or newly drawn ones.

    All of it happens on ``device``. Errors: `DataError` where the data are not those of ``known``, `ArtifactError` for
    files, as in `evaluate`.
    """
    timed = [model.file for model in config.models if config.timed(model.file)]
    reference = open_artifact(folder / config.latency.reference) if config.latency is not None and timed else None
    paths = [folder / model.file for model in config.models]
    dataset = data_for(paths, data_source(config.data, folder), data_dir=data_dir)
    with open_device(device) as where:  # what runs the files there is gone before anything is timed
        host = where.host()
        seen = _look(config, paths, folder, dataset, known, where, progress)
    ratios = _latencies(config, folder, timed, device=device, progress=progress)
    records = {model.file: record for model, record in zip(config.models, seen.records, strict=True)}
    if ratios.comparable:
        records |= {file: replace(records[file], latency=ratio) for file, ratio in ratios.by_file.items()}
    return Observation(
        metric=seen.metric,
        data=seen.data,
        places=seen.places,
        left_out=seen.left_out,
        models=records,
        reference_sha256=None if reference is None else reference.sha256,
        doubts=ratios.doubts,
        comparable=ratios.comparable,
        device=device,
        host=host,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """`Observation`, without what is timed."""

    metric: Metric
    data: DataRecord
    places: tuple[int, ...]
    left_out: int
    records: tuple[ModelRecord, ...]


def _look(
    config: Config,
    paths: Sequence[Path],
    folder: Path,
    dataset: Dataset,
    known: DataRecord | None,
    where: Device,
    progress: Progress,
) -> _Seen:
    asked = config.data
    task = task_of(paths, dataset, decoder=asked.decoder)
    metric = _metric(task, dataset)
    if task in KINDS:
        require_fit(task, dataset)
    if dataset.whole is not None:
        dataset = cut_for_all(dataset, [open_artifact(path) for path in paths])
    answers = MEASURES[metric](
        Work(
            paths=paths,
            task=task,
            metric=metric,
            data=dataset if known is None else same_items(dataset, asked, known),
            preprocess=preprocess_option(asked, folder),
            labels=None if asked.labels is None else read_labels(folder / asked.labels),
            decoder=asked.decoder,
            pairs=None if known is None or known.pairs is None else known.pairs.pairs(),
            samples=asked.samples if known is None else None,
            seed=asked.seed,
            device=where,
            progress=progress,
        )
    )
    indices = answers.indices
    data = known or record_data(dataset, asked, indices, pairs=answers.pairs)
    first = [dataset.items[index] for index in data.indices[:FIRST_ITEMS]]
    complete = [
        _with_first_items(record, subject, first, keep_outputs=metric is Metric.TOP1)
        for record, subject in zip(answers.records, answers.subjects, strict=True)
    ]
    places = indices if known is not None else tuple(range(len(indices)))
    return _Seen(metric=metric, data=data, places=places, left_out=answers.left_out, records=tuple(complete))


def _metric(task: str, dataset: Dataset) -> Metric:
    """What is watched of models for ``task``; `InputError` for one that is not watched, or judged on other data."""
    instead = "measure these with `edgekit evaluate` and `edgekit compare`"
    if task not in WATCHED:
        raise InputError(
            f"These models are for {task}, whose figures are of all pictures together, so that a baseline has no part "
            f"of each to be compared with: {instead}."
        )
    if task not in classification.TASKS:
        return WATCHED[task]
    if dataset.whole is not None or dataset.answers is not None:
        raise InputError(
            f"These models are for {task}, and {dataset.name} is for others: give data with classes, or {instead}."
        )
    return Metric.TOP1


def _with_first_items(
    record: ModelRecord, subject: Subject, items: Sequence[Item], *, keep_outputs: bool
) -> ModelRecord:
    """``record`` with what is fed to the model for ``items``, and if wanted with what it gives."""
    feeder, steps = subject.feeder, takes_steps(subject.artifact.card)
    feeds = [feeder.prepare(item) if steps else feeder.feed(item) for item in items]
    # One input is known whatever it is called, since exporters change names.
    alone = [next(iter(f.values())) if isinstance(f, Mapping) and len(f) == 1 else f for f in feeds]
    inputs = tuple(item_digest(feed) for feed in alone)
    outputs: list[Scores] = []
    for item in items if keep_outputs else ():
        values = class_scores(run_one(subject, item), model=str(subject.given))
        require_finite(values, f"The output of {subject.given}")
        outputs.append(
            Scores(places=tuple(range(len(values))), values=tuple(float(f"{v:.7g}") for v in values.tolist()))
        )
    return replace(record, inputs=inputs, outputs=tuple(outputs))


def _latencies(config: Config, folder: Path, files: Sequence[str], *, device: str, progress: Progress) -> Ratios:
    if config.latency is None or not files:
        return Ratios(by_file={}, doubts=())
    limits = {file: config.limits(file).max_p50_ratio for file in files}
    return time_against(
        folder / config.latency.reference,
        {file: folder / file for file in files},
        config.latency,
        limits={file: limit for file, limit in limits.items() if limit is not None},
        device=device,
        progress=progress,
    )
