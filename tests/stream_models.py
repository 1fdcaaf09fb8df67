"""Builds tiny recurrent models and what they answer into a folder: ``python tests/stream_models.py FOLDER``.

One process with TensorFlow for all of them. Weights are seeded, and large enough that states matter.
"""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from keras import layers

from edgekit.artifact import open_artifact
from edgekit.converters.one_step import one_step
from edgekit.converters.step_worker import require_same
from edgekit.errors import InputError
from edgekit.formats.keras import write_card
from edgekit.sequences import Encoding, Level, Scaling, Sequences, Series, Text
from edgekit.tasks.texts import encode_ids, token_ids, vocabulary_of

STEPS = 1000
CHARACTERS = Text(
    vocabulary=vocabulary_of("\n abcdefg", level=Level.CHARACTER, lower=True), length=20, encoding=Encoding.ONE_HOT
)
WORDS = Text(
    vocabulary=vocabulary_of(["a", "b", "c", "d"], level=Level.WORD, unknown="<unknown>", padding="<padding>"),
    length=20,
    encoding=Encoding.INDEX,
)
PRICES = Series(length=5, columns=("close", "volume"), scaling=Scaling.LAST)
KINDS = {
    "lstm": layers.LSTM,
    "gru": layers.GRU,
    "gru_reset_before": lambda *a, **k: layers.GRU(*a, reset_after=False, **k),
    "simple_rnn": layers.SimpleRNN,
    "lstm_other": lambda *a, **k: layers.LSTM(*a, use_bias=False, recurrent_activation="hard_sigmoid", **k),
}


def lively(model: keras.Model) -> keras.Model:
    """The model with biases and larger weights, so that what it answers depends on all that came before."""
    rng = np.random.default_rng(3)
    for variable in model.weights:
        values = rng.normal(0, 0.45, variable.shape)
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.path else values)
    return model


def every_kind() -> keras.Model:
    """A text generator with a layer of each recurrent kind."""
    text = keras.Input((None, 9), name="text")
    x = layers.LSTM(8, return_sequences=True, name="lstm")(text)
    x = layers.Dropout(0.2)(layers.GRU(7, return_sequences=True, name="gru")(x))
    x = layers.GRU(7, reset_after=False, return_sequences=True, name="before")(x)
    x = layers.TimeDistributed(layers.Dense(6, activation="relu"), name="timed")(x)
    x = layers.SimpleRNN(6, return_sequences=True, name="simple")(x)
    return lively(keras.Model(text, layers.Dense(9, name="logits")(x), name="chars"))


def words() -> keras.Model:
    """A generator of words by their numbers, whose padding is masked."""
    text = keras.Input((None,), dtype="int32", name="text")
    x = layers.Embedding(6, 5, mask_zero=True, name="embed")(text)
    x = layers.LSTM(6, return_sequences=True, name="lstm")(x)
    return lively(keras.Model(text, layers.Dense(6, name="logits")(x), name="words"))


def prices() -> keras.Model:
    """A forecast from the last step of a window."""
    window = keras.Input((5, 2), name="window")
    return lively(keras.Model(window, layers.Dense(1, name="forecast")(layers.GRU(6, name="gru")(window))))


STREAMED = "is not among the layers that can be streamed"
CONSTANT = "has a constant with an axis of time"


class Code(keras.Model):
    """A model that is no graph."""

    def call(self, values: object) -> object:
        """The values themselves."""
        return values


@keras.saving.register_keras_serializable()
class Dense(layers.Layer):
    """A layer that looks at the whole sequence, and is called as one that does not."""

    def call(self, values: object) -> object:
        """Sums over time."""
        return keras.ops.cumsum(values, axis=1)


class LSTM(layers.LSTM):
    """A layer that is not what its name says."""


def called(tensor: object) -> object:
    """``tensor``, made by an operation that is called as the other layers are."""
    tensor._keras_history.operation.name = "layer"  # type: ignore[attr-defined]
    return tensor


