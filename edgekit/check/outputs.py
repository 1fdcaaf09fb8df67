"""A check as a table, as JSON, as JUnit's XML and as Markdown."""

from typing import Any
from xml.etree import ElementTree

from edgekit.check.run import CheckReport
from edgekit.check.verdicts import Verdict
from edgekit.codec import to_jsonable
from edgekit.devices.engines import LOCAL
from edgekit.errors import EdgekitError, printable
from edgekit.results import envelope

COLUMNS = ("file", "line", "verdict", "now", "baseline", "budget", "why")
_MARKS = {Verdict.PASS: "✅", Verdict.REGRESS: "❌", Verdict.IMPROVE: "⬆️"}


def rows(report: CheckReport) -> list[list[str]]:
    """One row for each line, in the order of `COLUMNS`."""
    return [
        [printable(cell) for cell in (line.file, line.name, f.verdict, f.now, f.baseline, f.limit, f.why)]
        for line, f in ((line, line.found) for line in report.lines)
    ]


def marked(report: CheckReport) -> list[int]:
    """The places of the rows that fail the check."""
    return [place for place, line in enumerate(report.lines) if line.regressed]


def title(report: CheckReport) -> str:
    """What was checked, on what, and since when."""
    last = report.baseline.history[-1].when if report.baseline.history else "an unknown day"
    what = f"{len(report.seen.places):,} items of {report.baseline.data.name}"
    where = "" if report.seen.device == LOCAL else f", on {report.seen.device},"
    return printable(f"Check on {what}{where} against the baseline of {last}")


def to_json(report: CheckReport) -> dict[str, Any]:
    """The JSON of ``edgekit check``: a result for each file, with its ``lines``."""
    results = [
        {
            "artifact": str(report.folder / file),
            "sha256": record.sha256,
            "format": record.format,
            "recipe": record.recipe,
            "engine": record.engine,
            "device": report.seen.device,
            "model_bytes": record.model_bytes,
            "data": report.baseline.data.name,
            "n": len(report.seen.places),
            "left_out": report.seen.left_out,
            "metrics": {report.seen.metric.value: record.metric.value},
            "lines": [{"line": line.name, **to_jsonable(line.found)} for line in report.lines if line.file == file],
        }
        for file, record in report.seen.models.items()
    ]
    data = envelope("check", results, host=dict(report.seen.host))
    return {**data, "regressed": [line.title for line in report.regressed], "notes": list(report.notes)}


def to_junit(report: CheckReport) -> bytes:
    """A JUnit file: a test case for each line, in which a regression is a failure."""
    suite = _suite(tests=len(report.lines), failures=len(report.regressed), errors=0)
    for line in report.lines:
        case = ElementTree.SubElement(suite, "testcase", classname=printable(line.file), name=line.name)
        said = line.sentence()
        if line.regressed:
            ElementTree.SubElement(case, "failure", type="regress", message=said).text = said
        else:
            ElementTree.SubElement(case, "system-out").text = said
    return _document(suite)


def broken_json(error: EdgekitError) -> dict[str, Any]:
    """The JSON of a check that could not tell: no result, and the ``error``."""
    return {**envelope("check", []), "error": str(error)}


def broken_junit(error: EdgekitError) -> bytes:
    """A JUnit file for a check that could not tell, so that no build server shows the one before."""
    suite = _suite(tests=1, failures=0, errors=1)
    case = ElementTree.SubElement(suite, "testcase", classname="edgekit check", name="check")
    ElementTree.SubElement(case, "error", type=type(error).__name__, message=str(error)).text = str(error)
    return _document(suite)


def broken_markdown(error: EdgekitError) -> str:
    """A summary for a check that could not tell."""
    return f"### edgekit check: it could not tell\n\n{_cell(str(error))}\n"


def _suite(**counts: int) -> ElementTree.Element:
    told = {name: str(count) for name, count in counts.items()}
    return ElementTree.Element("testsuite", {"name": "edgekit check", **told, "skipped": "0"})


def _document(suite: ElementTree.Element) -> bytes:
    document = ElementTree.Element("testsuites")
    document.append(suite)
    ElementTree.indent(document)
    text: bytes = ElementTree.tostring(document, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def to_markdown(report: CheckReport) -> str:
    """A summary for GitHub: a table of all lines, after a sentence on those that failed."""
    count = len(report.regressed)
    head = f"{count} of {len(report.lines)} lines got worse." if count else f"All {len(report.lines)} lines hold."
    table = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for line, row in zip(report.lines, rows(report), strict=True):
        row[2] = f"{_MARKS[line.found.verdict]} {row[2]}"
        table.append("| " + " | ".join(map(_cell, row)) + " |")
    notes = [f"- {_cell(note)}" for note in report.notes]
    parts = [f"### edgekit check: {head}", _cell(title(report)), "\n".join(table), "\n".join(notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(text: str) -> str:
    """``text`` as it stands, whatever Markdown or HTML would make of it."""
    signs = {"&": "&amp;", "<": "&lt;", ">": "&gt;", **{c: f"\\{c}" for c in "\\`*_[]|~#"}}
    return "".join(signs.get(c, c) for c in printable(text))
