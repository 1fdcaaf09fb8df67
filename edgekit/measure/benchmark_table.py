"""A benchmark's results as rows of text."""

from pathlib import Path

from edgekit.measure.file_names import distinct_names
from edgekit.measure.profile import Profile
from edgekit.measure.settings import Answers, BenchmarkReport, BenchmarkResult, Timing

COLUMNS = (
    "artifact",
    "recipe",
    "engine",
    "device",
    "threads",
    "p50",
    "p90",
    "p99",
    "min",
    "first",
    "load",
    "peak RSS",
    "runs",
    "ratio to first",
    "answers",
    "valid",
    "comparable",
)
PROFILE_COLUMNS = ("operator", "kernel", "mean ms", "share")


def rows(report: BenchmarkReport) -> list[list[str]]:
    """One row for each result, in the order of `COLUMNS`."""
    names = _names(report)
    return [_row(result, names[result.timing.artifact.path]) for result in report.results]


def doubts(report: BenchmarkReport) -> list[str]:
    """One line for each reason not to rely on a timing, with the files that it concerns, and for each device that
    cannot be ranked.
    """
    reasons, names = dict[str, list[str]](), _names(report)
    for result in report.results:
        for flag in result.flags:
            where = f" on {result.timing.device}" if len(report.hosts) > 1 else ""
            reasons.setdefault(flag, []).append(names[result.timing.artifact.path] + where)
    unranked = dict.fromkeys(result.timing.device for result in report.results if not result.comparable)
    return [
        *(f"Not valid, {reason} ({', '.join(dict.fromkeys(files))})." for reason, files in reasons.items()),
        *(
            f"Not comparable, and not ranked: the times on {device}, which was throttled or emulated."
            for device in unranked
        ),
    ]


def profile_rows(profile: Profile, count: int) -> list[list[str]]:
    """The ``count`` slowest operators, in the order of `PROFILE_COLUMNS`."""
    return [[o.name, o.op, f"{o.mean_ms:.4f}", f"{o.share:.1%}"] for o in profile.slowest(count)]


def _memory(timing: Timing) -> str:
    """The peak; with a plus where only the model's part of it is known."""
    if timing.peak_rss_bytes is not None:
        return f"{timing.peak_rss_bytes / 1e6:.0f}"
    return "unknown" if timing.footprint_bytes is None else f"+{timing.footprint_bytes / 1e6:.0f}"


def _names(report: BenchmarkReport) -> dict[Path, str]:
    return distinct_names(result.timing.artifact.path for result in report.results)


def _row(result: BenchmarkResult, name: str) -> list[str]:
    timing, latency, ratio = result.timing, result.latency_ms, result.ratio_to_first
    figures = (latency.p50, latency.p90, latency.p99, latency.min, latency.first, timing.init_ms)
    return [
        name,
        timing.artifact.recipe,
        timing.runtime_name,
        timing.device,
        str(timing.threads),
        *(f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in figures),
        _memory(timing),
        str(timing.runs),
        f"{ratio.value:.3g} ({ratio.low:.3g} to {ratio.high:.3g})" if result.comparable else "-",
        _answers(result.answers),
        "yes" if result.valid else "no",
        "yes" if result.comparable else "no",
    ]


def _answers(answers: Answers | None) -> str:
    if answers is None or answers.within_limits is None:
        return "-"
    if not answers.within_limits:
        return "others"
    return "the same" if answers.identical else f"{answers.sqnr_db:.0f} dB"