def refused() -> dict[str, keras.Model]:
    """Models that no stream can run, by what is said of them."""
    x, tokens = keras.Input((9, 5)), keras.Input((9,), dtype="int32")
    kept, twice = layers.LSTM(3, return_sequences=True)(x), layers.LSTM(5, return_sequences=True, name="layer")
    again = layers.LSTM(5, name="layer")
    last, h, _ = layers.LSTM(3, return_state=True, name="layer")(x)
    return {
        "reads the sequence from its end too": keras.Model(x, layers.Bidirectional(layers.LSTM(3), name="layer")(x)),
        "reads the sequence from its end": keras.Model(x, layers.LSTM(3, go_backwards=True, name="layer")(x)),
        "hands its state on to other layers": keras.Model(x, layers.Add()([last, h])),
        "is given its first state by other layers": keras.Model(
            x, again(kept, initial_state=[layers.Dense(5)(layers.LSTM(4)(x)), layers.Dense(5)(layers.LSTM(4)(x))])
        ),
        "is used twice": keras.Model(x, twice(twice(x))),
        "reads an axis that is not that of time": keras.Model(
            x, layers.LSTM(3, name="layer")(layers.Reshape((4, 1))(layers.LSTM(4)(x)))
        ),
        **{
            f"{STREAMED} #{type(layer).__name__}:{number}": keras.Model(x, layer(kept))
            for number, layer in enumerate(
                (
                    layers.Flatten(name="layer"),
                    layers.GlobalAveragePooling1D(name="layer"),
                    layers.Conv1D(3, 3, padding="causal", name="layer"),
                    layers.Softmax(axis=1, name="layer"),
                    layers.LayerNormalization(axis=[1, 2], name="layer"),
                    layers.BatchNormalization(axis=1, name="layer"),
                    layers.EinsumDense("abc,cd->abd", (None, 3), name="layer"),
                    layers.RNN(layers.LSTMCell(3), name="layer"),
                    keras.Sequential([layers.LSTM(3)], name="layer"),
                    Dense(name="layer"),
                )
            )
        },
        f"{STREAMED} #Softmax:0": keras.Model(x, called(keras.ops.softmax(kept, axis=1))),
        f"{STREAMED} #Softmax:2": keras.Model(x, called(keras.ops.softmax(kept, axis=2))),
        f"{STREAMED} #LSTM": keras.Model(x, LSTM(3, name="layer")(x)),
        f"{STREAMED} #Concatenate": keras.Model(x, layers.Concatenate(axis=1, name="layer")([kept, kept])),
        f"{STREAMED} #Add": keras.Model(x, layers.Add(name="layer")([kept, layers.LSTM(3)(x)])),
        f"{STREAMED} #Softmax": keras.Model(
            tokens, [layers.LSTM(3)(layers.Embedding(4, 3)(layers.Softmax(name="layer")(tokens)))]
        ),
        f"{CONSTANT} #Add": keras.Model(x, called(kept + np.ones((9, 3), np.float32))),
        f"{CONSTANT} #Multiply": keras.Model(x, called(kept * np.ones((9, 1), np.float32))),
        f"{CONSTANT} #Rescaling": keras.Model(x, layers.Rescaling(np.ones((9, 3)).tolist(), name="layer")(kept)),
        "gives several answers #Split": keras.Model(x, called(keras.ops.split(layers.LSTM(4)(x), 2, 1)[0])),
        "#clash": keras.Model(x, layers.LSTM(3, name="layer")(layers.Dense(3, name="layer_h")(x))),
        f"{STREAMED} #RepeatVector": keras.Model(
            x, layers.LSTM(3)(layers.RepeatVector(4, name="layer")(layers.LSTM(3)(x)))
        ),
        f"{STREAMED} #Masking": keras.Model(x, layers.LSTM(3)(layers.Masking(name="layer")(x))),
        "#graph": Code(),
        "#no state": keras.Model(x, layers.Dense(3)(x)),
        "#outputs": keras.Model(x, [layers.LSTM(3)(x), x]),
        "#inputs": keras.Model([x, keras.Input((9, 5))], layers.LSTM(3)(x)),
    }


