"""Builds tiny recurrent models into a folder, each with data beside it: ``python tests/rnn_tflite_models.py FOLDER``.

One process with TensorFlow for all of them. Weights are seeded, biases are not zero, and sequences of tokens end in
padding.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

STEPS = 6
COUNTED, FAR = 28, 160


def _chain(*steps: Any, tokens: bool = False) -> keras.Model:
    x = keras.Input((STEPS,), name="tokens", dtype="int32") if tokens else keras.Input((STEPS, 3), name="x")
    y = x
    for step in (*steps, layers.Dense(3, name="y")):
        y = step(y)
    return keras.Model(x, y)


def _encoder_decoder() -> keras.Model:
    """The decoder starts from both states of the encoder."""
    x = keras.Input((STEPS, 3), name="x")
    y, hidden, cell = layers.LSTM(4, return_state=True, name="encoder")(x)
    decoder = layers.LSTM(4, return_sequences=True, name="decoder")
    y = decoder(layers.RepeatVector(3)(y), initial_state=[hidden, cell])
    return keras.Model(x, layers.TimeDistributed(layers.Dense(2), name="y")(y))


def _masked_from_outside() -> keras.Model:
    """A model inside another, whose LSTM gets a mask that the inner model does not know of."""
    inner = keras.Sequential([layers.Input((STEPS, 4)), layers.LSTM(4, name="rnn")], name="inner")
    return _chain(layers.Embedding(9, 4, mask_zero=True), inner, tokens=True)


def _mask_from_inside() -> keras.Model:
    """The mask of a model that is a layer of another leaves it when it runs, not before."""
    tokens = keras.Input((STEPS,), dtype="int32")
    y = layers.LSTM(4, return_sequences=True, name="low")(layers.Embedding(9, 4, mask_zero=True)(tokens))
    return _chain(keras.Model(tokens, y, name="inner"), layers.Bidirectional(layers.LSTM(4), name="rnn"), tokens=True)


def _shared() -> keras.Model:
    """One layer of a free number of time steps, used twice."""
    inner = keras.Sequential([layers.Input((None, 3)), layers.GRU(4, name="rnn")], name="inner")
    x = keras.Input((STEPS, 3), name="x")
    return keras.Model(x, layers.Dense(3, name="y")(layers.Add()([inner(x), inner(layers.Dense(3)(x))])))


def _dictionary() -> keras.Model:
    z, a = keras.Input((STEPS, 3), name="z"), keras.Input((4, 2), name="a")
    ends = {"last": layers.LSTM(4, name="rnn")(z), "first": layers.Dense(2, name="dense")(layers.Flatten()(a))}
    return keras.Model({"z": z, "a": a}, ends)


def _states() -> keras.Model:
    """The last states are answers, beside what reads the sequence."""
    x = keras.Input((STEPS, 3), name="x")
    y, hidden, cell = layers.LSTM(4, return_sequences=True, return_state=True, name="rnn")(x)
    return keras.Model(x, [layers.Dense(3, name="y")(y), hidden, cell])


def _forward_cell() -> keras.Model:
    """Of the states of both directions, the last cell state of the first is an answer."""
    x = keras.Input((STEPS, 3), name="x")
    y, _, cell, _, _ = layers.Bidirectional(layers.LSTM(4, return_state=True), name="rnn")(x)
    return keras.Model(x, layers.Dense(3, name="y")(layers.Concatenate()([y, cell])))


def _counting(steps: int = COUNTED) -> keras.Model:
    """Its cell states go as far as nearly half of ``steps`` up and come back."""
    x = keras.Input((steps, 3), name="x")
    y = layers.LSTM(4, return_sequences=True, name="rnn")(x)
    return keras.Model(x, layers.TimeDistributed(layers.Dense(3), name="y")(y))


def _given_states(*cells: Any) -> keras.Model:
    """Cells, the first an LSTM's, that begin with what the first time step says."""
    x = keras.Input((STEPS, 3), name="x")
    first = layers.Reshape((3,))(x[:, :1])
    states = [[layers.Dense(4)(first) for _ in range(2)], *(layers.Dense(cell.units)(first) for cell in cells[1:])]
    return keras.Model(x, layers.Dense(3, name="y")(layers.RNN(list(cells), name="rnn")(x, initial_state=states)))


def _impossible() -> keras.Model:
    """A mask of two axes, which Keras passes on from one layer to another that cannot take it."""
    tokens = keras.Input((STEPS, 5), name="tokens", dtype="int32")
    y = layers.TimeDistributed(layers.LSTM(4))(layers.Embedding(9, 4, mask_zero=True)(tokens))
    return keras.Model(tokens, layers.GRU(3, name="rnn")(y))


def _embedding(**settings: Any) -> layers.Embedding:
    return layers.Embedding(9, 4, embeddings_initializer="random_normal", **settings)


