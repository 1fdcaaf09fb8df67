"""What every engine offers, and the conversion between real numbers and a file's integers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.card import TensorSpec
from edgekit.errors import DataError

_PLAIN = frozenset(("float32", "float16", "float64", "bool", "int8", "uint8", "int16", "uint16", "int32", "int64"))

Array = npt.NDArray[Any]
Feed = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """How many of a file's operators (``operators`` of ``total``) a faster library inside the engine runs.

    ``works`` says whether that library runs anything on this machine.
    """

    name: str
    operators: int
    total: int
    works: bool


class Runtime(Protocol):
    """A loaded model file. One file per engine in this folder; all pass the same contract test.

    ``inputs`` and ``outputs`` tell names, shapes and types as the *file* has them.
    """

    @property
    def name(self) -> str:
        """The engine, one of `edgekit.runtimes.engines.ENGINES`."""

    @property
    def version(self) -> str:
        """Version of the engine's package."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The file's inputs, in the file's order."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The file's outputs, in the file's order."""

    @property
    def delegation(self) -> Delegation | None:
        """What LiteRT gives to XNNPACK, as the loaded model has it; None for engines that have no such part."""

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


class Inputs:
    """The check of feeds for the inputs of one file."""

    def __init__(self, specs: tuple[TensorSpec, ...]) -> None:
        self._specs = specs
        fixed = all(None not in s.shape and s.dtype in _PLAIN for s in specs)
        self._exact = tuple((s.name, np.dtype(s.dtype), s.shape) for s in specs) if fixed else ()

    def checked(self, feed: Feed) -> list[Array]:
        """The arrays of ``feed`` in the order of the file's inputs, contiguous and in its dtypes.

        `DataError` for a missing or unknown name, or what does not fit. A feed that fits exactly, as in a camera's
        loop, costs a microsecond.
        """
        if self._exact and len(feed) == len(self._exact):
            arrays = []
            for name, dtype, shape in self._exact:
                array = feed.get(name)
                if array is None or array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
                    break
                arrays.append(array)
            else:
                return arrays
        names = [spec.name for spec in self._specs]
        if set(feed) != set(names):
            raise DataError(f"The inputs given are {sorted(feed)}; the model takes {sorted(names)}.")
        return [np.ascontiguousarray(checked_input(feed[spec.name], spec)) for spec in self._specs]


def by_name(arrays: Sequence[Array], specs: tuple[TensorSpec, ...], *, as_float: bool) -> dict[str, Array]:
    """An engine's outputs as `Runtime.run` gives them: float32 where ``as_float`` asks for real numbers."""
    if not as_float:
        return {spec.name: values for spec, values in zip(specs, arrays, strict=True)}
    return {spec.name: _real(values, spec) for spec, values in zip(specs, arrays, strict=True)}


def _real(values: Array, spec: TensorSpec) -> Array:
    if spec.quantized:
        return dequantize(values, spec)
    return values.astype(np.float32) if values.dtype == np.float16 else values


def first_line(error: BaseException) -> str:
    """The first line of an engine's message, without its full stop."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _shape(dims: tuple[int | None, ...]) -> str:
    return " x ".join("any" if d is None else str(d) for d in dims) or "scalar"