def told(model: keras.Model, path: Path, sequences: Sequences | None, task: str | None = None) -> None:
    """Save the model with a card of its sequences."""
    model.save(path)
    if sequences is not None:
        write_card(path, replace(open_artifact(path).card, name=path.stem, task=task, sequences=sequences))


def sentence(model: keras.Model) -> str:
    """Why no step model can be made of ``model``."""
    try:
        one_step(model, Path("m.keras"), input_name="x", output_name="y")
    except InputError as error:
        return str(error)
    return ""


def of_kind(kind: str) -> keras.Model:
    """A model with a layer of a ``kind``."""
    x = keras.Input((10, 4), name="x")
    y = KINDS[kind](5, return_sequences=True, name="a")(layers.LayerNormalization()(x))
    return keras.Model(x, layers.Concatenate()([y, layers.Dense(2, "tanh")(y)]))


def unusual() -> dict[str, keras.Model]:
    """Models that can be streamed, by what is unusual about them."""
    x, tokens = keras.Input((10, 4), name="x"), keras.Input((10,), dtype="int32", name="x")
    frames = keras.Input((10, 3, 4), name="x")
    every, last = layers.LSTM(4, return_sequences=True, name="a")(x), layers.LSTM(16, name="a")(x)
    square = layers.Reshape((4, 4))(last)
    normal = layers.LayerNormalization(axis=[1, 2])
    read, _, _ = layers.LSTM(4, return_sequences=True, return_state=True, name="a")(x)

    def timed(inner: layers.Layer, values: object = every) -> object:
        return layers.LSTM(4, name="b")(layers.TimeDistributed(inner)(values))

    return {
        "axes that are not of time after the last step": keras.Model(
            x,
            layers.Concatenate(axis=1)(
                [layers.Softmax(axis=1)(square), layers.BatchNormalization(axis=1)(square), normal(square)]
            ),
        ),
        "a TimeDistributed layer along its first axis": keras.Model(
            frames, timed(layers.Reshape((12,)), layers.TimeDistributed(layers.Softmax(axis=1))(frames))
        ),
        "a TimeDistributed layer along two axes": keras.Model(
            frames, timed(layers.Flatten(), layers.TimeDistributed(layers.LayerNormalization(axis=[1, 2]))(frames))
        ),
        "a TimeDistributed layer after the last step": keras.Model(
            x, layers.TimeDistributed(layers.Softmax(axis=1))(layers.Reshape((2, 2, 4))(last))
        ),
        "a TimeDistributed recurrent layer": keras.Model(frames, timed(layers.LSTM(4), frames)),
        "a mask": keras.Model(tokens, layers.GRU(4)(layers.Embedding(6, 5, mask_zero=True)(tokens))),
        "a constant for each feature": keras.Model(
            x, layers.Rescaling([1, 2, 3, 4], [4, 3, 2, 1])(every + np.arange(4, dtype=np.float32))
        ),
        "an operation": keras.Model(x, keras.ops.softmax(every - x) * every),
        "an axis named by its number": keras.Model(
            x, layers.Softmax(axis=2)(layers.BatchNormalization(axis=2)(layers.Concatenate(axis=2)([every, x])))
        ),
        "odd names": keras.Model(
            x, layers.Dense(2, name="my dense")(layers.LSTM(4, name="my lstm-1")(layers.Dense(4, name="my_dense")(x)))
        ),
        "a state that nothing reads": keras.Model(x, read),
    }