MODELS: dict[str, Callable[[], keras.Model]] = {
    "lstm": lambda: _chain(layers.LSTM(4, name="rnn")),
    "remembering": lambda: _chain(layers.LSTM(4, return_sequences=True, name="rnn")),
    "relu": lambda: _chain(layers.LSTM(4, activation="relu", use_bias=False, name="rnn")),
    "gru": lambda: _chain(layers.GRU(4, name="rnn")),
    "gru_before": lambda: _chain(layers.GRU(4, reset_after=False, return_sequences=True, name="rnn"), layers.Flatten()),
    "simple": lambda: _chain(layers.SimpleRNN(4, name="rnn")),
    "stack": lambda: _chain(
        layers.LSTM(4, return_sequences=True, use_bias=False, name="low"),
        layers.GRU(4, return_sequences=True, name="high"),
        layers.Flatten(),
    ),
    "both_ways": lambda: _chain(
        layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="low"),
        layers.Bidirectional(layers.LSTM(3), merge_mode="ave", name="high"),
    ),
    "both_ways_gru": lambda: _chain(
        layers.Bidirectional(layers.GRU(4, return_sequences=True), merge_mode="mul", name="rnn"), layers.Flatten()
    ),
    "backwards": lambda: _chain(layers.LSTM(4, go_backwards=True, return_sequences=True, name="rnn"), layers.Flatten()),
    "tokens": lambda: _chain(_embedding(), layers.Bidirectional(layers.LSTM(4), name="rnn"), tokens=True),
    "masked": lambda: _chain(_embedding(mask_zero=True), layers.Bidirectional(layers.LSTM(4), name="rnn"), tokens=True),
    "masked_both_ways": lambda: _chain(
        layers.Masking(), layers.Bidirectional(layers.GRU(4, return_sequences=True), name="rnn"), layers.Flatten()
    ),
    "masked_outside": _masked_from_outside,
    "mask_from_inside": _mask_from_inside,
    "shared": _shared,
    "dictionary": _dictionary,
    "states": _states,
    "spaced": lambda: _chain(
        layers.Dense(3, name="my dense-1"),
        layers.LSTM(4, return_sequences=True, name="my lstm-1"),
        layers.GRU(4, name="gru.2"),
    ),
    "half": lambda: _chain(
        layers.LSTM(4, return_sequences=True, name="low", dtype="mixed_float16"),
        layers.Bidirectional(layers.GRU(4, dtype="mixed_float16"), dtype="mixed_float16", name="high"),
    ),
    "double": lambda: _chain(layers.GRU(4, name="rnn", dtype="float64")),
    "forward_cell": _forward_cell,
    "impossible": _impossible,
    "encoder_decoder": _encoder_decoder,
    "cells": lambda: _chain(layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], name="rnn")),
    "masked_cells": lambda: _chain(
        layers.Masking(),
        layers.RNN([layers.LSTMCell(4), layers.SimpleRNNCell(3)], return_sequences=True, name="rnn"),
        layers.Flatten(),
    ),
    "dense": lambda: _chain(layers.Flatten()),
    "counting": _counting,
    "counting_far": lambda: _counting(FAR),
    "one_cell_given": lambda: _given_states(layers.LSTMCell(4)),
    "cells_given": lambda: _given_states(layers.LSTMCell(4), layers.GRUCell(3)),
}


def _data(model: keras.Model, x: np.ndarray, padded: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    if model.inputs[0].dtype == "int32":
        return tokens
    if (steps := model.inputs[0].shape[1]) in (COUNTED, FAR):
        turns = np.where(np.arange(steps) < steps // 2, 1.0, -1.0).astype(np.float32)
        return turns[:, None] + 0.2 * np.resize(x, (len(x), steps, 3))
    return padded if any(isinstance(layer, layers.Masking) for layer in model.layers) else x


def main() -> None:
    """Write the models and their data into the folder of the first argument."""
    folder, rng = Path(sys.argv[1]), np.random.default_rng(0)
    x = rng.normal(0, 1, (32, STEPS, 3)).astype(np.float32)
    padded = x.copy()
    padded[::2, STEPS - 2 :] = 0
    tokens = rng.integers(1, 9, (32, STEPS)).astype(np.int32)
    tokens[::2, STEPS - 2 :] = 0
    for name, build in MODELS.items():
        keras.utils.set_random_seed(1)
        model = build()
        for weight in model.weights:
            if weight.name == "bias":
                weight.assign(rng.normal(0, 0.3, weight.shape))
        if name == "remembering":
            kernel, recurrent, bias = model.get_layer("rnn").get_weights()
            bias[4:8] = 6.0  # of the gate that keeps what was
            model.get_layer("rnn").set_weights([kernel, recurrent, bias])
        if name in ("counting", "counting_far"):
            kernel, recurrent, bias = model.get_layer("rnn").get_weights()
            kernel, bias = 0.1 * kernel + np.repeat([0, 0, 1, 0], 4), np.repeat([6, 9, 0, 1], 4)
            model.get_layer("rnn").set_weights([kernel, 0.1 * recurrent, bias])
        model.save(folder / f"{name}.keras")
        data = {"x": _data(model, x, padded, tokens)} if name != "dictionary" else {"z": x, "a": x[:, :4, :2]}
        np.savez(folder / f"{name}.npz", **data)


if __name__ == "__main__":
    main()
