"""Signatures of a card in TFLite files, and layers that a card keeps in float, in files of both formats."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import Format, open_artifact
from edgekit.card import ModelCard, TensorSpec
from edgekit.converters import ConversionReport, Request, convert
from edgekit.errors import CardError
from edgekit.formats.keras import write_card
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
