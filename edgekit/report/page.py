"""Results as one HTML page that needs nothing else: no script, no font, no request. Everything shown is escaped."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from edgekit.report.layer_plot import LayerBar, profile
from edgekit.report.read import Results, Row, Timing
from edgekit.report.style import CSS
from edgekit.report.svg import Point, scatter, shape

KEPT = 0.01
"""A file keeps the accuracy when its top-1 is at most this fraction below the best one measured."""

NOTHING = "–"


def render(results: Results, *, title: str) -> str:
    """The page for ``results``; the same bytes for the same results."""
    sections = [
        _header(results, title),
        _choices(results.rows),
        _plots(results.rows),
        _table(results.rows),
        _layers(results.rows),
        _verdicts(results),
        _host(results.host),
        _commands(results.commands),
    ]
    return document(title, "\n".join(s for s in sections if s))


def document(title: str, body: str) -> str:
    """A whole page around ``body``, which is HTML, without script, font or request."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def kilobytes(size: float) -> str:
    """A number of bytes for people, in decimal units.

    >>> kilobytes(845), kilobytes(84_512), kilobytes(3_900_000)
    ('845 B', '84.5 kB', '3.90 MB')
    """
    for unit, one, decimals in (("GB", 1e9, 2), ("MB", 1e6, 2), ("kB", 1e3, 1)):
        if size >= one:
            return f"{size / one:.{decimals}f} {unit}"
    return f"{size:.0f} B"


def milliseconds(value: float) -> str:
    """A time with three figures.

    >>> milliseconds(0.045), milliseconds(6.123), milliseconds(253.2)
    ('0.0450', '6.12', '253')
    """
    decimals = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{max(0, decimals)}f}"


def percent(fraction: float) -> str:
    """A fraction as percent with two decimals, without the sign."""
    return f"{100 * fraction:.2f}"


def _header(results: Results, title: str) -> str:
    rows = results.rows
    counts = {r.top1.count for r in rows if r.top1}
    facts = [f"{len(rows)} model {'file' if len(rows) == 1 else 'files'}"]
    if len(counts) == 1:
        facts.append(f"accuracy on {counts.pop():,} items")
    timings = [r.timing for r in rows if r.timing]
    if timings:
        threads = {t.threads for t in timings}
        facts.append("latency per item" + (f", threads: {threads.pop()}" if len(threads) == 1 else ""))
    if results.host and isinstance(results.host.get("cpu"), str):
        facts.append(results.host["cpu"])
    return f"<header><h1>{escape(title)}</h1><p>{escape(' · '.join(facts))}</p></header>"


def _choices(rows: Sequence[Row]) -> str:
    """The two files that most people look for: the smallest and the fastest of those that keep the accuracy."""
    judged = [(r, r.top1.value) for r in rows if r.top1]
    if not judged:
        return ""
    best = max(value for _, value in judged)
    kept = [r for r, value in judged if value >= best - KEPT]
    cards = []
    sized = [(r.model_bytes, r) for r in kept if r.model_bytes and r.format != "keras"]
    if sized:
        cards.append(("Smallest", min(sized, key=lambda s: s[0])[1]))
    timed = [(r.timing.p50_ms, r) for r in kept if r.timing and r.timing.valid]
    if timed:
        cards.append(("Fastest", min(timed, key=lambda t: t[0])[1]))
    body = "".join(
        f'<div class="card"><h2>{kind} within {100 * KEPT:g} point of the best</h2>'
        f'<p class="big">{escape(row.name)}</p><p>{escape(_summary(row))}</p></div>'
        for kind, row in cards
    )
    return f'<section class="cards">{body}</section>' if body else ""


