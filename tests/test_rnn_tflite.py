"""Recurrent layers in TFLite files end to end: every kind by every recipe, against the source that was not changed."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit

from edgekit.artifact import Format, open_artifact
from edgekit.converters import Request, convert
from edgekit.converters.parity import compare_outputs, require_tolerance
from edgekit.converters.report import ConversionReport
from edgekit.converters.tflite_rnn import shorten_names
from edgekit.errors import CheckFailedError, ConversionError, InputError
from edgekit.formats import tflite
from edgekit.formats.tflite_objects import open_model, save_model
from edgekit.recipe import Precision, Recipe, Rnn
from edgekit.runtimes.litert import LiteRTRuntime
from edgekit.workers import Worker

SCRIPT = Path(__file__).parent / "rnn_tflite_models.py"
LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
STEPS = 6
ALL = tuple(Precision)
EIGHT_BITS = ALL[:4]


@pytest.fixture(scope="session")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all tiny recurrent models and their data, made once."""
    folder = tmp_path_factory.mktemp("recurrent")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, str(SCRIPT), str(folder)], check=True, capture_output=True, env=environment)
    return folder


def made(
    folder: Path, name: str, target: Path, precisions: tuple[Precision, ...], rnn: Rnn = Rnn.AUTO, data: str = ""
) -> ConversionReport:
    return convert(
        Request(
            source=folder / f"{name}.keras",
            recipes=tuple(Recipe(precision=p, rnn=rnn, calibration_samples=32) for p in precisions),
            formats=(Format.TFLITE,),
            calibration=data or str(folder / f"{name}.npz"),
            output_dir=target,
        )
    )


def operators(path: Path) -> list[str]:
    return [node.op for node in tflite.read_graph(path).nodes]


def test_an_lstm_is_one_operator_and_a_gru_beside_it_is_not(recurrent: Path, tmp_path: Path) -> None:
    report = made(recurrent, "stack", tmp_path, (Precision.FP32, Precision.INT8))
    found = {row.recipe.code: operators(row.path) for row in report.artifacts}
    assert [found[code].count(LSTM) for code in ("fp32", "int8")] == [1, 1]
    assert ["WHILE" in found[code] for code in ("fp32", "int8")] == [True, False]
    rnn = {row.recipe.code: dict(open_artifact(row.path).card.provenance.rnn) for row in report.artifacts}
    assert rnn == {"fp32": {"low": "fused", "high": "loop"}, "int8": {"low": "fused", "high": "unrolled"}}
    assert report.artifacts[0].notes == (
        "low: fused, one operator for all time steps",
        "high: a loop over the time steps, since TFLite has no kernel for a GRU",
    )
    slow = ["is slower than in float on x86" in " ".join(row.notes) for row in report.artifacts]
    assert slow == [False, True]
    assert not any(row.float_ops for row in report.artifacts)
    assert report.artifacts[1].parity.sqnr_db > 20.0


def test_cell_states_are_not_clipped(recurrent: Path, tmp_path: Path) -> None:
    """TFLiteConverter alone clips them at 10."""
    report = made(recurrent, "counting", tmp_path, EIGHT_BITS)
    assert [operators(row.path).count(LSTM) for row in report.artifacts] == [1] * len(EIGHT_BITS)
    for row in report.artifacts:
        assert row.parity.sqnr_db > LEAST_DB[row.recipe.precision], row.recipe.code


def test_cell_states_beyond_what_the_int8_kernel_knows_are_refused(recurrent: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as error:
        made(recurrent, "counting_far", tmp_path, (Precision.INT8,))
    assert re.search(
        r"cell states of fused LSTMs reach 7\d\.?\d? here, and in int8 their kernel knows those up to 64; take the "
        r"recipe dynamic\.$",
        str(error.value),
    )


def test_states_may_be_answers_beside_the_sequence(recurrent: Path, tmp_path: Path) -> None:
    """litert-quantizer alone makes a file that no engine runs, where a state is an output and read as well."""
    (row,) = made(recurrent, "states", tmp_path, (Precision.INT8,)).artifacts
    assert row.engine == "litert-quantizer"
    assert row.parity.sqnr_db > LEAST_DB[Precision.INT8]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rnn", "precisions", "fused"),
    [
        ("lstm", Rnn.AUTO, ALL, 1),
        ("lstm", Rnn.FUSED, EIGHT_BITS, 1),
        ("lstm", Rnn.UNROLLED, ALL, 0),
        ("relu", Rnn.AUTO, ALL, 0),
        ("gru", Rnn.AUTO, ALL, 0),
        ("gru", Rnn.UNROLLED, ALL, 0),
        ("gru_before", Rnn.AUTO, ALL, 0),
        ("simple", Rnn.AUTO, ALL, 0),
        ("stack", Rnn.AUTO, ALL, 1),
        ("both_ways", Rnn.AUTO, EIGHT_BITS, 4),
        ("both_ways", Rnn.UNROLLED, EIGHT_BITS, 0),
        ("both_ways_gru", Rnn.AUTO, EIGHT_BITS, 0),
        ("backwards", Rnn.FUSED, EIGHT_BITS, 1),
        ("tokens", Rnn.AUTO, EIGHT_BITS, 2),
        ("masked", Rnn.AUTO, EIGHT_BITS, 0),
        ("masked_both_ways", Rnn.UNROLLED, EIGHT_BITS, 0),
        ("encoder_decoder", Rnn.AUTO, EIGHT_BITS, 0),
        ("cells", Rnn.AUTO, EIGHT_BITS, 0),
        ("cells", Rnn.UNROLLED, (Precision.FP32,), 0),
        ("masked_cells", Rnn.UNROLLED, EIGHT_BITS, 0),
        ("one_cell_given", Rnn.UNROLLED, EIGHT_BITS, 0),
        ("cells_given", Rnn.UNROLLED, EIGHT_BITS, 0),
    ],
)
def test_every_kind_works_in_every_recipe(
    recurrent: Path, tmp_path: Path, name: str, rnn: Rnn, precisions: tuple[Precision, ...], fused: int
) -> None:
    report = made(recurrent, name, tmp_path, precisions, rnn)
    assert [row.recipe.precision for row in report.artifacts] == list(precisions)
    for row in report.artifacts:
        assert not row.float_ops, row.recipe.code
        assert row.parity.sqnr_db > LEAST_DB[row.recipe.precision], row.recipe.code
        count = 0 if row.recipe.precision is Precision.INT16X8 else fused
        assert operators(row.path).count(LSTM) == count, row.recipe.code


