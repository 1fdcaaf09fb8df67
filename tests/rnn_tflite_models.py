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
    "encoder_decoder": _encoder_decoder,
    "cells": lambda: _chain(layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], name="rnn")),
    "dense": lambda: _chain(layers.Flatten()),
}


def _data(model: keras.Model, x: np.ndarray, padded: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    if model.inputs[0].dtype == "int32":
        return tokens
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
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", x=_data(model, x, padded, tokens))


if __name__ == "__main__":
    main()
