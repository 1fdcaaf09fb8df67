"""Builds tiny recurrent models, and data for them, into a folder: ``python tests/rnn_onnx_models.py FOLDER``.

One process with TensorFlow for all of them. Weights and biases are seeded and none of them is zero, so that a gate or a
bias in the wrong place shows.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

STEPS, FEATURES, UNITS, WORDS = 6, 3, 8, 20
CELLS: dict[str, Callable[..., layers.RNN]] = {
    "lstm": layers.LSTM,
    "gru": layers.GRU,
    "gru_before": lambda *args, **settings: layers.GRU(*args, reset_after=False, **settings),
    "rnn": layers.SimpleRNN,
}


def of_series(*inner: layers.Layer) -> keras.Model:
    """A series of ``FEATURES`` numbers a step in, two numbers out."""
    return keras.Sequential([layers.Input((STEPS, FEATURES), name="x"), *inner, layers.Dense(2, name="y")])


def of_words(*inner: layers.Layer, masked: bool) -> keras.Model:
    """Numbers of words in, of which 0 stands for none where ``masked``; two numbers out."""
    words = layers.Embedding(WORDS, 5, mask_zero=masked, name="words")
    start = layers.Input((STEPS,), name="x", dtype="int32")
    return keras.Sequential([start, words, *inner, layers.Dense(2, name="y")])


def seq2seq(kind: str) -> keras.Model:
    """An encoder whose state a decoder begins with: both sequences in, numbers for each step out."""
    source, target = keras.Input((STEPS, FEATURES), name="source"), keras.Input((4, FEATURES), name="target")
    _, *state = CELLS[kind](UNITS, return_state=True, name="encoder")(source)
    x = CELLS[kind](UNITS, return_sequences=True, name="decoder")(target, initial_state=state)
    return keras.Model([source, target], layers.Dense(3, activation="softmax", name="y")(x))


def one_to_many() -> keras.Model:
    """One vector in, a number for each of four steps out."""
    vector = layers.Input((FEATURES,), name="x")
    steps = [layers.RepeatVector(4), layers.GRU(UNITS, return_sequences=True, name="steps")]
    return keras.Sequential([vector, *steps, layers.TimeDistributed(layers.Dense(1), name="y")])


def states() -> keras.Model:
    """Both directions, unmerged, with all their states as outputs."""
    x = keras.Input((STEPS, FEATURES), name="x")
    wrapped = layers.LSTM(UNITS, return_sequences=True, return_state=True)
    outputs = layers.Bidirectional(wrapped, merge_mode=None, name="both")(x)
    return keras.Model(x, dict(zip(("there", "back", "h1", "c1", "h2", "c2"), outputs, strict=True)))


def shared() -> keras.Model:
    """One layer on two inputs."""
    a, b = keras.Input((STEPS, FEATURES), name="a"), keras.Input((STEPS, FEATURES), name="b")
    layer = layers.GRU(UNITS, name="used_twice")
    return keras.Model([a, b], layers.Subtract(name="y")([layer(a), layer(b)]))


def nested() -> keras.Model:
    """A model with a recurrent layer as a layer of another one."""
    inner = keras.Sequential([layers.Input((STEPS, FEATURES)), layers.GRU(UNITS, name="deep")], name="inner")
    return of_series(inner)


def every() -> dict[str, keras.Model]:
    """All models by name."""
    made: dict[str, keras.Model] = {}
    for kind, cell in CELLS.items():
        made[kind] = of_series(cell(UNITS, name="last"))
        stack = [cell(UNITS, return_sequences=True, name="first"), cell(UNITS, name="second")]
        made[f"{kind}_stack"] = of_series(*stack)
        made[f"{kind}_backwards"] = of_series(
            cell(UNITS, return_sequences=True, go_backwards=True, name="first"), layers.Flatten()
        )
        made[f"{kind}_both"] = of_series(
            layers.Bidirectional(cell(UNITS, return_sequences=True), name="first"),
            layers.Bidirectional(cell(UNITS), name="second"),
        )
        made[f"{kind}_masked"] = of_words(
            cell(UNITS, return_sequences=True, name="first"), cell(UNITS, go_backwards=True, name="second"), masked=True
        )
        made[f"{kind}_seq2seq"] = seq2seq(kind)
    for mode in ("sum", "mul", "ave"):
        inner = layers.LSTM(UNITS, return_sequences=True)
        made[f"merged_{mode}"] = of_series(layers.Bidirectional(inner, merge_mode=mode, name="both"))
    made["both_masked"] = of_words(
        layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True), name="first"),
        layers.Bidirectional(layers.GRU(UNITS), name="second"),
        masked=True,
    )
    made["unlike"] = of_series(
        layers.Bidirectional(layers.LSTM(UNITS), backward_layer=layers.GRU(UNITS, go_backwards=True), name="both")
    )
    first, second = layers.LSTM(UNITS, go_backwards=True), layers.LSTM(UNITS)
    made["turned"] = of_series(layers.Bidirectional(first, backward_layer=second, name="both"))
    made["one_to_many"], made["states"], made["nested"] = one_to_many(), states(), nested()
    made["wide"] = of_series(layers.LSTM(64, name="wide"))
    made["unrolled"] = of_series(layers.LSTM(UNITS, unroll=True, name="last"))
    made["generic"] = of_series(layers.RNN(layers.GRUCell(UNITS), name="last"))
    made["cells"] = of_series(
        layers.RNN([layers.LSTMCell(UNITS), layers.GRUCell(4)], return_sequences=True, go_backwards=True, name="cells")
    )
    made["cells_masked"] = of_words(layers.RNN([layers.LSTMCell(UNITS), layers.GRUCell(4)], name="cells"), masked=True)
    made["zeroed"] = of_words(layers.LSTM(UNITS, zero_output_for_mask=True, name="last"), masked=True)
    made["dropout"] = of_series(layers.LSTM(UNITS, dropout=0.2, recurrent_dropout=0.2, name="last"))
    made["inside_time"] = keras.Sequential(
        [layers.Input((2, STEPS, FEATURES), name="x"), layers.TimeDistributed(layers.LSTM(UNITS)), layers.Dense(2)]
    )
    made["convolutions"] = keras.Sequential(
        [layers.Input((3, 5, 5, 2), name="x"), layers.ConvLSTM2D(4, 3), layers.Flatten(), layers.Dense(2, name="y")]
    )
    made["shared"] = shared()
    made["no_bias"] = of_series(layers.GRU(UNITS, use_bias=False, name="last"))
    for name in ("relu", "linear", "hard_sigmoid", "elu", "leaky_relu", "softsign", "softplus"):
        made[f"activation_{name}"] = of_series(
            layers.GRU(UNITS, activation=name, recurrent_activation="hard_sigmoid", name="last")
        )
    made["activation_gelu"] = of_series(layers.LSTM(UNITS, activation="gelu", name="last"))
    return made


def data_of(model: keras.Model, random: np.random.Generator) -> dict[str, Any]:
    """24 items for each input; words are followed and preceded by zeros, and one item is nothing else."""
    made: dict[str, Any] = {}
    for tensor in model.inputs:
        shape = (24, *tensor.shape[1:])
        if "int" in tensor.dtype:
            values = random.integers(1, WORDS, shape).astype(np.int32)
            for item, row in enumerate(values):
                row[: item % 3] = 0
                row[STEPS - item % 4 :] = 0
            values[5, 3], values[7] = 0, 0
        else:
            values = random.normal(0, 1, shape).astype(np.float32)
        made[tensor.name] = values
    return {"x": made["x"]} if list(made) == ["x"] else made


def main() -> None:
    """Write the models and their data into the folder of the first argument."""
    folder = Path(sys.argv[1])
    keras.utils.set_random_seed(3)
    random = np.random.default_rng(4)
    stateful = keras.Sequential(
        [layers.Input(batch_shape=(1, STEPS, FEATURES), name="x"), layers.LSTM(UNITS, stateful=True, name="kept")]
    )
    for name, model in {**every(), "stateful": stateful}.items():
        model.set_weights([random.normal(0, 0.5, weight.shape) for weight in model.get_weights()])
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", **data_of(model, random))
    of_series(layers.GRU(UNITS)).export(folder / "saved", verbose=False)
    np.savez(folder / "saved.npz", x=random.normal(0, 1, (24, STEPS, FEATURES)).astype(np.float32))


if __name__ == "__main__":
    main()
