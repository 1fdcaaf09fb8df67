"""The part of a report on accuracy: which files to take, and plots against latency and size, for each data set."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape

from edgekit.report.read import Row, Timing
from edgekit.report.svg import Point, scatter, shape
from edgekit.report.words import kilobytes, milliseconds

_ROUNDING = 1e-9
"""Of a difference of two figures."""


def accuracy_sections(rows: Sequence[Row]) -> str:
    """Choices and plots of the files whose accuracy was measured; only the same metric on the same data is compared."""
    by_data: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for accuracy in row.accuracies:
            by_data.setdefault((accuracy.data, accuracy.task), []).append(replace(row, accuracies=(accuracy,)))
    if not by_data:
        return ""
    groups = [
        (f"<h2>On {escape(data)}</h2>" if len(by_data) > 1 else "") + _choices(group) + _plots(group)
        for (data, _), group in by_data.items()
    ]
    marks = sorted({mark_class(row) for group in by_data.values() for row in group})
    return "".join(groups) + _legend(marks, {a.told.lower_is_better for row in rows for a in row.accuracies})


def _choices(rows: Sequence[Row]) -> str:
    """The two files that most people look for: the smallest and the fastest of those that keep the accuracy."""
    judged = [(r, r.accuracy) for r in rows if r.accuracy]
    told = judged[0][1].told
    best = (min if told.lower_is_better else max)(accuracy.value for _, accuracy in judged)
    kept = [r for r, accuracy in judged if told.lost(best, accuracy.value) <= told.loss + _ROUNDING]
    cards = []
    sized = [(r.model_bytes, r) for r in kept if r.model_bytes and r.format != "keras"]
    if sized:
        cards.append(("Smallest", min(sized, key=lambda s: s[0])[1]))
    timed = [(r.timing.p50_ms, r) for r in kept if r.timing and r.timing.valid]
    if timed:
        cards.append(("Fastest", min(timed, key=lambda t: t[0])[1]))
    body = "".join(
        f'<div class="card"><h2>{kind} within {told.allowed} of the best</h2>'
        f'<p class="big">{escape(row.name)}</p><p>{escape(_summary(row))}</p></div>'
        for kind, row in cards
    )
    return f'<section class="cards">{body}</section>' if body else ""


def _summary(row: Row) -> str:
    facts = []
    if row.accuracy:
        told, interval = row.accuracy.told, row.accuracy.interval
        value = f"{told.metric} {told.written(row.accuracy.value)}{told.unit}"
        facts.append(f"{value} ({interval})" if interval else value)
    if row.model_bytes:
        facts.append(kilobytes(row.model_bytes))
    if row.timing:
        facts.append(f"median {milliseconds(row.timing.p50_ms)} ms, 90 % within {milliseconds(row.timing.p90_ms)} ms")
        if not row.timing.valid:
            facts.append("timing not valid: " + "; ".join(row.timing.flags))
    return " · ".join(facts)


def _plots(rows: Sequence[Row]) -> str:
    what = "Error" if any(r.accuracy.told.lower_is_better for r in rows if r.accuracy) else "Accuracy"
    figures = [
        _figure(rows, f"{what} against latency", "median latency, ms per item", lambda r: _p50(r.timing)),
        _figure(
            rows, f"{what} against size", "file size, kB", lambda r: r.model_bytes / 1000 if r.model_bytes else None
        ),
    ]
    return f'<section class="plots">{"".join(figures)}</section>'


def _legend(groups: Sequence[str], lower_is_better: set[bool]) -> str:
    marks = "".join(
        f'<span><svg viewBox="0 0 16 16" class="key"><g class="mark {g}">{shape(g, 8, 8)}</g></svg>{g}</span>'
        for g in groups
    )
    better = "Up, of errors down," if len(lower_is_better) > 1 else "Down" if True in lower_is_better else "Up"
    return f'<p class="legend">{marks}<span>{better} and to the left is better. Bars: 95 % interval.</span></p>'


def mark_class(row: Row) -> str:
    """The CSS class of the row's mark."""
    return row.format if row.format in ("tflite", "onnx") else "other"


def _p50(timing: Timing | None) -> float | None:
    return timing.p50_ms if timing else None


def _figure(rows: Sequence[Row], title: str, x_label: str, x_of: Callable[[Row], float | None]) -> str:
    points: list[Point] = []
    several, named = len({row.model for row in rows}) > 1, set[str]()
    for x, row in sorted(((x_of(row) or 0.0, row) for row in rows), key=lambda pair: pair[0]):
        if x and row.accuracy:
            scale = 100 if row.accuracy.told.fractions else 1
            label = row.recipe
            if several:  # one name for all files of a model, at the leftmost: so many recipes would cover each other
                label = "" if row.model in named else row.model
                named.add(row.model)
            points.append(
                Point(
                    x=x,
                    y=scale * row.accuracy.value,
                    low=None if row.accuracy.low is None else scale * row.accuracy.low,
                    high=None if row.accuracy.high is None else scale * row.accuracy.high,
                    label=label,
                    group=mark_class(row),
                    tooltip=f"{row.name}: {_summary(row)}",
                )
            )
    if not points:
        return ""
    (y_label,) = {row.accuracy.told.columns[0] for row in rows if row.accuracy}
    drawn = scatter(points, title=title, x_label=x_label, y_label=y_label)
    return f"<figure><figcaption>{title}</figcaption>{drawn}</figure>"
