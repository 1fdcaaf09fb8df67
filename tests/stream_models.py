"""Builds tiny recurrent models and what they answer into a folder: ``python tests/stream_models.py FOLDER``.

One process with TensorFlow for all of them. Weights are seeded, and large enough that states matter.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from keras import layers

from edgekit.artifact import open_artifact
from edgekit.converters.one_step import one_step
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
        variable.assign(rng.normal(0, 0.45, variable.shape))
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


class Code(keras.Model):
    """A model that is no graph."""

    def call(self, values: object) -> object:
        """The values themselves."""
        return values


def refused() -> dict[str, keras.Model]:
    """Models that no stream can run, by what is said of them."""
    x = keras.Input((9, 5))
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
            f"needs the whole sequence before it answers #{type(layer).__name__}": keras.Model(x, layer(kept))
            for layer in (
                layers.Flatten(name="layer"),
                layers.GlobalAveragePooling1D(name="layer"),
                layers.Conv1D(3, 3, padding="causal", name="layer"),
                layers.Softmax(axis=1, name="layer"),
                layers.LayerNormalization(axis=[1, 2], name="layer"),
            )
        },
        "needs the whole sequence before it answers #RepeatVector": keras.Model(
            x, layers.LSTM(3)(layers.RepeatVector(4, name="layer")(layers.LSTM(3)(x)))
        ),
        "needs the whole sequence before it answers #Masking": keras.Model(
            x, layers.LSTM(3)(layers.Masking(name="layer")(x))
        ),
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


def largest_error(kind: str) -> float:
    """How far the step model of a layer of a ``kind`` is from the whole one at most, in Keras itself."""
    x = keras.Input((10, 4), name="x")
    y = KINDS[kind](5, return_sequences=True, name="a")(layers.LayerNormalization()(x))
    whole = lively(keras.Model(x, layers.Concatenate()([y, layers.Dense(2, "tanh")(y)])))
    step = one_step(whole, Path("m.keras"), input_name="x", output_name="y")
    values = np.random.default_rng(0).normal(size=(2, 10, 4)).astype(np.float32)
    expected, worst = np.asarray(whole(values)), 0.0
    states = {tensor.name: np.zeros((2, 5), np.float32) for tensor in step.model.inputs[1:]}
    for number in range(10):
        outputs = {name: np.asarray(v) for name, v in step.model([values[:, number], *states.values()]).items()}
        states = {state.input: outputs[state.output] for state in step.states}
        worst = max(worst, float(np.abs(outputs["y"] - expected[:, number]).max()))
    return worst


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
    np.savez(folder / "answers.npz", **answers)
    facts = {
        "refused": {words: sentence(model) for words, model in refused().items()},
        "errors": {kind: largest_error(kind) for kind in KINDS},
    }
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
