"""Recipes: their names, their JSON, and what they refuse."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.codec import from_jsonable, to_jsonable
from edgekit.errors import CardError, InputError
from edgekit.recipe import Batch, Granularity, InterfaceType, Nms, Precision, Recipe, parse_precision

RECIPES = st.builds(
    Recipe,
    precision=st.sampled_from(Precision),
    granularity=st.sampled_from(Granularity),
    interface=st.sampled_from(InterfaceType),
    batch=st.just(Batch.STATIC),
    nms=st.sampled_from(Nms),
    keep_float=st.lists(st.sampled_from(["conv.*", "head"]), max_size=2).map(tuple),
    calibration_samples=st.integers(1, 10_000),
    seed=st.integers(0, 2**32),
)


@given(RECIPES)
def test_a_recipe_survives_json_and_can_be_a_key(recipe: Recipe) -> None:
    again = from_jsonable(Recipe, json.loads(json.dumps(to_jsonable(recipe))))
    assert again == recipe
    assert {recipe: 1}[again] == 1


@pytest.mark.parametrize("fields", [{"portable": True}, {"batch": Batch.DYNAMIC}, {"nms": Nms.GRAPH}])
def test_what_excludes_other_settings_survives_json(fields: dict[str, Any]) -> None:
    recipe = Recipe(precision=Precision.INT8, **fields)
    assert from_jsonable(Recipe, json.loads(json.dumps(to_jsonable(recipe)))) == recipe


def test_a_recipe_written_before_a_setting_existed_is_read_without_it() -> None:
    recipe = from_jsonable(Recipe, {"precision": "int8"})
    assert (recipe.portable, recipe.nms) == (False, Nms.DEVICE)


@pytest.mark.parametrize("precision", Precision)
def test_a_recipe_is_named_by_its_precision(precision: Precision) -> None:
    assert parse_precision(Recipe(precision=precision).code) is precision


def test_only_static_integers_need_calibration() -> None:
    needing = [p.value for p in Precision if Recipe(precision=p).needs_calibration]
    assert needing == ["int8", "int16x8"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"calibration_samples": 0}, "A recipe calibrates on at least 1 sample; got 0."),
        ({"seed": -1}, "A seed is zero or positive; got -1."),
        (
            {"keep_float": ("conv(",)},
            "--keep-float 'conv(' is not a regular expression: missing ), unterminated subpattern at position 4; put a "
            "backslash before a character that is meant as it stands.",
        ),
        (
            {"portable": True, "precision": Precision.FP16},
            "Only int8 gives the same bits on every CPU; got a portable fp16: leave that out.",
        ),
        (
            {"portable": True, "nms": Nms.GRAPH},
            "A graph chooses boxes in float, which differs between CPUs; got a portable recipe with --nms graph: leave "
            "one of the two out.",
        ),
        (
            {"batch": Batch.DYNAMIC, "nms": Nms.GRAPH},
            "A graph chooses the boxes of one item at a time; got a dynamic batch with --nms graph: leave one of the "
            "two out.",
        ),
        (
            {"portable": True, "keep_float": ("head",)},
            "Layers in float differ between CPUs; got a portable recipe that keeps 'head' in float: "
            "leave one of the two out.",
        ),
    ],
)
def test_impossible_recipes_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Recipe(**{"precision": Precision.INT8, **arguments})
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("int9", "There is no recipe 'int9'; did you mean int8?"),
        ("xyz", "There is no recipe 'xyz'; choose one of: fp32, fp16, dynamic, int8, int16x8."),
    ],
)
def test_misspelt_recipes_are_refused(name: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_precision(name)
    assert str(caught.value) == sentence


def test_a_misspelt_key_or_value_is_named() -> None:
    with pytest.raises(CardError) as caught:
        from_jsonable(Recipe, {"precision": "int8", "granularty": "per-tensor"})
    assert str(caught.value) == (
        "Recipe has an unknown key 'granularty'; known keys: "
        "precision, granularity, steps, interface, batch, portable, nms, rnn, keep_float, exclude, "
        "calibration_samples, seed."
    )
    with pytest.raises(CardError) as caught:
        from_jsonable(Recipe, {"precision": "int4"})
    assert str(caught.value) == "Recipe.precision is 'int4'; expected one of: fp32, fp16, dynamic, int8, int16x8."
