"""Models of one time step: built from every causal layer, converted, and equal to the whole model for 1,000 steps."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import edgekit as run

import edgekit
from edgekit.artifact import attach_card, open_artifact
from edgekit.converters import Request, convert
from edgekit.converters.manifest import load_manifest
from edgekit.converters.streaming import STEPS, float_cells, sequences_of
from edgekit.data.base import Dataset, Part
from edgekit.data.windows import cut_for, long_data
from edgekit.errors import CardError, DataError, InputError
from edgekit.formats.tflite import read_graph
from edgekit.recipe import InterfaceType, Precision, Recipe, Rnn
from edgekit.runtimes import open_runtime
from edgekit.sequences import Sequences, State
from edgekit.stream import stream_outputs

KINDS = ("lstm", "gru", "gru_reset_before", "simple_rnn", "lstm_other")
WITH = (
    "axes that are not of time after the last step",
    "a TimeDistributed layer along its first axis",
    "a TimeDistributed layer along two axes",
    "a TimeDistributed layer after the last step",
    "a TimeDistributed recurrent layer",
    "a mask",
    "a constant for each feature",
    "an operation",
    "an axis named by its number",
    "odd names",
    "a state that nothing reads",
)
GOLDEN = Path(__file__).parent / "golden" / "models"
STATES = ("lstm_h", "lstm_c", "gru_h", "before_h", "simple_h")
REMEDY = (
    "and a stream needs a file of one time step: make one from a recurrent Keras model with edgekit convert "
    "MODEL.keras --rnn step."
)
EXACT = {"rtol": 0, "atol": 1e-3}
"""Of float files over 1,000 steps: rounding of float32 that is fed back."""


def request(recurrent_models: Path, name: str, folder: Path, *precisions: Precision, **settings: object) -> Request:
    """The conversion of a model to files of one time step."""
    recipes = tuple(Recipe(precision=p, rnn=Rnn.STEP, calibration_samples=64) for p in precisions)
    made = {"source": recurrent_models / f"{name}.keras", "recipes": recipes, "output_dir": folder}
    return Request(**{**made, **settings})  # type: ignore[arg-type]


def whole(recurrent_models: Path, name: str) -> np.ndarray:
    """What the whole model answers at each step."""
    with np.load(recurrent_models / "answers.npz") as answers:
        return np.squeeze(answers[name], 0) if name != "prices" else answers[name]


def spoken(recurrent_models: Path) -> Dataset:
    """Words to calibrate on."""
    return long_data((recurrent_models / "words.txt").read_text(), Part.CALIBRATION, name="spoken")


def text(recurrent_models: Path) -> str:
    """The text whose first 1,000 characters the whole model has seen."""
    return (recurrent_models / "text.txt").read_text()


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_a_stream_equals_the_whole_model_over_1000_steps(step_files: Path, recurrent_models: Path, suffix: str) -> None:
    with edgekit.Stream(step_files / f"chars.step.fp32.{suffix}") as stream:
        for _ in range(2):
            answers = np.stack([stream.push(character) for character in text(recurrent_models)[:1000]])
            np.testing.assert_allclose(answers, whole(recurrent_models, "chars"), **EXACT)
            stream.reset()


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
@pytest.mark.parametrize("state", STATES)
def test_a_state_that_is_not_fed_back_is_noticed(
    step_files: Path, recurrent_models: Path, suffix: str, state: str
) -> None:
    stream = edgekit.Stream(step_files / f"chars.step.fp32.{suffix}")
    model = stream._model
    assert model is not None
    answers = []
    for character in text(recurrent_models)[:200]:
        model._states[state] = np.zeros_like(model._states[state])
        answers.append(stream.push(character))
    assert np.abs(np.stack(answers) - whole(recurrent_models, "chars")[:200]).max() > 100 * EXACT["atol"]


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_int8_follows_the_whole_model(step_files: Path, recurrent_models: Path, suffix: str) -> None:
    expected = whole(recurrent_models, "chars")
    outputs = stream_outputs(step_files / f"chars.step.int8.{suffix}", text(recurrent_models)[:1000])
    assert outputs.shape == (1000, 9)
    noise = np.abs(outputs - expected)
    assert np.sqrt((noise**2).mean()) < 0.15 * expected.std()
    assert (noise[-100:] ** 2).mean() < 2 * (noise[:500] ** 2).mean() + 1e-4  # errors do not pile up


def test_states_are_named_in_the_card_and_told_by_inspect(step_files: Path) -> None:
    told = open_artifact(step_files / "chars.step.int8.tflite").card.sequences
    assert told is not None
    assert {path.name for path in step_files.iterdir()} == {
        *(f"chars.step.{code}.{suffix}" for code in ("fp32", "int8") for suffix in ("tflite", "onnx")),
        "chars.step.fp32-int8.manifest.json",
    }
    assert told.states == tuple(State(input=name, output=f"{name}_next") for name in STATES)
    shown = run("inspect", step_files / "chars.step.int8.tflite")
    assert re.search(r"states\s.*lstm_h, lstm_c, gru_h, before_h, simple_h", shown.stdout), shown.stdout


def test_states_of_int8_keep_their_scale_and_cells_are_float(step_files: Path) -> None:
    runtime = open_runtime(step_files / "chars.step.int8.tflite")
    inputs, outputs = ({spec.name: spec for spec in specs} for specs in (runtime.inputs, runtime.outputs))
    for name in STATES:
        before, after = inputs[name], outputs[f"{name}_next"]
        assert (before.dtype, before.scale, before.zero_point) == (after.dtype, after.scale, after.zero_point)
        assert before.dtype == ("float32" if name == "lstm_c" else "int8")
    graph = read_graph(step_files / "chars.step.int8.tflite")
    real = [n.op for n in graph.nodes if any(graph.tensors[o].dtype == "float32" for o in n.outputs)]
    assert real.count("TANH") == 1
    assert "FULLY_CONNECTED" not in real


@pytest.mark.slow
def test_plain_int8_has_integer_cells_too(recurrent_models: Path, tmp_path: Path) -> None:
    recipe = Recipe(precision=Precision.INT8, steps=(), rnn=Rnn.STEP, calibration_samples=64)
    wanted = request(recurrent_models, "words", tmp_path, calibration=spoken(recurrent_models), recipes=(recipe,))
    report = convert(wanted)
    assert not any(row.float_ops for row in report.artifacts if row.path.suffix == ".tflite")
    runtime = open_runtime(tmp_path / "words.step.int8.tflite")
    kinds = {spec.name: spec.dtype for spec in (*runtime.inputs, *runtime.outputs)}
    assert {kinds.pop("text"), *kinds.values()} == {"int32", "int8"}
    assert kinds.keys() == {"logits", "lstm_h", "lstm_c", "lstm_h_next", "lstm_c_next"}


@pytest.mark.slow
def test_every_recipe_of_a_model_of_words(recurrent_models: Path, tmp_path: Path) -> None:
    report = convert(request(recurrent_models, "words", tmp_path, *Precision, calibration=spoken(recurrent_models)))
    assert len(report.artifacts) == 9
    expected, several = whole(recurrent_models, "words"), (recurrent_models / "words.txt").read_text().split()[:1000]
    for row in report.artifacts:
        outputs = stream_outputs(row.path, " ".join(several))
        limit = EXACT["atol"] if row.recipe.precision is Precision.FP32 else 0.15 * expected.std()
        assert np.sqrt(((outputs - expected) ** 2).mean()) < limit, row.path.name


@pytest.mark.slow
@pytest.mark.parametrize("interface", InterfaceType)
def test_a_series_scaled_by_its_last_value_runs_through_its_window(
    recurrent_models: Path, tmp_path: Path, interface: InterfaceType
) -> None:
    recipes = tuple(Recipe(precision=p, rnn=Rnn.STEP, interface=interface) for p in (Precision.FP32, Precision.DYNAMIC))
    convert(request(recurrent_models, "prices", tmp_path, recipes=recipes))
    series, expected = np.load(recurrent_models / "series.npy"), whole(recurrent_models, "prices")
    with edgekit.Stream(tmp_path / "prices.step.fp32.tflite") as stream:
        answers = [stream.push(row) for row in series]
        stream.reset()
        again = [stream.push(row) for row in series[:5]]
        np.testing.assert_array_equal(again, answers[:5])
        np.testing.assert_allclose(np.stack(answers[4:]), expected, rtol=1e-4)
        stream.reset()
        with pytest.raises(DataError, match=r"^'a' is no number or row of numbers; push one of the series\.$"):
            stream.push("a")
        with pytest.raises(DataError, match=r"^A row of the series has 3 values; the model takes 2: close, volume\.$"):
            stream.push(np.zeros(3))


@pytest.mark.slow
def test_a_model_without_card_is_streamed_by_its_arrays(recurrent_models: Path, tmp_path: Path) -> None:
    frames = str(recurrent_models / "frames.npz")
    report = convert(request(recurrent_models, "stranger", tmp_path, Precision.INT8, calibration=frames))
    assert any(note.startswith("The cell states of LSTM layers stay in float") for note in report.notes)
    reasons = {operator.reason for row in report.artifacts for operator in row.float_ops}
    assert reasons == {"of the cell state of an LSTM, where int8 would lose most"}
    assert load_manifest(report.manifest).settings.source == str(recurrent_models / "stranger.keras")
    again = convert(Request(source=report.manifest, output_dir=tmp_path, force=True))
    assert [row.sha256 for row in again.artifacts] == [row.sha256 for row in report.artifacts]
    with edgekit.Stream(tmp_path / "stranger.step.int8.tflite") as stream:
        with np.load(recurrent_models / "frames.npz") as frames:
            assert stream.push(frames["x"][0, 0]).shape == (2,)
        with pytest.raises(DataError, match=r"^'a' is text, and the model's card has no vocabulary: push arrays\.$"):
            stream.push("a")
        with pytest.raises(DataError, match=r"^An item for input 'frame' has shape 2; the model takes 3: "):
            stream.push(np.zeros(2, np.float32))


def test_what_cannot_be_streamed_is_refused_by_its_layer(recurrent_models: Path) -> None:
    facts = json.loads((recurrent_models / "facts.json").read_text())
    clash = 'The name "layer_h" is used 2 times in the model. All operation names should be unique.'
    assert facts["refused"].pop("#clash") == (
        f"m.keras cannot be streamed, as its names clash with those of states ({clash}): rename its input and layers."
    )
    for words, sentence in facts["refused"].items():
        why, _, kind = words.partition(" #")
        if why.startswith("#"):
            continue
        kind = kind.partition(":")[0]
        layer = kind or {"reads the sequence from its end too": "Bidirectional"}.get(why, "LSTM")
        assert sentence == (
            f"m.keras cannot be streamed, as its layer 'layer' ({layer}) {why}; expected layers that answer each step "
            "from it and those before: leave --rnn step out."
        )
    assert facts["differs"] == (
        "m.keras cannot be streamed, as its model of one step does not answer a random sequence as the whole model "
        f"does: they differ by {facts['differs'].rpartition(' by ')[2].partition(' ')[0]} of the largest answer: leave "
        "--rnn step out."
    )
    one = "a model of one time step is made of one that takes one sequence and gives one answer: leave --rnn step out."
    assert facts["refused"]["#inputs"] == f"m.keras has 2 inputs; {one}"
    assert facts["refused"]["#outputs"] == f"m.keras has 2 outputs; {one}"
    assert facts["refused"]["#graph"] == (
        "m.keras is code of its own, not a graph of layers, so that no model of one step can be made of it: build it "
        "from stock layers."
    )
    assert facts["refused"]["#no state"] == (
        "m.keras has no recurrent layer and so no state to stream: leave --rnn step out."
    )


def test_every_layer_equals_the_whole_one_in_keras(recurrent_models: Path) -> None:
    errors = json.loads((recurrent_models / "facts.json").read_text())["errors"]
    assert set(errors) == {*KINDS, *WITH}
    assert max(errors.values()) < 1e-5, errors


@pytest.mark.parametrize("name", ["convnet.onnx", "lstm.tflite"])
def test_only_a_keras_model_becomes_a_step(name: str, tmp_path: Path) -> None:
    kind = {"onnx": "an ONNX file", "tflite": "a TFLite file"}[name.rpartition(".")[2]]
    recipes = (Recipe(precision=Precision.FP32, rnn=Rnn.STEP),)
    with pytest.raises(InputError) as caught:
        convert(Request(source=GOLDEN / name, recipes=recipes, output_dir=tmp_path))
    assert str(caught.value) == (
        f"--rnn step builds a model of one time step from the layers of a Keras model, and {GOLDEN / name} is {kind}: "
        "start from the .keras file that it was made from."
    )
    with pytest.raises(InputError) as caught:
        convert(Request(source=GOLDEN / name, recipes=recipes, output_dir=tmp_path, preprocess="imagenet"))
    assert str(caught.value) == (
        "--preprocess is for images, and a model of one time step takes none; got 'imagenet' beside --rnn step: leave "
        "it out."
    )
    mixed = (*recipes, Recipe(precision=Precision.FP16))
    with pytest.raises(
        InputError,
        match=r"^Some recipes ask for a model of one time step and others do not; convert twice\.$",
    ):
        convert(Request(source=GOLDEN / name, recipes=mixed, output_dir=tmp_path))


def test_data_of_another_model_does_not_calibrate(step_files: Path) -> None:
    card = open_artifact(step_files / "chars.step.fp32.onnx").card
    assert [len(values) for values in sequences_of(Dataset(name="d", items=["", "abc"]), [0, 1], card)] == [3]
    with pytest.raises(DataError, match=r"^d holds no sequence of one step or more; expected some for calibration\.$"):
        sequences_of(Dataset(name="d", items=[""]), [0], card)
    rest = r"; one step of the model takes 9: calibrate it on data of the whole model\.$"
    with pytest.raises(DataError, match=r"^An item of d is a sequence of 3" + rest):
        sequences_of(Dataset(name="d", items=[np.zeros((5, 3))]), [0], card)
    with pytest.raises(DataError, match=r"^An item of d is no sequence" + rest):
        sequences_of(Dataset(name="d", items=[{"text": np.zeros((5, 9))}]), [0], card)


def test_long_texts_calibrate_beyond_their_windows(step_files: Path, recurrent_models: Path) -> None:
    card = open_artifact(step_files / "chars.step.fp32.onnx").card
    data = cut_for(long_data(text(recurrent_models), None, name="letters"), card.sequences)
    (values,) = sequences_of(data, [3], card)
    assert values.argmax(axis=1).tolist() == ["\n abcdefg".index(c) for c in text(recurrent_models)[60 : 60 + STEPS]]


def test_what_is_no_step_file_is_refused_with_the_remedy(step_files: Path, tmp_path: Path) -> None:
    path = tmp_path / "file.tflite"
    path.write_bytes((step_files / "chars.step.fp32.tflite").read_bytes())
    card = open_artifact(path).card
    assert card.sequences is not None
    for sequences, what in (
        (replace(card.sequences, states=()), "takes whole sequences"),
        (None, "takes no sequences"),
    ):
        attach_card(path, replace(card, sequences=sequences))
        with pytest.raises(InputError) as caught:
            edgekit.Stream(path)
        assert str(caught.value) == f"{path} {what}, {REMEDY}"
    with pytest.raises(InputError) as caught:
        edgekit.Stream(GOLDEN / "lstm.tflite")
    assert str(caught.value) == f"{GOLDEN / 'lstm.tflite'} has no card that tells of states, {REMEDY}"
    attach_card(path, replace(card, sequences=replace(card.sequences, states=card.sequences.states[1:])))
    with pytest.raises(CardError) as refused:
        edgekit.Stream(path)
    assert str(refused.value) == (
        f"{path} and its card disagree on its states; expected an input and an output of one shape for each, and one "
        "input and one output beside: convert the model again."
    )


def test_one_token_at_a_time(step_files: Path) -> None:
    stream = edgekit.Stream(step_files / "chars.step.fp32.tflite")
    np.testing.assert_array_equal(stream.push("A"), [stream.reset(), stream.push(2)][1])
    with pytest.raises(DataError, match=r"^'ab' is 2 tokens; a stream takes one at a time: push each by itself\.$"):
        stream.push("ab")
    for item in (3.5, True, None):
        with pytest.raises(DataError, match=rf"^{item} is no token; push a character, its number, or an array\.$"):
            stream.push(item)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"^There is no token 9; the model knows those from 0 to 8\.$"):
        stream.push(9)
    with pytest.raises(DataError, match=r"^The model does not know 'z'; "):
        stream.push("z")
    stream.close()
    with pytest.raises(InputError, match=r"^The Stream is closed; open the file again\.$"):
        stream.push("a")


def test_outputs_of_a_runtime_need_its_sequences(step_files: Path, recurrent_models: Path) -> None:
    path = step_files / "chars.step.fp32.onnx"
    runtime, told = open_runtime(path), open_artifact(path).card.sequences
    outputs = stream_outputs(runtime, text(recurrent_models)[:50], sequences=told)
    np.testing.assert_allclose(outputs, whole(recurrent_models, "chars")[:50], **EXACT)
    assert stream_outputs(runtime, "", sequences=told).shape == (0, 9)
    with pytest.raises(InputError, match=r"^The file has no states by its card; expected a file of one time step\.$"):
        stream_outputs(runtime, "abc")


def test_a_strangers_card_tells_of_states_alone() -> None:
    assert Sequences(states=(State(input="h", output="n"),)).text is None
    with pytest.raises(CardError, match=r"^A sequence model takes either text or a series; "):
        Sequences()


def test_only_what_there_is_is_imported_when_used() -> None:
    assert edgekit.Stream.__module__ == "edgekit.stream"
    with pytest.raises(AttributeError, match=r"^module 'edgekit' has no attribute 'Steam'$"):
        edgekit.Steam  # noqa: B018


def test_what_stays_float_is_named_narrowly() -> None:
    cells = float_cells([(f"{name}_next", name)[::-1] for name in ("lstm_h", "lstm_c", "a_h", "a_c", "gru_h")])
    names = ["lstm_cell_c", "functional/lstm_cell_c_1/Squeeze", "a_cell_kept", "a_cell_written", "a_cell_shown"]
    assert all(re.search(cells, name) for name in names)
    others = ("a_cell_h", "a_cell_show", "a_cell_keep", "a_cell_close", "gru_cell_kept", "functional/my_lstm_cell_kept")
    assert not any(re.search(cells, name) for name in others)
    assert float_cells([("gru_h", "gru_h_next")]) == ""


def test_a_step_file_is_benchmarked(step_files: Path) -> None:
    done = run("benchmark", step_files / "chars.step.int8.tflite", "--runs", "3", "--min-secs", "0", "--json", "-")
    assert json.loads(done.stdout)["results"][0]["latency_ms"]["p50"] > 0
