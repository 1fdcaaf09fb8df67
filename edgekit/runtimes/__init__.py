"""Engines that run model files. `open_runtime` chooses by the file's format; all engines keep one contract."""

from pathlib import Path

from edgekit.artifact import Format, find_model
from edgekit.runtimes.base import Array, Feed, Runtime, dequantize, quantize
from edgekit.runtimes.batches import run_items

__all__ = ["Array", "Feed", "Runtime", "dequantize", "open_checked_runtime", "open_runtime", "quantize", "run_items"]


def open_runtime(path: Path, *, threads: int = 1) -> Runtime:
    """The model file at ``path``, loaded in the engine of its format with ``threads`` threads.

    `ArtifactError` when the file cannot be loaded, `MissingExtraError` when the engine is not installed. A damaged file
    can end the process inside an engine: use `open_checked_runtime` for files from elsewhere.
    """
    path, kind = find_model(path)
    match kind:
        case Format.TFLITE:
            from edgekit.runtimes.litert import LiteRTRuntime

            return LiteRTRuntime(path, threads=threads)
        case Format.ONNX:
            from edgekit.runtimes.ort import OnnxRuntime

            return OnnxRuntime(path, threads=threads)
        case Format.KERAS:
            from edgekit.runtimes.keras import KerasRuntime

            return KerasRuntime(path, threads=threads)


def open_checked_runtime(path: Path, *, threads: int = 1) -> Runtime:
    """As `open_runtime`, after the file has run once in a process of its own, where a crash is an `ArtifactError`."""
    from edgekit.formats.keras import require_readable_weights
    from edgekit.runtimes.probe import probe

    found, kind = find_model(path)
    if kind is Format.KERAS:
        require_readable_weights(found)
    probe(path, threads=threads)
    return open_runtime(path, threads=threads)
