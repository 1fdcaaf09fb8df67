"""Dataclasses to JSON and back, strictly."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.codec import from_jsonable, to_jsonable
from edgekit.errors import CardError


class Kind(StrEnum):
    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    size_hw: tuple[int, int]
    ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str
    kind: Kind = Kind.SMALL
    inner: Inner | None = None
    values: tuple[float, ...] = ()
    notes: Mapping[str, int | str | bool | None] = field(default_factory=dict)
    flag: bool = False


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INNERS = st.builds(Inner, size_hw=st.tuples(st.integers(), st.integers()), ratio=FLOATS)
OUTERS = st.builds(
    Outer,
    name=st.text(),
    kind=st.sampled_from(Kind),
    inner=st.none() | INNERS,
    values=st.lists(FLOATS).map(tuple),
    notes=st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.booleans()),
    flag=st.booleans(),
)


@given(OUTERS)
def test_everything_comes_back(value: Outer) -> None:
    assert from_jsonable(Outer, json.loads(json.dumps(to_jsonable(value)))) == value


def test_an_integer_is_a_float_but_not_the_other_way_round() -> None:
    assert from_jsonable(Inner, {"size_hw": [1, 2], "ratio": 3}).ratio == 3.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "Outer is a list; expected an object with named values."),
        ({}, "Outer lacks the key 'name'."),
        (
            {"name": "a", "nmae": 1},
            "Outer has an unknown key 'nmae'; known keys: name, kind, inner, values, notes, flag.",
        ),
        ({"name": 1}, "Outer.name is 1; expected str."),
        ({"name": None}, "Outer.name is null; expected str."),
        ({"name": "a", "flag": 1}, "Outer.flag is 1; expected bool."),
        ({"name": "a", "kind": "big"}, "Outer.kind is 'big'; expected one of: small, large."),
        ({"name": "a", "values": 1.0}, "Outer.values is 1.0; expected a list."),
        ({"name": "a", "values": [True]}, "Outer.values[0] is True; expected float."),
        ({"name": "a", "values": [float("nan")]}, "Outer.values[0] is nan; expected a finite number."),
        ({"name": "a", "inner": {"size_hw": [1]}}, "Outer.inner.size_hw has 1 values; expected 2."),
        ({"name": "a", "inner": {"size_hw": [1, 2.5]}}, "Outer.inner.size_hw[1] is 2.5; expected int."),
        ({"name": "a", "notes": []}, "Outer.notes is a list; expected an object."),
    ],
)
def test_what_does_not_fit_is_named(data: Any, message: str) -> None:
    with pytest.raises(CardError) as caught:
        from_jsonable(Outer, data)
    assert str(caught.value) == message


def test_a_message_is_one_line_whatever_it_quotes() -> None:
    told = str(CardError("The file a\r\nb\x1b[2J é holds \u2028 no card."))
    assert told == "The file a b\ufffd[2J é holds   no card."


def test_numbers_beyond_any_float_are_refused_in_few_words() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Real:
        value: float

    for value in (10**400, -(10**400)):
        with pytest.raises(CardError) as caught:
            from_jsonable(Real, {"value": value}, where="x")
        assert str(caught.value) == "x.value is inf; expected a finite number."
    with pytest.raises(CardError) as caught:
        from_jsonable(Real, {"value": "9" * 3000}, where="x")
    assert len(str(caught.value)) < 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Perhaps:
    value: float | None = None
    either: int | float | str | None = None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["value", "either"])
def test_a_number_that_may_be_missing_is_finite_where_it_is_there(name: str, value: float) -> None:
    with pytest.raises(CardError) as caught:
        from_jsonable(Perhaps, {name: value})
    assert str(caught.value) == f"Perhaps.{name} is {value}; expected a finite number."


def test_what_may_be_missing_may_be_there() -> None:
    for value in (None, 1.5):
        assert from_jsonable(Perhaps, {"value": value}).value == value
    for either in (None, 2, 2.5, "two"):
        assert from_jsonable(Perhaps, {"either": either}).either == either
    assert from_jsonable(Perhaps, {"value": 2}).value == 2.0
    with pytest.raises(CardError, match=r"^Perhaps\.either is True; expected int\.$"):
        from_jsonable(Perhaps, {"either": True})
