"""What every engine offers, and the conversion between real numbers and a file's integers."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.card import TensorSpec
from edgekit.errors import DataError

Array = npt.NDArray[Any]
Feed = Mapping[str, Array]


class Runtime(Protocol):
    """A loaded model file. One file per engine in this folder; all pass the same contract test.

    ``inputs`` and ``outputs`` tell names, shapes and types as the *file* has them.
    """

    @property
    def name(self) -> str:
        """The engine: ``litert``, ``tflite-runtime``, ``onnxruntime`` or ``keras``."""

    @property
    def version(self) -> str:
        """Version of the engine's package."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The file's inputs, in the file's order."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The file's outputs, in the file's order."""

    def run(self, feed: Feed, *, as_float: bool = False) -> dict[str, Array]:
        """Outputs by name for inputs by name, batch axis included; the feed is never altered.

        A float array for a quantized input is quantized; with ``as_float`` quantized outputs come back as float32.
        `DataError` when a name, shape or dtype does not fit.
        """

    def bind(self, feed: Feed) -> Callable[[], object]:
        """A function that runs the engine on this very ``feed``: set inputs, invoke, get outputs as the file has them.

        The feed is checked once, here; a call does nothing beside the engine's own work, so that it can be timed.
        """


def quantize(values: Array, spec: TensorSpec) -> Array:
    """Real ``values`` as the integers of ``spec``: round(x / scale) + zero point, saturated."""
    info = np.iinfo(spec.dtype)
    scaled = np.rint(values / np.float32(spec.scale[0])) + spec.zero_point[0]
    integers: Array = np.clip(scaled, info.min, info.max).astype(spec.dtype)
    return integers


def dequantize(values: Array, spec: TensorSpec) -> Array:
    """Integers of ``spec`` as float32: (q - zero point) * scale."""
    return ((values.astype(np.float32) - np.float32(spec.zero_point[0])) * np.float32(spec.scale[0])).astype(np.float32)


def checked_input(values: Array, spec: TensorSpec) -> Array:
    """``values`` in the dtype of ``spec``, or `DataError` saying what was got and what is expected."""
    if values.ndim != len(spec.shape) or any(
        e is not None and g != e for g, e in zip(values.shape, spec.shape, strict=True)
    ):
        raise DataError(f"Input {spec.name!r} has shape {_shape(values.shape)}; the model takes {_shape(spec.shape)}.")
    if str(values.dtype) == spec.dtype:
        return values
    if spec.quantized and np.issubdtype(values.dtype, np.floating):
        if np.isnan(values).any():
            raise DataError(f"Input {spec.name!r} holds NaN, which {spec.dtype} cannot stand for; clean the data.")
        return quantize(values, spec)
    if np.can_cast(values.dtype, spec.dtype, "same_kind"):
        return values.astype(spec.dtype)
    raise DataError(f"Input {spec.name!r} is {values.dtype}; the model takes {spec.dtype}.")


def checked_feed(feed: Feed, inputs: tuple[TensorSpec, ...]) -> dict[str, Array]:
    """All of ``inputs`` from ``feed`` in the file's dtypes; `DataError` for a missing or unknown name."""
    names = [spec.name for spec in inputs]
    if set(feed) != set(names):
        raise DataError(f"The inputs given are {sorted(feed)}; the model takes {sorted(names)}.")
    return {spec.name: checked_input(feed[spec.name], spec) for spec in inputs}


def finished(values: Array, spec: TensorSpec, *, as_float: bool) -> Array:
    """An engine's output as `Runtime.run` gives it: float32 where ``as_float`` asks for real numbers."""
    if as_float and spec.quantized:
        return dequantize(values, spec)
    if as_float and values.dtype == np.float16:
        return values.astype(np.float32)
    return values


def first_line(error: BaseException) -> str:
    """The first line of an engine's message, without its full stop."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _shape(dims: tuple[int | None, ...]) -> str:
    return " x ".join("any" if d is None else str(d) for d in dims) or "scalar"
