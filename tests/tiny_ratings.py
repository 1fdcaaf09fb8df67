"""Ratings of people of two tastes, and recommenders as ONNX files that expect what they are told to."""

from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import Format, with_card
from edgekit.card import ModelCard, TensorSpec
from edgekit.data import Dataset
from edgekit.data.ratings_table import Catalogue
from edgekit.ratings import Ratings, user_of

HOW = Ratings(
    items=("1", "2", "3", "4"),
    titles=("Matrix, The (1999)", "Alien (1979)", "Alien Nation (1988)", "Big (1988)"),
    lowest=1,
    highest=5,
    mean=3,
    means=(4, 3, 3, 2),
)
"""A card that knows four films."""


def tastes(path: Path, *, users: int = 60, items: int = 12) -> Path:
    """A table of ratings, 1 to 5: every other user likes the first half of the items, and the rest the second half.

    Each rates three quarters of them.
    """
    random, rows = np.random.default_rng(3), ["user,item,rating,title"]
    for user in range(users):
        for item in sorted(random.permutation(items)[: items * 3 // 4]):
            likes = (item < items // 2) == (user % 2 == 0)
            rows.append(f"u{user},i{item},{random.integers(4, 6) if likes else random.integers(1, 3)},Film {item}")
    path.write_text("\n".join(rows) + "\n")
    return path


def data_of(*users: Any) -> Dataset:
    """Users, each (items, ratings, hidden), with those of `HOW`."""
    catalogue = Catalogue(titles=dict(zip(HOW.items, HOW.titles, strict=True)), lowest=1, highest=5)
    items = [user_of(np.array(i), np.array(r, np.float32), np.array(h, np.bool_)) for i, r, h in users]
    return Dataset(name="films", items=items, catalogue=catalogue)


def recommender(
    path: Path, expected: Any, *, how: Ratings | None = HOW, output: str = "reconstruction", **card: Any
) -> Path:
    """A file that expects the ratings ``expected`` (items,), 0 to 1, of everybody, and whose score is 0.04."""
    from onnx import TensorProto, helper, numpy_helper

    expected = np.asarray(expected, np.float32)
    count = len(expected)
    constants = {
        "nothing": np.zeros((count, count), np.float32),
        "expected": expected,
        "column": np.zeros((count, 1), np.float32),
        "error": np.array([0.04], np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["ratings", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "expected"], [output]),
        helper.make_node("MatMul", ["ratings", "column"], ["zero"]),
        helper.make_node("Add", ["zero", "error"], ["score"]),
    ]
    shapes = {output: count, "score": 1}
    graph = helper.make_graph(
        nodes,
        "recommender",
        [helper.make_tensor_value_info("ratings", TensorProto.FLOAT, ("batch", count))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", size)) for name, size in shapes.items()],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    fields: dict[str, Any] = {
        "name": path.stem,
        "task": "recommendation",
        "inputs": (TensorSpec(name="ratings", shape=(None, count), dtype="float32"),),
        "outputs": tuple(TensorSpec(name=n, shape=(None, size), dtype="float32") for n, size in shapes.items()),
        "ratings": how,
    }
    path.write_bytes(with_card(data, ModelCard(**{**fields, **card}), Format.ONNX))
    return path
