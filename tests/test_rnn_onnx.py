"""Recurrent layers in ONNX files: one operator each, equal to Keras, in every recipe that has a form for it."""

import functools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit

from edgekit.artifact import Format, open_artifact
from edgekit.converters import ConversionReport, Request, convert
from edgekit.converters.parity import compare_outputs, require_tolerance
from edgekit.converters.report import Converted
from edgekit.errors import CheckFailedError, ConversionError, InputError
from edgekit.formats import onnx
from edgekit.recipe import Batch, Granularity, Precision, Recipe, Rnn

SCRIPT = Path(__file__).parent / "rnn_onnx_models.py"
RECURRENT = ("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM", "Loop", "Scan", "If")
LEAST_DB = {Precision.FP32: 90, Precision.FP16: 45, Precision.DYNAMIC: 25, Precision.INT8: 20}
"""Measured: 114, 58, 29 and 27 dB or more, as the weights here are wilder than those of trained networks."""

OPERATORS: dict[str, dict[str, int]] = {
    **{f"{kind}_{form}": {op: count}
       for kind, op in {"lstm": "LSTM", "gru": "GRU", "gru_before": "GRU", "rnn": "RNN"}.items()
       for form, count in {"stack": 2, "backwards": 1, "both": 2, "masked": 2, "seq2seq": 2}.items()},
    **{f"merged_{mode}": {"LSTM": 1} for mode in ("sum", "mul", "ave")},
    **{f"activation_{name}": {"GRU": 1}
       for name in ("relu", "linear", "hard_sigmoid", "elu", "leaky_relu", "softsign", "softplus")},
    "lstm": {"LSTM": 1}, "gru": {"GRU": 1}, "gru_before": {"GRU": 1}, "rnn": {"RNN": 1},
    "both_masked": {"LSTM": 1, "GRU": 1}, "unlike": {"LSTM": 1, "GRU": 1}, "one_to_many": {"GRU": 1},
    "states": {"LSTM": 1}, "nested": {"GRU": 1}, "wide": {"LSTM": 1}, "unrolled": {"LSTM": 1}, "generic": {"GRU": 1},
    "no_bias": {"GRU": 1}, "cells": {"LSTM": 1, "GRU": 1}, "cells_masked": {"LSTM": 1, "GRU": 1},
    "zeroed": {"LSTM": 1}, "dropout": {"LSTM": 1}, "turned": {"LSTM": 2}, "inside_time": {"LSTM": 2},
    "shared": {"GRU": 2},
}  # fmt: skip
"""The recurrent operators of each model's file: both directions of a Bidirectional layer are one."""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all models and their data, made once."""
    folder = tmp_path_factory.mktemp("recurrent")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, str(SCRIPT), str(folder)], check=True, capture_output=True, env=environment)
    return folder


def to_onnx(models: Path, name: str, folder: Path, *precisions: Precision, **settings: Any) -> ConversionReport:
    """The model ``name`` as ONNX files in ``folder``."""
    recipes = tuple(Recipe(precision=p, calibration_samples=24, **settings) for p in precisions)
    source = next(path for path in (models / f"{name}.keras", models / name) if path.exists())
    data = str(models / f"{name}.npz")
    return convert(Request(source=source, recipes=recipes, formats=(Format.ONNX,), calibration=data, output_dir=folder))


Files = Callable[[str], dict[Precision, Converted]]


@pytest.fixture(scope="session")
def files(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a model by recipe, made once: fp32, dynamic, and int8 where there is one."""

    @functools.cache
    def made(name: str) -> dict[Precision, Converted]:
        precisions = [
            Precision.FP32,
            Precision.DYNAMIC,
            *([Precision.INT8] if set(OPERATORS[name]) == {"LSTM"} else []),
        ]
        report = to_onnx(models, name, tmp_path_factory.mktemp(name), *precisions)
        return {row.recipe.precision: row for row in report.artifacts}

    return made


def recurrent(path: Path) -> dict[str, int]:
    """How often the file has each recurrent operator, and those of loops and branches."""
    return dict(Counter(node.op for node in onnx.read_graph(path).nodes if node.op in RECURRENT))


