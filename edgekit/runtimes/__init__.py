"""Engines that run model files. `open_runtime` chooses by the file's format; all engines keep one contract."""

from pathlib import Path

from edgekit.artifact import Format, find_model
from edgekit.runtimes.base import Array, Feed, Runtime, dequantize, quantize
from edgekit.runtimes.batches import run_items
from edgekit.runtimes.engines import (
    ENGINES,
    assign_engines,
    choose_engines,
    default_engine,
    installed_engines,
    load_engine,
    opener,
)

__all__ = [
    "ENGINES",
    "Array",
    "Feed",
    "Runtime",
    "assign_engines",
    "choose_engines",
    "default_engine",
    "dequantize",
    "installed_engines",
    "load_engine",
    "open_checked_runtime",
    "open_runtime",
    "opener",
    "quantize",
    "run_items",
]


def open_runtime(path: Path, *, threads: int = 1, engine: str | None = None) -> Runtime:
    """The model file at ``path``, loaded with ``threads`` threads in ``engine``, or in the default of its format.

    `ArtifactError` when the file cannot be loaded, `MissingExtraError` when the engine is not installed, `InputError`
    when the engine does not run such files. A damaged file can end the process inside an engine: use
    `open_checked_runtime` for files from elsewhere.
    """
    path, kind = find_model(path)
    (name,) = choose_engines(kind, () if engine is None else (engine,), file=str(path))
    return opener(name)(path, threads=threads)


def open_checked_runtime(path: Path, *, threads: int = 1, engine: str | None = None) -> Runtime:
    """As `open_runtime`, after the file has run once in a process of its own, where a crash is an `ArtifactError`."""
    from edgekit.formats.keras import require_readable_weights
    from edgekit.runtimes.probe import probe

    found, kind = find_model(path)
    if kind is Format.KERAS:
        require_readable_weights(found)
    probe(path, threads=threads, engine=engine)
    return open_runtime(path, threads=threads, engine=engine)
