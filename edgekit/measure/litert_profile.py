"""LiteRT's time by operator, through the C interface of the library inside its Python package.

The Python package offers no profiler; the library beside it does. Its binary interface is not promised to stay, so it
is used with the one version that it was written for, and refused with any other.
"""

import ctypes
import importlib.metadata
import importlib.util
import re
import time
from ctypes import byref, c_char_p, c_int, c_int32, c_size_t, c_uint, c_uint32, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.card import TensorSpec
from edgekit.errors import ArtifactError, MissingExtraError
from edgekit.measure.sample_inputs import sample_values
from edgekit.workers import Json, Progress

SUPPORTED = "2.3"
WARMUP = 3
_CPU = 1  # kLiteRtHwAcceleratorCpu
_LOCK_TO_WRITE = 1  # kLiteRtTensorBufferLockModeWrite
_HOST_MEMORY = 1  # kLiteRtTensorBufferTypeHostMemory
_LEAST_BUFFER_BYTES = 1 << 20  # outputs whose size a run decides, such as a detector's boxes, say 0 beforehand

# TfLiteType numbers, which LiteRtElementType repeats.
_DTYPES = {
    1: "float32",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    10: "float16",
    11: "float64",
    13: "uint64",
    15: "uint32",
}


class _Layout(ctypes.Structure):
    _fields_ = (
        ("rank", c_uint, 7),
        ("has_strides", c_uint, 1),
        ("dimensions", c_int32 * 8),
        ("strides", c_uint32 * 8),
    )


class _TensorType(ctypes.Structure):
    _fields_ = (("element", c_int), ("layout", _Layout))


_Deleter = ctypes.CFUNCTYPE(None, c_void_p)


def profile_litert(request: Json, _progress: Progress) -> Json:
    """Mean ms of every node of a TFLite file as LiteRT runs it, XNNPACK's own kernel names included.

    Runs in a process of its own, which frees what the library allocated by ending.
    """
    version = _require_supported()
    session = _Session(_library(), Path(request["path"]), request["threads"])
    inputs = session.inputs(np.random.default_rng(request["seed"]))
    outputs = session.outputs()
    for _ in range(WARMUP):
        session.run(inputs, outputs)
    session.call("LiteRtStartProfiler", session.profiler)
    start = time.perf_counter_ns()
    for _ in range(request["runs"]):
        session.run(inputs, outputs)
    total_ms = (time.perf_counter_ns() - start) / 1e6 / request["runs"]
    session.call("LiteRtStopProfiler", session.profiler)
    summary = c_char_p()
    session.call("LiteRtGetProfileSummary", session.profiler, session.compiled, byref(summary))
    operators = parse_summary((summary.value or b"").decode())
    delegated = sum(1 for row in operators if row["delegated"])
    rows = [{key: row[key] for key in ("name", "op", "mean_ms")} for row in operators]
    return {"version": version, "operators": rows, "total_ms": total_ms, "delegated": delegated}


# A row of the summary: kernel, start, first, mean, percent, cumulative percent, KB, times called, name.
_ROW = re.compile(
    r"^\s*(?P<kernel>\S.*?)\s+[\d.]+\s+[\d.]+\s+(?P<mean>[\d.]+)\s+(?P<percent>[\d.]+)%\s+[\d.]+%\s+[\d.-]+\s+\d+"
    r"\s+(?P<name>\[.*\]:\d+)\s*$"
)


def parse_summary(text: str) -> list[dict[str, Any]]:
    """Rows of the part of LiteRT's profile summary that is in the order of running.

    Means are printed with three digits of a millisecond and shares with five; the shares are the finer ones, so a mean
    is its share of the total that the rounded means add up to.
    """
    part = text.partition("Run Order")[2].partition("Top by Computation Time")[0]
    matches = [match for line in part.splitlines() if (match := _ROW.match(line))]
    total = sum(float(match["mean"]) for match in matches)
    return [
        {
            "name": match["name"],
            "op": match["kernel"].removeprefix("Delegate/"),
            "mean_ms": float(match["percent"]) / 100 * total,
            "delegated": match["name"].startswith("[Delegate]"),
        }
        for match in matches
    ]