def run(path: Path, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All outputs of the file for each item by itself."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    count = len(next(iter(feed.values())))
    rows = [session.run(names, {key: values[i : i + 1] for key, values in feed.items()}) for i in range(count)]
    return {name: np.concatenate(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def check(name: str, rows: Iterable[Converted]) -> None:
    """Every file is as close to Keras as its recipe allows, and has the operators that it should."""
    for row in rows:
        precision = row.recipe.precision
        assert row.parity.sqnr_db > LEAST_DB[precision], precision
        integer = "DynamicQuantizeLSTM" if precision in (Precision.DYNAMIC, Precision.INT8) else "LSTM"
        expected = {integer if op == "LSTM" else op: count for op, count in OPERATORS[name].items()}
        assert recurrent(row.path) == expected, precision
        assert all(spec.shape[0] == 1 for spec in open_artifact(row.path).card.inputs)


@pytest.mark.parametrize("name", ["lstm_both", "gru_both", "turned"])
def test_a_recurrent_layer_is_one_operator(files: Files, name: str) -> None:
    check(name, files(name).values())


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATORS)
def test_every_layer_works_in_every_recipe_that_has_it(models: Path, tmp_path: Path, name: str) -> None:
    lstm_only = set(OPERATORS[name]) == {"LSTM"}
    floats = (Precision.FP32, Precision.FP16, Precision.DYNAMIC)
    check(name, to_onnx(models, name, tmp_path, *floats, *([Precision.INT8] if lstm_only else [])).artifacts)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "rnn", "both_masked", "cells", "nested"])
def test_int8_of_other_layers_than_lstms_is_refused(models: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConversionError) as error:
        to_onnx(models, name, tmp_path / "int8", Precision.INT8)
    assert str(error.value).startswith("The step 'choose forms' failed: ONNX Runtime has no integer form of the ")
    assert not (tmp_path / "int8").exists()


