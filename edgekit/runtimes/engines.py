"""The engines that there are: what each is called, which package it comes in, which formats it runs."""

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

from edgekit.artifact import Format
from edgekit.errors import InputError, need, suggest
from edgekit.runtimes.base import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine: what opens a file in it (module and callable), the module to import, and where it comes from.

    ``formats`` are the files it runs; it is the one that runs them unasked where ``by_default``.
    """

    opener: tuple[str, str]
    module: str
    distribution: str
    extra: str
    formats: tuple[Format, ...]
    by_default: bool = True

    @property
    def installed(self) -> bool:
        """Whether its package is there, without importing it."""
        return importlib.util.find_spec(self.module.partition(".")[0]) is not None


ENGINES = {
    "litert": Engine(
        opener=("edgekit.runtimes.litert", "LiteRTRuntime"),
        module="ai_edge_litert.interpreter",
        distribution="ai-edge-litert",
        extra="litert",
        formats=(Format.TFLITE,),
    ),
    "tflite-runtime": Engine(
        opener=("edgekit.runtimes.litert", "tflite_runtime"),
        module="tflite_runtime.interpreter",
        distribution="tflite-runtime",
        extra="tflite-runtime",
        formats=(Format.TFLITE,),
    ),
    "onnxruntime": Engine(
        opener=("edgekit.runtimes.ort", "OnnxRuntime"),
        module="onnxruntime",
        distribution="onnxruntime",
        extra="onnx",
        formats=(Format.ONNX,),
    ),
    "openvino": Engine(
        opener=("edgekit.runtimes.openvino", "OpenVINORuntime"),
        module="openvino",
        distribution="openvino",
        extra="openvino",
        formats=(Format.ONNX, Format.TFLITE),
        by_default=False,
    ),
    "keras": Engine(
        opener=("edgekit.runtimes.keras", "KerasRuntime"),
        module="keras",
        distribution="keras",
        extra="train",
        formats=(Format.KERAS,),
    ),
}
"""Every engine by its name: ``--engine`` takes these, and the contract test."""


def default_engine(kind: Format) -> str:
    """The engine that runs files of ``kind`` unasked: the first, or where only another is installed, that one."""
    names = [name for name, engine in ENGINES.items() if kind in engine.formats and engine.by_default]
    first, *others = names
    return next((name for name in others if not ENGINES[first].installed and ENGINES[name].installed), first)


def installed_engines(kind: Format) -> tuple[str, ...]:
    """The engines that are installed and run files of ``kind``; of the two TFLite packages only the one in use."""
    return tuple(
        name
        for name, engine in ENGINES.items()
        if kind in engine.formats and engine.installed and (name == default_engine(kind) or not engine.by_default)
    )


def choose_engines(kind: Format, engines: Sequence[str], *, file: str) -> tuple[str, ...]:
    """Those of ``engines`` that run files of ``kind``, or the default where none is named.

    `InputError` for an unknown name, or when none of those named runs the ``file``.
    """
    for name in engines:
        if name not in ENGINES:
            raise InputError(f"There is no engine {name!r}; {suggest(name, ENGINES)}")
    if not engines:
        return (default_engine(kind),)
    fitting = tuple(name for name in engines if kind in ENGINES[name].formats)
    if not fitting:
        able = " or ".join(name for name, engine in ENGINES.items() if kind in engine.formats)
        raise InputError(f"{file} is a .{kind.value} file, which {' and '.join(engines)} cannot run; use {able}.")
    return fitting


def assign_engines(files: Sequence[tuple[str, Format]], engines: Sequence[str]) -> list[tuple[str, ...]]:
    """For each of ``files`` (name, format) those of ``engines`` that run it; the default where none is named.

    `InputError` as `choose_engines`, and for an engine that none of the files is for, or that is named twice.
    """
    found = [choose_engines(kind, engines, file=name) for name, kind in files]
    for name in engines:
        if engines.count(name) > 1:
            raise InputError(f"The engine {name} is named twice; name it once.")
        if not any(name in each for each in found):
            kinds = " and ".join(f".{kind.value}" for kind in ENGINES[name].formats)
            raise InputError(f"None of the files is for {name}, which runs {kinds} files; leave it out.")
    return found


def load_engine(name: str) -> ModuleType:
    """The engine's module; `MissingExtraError` where it is not installed.

    No engine reports to its maker that it is used: ONNX Runtime heeds a variable, and OpenVINO, which sends an event
    when it is imported, does without its telemetry package.
    """
    engine = ENGINES[name]
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with _hidden("openvino_telemetry"):
        return need(engine.module, extra=engine.extra)


def opener(name: str) -> Callable[..., Runtime]:
    """What opens a file in the engine called ``name``: called with the path and ``threads``."""
    module, attribute = ENGINES[name].opener
    found: Callable[..., Runtime] = getattr(importlib.import_module(module), attribute)
    return found


@contextlib.contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Inside the block ``module`` counts as not installed, unless it has been imported before."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