def _summary(row: Row) -> str:
    facts = []
    if row.top1:
        facts.append(f"top-1 {percent(row.top1.value)} % ({percent(row.top1.low)}–{percent(row.top1.high)})")
    if row.model_bytes:
        facts.append(kilobytes(row.model_bytes))
    if row.timing:
        facts.append(f"median {milliseconds(row.timing.p50_ms)} ms, 90 % within {milliseconds(row.timing.p90_ms)} ms")
        if not row.timing.valid:
            facts.append("timing not valid: " + "; ".join(row.timing.flags))
    return " · ".join(facts)


def _plots(rows: Sequence[Row]) -> str:
    figures = [
        _figure(rows, "Accuracy against latency", "median latency, ms per item", lambda r: _p50(r.timing)),
        _figure(
            rows, "Accuracy against size", "file size, kB", lambda r: r.model_bytes / 1000 if r.model_bytes else None
        ),
    ]
    figures = [f for f in figures if f]
    if not figures:
        return ""
    groups = sorted({r.format for r in rows})
    legend = "".join(
        f'<span><svg viewBox="0 0 16 16" class="key"><g class="mark {escape(g)}">{shape(g, 8, 8)}</g></svg>'
        f"{escape(g)}</span>"
        for g in groups
    )
    note = "Up and to the left is better. Bars: 95 % interval."
    return f'<section class="plots">{"".join(figures)}</section><p class="legend">{legend}<span>{note}</span></p>'


def _p50(timing: Timing | None) -> float | None:
    return timing.p50_ms if timing else None


def _figure(rows: Sequence[Row], title: str, x_label: str, x_of: Callable[[Row], float | None]) -> str:
    points = []
    for row in rows:
        x = x_of(row)
        if x and row.top1:
            points.append(
                Point(
                    x=x,
                    y=100 * row.top1.value,
                    low=100 * row.top1.low,
                    high=100 * row.top1.high,
                    label=row.recipe,
                    group=row.format if row.format in ("tflite", "onnx") else "other",
                    tooltip=f"{row.name}: {_summary(row)}",
                )
            )
    if not points:
        return ""
    drawn = scatter(points, title=title, x_label=x_label, y_label="top-1, %")
    return f"<figure><figcaption>{title}</figcaption>{drawn}</figure>"


_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("file", lambda r: r.name),
    ("recipe", lambda r: r.recipe),
    ("size", lambda r: kilobytes(r.model_bytes) if r.model_bytes else NOTHING),
    ("ratio", lambda r: f"{r.ratio:.2f} ×" if r.ratio else NOTHING),
    ("top-1, %", lambda r: percent(r.top1.value) if r.top1 else NOTHING),
    ("95 % interval", lambda r: f"{percent(r.top1.low)}–{percent(r.top1.high)}" if r.top1 else NOTHING),
    ("agreement, %", lambda r: percent(r.agreement) if r.agreement is not None else NOTHING),
    ("SQNR, dB", lambda r: f"{r.sqnr_db:.1f}" if r.sqnr_db is not None else NOTHING),
    ("p50, ms", lambda r: milliseconds(r.timing.p50_ms) if r.timing else NOTHING),
    ("p90, ms", lambda r: milliseconds(r.timing.p90_ms) if r.timing else NOTHING),
    ("peak RSS", lambda r: kilobytes(r.timing.rss_bytes) if r.timing and r.timing.rss_bytes else NOTHING),
    ("timing", lambda r: _validity(r.timing)),
)


COLUMNS = tuple(name for name, _ in _COLUMNS)
"""Headings of the table of files."""


def cells(row: Row) -> list[str]:
    """The line of ``row`` under `COLUMNS`, as text."""
    return [cell(row) for _, cell in _COLUMNS]


def _validity(timing: Timing | None) -> str:
    if timing is None:
        return NOTHING
    if timing.valid:
        return "valid"
    # A flag is a word, a colon and the details, which are told below the table.
    return "not valid: " + ", ".join(flag.partition(":")[0] for flag in timing.flags)


