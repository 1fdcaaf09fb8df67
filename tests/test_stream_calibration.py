"""What models of one time step are calibrated on: their states before steps, the largest among them, of real steps."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.artifact import open_artifact
from edgekit.card import DataRef, ModelCard, Provenance, TensorSpec
from edgekit.converters import Request, streaming
from edgekit.converters.state_ends import _File
from edgekit.converters.step_worker import _moments
from edgekit.converters.streaming import MOMENTS, STEPS, _with_float_cells, sequences_of
from edgekit.data.base import Dataset, Item, item_digest
from edgekit.data.windows import long_data
from edgekit.formats.tflite import read_graph
from edgekit.formats.tflite_objects import open_model
from edgekit.recipe import Precision, Recipe, Rnn
from edgekit.sequences import Scaling, Sequences, Series
from edgekit.stream import _handed_on, _zeros
from edgekit.workers import Worker, silent

INT8 = Recipe(precision=Precision.INT8, rnn=Rnn.STEP)
LSTM, GRU = [["a_h", "a_h_next"], ["a_c", "a_c_next"]], [["b_h", "b_h_next"]]


def test_the_largest_states_of_each_sequence_calibrate() -> None:
    values = np.zeros((2, 40))
    values[0, 17], values[0, 35], values[1, 3] = -5, 9, 1  # the first sequence ends before the largest of its row
    kept = [{"h": values[:, step, None].astype(np.float32)} for step in range(40)]
    assert _moments(kept, np.array([30, 40]), 1, 0) == [(0, 17), (1, 3)]
    several = _moments(kept, np.array([30, 2]), 8, 0)
    assert {(0, 17)} < {*several}
    assert len([step for row, step in several if row == 0 and step < 30]) in (7, 8)
    assert {step for row, step in several if row == 1} <= {0, 1}
    assert len({*several}) == len(several)


def test_a_step_is_calibrated_on_states_before_it_and_on_no_padding(recurrent_models: Path, tmp_path: Path) -> None:
    source, path = recurrent_models / "stranger.keras", tmp_path / "m.step.keras"
    rng = np.random.default_rng(0)
    items: list[Item] = [rng.normal(3, 0.1, (steps, 3)).astype(np.float32) for steps in (1, 30)]
    data = Dataset(name="d", items=items)
    with Worker("edgekit.converters.step_worker", env=streaming._TF_ENVIRONMENT) as worker:
        built = worker.call("build", {"source": str(source), "path": str(path)}, progress=silent)
        inputs = tuple(TensorSpec(name=name, shape=tuple(shape), dtype=kind) for name, shape, kind in built["inputs"])
        card = ModelCard(name="m", inputs=inputs, outputs=inputs)
        learned = DataRef(name="d", count=1, digest="0" * 64, items=(item_digest(items[1]),))
        trained = replace(card, provenance=Provenance(training=learned))
        taken = []
        for number, (samples, card_) in enumerate([(2 * MOMENTS, card), (MOMENTS, card), (2 * MOMENTS, trained)]):
            request = Request(source=source, recipes=(replace(INT8, calibration_samples=samples),))
            (tmp_path / str(number)).mkdir()
            here = tmp_path / str(number) / path.name
            here.write_bytes(path.read_bytes())
            taken.append(streaming._moments(data, card_, built["states"], request, here, worker, silent))
    both, one, of_training = taken
    assert [len(both.origins), len(one.origins)] == [2, 1]
    assert of_training.origins == learned.items  # others stay, to be evaluated on
    assert len(both) - 1 in (MOMENTS - 1, MOMENTS)
    feeds = [both.items[index] for index in range(len(both))]
    assert all(isinstance(feed, dict) and feed["frame"].min() > 1 for feed in feeds)  # padding would be zeros
    (first,) = [f for f in feeds if isinstance(f, dict) and np.array_equal(f["frame"], items[0][0])]  # type: ignore[index]
    assert not any(first[state].any() for state, _ in built["states"])
    assert sum(bool(f[built["states"][0][0]].any()) for f in feeds if isinstance(f, dict)) >= MOMENTS - 2


def test_long_series_calibrate_beyond_their_windows(step_files: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(900, 9))
    data, columns = long_data(rows, None, name="d"), tuple("abcdefghi")
    card = open_artifact(step_files / "chars.step.fp32.onnx").card
    assert card.sequences is not None
    for scaling, expected in ((Scaling.NONE, rows[3 : 3 + STEPS]), (Scaling.LAST, None)):
        told = Sequences(series=Series(length=5, columns=columns, scaling=scaling), states=card.sequences.states)
        (values,) = sequences_of(data, [3], replace(card, sequences=told))
        if expected is None:  # no row keeps its scale outside its window
            assert len(values) < STEPS
        else:
            np.testing.assert_array_equal(values, expected.astype(np.float32))


def test_cells_of_lstm_layers_alone_stay_in_float() -> None:
    cells = streaming.float_cells([*LSTM, *GRU])
    assert cells == streaming.float_cells(LSTM)
    assert _with_float_cells(replace(INT8, keep_float=("^x$",)), cells).keep_float == ("^x$", cells)
    others = (replace(INT8, portable=True), replace(INT8, steps=()), replace(INT8, precision=Precision.DYNAMIC))
    assert all(_with_float_cells(recipe, cells) is recipe for recipe in others)
    assert _with_float_cells(INT8, streaming.float_cells(GRU)) is INT8


def test_states_begin_at_what_stands_for_zero() -> None:
    state = TensorSpec(name="h", shape=(1, 3), dtype="int8", scale=(0.5,), zero_point=(-7,))
    assert _zeros(state).tolist() == [[-7, -7, -7]]
    assert _zeros(replace(state, scale=(), zero_point=(), dtype="float32")).tolist() == [[0, 0, 0]]


def test_states_are_handed_on_by_what_they_mean() -> None:
    before = TensorSpec(name="h", shape=(1, 3), dtype="int8", scale=(0.5,), zero_point=(-7,))
    values = np.array([[-7, 3, 5]], np.int8)
    assert _handed_on(values, before, replace(before, name="n")) is values
    for after in (replace(before, scale=(0.25,)), replace(before, zero_point=(0,))):
        real = (values.astype(float) - after.zero_point[0]) * after.scale[0]
        assert _handed_on(values, before, after).tolist() == real.tolist()
    exact = replace(before, scale=(), zero_point=(), dtype="float32")
    assert _handed_on(values.astype(np.float32), exact, exact).tolist() == [[-7, 3, 5]]


def test_nothing_is_computed_that_nobody_reads(step_files: Path) -> None:
    graph = read_graph(step_files / "chars.step.int8.tflite")
    read = {name for node in graph.nodes for name in node.inputs} | {*graph.output_tensors.values()}
    assert [node.op for node in graph.nodes if not read & {*node.outputs}] == []


def test_a_state_is_followed_through_copies_of_its_shape_alone(step_files: Path) -> None:
    file = _File(open_model(step_files / "chars.step.fp32.tflite"))
    end = file.outputs["gru_h_next"].tensorIndex
    like = file.graph.tensors[end]
    copy, other = (file.tensor(name, like, like.type) for name in ("copy", "other"))
    file.graph.tensors[other].shape = [7, 1]
    for result in (copy, other):
        file.add("RESHAPE", end, result)
    assert (file.origin(copy), file.origin(other)) == (file.origin(end), other)


@pytest.mark.slow
def test_layers_of_odd_names_and_a_loop_within_a_step(recurrent_models: Path, tmp_path: Path) -> None:
    from edgekit.converters import convert

    frames = np.random.default_rng(0).normal(size=(8, 10, 3, 4)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=frames)
    recipes = tuple(Recipe(precision=p, rnn=Rnn.STEP, calibration_samples=16) for p in (Precision.FP32, Precision.INT8))
    source = recurrent_models / "nested.keras"
    report = convert(
        Request(source=source, recipes=recipes, calibration=str(tmp_path / "x.npz"), output_dir=tmp_path / "out")
    )
    assert len(report.artifacts) == 4
    notes = [*report.notes, *(note for row in report.artifacts for note in row.notes)]
    assert any("my_lstm_1: fused, one operator for all time steps" in note for note in notes), notes
    assert not any("cell states" in note for note in report.notes)
    for row in report.artifacts:
        told = open_artifact(row.path).card.sequences
        assert told is not None
        assert [state.input for state in told.states] == ["upper_part_h", "upper_part_c"]
    assert json.loads(report.manifest.read_text())["settings"]["source"] == str(source)