def test_full_int8_of_a_gru_is_refused_unless_it_is_kept_in_float(models: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as error:
        to_onnx(models, "gru", tmp_path, Precision.INT8)
    assert str(error.value) == (
        "The step 'choose forms' failed: ONNX Runtime has no integer form of the GRU 'last'; allow it in float with "
        "--keep-float last, or take the recipe dynamic."
    )


@pytest.mark.slow
def test_a_gru_that_is_kept_in_float_is_in_an_int8_file(models: Path, tmp_path: Path) -> None:
    (row,) = to_onnx(models, "gru", tmp_path, Precision.INT8, keep_float=("^last$",)).artifacts
    assert [(op.op, op.reason) for op in row.float_ops if op.op == "GRU"] == [("GRU", "kept by --keep-float")]


def test_full_int8_of_an_lstm_multiplies_in_int8_and_says_what_is_float(files: Files) -> None:
    row = files("lstm_both")[Precision.INT8]
    told = [(op.name, op.reason) for op in row.float_ops if op.op == "DynamicQuantizeLSTM"]
    assert told == [(name, "its products are int8, its states float") for name in ("first", "second")]
    assert row.notes[-1].startswith("LSTM layers become DynamicQuantizeLSTM, an operator of ONNX Runtime alone")
    graph = onnx.read_graph(row.path)
    weights = [
        t.dtype
        for n in graph.nodes
        if n.op == "DynamicQuantizeLSTM"
        for t in map(graph.tensors.get, n.inputs[1:3])
        if t
    ]
    assert weights == ["int8"] * 4
    assert _largest_weight(row.path) == 64  # of more, two products overflow on x86 without VNNI
    assert "Gemm" in [node.op for node in graph.nodes]


def _largest_weight(path: Path) -> int:
    import onnx as onnx_package
    from onnx import numpy_helper

    graph = onnx_package.load(path).graph
    read = {name for node in graph.node if node.op_type == "DynamicQuantizeLSTM" for name in node.input[1:3]}
    return max(int(np.abs(numpy_helper.to_array(t).astype(int)).max()) for t in graph.initializer if t.name in read)


def test_operators_compute_what_is_read_alone(files: Files) -> None:
    for row in (files("lstm_both")[Precision.FP32], files("gru_both")[Precision.FP32]):
        graph = onnx.read_graph(row.path)
        read = {name for node in graph.nodes for name in node.inputs} | set(graph.output_tensors.values())
        assert all(set(node.outputs) - {""} <= read for node in graph.nodes if node.op in RECURRENT)


def test_dynamic_stores_the_weights_of_a_gru_as_bytes_and_says_that_it_computes_in_float(files: Files) -> None:
    row = files("gru_both")[Precision.DYNAMIC]
    told = [(op.name, op.reason) for op in row.float_ops]
    assert told == [(name, "its weights are int8 in the file only") for name in ("first", "second")]
    assert row.notes == (
        "GRU and RNN operators compute in float, from weights that are int8 in the file: for size, not for speed",
    )
    large = [t for t in onnx.read_graph(row.path).tensors.values() if t.constant and (t.elements or 0) > 100]
    assert {t.dtype for t in large} == {"int8"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru_both", "lstm_both"])
def test_one_scale_for_all_channels_and_layers_kept_in_float(models: Path, tmp_path: Path, name: str) -> None:
    settings = {"granularity": Granularity.PER_TENSOR, "keep_float": ("^first$",)}
    (row,) = to_onnx(models, name, tmp_path, Precision.DYNAMIC, **settings).artifacts
    assert row.parity.sqnr_db > LEAST_DB[Precision.DYNAMIC]
    graph = onnx.read_graph(row.path)
    first, second = [n for n in graph.nodes if n.op in RECURRENT]
    assert (first.name, first.op) == ("first", name[:-5].upper())
    assert graph.tensors[first.inputs[1]].dtype == "float32"
    made = {output: node for node in graph.nodes for output in node.outputs}
    stored = second.inputs[1] if second.op == "DynamicQuantizeLSTM" else made[second.inputs[1]].inputs[0]
    assert graph.tensors[stored].dtype == "int8"


@pytest.mark.parametrize("name", [pytest.param("lstm_both", marks=pytest.mark.slow), "both_masked"])
def test_any_number_of_items_at_once_gives_what_each_gives_alone(models: Path, tmp_path: Path, name: str) -> None:
    import onnxruntime

    (row,) = to_onnx(models, name, tmp_path, Precision.FP32, batch=Batch.DYNAMIC).artifacts
    assert recurrent(row.path) == OPERATORS[name]
    data = dict(np.load(models / f"{name}.npz"))
    session = onnxruntime.InferenceSession(row.path.read_bytes(), providers=["CPUExecutionProvider"])
    (together,) = session.run(None, data)
    np.testing.assert_allclose(together, run(row.path, data)["y"], atol=1e-5)


@pytest.mark.parametrize("damage", ["gates", "recurrent bias", "directions", "activations"])
def test_a_damaged_operator_is_refused(models: Path, files: Files, tmp_path: Path, damage: str) -> None:
    import onnx as onnx_package
    from onnx import numpy_helper

    row = files("gru_both")[Precision.FP32]
    model = onnx_package.load(row.path)
    node = next(n for n in model.graph.node if n.op_type == "GRU")
    for place in (1, 2, 3):
        tensor = next(t for t in model.graph.initializer if t.name == node.input[place])
        values = numpy_helper.to_array(tensor).copy()
        if damage == "gates":  # update and reset
            for part in np.split(values, 2, axis=1) if place == 3 else [values]:
                update, reset = part[:, :8].copy(), part[:, 8:16].copy()
                part[:, :8], part[:, 8:16] = reset, update
        if damage == "recurrent bias" and place == 3:
            values[:, 24:] = 0
        if damage == "directions":
            values = values[::-1].copy()
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    if damage == "activations":
        next(a for a in node.attribute if a.name == "activations").strings[:] = [b"Sigmoid", b"Relu"] * 2
    (tmp_path / "damaged.onnx").write_bytes(model.SerializeToString())
    data = dict(np.load(models / "gru_both.npz"))
    reference, other = run(row.path, data), run(tmp_path / "damaged.onnx", data)
    parity = compare_outputs(reference, other, what="damaged.onnx", synthetic=False)
    with pytest.raises(CheckFailedError, match=r"^damaged\.onnx is refused, "):
        require_tolerance(reference, other, parity, Precision.FP32, what="damaged.onnx")
    whole = compare_outputs(reference, reference, what="whole.onnx", synthetic=False)
    require_tolerance(reference, reference, whole, Precision.FP32, what="whole.onnx")


def test_an_onnx_file_of_ones_own_with_an_lstm_is_quantized(models: Path, files: Files, tmp_path: Path) -> None:
    import onnx as onnx_package
    from onnx import helper

    model = onnx_package.load(files("lstm_both")[Precision.FP32].path)
    next(n for n in model.graph.node if n.op_type == "LSTM").attribute.append(helper.make_attribute("layout", 0))
    (tmp_path / "own.onnx").write_bytes(model.SerializeToString())
    recipes = tuple(Recipe(precision=p, calibration_samples=24) for p in (Precision.DYNAMIC, Precision.INT8))
    data = str(models / "lstm_both.npz")
    report = convert(Request(source=tmp_path / "own.onnx", recipes=recipes, calibration=data))
    for row in report.artifacts:
        assert recurrent(row.path) == {"DynamicQuantizeLSTM": 2}
        assert row.parity.sqnr_db > LEAST_DB[row.recipe.precision]


def test_inspect_lists_the_operators_and_old_engines_take_them(files: Files) -> None:
    result = edgekit("inspect", str(files("lstm_both")[Precision.INT8].path), "--target", "ort-1.19")
    assert result.returncode == 0, result.stderr
    assert "DynamicQuantizeLSTM" in result.stdout
    assert "Loop" not in result.stdout


REFUSED = {
    "activation": (
        "activation_gelu", {}, "The step 'lower onnx' failed: the recurrent layer last has the activation gelu, which "
        "ONNX has not for such layers; it has tanh, sigmoid, relu, linear, hard_sigmoid, elu, leaky_relu, softsign, "
        "softplus: train it with one of these.",
    ),
    "stateful": (
        "stateful", {}, "stateful.keras has the stateful layer kept, which answers by what it was asked before: build "
        "it with stateful=False, and its state as an input and an output.",
    ),
    "unrolled": (
        "lstm", {"rnn": Rnn.UNROLLED}, "The step 'choose forms' failed: --rnn unrolled is for TFLite files; in an ONNX "
        "file a layer is one operator for all steps, or a loop: leave the option out, or take -f tflite.",
    ),
    "loop": (
        "saved", {}, "The step 'prepare saved.dynamic.onnx' failed: dynamic has no form of the operator Loop, a "
        "recurrent layer step by step; start from the .keras file, whose LSTM, GRU and SimpleRNN layers become single "
        "operators, or take the recipe fp16.",
    ),
    "portable": (
        "lstm", {"portable": True}, "lstm.int8.onnx cannot have the same bits on every CPU: DynamicQuantizeLSTM 'last' "
        "has no exact 8-bit form; convert without --portable.",
    ),
}  # fmt: skip
"""Model, settings of the recipe, and the end of the sentence."""


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_form_is_refused_in_a_sentence(models: Path, tmp_path: Path, case: str) -> None:
    name, settings, sentence = REFUSED[case]
    precision = Precision.INT8 if case == "portable" else Precision.DYNAMIC
    with pytest.raises((ConversionError, InputError)) as error:
        to_onnx(models, name, tmp_path / "out", precision, **settings)
    assert str(error.value).endswith(sentence)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_layers_without_an_operator_stay_loops_in_float(models: Path, tmp_path: Path) -> None:
    (row,) = to_onnx(models, "convolutions", tmp_path, Precision.FP32).artifacts
    assert recurrent(row.path) == {"Loop": 1}
    assert row.parity.sqnr_db > LEAST_DB[Precision.FP32]