LEAST_DB = {
    Precision.FP32: 100.0,
    Precision.FP16: 55.0,
    Precision.DYNAMIC: 30.0,
    Precision.INT8: 15.0,
    Precision.INT16X8: 30.0,
}
"""Of networks of four units, far above what a conversion would refuse."""


def test_steps_written_out_answer_zero_where_the_mask_is_false(recurrent: Path, tmp_path: Path) -> None:
    report = made(recurrent, "masked_both_ways", tmp_path, (Precision.FP32,), Rnn.UNROLLED)
    assert report.artifacts[0].parity.sqnr_db > LEAST_DB[Precision.FP32]


def test_steps_written_out_backwards_answer_the_last_time_first(recurrent: Path, tmp_path: Path) -> None:
    report = made(recurrent, "backwards", tmp_path, (Precision.FP32,), Rnn.UNROLLED)
    assert report.artifacts[0].parity.sqnr_db > LEAST_DB[Precision.FP32]
    assert LSTM not in operators(report.artifacts[0].path)


def test_a_model_that_gets_a_mask_from_outside_is_not_fused(recurrent: Path, tmp_path: Path) -> None:
    report = made(recurrent, "masked_outside", tmp_path, (Precision.FP32,))
    assert report.artifacts[0].notes == ("rnn: a loop over the time steps, since the kernel knows no mask",)


def test_a_mask_that_leaves_an_inner_model_is_seen(recurrent: Path, tmp_path: Path) -> None:
    report = made(recurrent, "mask_from_inside", tmp_path, (Precision.FP32,))
    (note,) = report.artifacts[0].notes
    told = r"low, rnn/backward_lstm\w*, rnn/forward_lstm\w*: a loop over the time steps, since the kernel knows no mask"
    assert re.fullmatch(told, note)


def test_the_steps_of_all_uses_are_counted(recurrent: Path, tmp_path: Path) -> None:
    report = made(recurrent, "shared", tmp_path, (Precision.FP32,), Rnn.UNROLLED)
    assert report.artifacts[0].notes == (
        f"rnn: unrolled, {2 * STEPS} time steps written out, since --rnn unrolled asks for it",
    )


@pytest.mark.parametrize("name", ["dictionary", "spaced", "half"])
def test_models_of_dictionaries_odd_names_and_half_precision(recurrent: Path, tmp_path: Path, name: str) -> None:
    request = Request(
        source=recurrent / f"{name}.keras",
        recipes=(Recipe(precision=Precision.FP32),),
        formats=(Format.TFLITE, Format.ONNX),
        calibration=str(recurrent / f"{name}.npz"),
        output_dir=tmp_path,
    )
    rows = convert(request).artifacts
    assert len(rows) == 2
    assert all(row.parity.sqnr_db > LEAST_DB[Precision.FP32] for row in rows)
    if name == "spaced":
        assert dict(open_artifact(rows[0].path).card.provenance.rnn) == {"my_lstm_1": "fused", "gru_2": "loop"}


