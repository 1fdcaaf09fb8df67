"""Writes what a benchmark found, with the facts of the machine that it was found on."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgekit.files import write_atomic
from edgekit.measure.host import host_facts
from edgekit.results import envelope

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table of claims: what was measured, the figure, what it may be, and whether it is."""

    what: str
    value: str
    limit: str
    held: bool


def save(claim: str, results: Sequence[dict[str, Any]], figures: Sequence[Figure] = ()) -> Path:
    """Write ``results/<claim>.json``; its path."""
    path = FOLDER / f"{claim}.json"
    data = {
        **envelope(f"benchmarks/{claim}", results, host=host_facts()),
        "figures": [asdict(figure) for figure in figures],
    }
    write_atomic(path, (json.dumps(data, indent=2) + "\n").encode())
    return path
