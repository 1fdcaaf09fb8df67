"""Signatures of a card in TFLite files, and layers that a card keeps in float, in files of both formats."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import Format, open_artifact
from edgekit.card import ModelCard, TensorSpec
from edgekit.converters import ConversionReport, Request, convert
from edgekit.converters.signatures import add_signatures
from edgekit.converters.tflite_edit import name_of
from edgekit.errors import CardError
from edgekit.formats.keras import write_card
from edgekit.formats.tflite import read_graph
from edgekit.formats.tflite_objects import open_model, pack_model
from edgekit.measure import inspect_table
from edgekit.measure.inspect import inspect
from edgekit.recipe import InterfaceType, Precision, Recipe
from edgekit.runtimes import open_runtime

SIDE = 6
USES = {"encode": ("code",), "reconstruct": ("reconstruction",), "score": ("score",)}
_MODEL = f"""
import keras
from keras import layers
keras.utils.set_random_seed(0)
x = keras.Input(({SIDE},), name="features")
code = layers.Dense(4, activation="relu", name="code")(x)
back = layers.Dense({SIDE}, name="reconstruction")(code)
gap = layers.Subtract(name="score_difference")([x, back])
square = layers.Multiply(name="score_square")([gap, gap])
column = layers.Reshape(({SIDE}, 1), name="score_column")(square)
score = layers.GlobalAveragePooling1D(name="score")(column)
keras.Model(x, [code, back, score], name="small").save("small.keras")
"""


def card(**changes: Any) -> ModelCard:
    outputs = {"code": 4, "reconstruction": SIDE, "score": 1}
    given = {"name": "small", "signatures": USES, "keep_float": ("^score",), **changes}
    return ModelCard(
        inputs=(TensorSpec(name="features", shape=(None, SIDE), dtype="float32"),),
        outputs=tuple(TensorSpec(name=n, shape=(None, size), dtype="float32") for n, size in outputs.items()),
        **given,
    )


@pytest.mark.parametrize(
    ("signatures", "words"),
    [
        ({"encode": ("codes",)}, "expected different ones of the outputs"),
        ({"encode": ()}, "expected different ones of the outputs"),
        ({"encode": ("code", "code")}, "expected different ones of the outputs"),
        ({"serving_default": ("code",)}, "expected a plain name that is not serving_default"),
        ({"to code": ("code",)}, "expected a plain name"),
    ],
)
def test_a_card_with_signatures_that_no_file_can_have_is_refused(signatures: Any, words: str) -> None:
    with pytest.raises(CardError, match=words):
        card(signatures=signatures)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ConversionReport]:
    folder = tmp_path_factory.mktemp("signatures")
    subprocess.run([sys.executable, "-c", _MODEL], check=True, capture_output=True, cwd=folder)
    write_card(folder / "small.keras", card())
    np.savez(folder / "data.npz", x=np.random.default_rng(0).normal(size=(64, SIDE)).astype(np.float32))
    recipes = (Recipe(precision=Precision.FP32), Recipe(precision=Precision.INT8))
    return folder, convert(
        Request(source=folder / "small.keras", recipes=recipes, calibration=str(folder / "data.npz"))
    )


@pytest.mark.slow
def test_each_signature_gives_its_outputs_and_the_main_one_all(made: tuple[Path, ConversionReport]) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    row = np.random.default_rng(1).normal(size=(1, SIDE)).astype(np.float32)
    for precision in ("fp32", "int8"):
        path = made[0] / f"small.{precision}.tflite"
        opened = interpreter.Interpreter(str(path))
        listed = {name: tuple(sorted(known["outputs"])) for name, known in opened.get_signature_list().items()}
        assert listed == {"serving_default": ("code", "reconstruction", "score"), **USES}
        whole = opened.get_signature_runner("serving_default")(features=row)
        for name, (output,) in USES.items():
            (alone,) = opened.get_signature_runner(name)(features=row).values()
            assert np.array_equal(alone, whole[output]), (path, name)
        ours = open_runtime(path).run({"features": row})
        assert all(np.array_equal(ours[name], values) for name, values in whole.items())
        assert open_artifact(path).card.signatures == USES


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_each_signature_runs_in_both_interfaces_of_litert(made: tuple[Path, ConversionReport], precision: str) -> None:
    compiled_model = pytest.importorskip("ai_edge_litert.compiled_model").CompiledModel
    path = made[0] / f"small.{precision}.tflite"
    row = np.random.default_rng(1).normal(size=(1, SIDE)).astype(np.float32)
    whole = open_runtime(path).run({"features": row})
    model = compiled_model.from_file(str(path))
    for name, outputs in {"serving_default": tuple(whole), **USES}.items():
        given = model.create_input_buffer_by_name(name, "features")
        given.write(row)
        taken = {output: model.create_output_buffer_by_name(name, output) for output in outputs}
        model.run_by_name(name, {"features": given}, taken)
        for output, buffer in taken.items():
            found = buffer.read(whole[output].size, np.float32).reshape(whole[output].shape)
            assert np.array_equal(found, whole[output]), (name, output)


@pytest.mark.slow
def test_inspect_tells_what_a_file_is_for_and_counts_each_operator_once(made: tuple[Path, ConversionReport]) -> None:
    found = inspect(made[0] / "small.fp32.tflite")
    assert ["uses", "encode (code), reconstruct (reconstruction), score (score)"] in inspect_table.facts(found)
    assert {o.op: o.count for o in found.operators}["FULLY_CONNECTED"] == 2
    assert found.parameters == 2 * 4 * SIDE  # the converter leaves out biases of zero
    told = "its signatures have graphs of their own, with which tflite-micro may crash"
    assert [told in str(f) for f in inspect(made[0] / "small.int8.tflite", target="micro").findings] == [True]


@pytest.mark.slow
def test_a_signature_computes_what_it_gives_and_no_more(made: tuple[Path, ConversionReport]) -> None:
    for precision, encoder in ("fp32", 1), ("int8", 3):  # quantized, multiplied, and dequantized
        model = open_model(made[0] / f"small.{precision}.tflite")
        counts = [len(graph.operators) for graph in model.subgraphs]
        assert counts[1] == encoder < counts[2] < counts[3] < counts[0] + 1, counts


@pytest.mark.slow
def test_weights_are_in_a_file_once_however_many_signatures_it_has(made: tuple[Path, ConversionReport]) -> None:
    for report in (r for r in made[1].artifacts if r.format is Format.TFLITE):
        path = made[0] / report.path.name
        model = open_model(path)
        kept = [t.buffer for graph in model.subgraphs for t in graph.tensors if len(t.shape) == 2 and t.shape[0] > 1]
        assert (len(kept), len(set(kept))) == (7, 2)  # kernels: two of all graphs but that of the encoder
        assert path.stat().st_size < len(pack_model(model))  # the canary: each graph with scales of its own
        assert {node.subgraph for node in read_graph(path).nodes} == {0}


def test_a_signature_takes_the_inputs_that_it_needs(tiny_models: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    model = open_model(tiny_models / "two_inputs.tflite")
    (main,), (graph,) = model.signatureDefs, model.subgraphs
    right = next(number for number, tensor in enumerate(graph.tensors) if name_of(tensor).endswith("right_1/MatMul1"))
    main.outputs.append(copy.copy(main.outputs[0]))
    main.outputs[-1].name, main.outputs[-1].tensorIndex = b"right", right
    graph.outputs = [*graph.outputs, right]
    add_signatures(model, {"half": ("right",), "both": ("sum", "difference")})
    assert [graph.name for graph in model.subgraphs[1:]] == [b"half", b"both"]
    operators = {id(operator.builtinOptions): place for place, operator in enumerate(graph.operators)}
    for part in model.subgraphs[1:]:  # of which LiteRT's delegates mend the order
        places = [operators[id(operator.builtinOptions)] for operator in part.operators]
        assert places == sorted(places)
    opened = interpreter(model_content=pack_model(model))
    alpha, zeta = (
        entry["shape"] for _, entry in sorted(opened.get_signature_runner("both").get_input_details().items())
    )
    feed = {"alpha": np.full(alpha, 0.5, np.float32), "zeta": np.full(zeta, 0.25, np.float32)}
    whole = opened.get_signature_runner("serving_default")(**feed)
    assert opened.get_signature_list()["half"]["inputs"] == ["alpha"]
    half = opened.get_signature_runner("half")(alpha=feed["alpha"])
    both = opened.get_signature_runner("both")(**feed)
    assert all(np.array_equal(values, whole[name]) for name, values in (half | both).items())
    assert (list(half), sorted(both)) == (["right"], ["difference", "sum"])


@pytest.mark.slow
def test_what_the_card_keeps_in_float_sees_inputs_beyond_the_calibrated_range(
    made: tuple[Path, ConversionReport],
) -> None:
    folder, report = made
    row = np.full((1, SIDE), 0.5, np.float32)
    row[0, 2] = 100.0  # calibrated on a normal distribution
    for fmt in Format.TFLITE, Format.ONNX:
        (int8,) = (r for r in report.artifacts if r.format is fmt and r.recipe.precision is Precision.INT8)
        assert {op.reason for op in int8.float_ops} == {"its card keeps it in float"}
        assert int8.recipe.interface is InterfaceType.FLOAT
        found = open_runtime(folder / int8.path.name).run({"features": row})
        gap = row - found["reconstruction"]
        assert found["score"].item() == pytest.approx(np.mean(gap**2), rel=1e-5)
        assert found["score"].item() > 1000