def largest_error(whole: keras.Model) -> float:
    """How far the step model of ``whole`` is from it at most, in Keras itself."""
    step = one_step(lively(whole), Path("m.keras"), input_name="x", output_name="y")
    odd = [layer.name for layer in step.model.layers if not re.fullmatch(r"[A-Za-z0-9_]+", layer.name)]
    assert not odd, odd
    shape = (2, *whole.inputs[0].shape[1:])
    values = np.random.default_rng(0).integers(1, 6, shape) - (0 if whole.inputs[0].dtype == "int32" else 3.5)
    expected, worst = np.asarray(whole(values)), 0.0
    states = {tensor.name: np.zeros((2, *tensor.shape[1:]), np.float32) for tensor in step.model.inputs[1:]}
    for number in range(10):
        outputs = {name: np.asarray(v) for name, v in step.model([values[:, number], *states.values()]).items()}
        states = {state.input: outputs[state.output] for state in step.states}
        if expected.ndim > outputs["y"].ndim:
            worst = max(worst, float(np.abs(outputs["y"] - expected[:, number]).max()))
    return worst if expected.ndim > outputs["y"].ndim else float(np.abs(outputs["y"] - expected).max())


def difference() -> str:
    """What is said of a step model that does not answer as the whole one; nothing is said of one that does."""
    path, whole = Path("m.keras"), lively(of_kind("gru"))
    step = one_step(whole, path, input_name="x", output_name="y")
    require_same(whole, step, path)
    last = lively(unusual()["a mask"])
    require_same(last, one_step(last, path, input_name="x", output_name="y"), path)
    step.model.get_layer("a_new_rec").bias.assign(np.ones(5))
    try:
        require_same(whole, step, path)
    except InputError as error:
        return str(error)
    return ""


def main() -> None:
    """Write models, data and answers into the folder of the first argument."""
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(1)
    text = "".join(rng.choice(list("\n abcdefg"), 6000))
    (folder / "text.txt").write_text(text)
    several = " ".join(rng.choice(list("abcd"), 6000))
    (folder / "words.txt").write_text(several)
    series = 100 + np.cumsum(rng.normal(0, 1, (60, 2)), axis=0)
    np.save(folder / "series.npy", series)
    np.savez(folder / "frames.npz", x=rng.normal(0, 1, (12, 30, 3)).astype(np.float32))
    answers = {}
    chars, spoken = every_kind(), words()
    told(chars, folder / "chars.keras", Sequences(text=CHARACTERS), "text-generation")
    told(spoken, folder / "words.keras", Sequences(text=WORDS), "text-generation")
    answers["chars"] = np.asarray(chars(encode_ids(token_ids(text, CHARACTERS.vocabulary)[:STEPS], CHARACTERS)[None]))
    answers["words"] = np.asarray(spoken(encode_ids(token_ids(several, WORDS.vocabulary)[:STEPS], WORDS)[None]))
    forecast = prices()
    told(forecast, folder / "prices.keras", Sequences(series=PRICES), "forecasting")
    last = series[4:, :1]
    windows = np.stack([series[i : i + 5] / last[i] for i in range(len(series) - 4)]).astype(np.float32)
    answers["prices"] = np.asarray(forecast(windows)) * last
    stranger = keras.Sequential([keras.Input((30, 3), name="frame"), layers.LSTM(4), layers.Dense(2, name="y")])
    told(lively(stranger), folder / "stranger.keras", None)
    nested = keras.Sequential([
        keras.Input((10, 3, 4), name="frame"),
        layers.TimeDistributed(layers.LSTM(4), name="my lstm-1"),
        layers.LSTM(4, name="upper part"),
        layers.Dense(2, name="y"),
    ], name="not ever")  # fmt: skip
    told(lively(nested), folder / "nested.keras", None)
    np.savez(folder / "answers.npz", **answers)
    facts = {
        "refused": {words: sentence(model) for words, model in refused().items()},
        "errors": {
            **{kind: largest_error(of_kind(kind)) for kind in KINDS},
            **{what: largest_error(model) for what, model in unusual().items()},
        },
        "differs": difference(),
    }
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
