"""One row of figures for the files that make a model together, from the rows of each."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Any

Json = Mapping[str, Any]


def as_one(rows: Sequence[Json]) -> dict[str, Any]:
    """What `convert` told of the files of one format and recipe, the first file of a model last, as of one file.

    Sizes are added, and of other figures the worst is taken.
    """
    size = sum(row["model_bytes"] for row in rows)
    return {
        **rows[-1],
        "model_bytes": size,
        "ratio": round(sum(row["ratio"] * row["model_bytes"] for row in rows) / size, 4),
        "metrics": {
            **rows[-1]["metrics"],
            "max_abs": max(row["metrics"]["max_abs"] for row in rows),
            "sqnr_db": min(row["metrics"]["sqnr_db"] for row in rows),
        },
        "float_ops": [op for row in rows for op in row["float_ops"]],
    }


def image_p50_ms(rows: Sequence[Json], detection: Json | None) -> float:
    """The median time of an image through the files of ``rows`` of `benchmark`, the first file first.

    A file that looks at regions runs once for each that the detector looks at, as its card's ``detection`` says; a
    detector has fewer regions where it finds no more.
    """
    each = [float(row["latency_ms"]["p50"]) for row in rows]
    source = _regions(detection)
    if source is None:
        return each[0]
    once = each[0] if len(each) > 1 else 0.0
    return once + float(source["count"]) * each[-1]


def _regions(detection: Json | None) -> Json | None:
    if detection is None:
        return None
    found: Json | None = detection["proposals"] or detection["search"]
    return found


def by_kind(rows: Sequence[Json], *, shared: Collection[str] = ()) -> dict[tuple[str, str], list[Json]]:
    """The rows of each format and recipe, in their order.

    Before them are those of files called one of ``shared``, which serve all recipes of their format.
    """
    found: dict[tuple[str, str], list[Json]] = {}
    serving = [row for row in rows if PurePath(row["artifact"]).name in shared]
    for row in rows:
        if row not in serving:
            kind = row["format"], row["recipe"]
            found.setdefault(kind, [s for s in serving if s["format"] == row["format"]]).append(row)
    return found