def test_weights_of_64_bits_are_refused(recurrent: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the layer rnn of the dtype policy float64, which files do not compute in: "):
        made(recurrent, "double", tmp_path, (Precision.FP32,))


@pytest.mark.parametrize(
    ("name", "layers"), [("states", "rnn"), ("forward_cell", "rnn/forward_lstm")], ids=["answer", "first direction"]
)
def test_a_cell_state_that_is_read_is_in_no_fused_operator(
    recurrent: Path, tmp_path: Path, name: str, layers: str
) -> None:
    report = made(recurrent, name, tmp_path, (Precision.FP32,))
    why = "a loop over the time steps, since the kernel does not give its cell state"
    assert any(layers in note and note.endswith(why) for note in report.artifacts[0].notes)


def test_long_names_are_cut(tiny_models: Path) -> None:
    model = open_model(tiny_models / "convnet.tflite")
    first, second, third = model.subgraphs[0].tensors[:3]
    first.name, second.name = b";".join(b"abcdefghi"[i : i + 1] for i in range(9)), b"a;b;c"
    kept = third.name
    shorten_names(model)
    assert (first.name, second.name, third.name) == (b"a/0", b"a;b;c", kept)


def test_what_keras_cannot_compute_is_one_sentence(recurrent: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as caught:
        made(recurrent, "impossible", tmp_path, (Precision.FP32,))
    sentence = rf"The step 'load' failed: TensorFlow cannot compute {recurrent}/impossible\.keras: Dimensions .+"
    assert re.fullmatch(sentence, str(caught.value))


def test_what_the_model_masks_is_known(recurrent: Path) -> None:
    with Worker("edgekit.converters.tf_worker") as worker:
        for name, padding in {"masked_both_ways": {"x": 0.0}, "masked": {"tokens": 0.0}, "tokens": {}}.items():
            answer = worker.call("load", {"path": str(recurrent / f"{name}.keras"), "kind": "keras"})
            assert answer["padding"] == padding


def test_a_wrong_order_of_gates_and_a_kept_state_are_refused(recurrent: Path, tmp_path: Path) -> None:
    """Canaries of the check that every file goes through."""
    good = made(recurrent, "remembering", tmp_path, (Precision.FP32,)).artifacts[0].path
    items = np.load(recurrent / "remembering.npz")["x"][:8]
    expected = _answers(good, items)
    _require(expected, _answers(good, items))

    model = open_model(good)
    lstm = next(o for o in model.subgraphs[0].operators if len(o.inputs) == LSTM_INPUTS)
    for gate, other in ((1, 2), (5, 6)):  # input and forget gate, of the input and of the state
        lstm.inputs[gate], lstm.inputs[other] = lstm.inputs[other], lstm.inputs[gate]
    save_model(model, tmp_path / "swapped.tflite")
    with pytest.raises(CheckFailedError, match="is refused, and nothing was written: output 'y' differs"):
        _require(expected, _answers(tmp_path / "swapped.tflite", items))
    with pytest.raises(CheckFailedError, match="is refused, and nothing was written: output 'y' differs"):
        _require(expected, _answers(good, items, keeps=True))


LSTM_INPUTS = 24


def _answers(path: Path, items: Any, *, keeps: bool = False) -> dict[str, Any]:
    """The output of each item; of a runtime that ``keeps`` the state from item to item, as an interpreter does."""
    runtime = LiteRTRuntime(path)
    runtime._stateful = runtime._stateful and not keeps
    return {"y": np.concatenate([runtime.run({"x": item[None]})["y"] for item in items])}


def _require(expected: dict[str, Any], found: dict[str, Any]) -> None:
    parity = compare_outputs(expected, found, what="m.tflite", synthetic=False)
    require_tolerance(expected, found, parity, Precision.FP32, what="m.tflite")


@pytest.mark.slow
def test_calibration_keeps_no_state_from_item_to_item(recurrent: Path, tmp_path: Path) -> None:
    """TFLiteConverter alone does: of the same item sixteen times, the ranges of states would be larger."""
    scales = []
    for count in (1, 16):
        item = np.load(recurrent / "remembering.npz")["x"][:1]
        np.savez(tmp_path / f"{count}.npz", x=np.repeat(item, count, axis=0))
        report = made(
            recurrent, "remembering", tmp_path / str(count), (Precision.INT8,), data=str(tmp_path / f"{count}.npz")
        )
        tensors = tflite.read_graph(report.artifacts[0].path).tensors.values()
        scales.append([(t.dtype, t.scale, t.zero_point) for t in tensors if t.variable])
    assert scales[0] == scales[1]
    assert {dtype for dtype, _, _ in scales[0]} == {"int8", "int16"}


@pytest.mark.slow
def test_the_command_line_says_what_it_did_and_why_not(recurrent: Path, tmp_path: Path) -> None:
    arguments = [str(recurrent / "gru.keras"), "-f", "tflite", "-p", "fp32", "-o", str(tmp_path)]
    done = edgekit("convert", *arguments)
    assert done.returncode == 0
    assert "rnn: a loop over the time steps, since TFLite has no kernel for a GRU" in done.stderr + done.stdout
    refused = edgekit("convert", *arguments, "--force", "--rnn", "fused")
    assert refused.returncode == 2
    assert (
        "--rnn fused cannot be done, since rnn: TFLite has no kernel for a GRU; take --rnn auto, which makes it a "
        "loop, or --rnn unrolled." in refused.stderr
    )