def _table(rows: Sequence[Row]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
    body = ""
    for row in rows:
        name, *others = (escape(text) for text in cells(row))
        data = "".join(f"<td>{text}</td>" for text in others)
        body += f'<tr><th scope="row" title="sha256 {escape(row.sha256)}">{name}</th>{data}</tr>\n'
    legend = (
        "Ratio: the fp32 file of the same format over this file. Agreement and SQNR: with the model converted from, on "
        "the items that checked the conversion. p50 and p90: half and nine tenths of the runs took no longer. "
        "Peak RSS: memory of a process that runs nothing else."
    )
    return (
        '<section><h2>Every file</h2><div class="scroll"><table><thead><tr>'
        f"{head}</tr></thead><tbody>\n{body}</tbody></table></div><p>{legend}</p>{_more_timings(rows)}</section>"
    )


def _more_timings(rows: Sequence[Row]) -> str:
    """The timings that the table has no room for: other devices, engines, numbers of threads."""
    if all(len(r.timings) < 2 for r in rows):
        return ""
    body = "".join(
        f'<tr><th scope="row">{escape(row.name)}</th><td>{escape(t.device)}</td><td>{escape(t.engine or NOTHING)}</td>'
        f"<td>{t.threads}</td>"
        f"<td>{milliseconds(t.p50_ms)}</td><td>{milliseconds(t.p90_ms)}</td><td>{escape(_validity(t))}</td></tr>\n"
        for row in rows
        for t in row.timings
    )
    head = "".join(
        f"<th>{name}</th>" for name in ("file", "device", "engine", "threads", "p50, ms", "p90, ms", "timing")
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'


def _layers(rows: Sequence[Row]) -> str:
    """A plot for each file whose layers were compared: SQNR in the order of execution."""
    figures = [
        f"<figure><figcaption>{escape(row.name)}</figcaption>"
        + profile(
            [LayerBar(name=la.name, db=la.sqnr_db, share=la.share) for la in row.layers],
            title=f"SQNR of the layers of {row.name}",
            group=row.format if row.format in ("tflite", "onnx") else "other",
        )
        + "</figure>"
        for row in rows
        if any(la.sqnr_db is not None for la in row.layers)
    ]
    if not figures:
        return ""
    note = (
        "SQNR of every layer's values against the float model, with the errors of earlier layers in them, in the order "
        "of execution; at 60 dB it is float. Bars: the layer's share of the error at the outputs, the largest highest."
    )
    return f'<section><h2>Layer by layer</h2><div class="plots">{"".join(figures)}</div><p>{note}</p></section>'


def _verdicts(results: Results) -> str:
    doubts: dict[str, list[str]] = {}
    for row in results.rows:
        for flag in (flag for timing in row.timings for flag in timing.flags):
            doubts.setdefault(flag, []).append(row.name)
    notes = [
        *results.verdicts,
        *(f"{row.name}: {note}" for row in results.rows for note in row.notes),
        *(f"Timing not valid, {flag}: {', '.join(dict.fromkeys(names))}" for flag, names in doubts.items()),
    ]
    if not notes:
        return ""
    return (
        "<section><h2>What to make of it</h2><ul>" + "".join(f"<li>{escape(n)}</li>" for n in notes) + "</ul></section>"
    )


def _host(host: Mapping[str, Any] | None) -> str:
    if not host:
        return ""
    lines = "".join(
        f"<dt>{escape(k)}</dt><dd>{escape(_fact(v, size=k.endswith('_bytes')))}</dd>"
        for k, v in host.items()
        if v not in (None, [], {})
    )
    return f"<section><h2>Measured on</h2><dl>{lines}</dl></section>"


def _fact(value: Any, *, size: bool = False) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_fact(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(_fact(v) for v in value)
    if isinstance(value, int) and size:
        return kilobytes(value)
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _commands(commands: Sequence[str]) -> str:
    if not commands:
        return ""
    return f"<section><h2>How to repeat it</h2><pre>{escape(chr(10).join(commands))}</pre></section>"
