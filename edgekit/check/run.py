"""Accuracy regression tests: today's measurement is judged against a baseline, or becomes the new one."""

from dataclasses import dataclass
from pathlib import Path

from edgekit.check.baseline import Baseline, Change, Metric, read_baseline, write_baseline
from edgekit.check.budgets import CONFIG, Config, read_config
from edgekit.check.judge import Line, judge
from edgekit.check.observe import Observation, observe
from edgekit.check.recording import doubts, machine, recorded
from edgekit.devices.engines import LOCAL
from edgekit.errors import CheckFailedError, DeviceError, InputError, printable
from edgekit.workers import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """The lines of a check of the files in ``folder``, what they were judged by, and remarks for its user."""

    folder: Path
    baseline: Baseline
    seen: Observation
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def regressed(self) -> tuple[Line, ...]:
        """The lines that fail the check."""
        return tuple(line for line in self.lines if line.regressed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A new baseline as its history tells of it, and the lines that are ``beyond`` their budgets all the same.

    ``metric`` is what is watched. A ratio of latencies has its budget in the configuration, which nobody but the user
    changes.
    """

    metric: Metric
    change: Change
    beyond: tuple[Line, ...]


def check(
    config_path: Path = Path(CONFIG),
    *,
    data_dir: Path | None = None,
    device: str = LOCAL,
    progress: Progress = silent,
) -> CheckReport:
    """Measure again what ``config_path`` names, and judge it by its budgets against its baseline.

    Errors: `InputError` for a configuration or a baseline that is missing, damaged, does not belong to the other or is
    of another device, `DataError` for data that have changed, `DeviceError` for latencies that cannot be judged.
    """
    config, baseline = opened(config_path)
    if device != baseline.device:
        raise InputError(
            f"{config.baseline} was measured on {baseline.device}, and this check is of {device}; give --device "
            f"{baseline.device}, or record a new baseline with: edgekit check --update --reason TEXT --device {device}."
        )
    folder = config_path.parent
    seen = observe(config, folder, known=baseline.data, data_dir=data_dir, device=device, progress=progress)
    _require_comparable(seen)
    if seen.metric is not baseline.metric:
        raise InputError(
            f"{config.baseline} has {baseline.metric} of its models, and these are for another task, which is judged "
            f"by {seen.metric}; restore them, or record why with: edgekit check --update --reason TEXT."
        )
    return CheckReport(
        folder=folder,
        baseline=baseline,
        seen=seen,
        lines=judge(config, baseline, seen),
        notes=_remarks(config, baseline, seen),
    )


def update(
    config_path: Path = Path(CONFIG),
    *,
    reason: str,
    data_dir: Path | None = None,
    device: str = LOCAL,
    progress: Progress = silent,
) -> Renewal:
    """Measure what ``config_path`` names; that becomes the baseline, and the ``reason`` is added to its history.

    Errors as those of `check`; the device may be another one than before.
    """
    if not reason.strip():
        raise InputError("A new baseline needs a reason; say why with --reason TEXT.")
    config = read_config(config_path)
    path = config_path.parent / config.baseline
    history = read_baseline(path).history
    seen = observe(config, config_path.parent, data_dir=data_dir, device=device, progress=progress)
    _require_comparable(seen)
    made = recorded(seen, reason, history)
    write_baseline(path, made)
    beyond = tuple(line for line in judge(config, made, seen) if line.regressed)
    return Renewal(metric=made.metric, change=made.history[-1], beyond=beyond)


def opened(config_path: Path) -> tuple[Config, Baseline]:
    """A configuration and its baseline; `InputError` for a model that only one of the two names.

    Nothing shall be left unchecked without a word.
    """
    config = read_config(config_path)
    baseline = read_baseline(config_path.parent / config.baseline)
    named = {model.file for model in config.models}
    for file in sorted(named ^ set(baseline.models)):
        has, lacks = (config_path.name, config.baseline) if file in named else (config.baseline, config_path.name)
        raise InputError(
            f"{file} is in {has} and not in {lacks}; restore what was changed, or record why with: "
            "edgekit check --update --reason TEXT."
        )
    return config, baseline


def require_no_regression(report: CheckReport) -> None:
    """`CheckFailedError` that names the lines which got worse."""
    if report.regressed:
        names = ", ".join(line.title for line in report.regressed)
        raise CheckFailedError(f"{len(report.regressed)} of {len(report.lines)} lines got worse: {names}.")


def _require_comparable(seen: Observation) -> None:
    if not seen.comparable:
        raise DeviceError(
            f"Latencies on {seen.device} cannot be judged, {'; '.join(seen.doubts)}; leave max_p50_ratio out, or check "
            "on a device in its usual state."
        )


def _remarks(config: Config, baseline: Baseline, seen: Observation) -> tuple[str, ...]:
    notes = []
    if config.latency is not None and seen.reference_sha256 is not None:
        if seen.reference_sha256 != baseline.reference_sha256:
            notes.append(f"The reference {config.latency.reference} is not the file that it was for the baseline.")
        if machine(seen) != baseline.machine:
            notes.append(f"The baseline is from another machine, {baseline.machine}; ratios of latencies may differ.")
    engines = {(baseline.models[file].engine, record.engine) for file, record in seen.models.items()}
    notes += [f"The baseline was made with {old}; this is {new}." for old, new in sorted(engines) if old != new]
    return (*map(printable, notes), *doubts(seen))
