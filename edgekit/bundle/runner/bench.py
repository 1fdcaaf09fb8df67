"""How long a model takes on the device: warm-up, then single runs on golden inputs, with all their times."""

import dataclasses
import time
from typing import Any

from edgekit.bundle.runner.answers import golden_inputs
from edgekit.bundle.runner.contents import Contents
from edgekit.bundle.runner.engines import load
from edgekit.bundle.runner.manifest import Entry
from edgekit.measure.memory import peak_rss_bytes
from edgekit.measure.stats import summarize
from edgekit.measure.timing import thinned, time_calls


def bench(
    contents: Contents, entry: Entry, *, runs: int = 50, warmup: int = 5, min_secs: float = 1.0, threads: int = 1
) -> dict[str, Any]:
    """One result as JSON types: set inputs, run, get outputs, at least ``runs`` times and for ``min_secs`` seconds.

    ``latency_ms.first`` is the first run after loading and is in no other figure.
    """
    start = time.perf_counter()
    loaded = load(entry, contents.read(entry.file), threads=threads)
    load_ms = (time.perf_counter() - start) * 1e3
    items = golden_inputs(contents, entry)
    start = time.perf_counter()
    loaded.run(items[0])
    first_ms = (time.perf_counter() - start) * 1e3
    times = time_calls(lambda: loaded.run(items[0]), runs=runs, min_duration_s=min_secs, settle=warmup)
    samples = [ns / 1e6 for ns in times]
    return {
        "artifact": entry.name,
        "sha256": contents.sha256(entry.file),
        "format": entry.format,
        "recipe": entry.recipe,
        "engine": loaded.engine,
        "kernels": loaded.kernels,
        "threads": threads,
        "runs": len(samples),
        "warmup": warmup,
        "load_ms": load_ms,
        "latency_ms": dataclasses.asdict(summarize(samples, first_ms=first_ms)),
        "samples_ms": [round(ns / 1e6, 4) for ns in thinned(times)],
        "peak_rss_bytes": peak_rss_bytes(),
    }
