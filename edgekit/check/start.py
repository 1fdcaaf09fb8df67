"""The beginning of accuracy regression tests: ``edgekit.toml`` and its baseline, from model files and data."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.artifact import open_artifact
from edgekit.check.baseline import Metric, dump
from edgekit.check.budgets import CONFIG, Budgets, Config, DataSettings, LatencySettings, ModelEntry, as_path
from edgekit.check.observe import Observation, observe
from edgekit.check.recording import doubts, recorded
from edgekit.check.scored import BY_METRIC
from edgekit.check.template import render
from edgekit.check.verdicts import LEAST_DIFFERING
from edgekit.data import KNOWN, Part, open_data
from edgekit.devices.engines import LOCAL
from edgekit.errors import InputError
from edgekit.files import Staging, refuse_existing
from edgekit.measure.blocks import block_length
from edgekit.measure.stats import Ratio
from edgekit.preprocessing import PRESETS
from edgekit.recipe import Precision
from edgekit.workers import Progress, silent

DEFAULTS = Budgets(
    max_drop=0.01,
    min_agreement=0.95,
    min_sqnr_db=10.0,
    max_size_growth=0.1,
    min_calibration_share=1.0,
)
_MAX_RELATIVE_LOSS = 0.02
_DRAWN = {
    Metric.TOP1: "items",
    Metric.MAP: "images",
    Metric.PR_AUC: "items",
    Metric.MSE: "users",
    Metric.EER: "people",
    Metric.NATS: "windows",
    Metric.MSE_RATIO: "blocks of windows",
    Metric.EXACT: "items",
}
_SLACK, _SLACK_OF_HIGH = 1.25, 1.1  # by how much a ratio of latencies may exceed what was measured, and its interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What `init` wrote, and remarks for its user."""

    config: Path
    baseline: Path
    seen: Observation
    notes: tuple[str, ...]


def init(
    paths: Sequence[Path],
    data: str,
    *,
    output_dir: Path = Path(),
    reference: Path | None = None,
    samples: int | None = None,
    seed: int = 0,
    preprocess: str | None = None,
    labels: Path | None = None,
    decoder: str | None = None,
    threads: int = 1,
    data_dir: Path | None = None,
    force: bool = False,
    device: str = LOCAL,
    progress: Progress = silent,
) -> Started:
    """Measure the model files at ``paths`` on ``device``; ``edgekit.toml`` and the baseline go into ``output_dir``.

    Latencies are ratios to ``reference``, or where none is named to the first float32 file, else the first of all. The
    other options are those of `edgekit.measure.evaluate.evaluate`. `InputError` where the files exist, without
    ``force``.
    """
    names = [_relative(path, output_dir) for path in paths]
    if data not in KNOWN and not Path(data).exists():
        open_data(data, part=Part.EVALUATION, data_dir=data_dir)  # says so in the words that were given
    if preprocess is not None and preprocess not in PRESETS and Path(preprocess).is_file():  # a card
        preprocess = as_path(Path(_relative(Path(preprocess), output_dir)), PRESETS)
    config = Config(
        data=DataSettings(
            source=data if data in KNOWN else as_path(Path(_relative(Path(data), output_dir)), KNOWN),
            samples=samples,
            seed=seed,
            preprocess=preprocess,
            labels=None if labels is None else _relative(labels, output_dir),
            decoder=decoder,
        ),
        budgets=DEFAULTS,
        models=tuple(ModelEntry(file=name) for name in names),
    )
    refuse_existing((output_dir / CONFIG, output_dir / config.baseline), force=force)
    floats = [path for path in paths if open_artifact(path).recipe == Precision.FP32.value]
    timing = LatencySettings(reference=_relative(reference or [*floats, *paths][0], output_dir), threads=threads)
    if any(name != timing.reference for name in names):
        config = replace(config, latency=timing)
    unlimited = dict.fromkeys((name for name in names if name != timing.reference), math.inf)  # what has one is timed
    with Staging(output_dir) as stage:  # which makes the folder that paths start in
        seen = observe(_limited(config, unlimited), output_dir, data_dir=data_dir, device=device, progress=progress)
        least = least_drop(_drawn(seen), seen.metric)
        config, text = _with_limits(config, seen, least)
        (stage.path / CONFIG).write_text(text, encoding="utf-8")
        (stage.path / config.baseline).write_bytes(dump(recorded(seen, "the first baseline")))
        stage.publish(CONFIG, config.baseline, force=force)
    return Started(
        config=output_dir / CONFIG,
        baseline=output_dir / config.baseline,
        seen=seen,
        notes=(least, *_idle(seen), *_unwatched(config, seen), *doubts(seen)),
    )


