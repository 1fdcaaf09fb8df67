"""Recurrent networks in the four shapes of input and output, of stock Keras layers."""

from typing import Any

import keras
from keras import layers


def char_rnn(*, units: int, layers: int, length: int, tokens: int, dropout: float) -> keras.Model:
    """As `char_lstm`, of simple recurrent layers."""
    return _characters("char_rnn", keras.layers.SimpleRNN, units, layers, length, tokens, dropout)


def char_lstm(*, units: int, layers: int, length: int, tokens: int, dropout: float) -> keras.Model:
    """One-hot (batch, length, tokens) to logits of the token after each, (batch, length, tokens)."""
    return _characters("char_lstm", keras.layers.LSTM, units, layers, length, tokens, dropout)


def gru_forecast(*, units: int, length: int, columns: int) -> keras.Model:
    """A scaled window (batch, length, columns) to the next value of its first column, (batch, 1), scaled alike.

    The bias of the forecast begins at 1, the last value of a window that is divided by it, so that learning begins near
    the forecast that nothing changes.
    """
    window = keras.Input((length, columns), name="window")
    x = layers.GRU(units, name="gru")(window)
    small = keras.initializers.RandomNormal(stddev=1e-3)
    x = layers.Dense(1, kernel_initializer=small, bias_initializer="ones", name="forecast")(x)
    return keras.Model(window, x, name="gru_forecast")


def bilstm_sentiment(
    *, units: int, embedding: int, length: int, tokens: int, classes: int, word_dropout: float, dropout: float
) -> keras.Model:
    """Word numbers (batch, length) int32 to logits (batch, classes).

    ``word_dropout`` leaves out whole words, ``dropout`` parts of what the two LSTMs say at their ends.
    """
    text = keras.Input((length,), dtype="int32", name="text")
    x = layers.Embedding(tokens, embedding, name="embedding")(text)
    x = layers.Dropout(word_dropout, noise_shape=(None, length, 1), name="word_dropout")(x)
    x = layers.Bidirectional(layers.LSTM(units, name="lstm"), name="bilstm")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(text, layers.Dense(classes, name="logits")(x), name="bilstm_sentiment")


def seq2seq(*, units: int, length: int, tokens: int, answer_length: int, answer_tokens: int) -> keras.Model:
    """One-hot (batch, length, tokens) through one vector to logits (batch, answer_length, answer_tokens)."""
    text = keras.Input((length, tokens), name="text")
    x = layers.LSTM(units, name="encoder")(text)
    return keras.Model(text, _decoded(x, units, answer_length, answer_tokens), name="seq2seq")


def vec2seq(*, units: int, length: int, tokens: int, answer_length: int, answer_tokens: int) -> keras.Model:
    """One-hot (batch, length, tokens), taken as one vector, to logits (batch, answer_length, answer_tokens)."""
    text = keras.Input((length, tokens), name="text")
    x = layers.Dense(units, activation="relu", name="vector")(layers.Flatten(name="flatten")(text))
    return keras.Model(text, _decoded(x, units, answer_length, answer_tokens), name="vec2seq")


def _decoded(vector: Any, units: int, length: int, tokens: int) -> Any:
    x = layers.RepeatVector(length, name="repeat")(vector)
    x = layers.LSTM(units, return_sequences=True, name="decoder")(x)
    return layers.Dense(tokens, name="logits")(x)


def _characters(name: str, kind: Any, units: int, count: int, length: int, tokens: int, dropout: float) -> keras.Model:
    text = keras.Input((length, tokens), name="text")
    x = text
    for index in range(1, count + 1):
        x = kind(units, return_sequences=True, name=f"{name.removeprefix('char_')}_{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    return keras.Model(text, layers.Dense(tokens, name="logits")(x), name=name)
