"""The cells of a sweep as rows, ranked where they may be compared."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.report.task_figures import TASK_FIGURES, TaskFigures, task_of
from edgekit.sweep.plan import Cell


def comparable(row: Mapping[str, Any]) -> bool:
    """Whether a result of ``edgekit benchmark`` may be ranked: of a device neither throttled, emulated nor wrong."""
    return bool(row["comparable"]) and not answers_otherwise(row)


def answers_otherwise(row: Mapping[str, Any]) -> bool:
    """Whether a device's answers are beyond the limits of the file's recipe."""
    return row["answers"] is not None and row["answers"]["within_limits"] is False


def rows(
    found: Sequence[tuple[Cell, Mapping[str, Any]]], accuracies: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A row for each cell from its result, the fastest first on every device, those not to be compared last.

    ``rank`` counts on each device; None where it must not be compared. ``accuracies`` are the results of an evaluation.
    """
    metrics = {(row["sha256"], row["engine"].partition(" ")[0]): row["metrics"] for row in accuracies}
    devices = list(dict.fromkeys(cell.device for cell, _ in found))
    ordered = sorted(
        ((cell, row, comparable(row)) for cell, row in found),
        key=lambda each: (devices.index(each[0].device), not each[2], each[1]["figure"]["ms"]),
    )
    ranks = dict.fromkeys(devices, 0)
    told = []
    for cell, row, ranked in ordered:
        ranks[cell.device] += ranked
        engine = row["runtime"]["name"]
        told.append(
            {
                **{name: row[name] for name in ("artifact", "sha256", "format", "recipe", "model_bytes")},
                "device": cell.device,
                "engine": engine,
                "threads": cell.threads,
                "rank": ranks[cell.device] if ranked else None,
                "figure": row["figure"],
                "latency_ms": row["latency_ms"],
                "peak_rss_bytes": row["peak_rss_bytes"],
                "valid": row["valid"],
                "comparable": ranked,
                "flags": row["flags"],
                "answers": row["answers"],
                "metrics": metrics.get((row["sha256"], engine), {}),
                "cell": cell.kept,
            }
        )
    return told


def verdicts(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """For each device the fastest, and the most accurate where accuracies are known."""
    said = []
    for device in dict.fromkeys(row["device"] for row in rows):
        ranked = [row for row in rows if row["device"] == device and row["rank"] is not None]
        if not ranked:
            said.append(f"On {device} nothing is ranked: it was throttled or emulated, or gave other answers.")
            continue
        words = f"On {device} the fastest of {len(ranked)} is {_words(ranked[0])}"
        known = [row for row in ranked if accuracy(row) is not None]
        best = max(known, key=lambda row: (_goodness(row), -row["rank"]), default=None)
        if best is not None:
            among = "" if len(known) == len(ranked) else f" of the {len(known)} whose accuracy is known"
            words += (
                f"; none{among} is more accurate"
                if best is ranked[0]
                else f"; the most accurate{among} is {_words(best)}"
            )
        flagged = "" if all(row["valid"] for row in ranked) else " Some of these timings are not valid."
        said.append(f"{words}.{flagged}")
    return tuple(said)


def table(rows: Sequence[Mapping[str, Any]]) -> tuple[str, list[str], list[list[str]]]:
    """(title, columns, rows) for people."""
    measured = next((found[0] for row in rows if (found := accuracy(row)) is not None), None)
    columns = ["rank", "file", "recipe", "engine", "device", "threads", "p50 ms", "p90 ms", "valid"]
    columns += [] if measured is None else [measured.columns[0]]
    lines = []
    for row in rows:
        found = accuracy(row)
        lines.append(
            [
                "-" if row["rank"] is None else str(row["rank"]),
                row["artifact"].replace("\\", "/").rpartition("/")[2],
                row["recipe"],
                row["engine"],
                row["device"],
                str(row["threads"]),
                *(f"{row['latency_ms'][name]:.4g}" for name in ("p50", "p90")),
                "yes" if row["valid"] else "no",
                *([] if measured is None else ["-" if found is None else found[0].written(found[1])]),
            ]
        )
    return "Latency of every cell, ranked on each device", columns, lines


def doubts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for each kind of reason not to rely on a timing, with the number of cells that it concerns."""
    counts: dict[str, int] = {}
    for row in rows:
        for flag in row["flags"]:
            kind = f"{flag.partition(':')[0]} on {row['device']}"
            counts[kind] = counts.get(kind, 0) + 1
    return [f"Not valid, {kind}: {count} cell{'s' if count > 1 else ''}." for kind, count in counts.items()]


def accuracy(row: Mapping[str, Any]) -> tuple[TaskFigures, float] | None:
    """What tells how accurate a row is, and its value; None where it is not known."""
    task = task_of(row["metrics"])
    if task is None:
        return None
    told = TASK_FIGURES[task]
    return told, row["metrics"][told.of_files[0]]


def _goodness(row: Mapping[str, Any]) -> float:
    told, value = accuracy(row) or (TASK_FIGURES["classification"], 0.0)
    return -value if told.lower_is_better else value


def _words(row: Mapping[str, Any]) -> str:
    name = row["artifact"].replace("\\", "/").rpartition("/")[2]
    plural, found, told = "s" if row["threads"] > 1 else "", accuracy(row), ""
    if found is not None:
        figures, value = found
        told = f", {figures.metric} {figures.written(value)}{figures.unit}"
    return f"{name} in {row['engine']} with {row['threads']} thread{plural}: {row['figure']['ms']:.4g} ms{told}"
