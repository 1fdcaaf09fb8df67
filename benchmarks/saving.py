"""Writes what a benchmark found, with the facts of the machine that it was found on."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.files import write_atomic
from edgekit.measure.host import host_facts
from edgekit.results import envelope

FOLDER = Path(__file__).parent / "results"


def save(claim: str, results: Sequence[dict[str, Any]]) -> Path:
    """Write ``results/<claim>.json``; its path."""
    path = FOLDER / f"{claim}.json"
    data = envelope(f"benchmarks/{claim}", results, host=host_facts())
    write_atomic(path, (json.dumps(data, indent=2) + "\n").encode())
    return path