class _Session:
    """A compiled model of the C interface, with its profiler on."""

    def __init__(self, library: ctypes.CDLL, path: Path, threads: int) -> None:
        self._library = library
        self._path = path
        self._environment, self._model, options = c_void_p(), c_void_p(), c_void_p()
        self.call("LiteRtCreateEnvironment", 0, None, byref(self._environment))
        self.call("LiteRtCreateModelFromFile", self._environment, str(path).encode(), byref(self._model))
        self.call("LiteRtCreateOptions", byref(options))
        self.call("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
        self._kept = [
            self._add(options, b"runtime_options_string", b"enable_profiling = true\n"),
            self._add(options, b"xnnpack", f"num_threads = {threads}\n".encode()),
        ]
        self.compiled, self.profiler = c_void_p(), c_void_p()
        self.call("LiteRtCreateCompiledModel", self._environment, self._model, options, byref(self.compiled))
        self.call("LiteRtCompiledModelGetProfiler", self.compiled, byref(self.profiler))
        self._signature = c_void_p()
        self.call("LiteRtGetModelSignature", self._model, c_size_t(0), byref(self._signature))

    def call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            hint = "; models that keep a state inside, such as a fused LSTM, are among those" if status == 5 else ""
            raise ArtifactError(f"{self._path} cannot be profiled: LiteRT's {function} gave status {status}{hint}.")

    def run(self, inputs: "ctypes.Array[c_void_p]", outputs: "ctypes.Array[c_void_p]") -> None:
        self.call(
            "LiteRtRunCompiledModel",
            self.compiled,
            c_size_t(0),
            c_size_t(len(inputs)),
            inputs,
            c_size_t(len(outputs)),
            outputs,
        )

    def inputs(self, generator: np.random.Generator) -> "ctypes.Array[c_void_p]":
        """Buffers for all inputs, filled with seeded values."""
        return self._buffers("Input", generator)

    def outputs(self) -> "ctypes.Array[c_void_p]":
        """Buffers for all outputs."""
        return self._buffers("Output", None)

    def _buffers(self, side: str, generator: np.random.Generator | None) -> "ctypes.Array[c_void_p]":
        count = c_size_t()
        self.call(f"LiteRtGetNumSignature{side}s", self._signature, byref(count))
        buffers = (c_void_p * count.value)()
        for index in range(count.value):
            tensor, kind, needs, buffer = c_void_p(), _TensorType(), c_void_p(), c_void_p()
            at = c_size_t(index)
            self.call(f"LiteRtGetSignature{side}TensorByIndex", self._signature, at, byref(tensor))
            self.call("LiteRtGetRankedTensorType", tensor, byref(kind))
            self.call(f"LiteRtGetCompiledModel{side}BufferRequirements", self.compiled, c_size_t(0), at, byref(needs))
            needed = c_size_t()
            self.call("LiteRtGetTensorBufferRequirementsBufferSize", needs, byref(needed))
            size = c_size_t(max(needed.value, _LEAST_BUFFER_BYTES))
            self.call(
                "LiteRtCreateManagedTensorBuffer",
                self._environment,
                _HOST_MEMORY,
                byref(kind),
                size,
                byref(buffer),
            )
            if generator is not None:
                self._fill(buffer, kind, index, generator)
            buffers[index] = buffer
        return buffers

    def _fill(self, buffer: c_void_p, kind: _TensorType, index: int, generator: np.random.Generator) -> None:
        shape = tuple(kind.layout.dimensions[: kind.layout.rank])
        values = sample_values(TensorSpec(name=f"input {index}", shape=shape, dtype=_DTYPES[kind.element]), generator)
        memory = c_void_p()
        self.call("LiteRtLockTensorBuffer", buffer, byref(memory), _LOCK_TO_WRITE)
        ctypes.memmove(memory, values.ctypes.data, values.nbytes)
        self.call("LiteRtUnlockTensorBuffer", buffer)

    def _add(self, options: c_void_p, identifier: bytes, payload: bytes) -> tuple[Any, Any]:
        """Attach a text of settings; what must outlive the call is returned."""
        text, deleter, opaque = ctypes.create_string_buffer(payload), _Deleter(lambda _pointer: None), c_void_p()
        self.call("LiteRtCreateOpaqueOptions", identifier, text, deleter, byref(opaque))
        self.call("LiteRtAddOpaqueOptions", options, opaque)
        return text, deleter


def _require_supported() -> str:
    sentence = f"per-operator profile needs ai-edge-litert {SUPPORTED}"
    try:
        version = importlib.metadata.version("ai-edge-litert")
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtraError(
            f"A {sentence}, which is not installed. Run: pip install 'edgekit-ml[litert]'"
        ) from None
    if version.split(".")[:2] != SUPPORTED.split("."):
        raise MissingExtraError(f"A {sentence}; got {version}. Run: pip install 'ai-edge-litert=={SUPPORTED}.*'")
    return version


def _library() -> ctypes.CDLL:
    package = importlib.util.find_spec("ai_edge_litert")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("ai_edge_litert is not installed. Run: pip install 'edgekit-ml[litert]'")
    return ctypes.CDLL(str(Path(package.submodule_search_locations[0]) / "libLiteRt.so"))
