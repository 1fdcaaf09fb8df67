"""Generators in files: built-in operators alone, inputs by name, and in int8 a class that is exactly asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artifact import Format, open_artifact
from edgekit.converters import Request, convert
from edgekit.converters.report import ConversionReport
from edgekit.data.noise import DRAWN, draws
from edgekit.measure.inspect import inspect
from edgekit.models.build import build_file, save
from edgekit.models.registry import find_spec
from edgekit.recipe import Precision, Recipe
from edgekit.runtimes import open_runtime
from edgekit.runtimes.base import dequantize, quantize

NARROW = {"gan": {"units": 16}, "cgan": {"units": 16}, "dcgan": {"filters": 4}, "infogan": {"filters": 4, "codes": 2}}


def exported(name: str, precisions: tuple[Precision, ...], folder: Path) -> tuple[Path, ConversionReport]:
    """A narrow entry that makes pictures with contrast, and its files of all ``precisions``."""
    import keras

    source = build_file(find_spec(name), folder / f"{name}.keras", overrides=NARROW[name]).path
    model = keras.saving.load_model(source)
    for layer in model.layers:  # the first weights of a training are so small that every picture is gray
        if "norm" not in layer.name and layer.get_weights():
            kernel, *rest = layer.get_weights()
            added = kernel.shape[0] if kernel.ndim == 2 else kernel.shape[-1] * 25 / 4
            layer.set_weights([kernel * 1.5 / (kernel.std() * added**0.5), *rest])
    card = open_artifact(source).card
    save(model, card, source, force=True)
    recipes = tuple(Recipe(precision=precision, calibration_samples=40) for precision in precisions)
    return source, convert(Request(source=source, recipes=recipes))


def outputs_of(path: Path, feed: dict[str, Any]) -> Any:
    runtime = open_runtime(path)
    rows = [{name: values[i : i + 1] for name, values in feed.items()} for i in range(len(feed["noise"]))]
    return np.concatenate([runtime.run(row, as_float=True)["image"] for row in rows])


def onnx_quantization(path: Path, name: str) -> tuple[float, int]:
    """Scale and zero point of the input ``name`` inside an ONNX file."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    (node,) = (n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == name)
    return float(values[node.input[1]]), int(values[node.input[2]])


def check_files(name: str, source: Path, report: ConversionReport) -> None:
    card = open_artifact(source).card
    assert card.generator is not None
    feed = draws(card.generator, 6, seed=9)
    expected = outputs_of(source, feed)
    assert expected.std() > 0.05
    for row in report.artifacts:
        artifact = open_artifact(row.path)
        assert artifact.card.generator == card.generator
        assert {t.name for t in artifact.card.inputs} == set(feed), row.path.name
        assert [t.name for t in artifact.card.outputs] == ["image"]
        assert inspect(artifact.path).custom_operators == ()
        assert 20 * np.log10(expected.std() / (outputs_of(row.path, feed) - expected).std()) > 20, row.path.name
        if row.recipe.needs_calibration:
            assert artifact.card.provenance.calibration is not None
            calibration = artifact.card.provenance.calibration
            assert (calibration.name, calibration.count, calibration.seed) == (DRAWN, 40, 0)
    assert any("calibration items of drawn noise" in note for note in report.notes)


def test_a_class_is_asked_for_exactly_in_int8(tmp_path: Path) -> None:
    source, report = exported("cgan", (Precision.INT8,), tmp_path)
    check_files("cgan", source, report)
    one_hot = np.eye(10, dtype=np.float32)
    for row in report.artifacts:
        if row.format is Format.TFLITE:
            (spec,) = (t for t in open_artifact(row.path).card.inputs if t.name == "condition")
            assert spec.dtype == "int8"
            assert np.array_equal(dequantize(quantize(one_hot, spec), spec), one_hot)
        else:
            scale, zero_point = onnx_quantization(row.path, "condition")
            assert zero_point == 0
            assert round(1 / scale) * np.float32(scale) == pytest.approx(1, abs=1e-6)
    (tflite,) = (row for row in report.artifacts if row.format is Format.TFLITE)
    assert any("does better with LEAKY_RELU" in note for note in tflite.notes)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NARROW)
def test_every_recipe_makes_files_that_answer_as_the_generator(name: str, tmp_path: Path) -> None:
    source, report = exported(name, tuple(Precision), tmp_path)
    check_files(name, source, report)
    made = {(row.format.value, row.recipe.code) for row in report.artifacts}
    assert made == {(fmt, p.value) for p in Precision for fmt in ("tflite", "onnx")} - {("onnx", "int16x8")}
