"""Frozen dataclasses to JSON and back, strictly: an unknown or missing key or a wrong type is an error that names it.

Field types understood: ``str int float bool``, unions, enums, dataclasses, ``tuple[T, ...]``, fixed tuples and
``Mapping[str, T]``.
"""

import dataclasses
import enum
import math
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from edgekit.errors import CardError, cut

T = TypeVar("T")
_PRIMITIVES: tuple[type, ...] = (str, int, float, bool)
_LARGEST_FLOAT = int(sys.float_info.max)


def to_jsonable(value: Any) -> Any:
    """``value`` (a dataclass, enum, tuple, mapping or primitive) as plain JSON types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): to_jsonable(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_jsonable(v) for v in value]
    return value


def from_jsonable(cls: type[T], data: Any, *, where: str | None = None) -> T:
    """An instance of the dataclass ``cls`` from plain JSON types; `CardError` names the key that does not fit."""
    where = where or cls.__name__
    if not isinstance(data, Mapping):
        raise CardError(f"{where} is {_kind(data)}; expected an object with named values.")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = [k for k in data if k not in fields]
    if unknown:
        raise CardError(f"{where} has an unknown key {unknown[0]!r}; known keys: {', '.join(fields)}.")
    missing = [
        n
        for n, f in fields.items()
        if n not in data and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise CardError(f"{where} lacks the key {missing[0]!r}.")
    return cls(**{k: _decode(hints[k], v, f"{where}.{k}") for k, v in data.items()})


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(kind)
        if value is None and type(None) in options:
            return None
        first = next(o for o in options if o is not type(None))
        return _decode(type(value) if type(value) in options else first, value, where)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), value, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise CardError(f"{where} is {_kind(value)}; expected an object.")
        return {str(k): _decode(typing.get_args(kind)[1], v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(kind):
        return from_jsonable(typing.cast(type[Any], kind), value, where=where)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        try:
            return kind(value)
        except ValueError:
            choices = ", ".join(str(m.value) for m in kind)
            raise CardError(f"{where} is {value!r}; expected one of: {choices}.") from None
    return _decode_primitive(kind, value, where)


def _decode_tuple(items: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise CardError(f"{where} is {_kind(value)}; expected a list.")
    if len(items) == 2 and items[1] is Ellipsis:
        items = (items[0],) * len(value)
    if len(items) != len(value):
        raise CardError(f"{where} has {len(value)} values; expected {len(items)}.")
    return tuple(_decode(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(items, value, strict=True)))


def _decode_primitive(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) <= _LARGEST_FLOAT else math.inf
    if kind not in _PRIMITIVES or type(value) is not kind:
        raise CardError(f"{where} is {_kind(value)}; expected {getattr(kind, '__name__', kind)}.")
    if kind is float and not math.isfinite(value):
        raise CardError(f"{where} is {value}; expected a finite number.")
    return value


def _kind(value: Any) -> str:
    named = {dict: "an object", list: "a list", type(None): "null"}
    return named[type(value)] if type(value) in named else cut(repr(value))
