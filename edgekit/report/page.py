"""Results as one HTML page that needs nothing else: no script, no font, no request. Everything shown is escaped."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from edgekit.report.accuracy import accuracy_sections, mark_class
from edgekit.report.layer_plot import LayerBar, profile
from edgekit.report.pictures import picture_sections
from edgekit.report.read import Accuracy, Results, Row, Timing
from edgekit.report.style import CSS
from edgekit.report.task_figures import MEASURED
from edgekit.report.words import NOTHING, kilobytes, milliseconds, percent
from edgekit.tasks import generation


def render(results: Results, *, title: str) -> str:
    """The page for ``results``; the same bytes for the same results."""
    sections = [
        _header(results, title),
        accuracy_sections(results.rows),
        picture_sections(results.rows),
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


def _header(results: Results, title: str) -> str:
    rows = results.rows
    counts = {r.accuracy.count for r in rows if r.accuracy}
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


_Column = tuple[str, Callable[[Row], str]]


def _figures_of(task: str) -> tuple[_Column, _Column]:
    """The first figure of ``task``, and its interval."""
    return (
        (MEASURED[task].columns[0], lambda r: _each(r, lambda a: a.told.written(a.value) if a.task == task else "")),
        ("95 % interval", lambda r: _each(r, lambda a: a.interval if a.task == task else "")),
    )


def _further(title: str) -> _Column:
    """A figure with the same ``title`` in all tasks that have it."""

    def told(accuracy: Accuracy) -> str:
        titles = accuracy.told.further
        name = next((name for name in accuracy.further if titles[name] == title), None)
        return "" if name is None else accuracy.told.written_further(name, accuracy.further[name])

    return title, lambda r: _each(r, told)


_DRAWN = [task for task in reversed(list(MEASURED)) if task != generation.TASK]
"""The tasks whose figures are in the table of files; pictures have one of their own."""
_COLUMNS: tuple[_Column, ...] = (
    ("file", lambda r: r.name),
    ("recipe", lambda r: r.recipe),
    ("size", lambda r: kilobytes(r.model_bytes) if r.model_bytes else NOTHING),
    ("ratio", lambda r: f"{r.ratio:.2f} ×" if r.ratio else NOTHING),
    *(column for task in _DRAWN for column in _figures_of(task)),
    *map(_further, dict.fromkeys(title for task in _DRAWN for title in MEASURED[task].further.values())),
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


def _each(row: Row, told: Callable[[Accuracy], str]) -> str:
    """What is ``told`` of each accuracy, with its data where there are several; those with nothing are left out."""
    found = [(words, accuracy.data) for accuracy in row.accuracies if (words := told(accuracy))]
    if len(found) < 2:
        return found[0][0] if found else NOTHING
    return ", ".join(f"{words} ({data})" for words, data in found)


def _validity(timing: Timing | None) -> str:
    if timing is None:
        return NOTHING
    if timing.valid:
        return "valid"
    # A flag is a word, a colon and the details, which are told below the table.
    return ("not valid: " if timing.comparable else "not comparable: ") + ", ".join(
        flag.partition(":")[0] for flag in timing.flags
    )


def _table(rows: Sequence[Row]) -> str:
    lines = [cells(row) for row in rows]
    filled = [place for place in range(len(COLUMNS)) if any(line[place] != NOTHING for line in lines)]
    head = "".join(f"<th>{escape(COLUMNS[place])}</th>" for place in filled)
    body = ""
    for row, line in zip(rows, lines, strict=True):
        name, *others = (escape(line[place]) for place in filled)
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
    """The timings that the table has no room for: other devices, engines, numbers of threads; those not compared."""
    if all(len(r.timings) < 2 and (r.timing or not r.timings) for r in rows):
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
            group=mark_class(row),
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
