"""The lines of a check: which there are, and what is said of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgekit.check import verdicts
from edgekit.check.baseline import Baseline, Metric
from edgekit.check.budgets import Config
from edgekit.check.observe import Observation
from edgekit.check.scored import BY_METRIC
from edgekit.check.verdicts import Case, Finding, Verdict
from edgekit.errors import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What was found of one budget of the model ``file``."""

    file: str
    name: str
    found: Finding

    @property
    def title(self) -> str:
        """What the line is called in messages."""
        return f"{self.file} {self.name}"

    @property
    def regressed(self) -> bool:
        """Whether it fails the check."""
        return self.found.verdict is Verdict.REGRESS

    def sentence(self) -> str:
        """All of it in words."""
        found = self.found
        why = f" ({found.why})" if found.why else ""
        return printable(
            f"{self.title}: {found.verdict}: {found.now}, baseline {found.baseline}, budget {found.limit}{why}"
        )


# Name of the line: the budget that it is about, and who judges.
_LIMITED: Mapping[str, tuple[str, Callable[[Case, float], Finding]]] = {
    Metric.TOP1.value: ("max_drop", verdicts.top1),
    Metric.EXACT.value: ("max_drop", verdicts.top1),
    Metric.MAP.value: ("max_drop", verdicts.mean_average_precision),
    **{metric.value: (scored.budget, verdicts.by_scores) for metric, scored in BY_METRIC.items()},
    "agreement": ("min_agreement", verdicts.agreement),
    "outputs": ("min_sqnr_db", verdicts.outputs),
    "size": ("max_size_growth", verdicts.size),
    "latency": ("max_p50_ratio", verdicts.latency),
    "calibration": ("min_calibration_share", verdicts.calibration),
}
# What must stay as it is.
_FIXED: Mapping[str, Callable[[Case], Finding]] = {
    "preprocessing": verdicts.preprocessing,
    "labels": verdicts.labels,
}


def planned(config: Config, baseline: Baseline) -> tuple[tuple[str, str], ...]:
    """(file, name) of each line that `judge` gives, known before anything is measured."""
    return tuple((model.file, name) for model in config.models for name in _names(config, baseline, model.file))


def judge(config: Config, baseline: Baseline, seen: Observation) -> tuple[Line, ...]:
    """The lines of all models, in the order of `planned`."""
    lines, pairs = [], None if baseline.data.pairs is None else baseline.data.pairs.pairs()
    for file, name in planned(config, baseline):
        case = Case(
            metric=baseline.metric,
            base=baseline.models[file],
            now=seen.models[file],
            places=seen.places,
            pairs=pairs,
            window=baseline.data.window,
        )
        if name in _FIXED:
            found = _FIXED[name](case)
        else:
            budget, said = _LIMITED[name]
            found = said(case, getattr(config.limits(file), budget))
        lines.append(Line(file=file, name=name, found=found))
    return tuple(lines)


def _names(config: Config, baseline: Baseline, file: str) -> Sequence[str]:
    limits, base = config.limits(file), baseline.models[file]
    without = {
        *(metric.value for metric in Metric if metric is not baseline.metric),
        *([] if base.outputs else ["outputs"]),
        *([] if base.classes or base.objects else ["agreement"]),
        *([] if base.calibration else ["calibration"]),
        *([] if base.labels else ["labels"]),
        *([] if config.timed(file) else ["latency"]),
    }
    limited = [name for name, (budget, _) in _LIMITED.items() if getattr(limits, budget) is not None]
    return [name for name in (*limited, *_FIXED) if name not in without]