def _with_limits(config: Config, seen: Observation, least: str) -> tuple[Config, str]:
    """``config`` with the limits that follow from what was ``seen``, and its text."""
    ratios = {file: record.latency for file, record in seen.models.items() if record.latency is not None}
    config = _limited(config, {file: _allowed(ratio) for file, ratio in ratios.items()})
    if not seen.comparable:
        config = replace(config, latency=None)
    config = replace(config, budgets=_budgets(seen.metric))
    measured = {file: f"measured: {r.value:.3g} ({r.low:.3g} to {r.high:.3g})" for file, r in ratios.items()}
    return config, render(config, measured, least=least)


def _budgets(metric: Metric) -> Budgets:
    """`DEFAULTS` that are about what is watched of models with this ``metric``; outputs are compared of classifiers."""
    if metric is Metric.TOP1:
        return DEFAULTS
    answers = DEFAULTS.min_agreement if metric in (Metric.MAP, Metric.PR_AUC) else None
    budgets = replace(DEFAULTS, min_sqnr_db=None, min_agreement=answers)
    if metric in BY_METRIC and BY_METRIC[metric].relative:
        return replace(budgets, max_drop=None, max_relative_loss=_MAX_RELATIVE_LOSS)
    return budgets


def _idle(seen: Observation) -> tuple[str, ...]:
    """A sentence for each model whose forecasts tell hardly more than that nothing will change."""
    if seen.metric is not Metric.MSE_RATIO:
        return ()
    return tuple(
        f"The forecasts of {file} are hardly better than no change at all ({record.metric.value:.3g} of its error), so "
        "that a file which has lost its weights may pass: train it until it knows more."
        for file, record in seen.models.items()
        if record.metric.high >= 1
    )


def _drawn(seen: Observation) -> int:
    """How many there are of what tests draw again, see `least_drop`."""
    count, data = len(seen.data.indices), seen.data
    if seen.metric is Metric.MSE_RATIO:
        return math.ceil(count / block_length(count, data.window))
    return count if data.pairs is None else len(set(data.pairs.people))


def least_drop(count: int, metric: Metric) -> str:
    """A sentence on what so many items can tell.

    >>> least_drop(360, Metric.TOP1)
    'With 360 items a drop of less than 1.7 points is not told from chance.'
    """
    what = _DRAWN[metric]
    if count < LEAST_DIFFERING:
        return f"With only {count} of the {what} no drop is told from chance; take more of them."
    if metric is Metric.PR_AUC:
        return f"A loss that fewer than {LEAST_DIFFERING} of the anomalies show is not told from chance."
    if metric not in (Metric.TOP1, Metric.EXACT):
        return f"A loss in fewer than {LEAST_DIFFERING} of the {count} {what} is not told from chance."
    least = float(f"{100 * LEAST_DIFFERING / count:.2g}")
    return f"With {count} items a drop of less than {least:g} points is not told from chance."


def _relative(path: Path, folder: Path) -> str:
    """``path`` as seen from ``folder``, of which either may be reached by links; it may be a link itself."""
    absolute = Path(os.path.realpath(path.parent)) / path.name if path.name not in ("", "..") else path.resolve()
    name = Path(os.path.relpath(absolute, os.path.realpath(folder))).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(f"{str(path)!r} is a name that is not UTF-8; rename it.") from None
    return name


def _limited(config: Config, limits: Mapping[str, float]) -> Config:
    """``config`` with ``limits`` of the ratio of latencies, by file."""
    models = (
        replace(m, budgets=Budgets(max_p50_ratio=limits[m.file])) if m.file in limits else m for m in config.models
    )
    return replace(config, models=tuple(models))


def _allowed(ratio: Ratio) -> float:
    """The limit that is proposed for what was measured as ``ratio``."""
    return math.ceil(100 * max(_SLACK * ratio.value, _SLACK_OF_HIGH * ratio.high)) / 100


def _unwatched(config: Config, seen: Observation) -> tuple[str, ...]:
    if not seen.comparable:
        return (f"Latency is not checked, since times on {seen.device} are not comparable.",)
    if config.latency is not None:
        return ()
    return (
        "Latency is not checked, since there is no other file to time this one against: give --reference FILE, such as "
        "a copy of it that never changes.",
    )
