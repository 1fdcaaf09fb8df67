"""Contract of every classifier: it exports in every recipe, to files of built-in operators that choose as it does."""

import fcntl
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit.artifact import Format, open_artifact
from edgekit.converters import Request, convert
from edgekit.data import Part, open_data
from edgekit.measure.compare import compare
from edgekit.measure.inspect import inspect
from edgekit.measure.same import same_answers
from edgekit.models.registry import ZOO
from edgekit.models.spec import ModelSpec
from edgekit.models.train import TrainRequest, train
from edgekit.recipe import Precision, Recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from aarch64.places import UnavailableError, arm, here, run
from material import held_out_inputs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
# Sequence models wait for the lowering of recurrent layers, and for calibration on texts and series.
each_spec = pytest.mark.parametrize("spec", [s for s in ZOO if s.task == "classification"], ids=lambda s: s.name)

EXPECTED = {(fmt, p.value) for p in Precision for fmt in ("tflite", "onnx")} - {("onnx", "int16x8")}
LEAST_AGREEMENT = {"fp32": 1.0, "fp16": 0.95, "dynamic": 0.7, "int8": 0.85, "int16x8": 0.85}
"""With the Keras model on 100 held-out digits: after so few steps many of them nearly tie between two classes. Dynamic
ONNX files have one scale for all channels of an activation, which depthwise layers take ill.
"""


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trains a narrow form of an entry for some steps and converts it in all recipes, once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "exported"
    shared.mkdir(exist_ok=True)

    def export(spec: ModelSpec) -> Path:
        folder = shared / spec.name
        with (shared / f"{spec.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "rows.json").is_file():
                _export(spec, folder)
        return folder

    return export


def _export(spec: ModelSpec, folder: Path) -> None:
    wanted = {"alpha": 0.25, "size": 32, "momentum": 0.9, "units": 64, "pretraining": 1}
    arguments = {**spec.presets["small"].arguments, **{n: v for n, v in wanted.items() if n in spec.defaults}}
    model = train(
        TrainRequest(
            spec=spec, data="digits", epochs=12 if spec.name.startswith("mobilenet") else 3, arguments=arguments
        ),
        folder,
    )
    report = convert(
        Request(
            source=model,
            recipes=tuple(Recipe(precision=p) for p in Precision),
            calibration="digits",
            output_dir=folder,
        )
    )
    rows = [row.to_result() | {"artifact": row.path.name} for row in report.artifacts]
    (folder / "rows.json").write_text(json.dumps(rows))


@each_spec
def test_every_recipe_gives_a_file_of_built_in_operators_that_chooses_the_same(spec: ModelSpec, exported: Any) -> None:
    folder = exported(spec)
    rows = json.loads((folder / "rows.json").read_bytes())
    assert {(row["format"], row["recipe"]) for row in rows} == EXPECTED
    source = open_artifact(folder / "model.keras").card
    paths = [folder / row["artifact"] for row in rows]
    for path in paths:
        artifact = open_artifact(path)
        assert inspect(path).custom_operators == ()
        assert (artifact.card.name, artifact.card.labels) == (spec.name, source.labels)
        assert artifact.card.preprocessing == source.preprocessing
        assert artifact.card.provenance.architecture == spec.name
    floats = {(op["op"], op["reason"]) for row in rows if row["recipe"] == "int8" for op in row["float_ops"]}
    # Where channels come first, before the input is quantized; and what the entry keeps in float, no convolution.
    kept = {op for op, reason in floats if reason == "its card keeps it in float"}
    assert bool(kept) == bool(spec.keep_float)
    assert not kept & {"CONV_2D", "Conv"}
    others = ("Transpose", "Reshape", *(("Unsqueeze",) if spec.keep_float else ()))
    assert floats - {(op, "its card keeps it in float") for op in kept} <= {(op, "its input is float") for op in others}
    outputs = compare(folder / "model.keras", paths, "digits", samples=100)
    for row, found in zip(rows, outputs.results(), strict=True):
        assert found["metrics"]["agreement"] >= LEAST_AGREEMENT[row["recipe"]], row["artifact"]


@pytest.mark.device
@each_spec
def test_an_arm_cpu_chooses_the_same(spec: ModelSpec, exported: Any) -> None:
    try:
        pi = arm("cortex-a72")
    except UnavailableError as error:
        pytest.skip(str(error))
    folder = exported(spec)
    paths = [folder / f"model.{name}" for name in ("fp32.tflite", "int8.tflite", "fp32.onnx", "int8.onnx")]
    data = open_data("digits", part=Part.EVALUATION, data_dir=None)
    for path in paths:
        inputs = held_out_inputs(path, paths, data, 20)
        found = same_answers(run(here(), path, inputs).outputs, run(pi, path, inputs).outputs)
        assert found.agreement is not None
        assert found.agreement >= 0.95, path.name  # one of 20 may nearly tie after so short a training
        if path.name == "model.int8.tflite" and not spec.keep_float:
            assert found.identical
    assert open_artifact(paths[0]).format is Format.TFLITE
