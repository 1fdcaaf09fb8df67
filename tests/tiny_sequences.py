"""Tiny ONNX models of texts and series, whose answers are known: tables of numbers, no training."""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit.artifact import Format, with_card
from edgekit.card import ModelCard, TensorSpec
from edgekit.sequences import Encoding, Level, Scaling, Sequences, Series, State, Text
from edgekit.tasks.texts import vocabulary_of

LETTERS = vocabulary_of("abc", level=Level.CHARACTER)
WORDS = vocabulary_of(["good", "bad", "film"], level=Level.WORD, padding="<pad>", unknown="<unknown>", lower=True)


def one_hot(length: int, vocabulary: Any = LETTERS) -> Text:
    return Text(vocabulary=vocabulary, length=length, encoding=Encoding.ONE_HOT)


def save(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], tables: dict[str, Any], **card: Any
) -> Path:
    graph = helper.make_graph(
        nodes, "tiny", inputs, outputs, [numpy_helper.from_array(np.asarray(v), n) for n, v in tables.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    specs = {
        side: tuple(
            TensorSpec(
                name=value.name,
                shape=tuple(d.dim_value or None for d in value.type.tensor_type.shape.dim),
                dtype="int32" if value.type.tensor_type.elem_type == TensorProto.INT32 else "float32",
            )
            for value in values
        )
        for side, values in (("inputs", inputs), ("outputs", outputs))
    }
    told = ModelCard(**{"name": path.stem, **specs} | card)
    path.write_bytes(with_card(model.SerializeToString(), told, Format.ONNX))
    return path


def value(name: str, *shape: Any, dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, ("batch", *shape))


def generator(path: Path, table: Any, *, length: int = 4, **card: Any) -> Path:
    """Logits of the next token are the row of ``table`` (tokens, tokens) for the token given: a bigram model."""
    tokens = len(LETTERS.tokens)
    fields = {"task": "text-generation", "sequences": Sequences(text=one_hot(length))} | card
    return save(
        path,
        [helper.make_node("MatMul", ["text", "table"], ["logits"])],
        [value("text", length, tokens)],
        [value("logits", length, tokens)],
        {"table": np.asarray(table, np.float32)},
        **fields,
    )


def stepper(path: Path, table: Any, *, length: int = 4, **card: Any) -> Path:
    """One step: logits are the row of ``table`` for the token before the one given, which is the state."""
    tokens = len(LETTERS.tokens)
    states = (State(input="before", output="after"),)
    return save(
        path,
        [
            helper.make_node("MatMul", ["before", "table"], ["logits"]),
            helper.make_node("Identity", ["text"], ["after"]),
        ],
        [value("text", tokens), value("before", tokens)],
        [value("logits", tokens), value("after", tokens)],
        {"table": np.asarray(table, np.float32)},
        **{"task": "text-generation", "sequences": Sequences(text=one_hot(length), states=states)} | card,
    )


def forecaster(path: Path, weights: Any, *, scaling: Scaling = Scaling.LAST, **card: Any) -> Path:
    """The forecast is the sum of the scaled values times ``weights``, one a row."""
    values = np.asarray(weights, np.float32)
    series = Series(length=len(values), columns=("close",), scaling=scaling)
    return save(
        path,
        [
            helper.make_node("Squeeze", ["window", "axis"], ["row"]),
            helper.make_node("MatMul", ["row", "weights"], ["forecast"]),
        ],
        [value("window", len(values), 1)],
        [value("forecast", 1)],
        {"weights": values[:, None], "axis": np.array([2])},
        **{"task": "forecasting", "sequences": Sequences(series=series)} | card,
    )


def answerer(path: Path, table: Any, *, length: int = 3, **card: Any) -> Path:
    """Answers each token by the one with the largest number in its row of ``table``."""
    tokens = len(LETTERS.tokens)
    sequences = Sequences(text=one_hot(length), answer=one_hot(length))
    return save(
        path,
        [helper.make_node("MatMul", ["text", "table"], ["logits"])],
        [value("text", length, tokens)],
        [value("logits", length, tokens)],
        {"table": np.asarray(table, np.float32)},
        **{"task": "sequence-to-sequence", "sequences": sequences} | card,
    )


def sentiment(path: Path, *, length: int = 5, **card: Any) -> Path:
    """Logits of negative and positive: how often "bad" and "good" are there."""
    table = np.zeros((len(WORDS.tokens), 2), np.float32)
    table[WORDS.tokens.index("bad"), 0] = table[WORDS.tokens.index("good"), 1] = 2
    fields = {
        "task": "text-classification",
        "labels": ("negative", "positive"),
        "sequences": Sequences(text=Text(vocabulary=WORDS, length=length, encoding=Encoding.INDEX)),
    }
    return save(
        path,
        [
            helper.make_node("Gather", ["table", "text"], ["rows"]),
            helper.make_node("ReduceSum", ["rows", "axis"], ["logits"], keepdims=0),
        ],
        [value("text", length, dtype=TensorProto.INT32)],
        [value("logits", 2)],
        {"table": table, "axis": np.array([1])},
        **fields | card,
    )
