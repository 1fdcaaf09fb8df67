"""Detectors export in every recipe, to files of built-in operators that find the same, on ARM too.

SSD300 learns scenes by heart in a hundred steps, so it is asked what it finds; the depthwise network of SSDLite needs
many more, and is asked for its outputs. What the first YOLO finds has a test in tests/test_train_detection.py, and the
trained files of all are looked at by benchmarks/zoo_everywhere.py.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from scene_folder import coco_folder

from edgekit.artifact import open_artifact
from edgekit.converters import Request, convert
from edgekit.data import Part, open_data
from edgekit.measure.evaluate_detection import evaluate_detection
from edgekit.measure.inspect import inspect
from edgekit.measure.same import same_answers
from edgekit.measure.same_objects import objects_in, share_of_same_objects
from edgekit.models.registry import find_spec
from edgekit.models.spec import ModelSpec
from edgekit.models.train import TrainRequest, train
from edgekit.recipe import Precision, Recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from aarch64.places import UnavailableError, arm, here, run
from material import held_out_inputs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXPECTED = {(fmt, p.value) for p in Precision for fmt in ("tflite", "onnx")} - {("onnx", "int16x8")}
MOST_LOST = {"fp32": 0.002, "fp16": 0.02, "dynamic": 0.1, "int8": 0.1, "int16x8": 0.05}
"""Of the mean average precision at .50, which after so short a training hangs on a few boxes."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, Path, Path]:
    """A narrow form of an entry that has learned some scenes by heart, in all recipes, and the scenes."""
    spec = find_spec("ssd300_vgg16")
    folder = tmp_path_factory.mktemp(spec.name)
    data, run_dir = coco_folder(folder / "scenes", 60), folder / "run"
    least = {argument.name: argument.low for argument in spec.arguments}
    wanted = {"alpha": 0.25, "size": int(least["size"]), "momentum": 0.9}
    arguments = {**spec.presets["small"].arguments, **{n: v for n, v in wanted.items() if n in spec.defaults}}
    model = train(TrainRequest(spec=spec, data=str(data), epochs=30, batch_size=8, arguments=arguments), run_dir)
    converted = convert(
        Request(
            source=model,
            recipes=tuple(Recipe(precision=p) for p in Precision),
            calibration=str(data),
            output_dir=run_dir,
        )
    )
    rows = [row.to_result() | {"artifact": row.path.name} for row in converted.artifacts]
    (run_dir / "rows.json").write_text(json.dumps(rows))
    return spec, run_dir, data


def test_every_recipe_gives_a_file_of_built_in_operators_that_finds_the_same(exported: Any) -> None:
    spec, folder, _ = exported
    rows = json.loads((folder / "rows.json").read_bytes())
    assert {(row["format"], row["recipe"]) for row in rows} == EXPECTED
    source = open_artifact(folder / "model.keras").card
    paths = [folder / row["artifact"] for row in rows]
    for path in paths:
        card = open_artifact(path).card
        assert inspect(path).custom_operators == ()
        assert (card.name, card.task, card.labels) == (spec.name, "detection", source.labels)
        assert (card.detection, card.preprocessing) == (source.detection, source.preprocessing)
    again = coco_folder(folder / "again", 60, suffix="jpg")  # other files of scenes that were learned by heart
    report = evaluate_detection([folder / "model.keras", *paths], str(again))
    assert report.left_out == 0
    reference, *others = (entry.result.figures["map50"] for entry in report.entries)
    assert reference > 0.2
    for row, found in zip(rows, others, strict=True):
        assert found > reference - MOST_LOST[row["recipe"]], (row["artifact"], reference, found)


@pytest.mark.device
def test_an_arm_cpu_finds_the_same(exported: Any) -> None:
    try:
        pi = arm("cortex-a72")
    except UnavailableError as error:
        pytest.skip(str(error))
    _, folder, _ = exported
    again = open_data(str(coco_folder(folder / "few", 10, suffix="jpg")), part=Part.EVALUATION, data_dir=None)
    paths = [folder / f"model.{name}" for name in ("fp32.tflite", "int8.tflite", "fp32.onnx", "int8.onnx")]
    for path in paths:
        inputs = held_out_inputs(path, paths, again, 10)
        ours, theirs = (objects_in(open_artifact(path), run(place, path, inputs).outputs) for place in (here(), pi))
        assert share_of_same_objects(ours, theirs) == 1, path.name
        assert sum(map(len, ours)) > 5


LEAST_SQNR_DB = {"fp32": 80.0, "fp16": 40.0, "dynamic": 10.0, "int8": 15.0, "int16x8": 30.0}
"""Of outputs beside the source's."""


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with a narrow SSDLite, trained for two epochs, its file in all recipes, and what `convert` told."""
    spec = find_spec("ssdlite_mobilenet_v1")
    folder = tmp_path_factory.mktemp(spec.name)
    data = str(coco_folder(folder / "scenes", 40))
    arguments = {**spec.presets["small"].arguments, "alpha": 0.1, "size": 96, "momentum": 0.9}
    model = train(TrainRequest(spec=spec, data=data, epochs=2, batch_size=8, arguments=arguments), folder / "run")
    recipes = tuple(Recipe(precision=p, portable=p is Precision.INT8) for p in Precision)
    converted = convert(Request(source=model, recipes=recipes, calibration=data, output_dir=folder))
    return folder, converted


def test_every_recipe_answers_as_its_source(answering: tuple[Path, Any]) -> None:
    folder, converted = answering
    source = open_artifact(folder / "run/model.keras").card
    rows = [(row, row.to_result()) for row in converted.artifacts]
    assert {(result["format"], result["recipe"]) for _, result in rows} == EXPECTED
    for row, result in rows:
        card = open_artifact(row.path).card
        assert result["metrics"]["sqnr_db"] >= LEAST_SQNR_DB[result["recipe"]], (row.path.name, result["metrics"])
        assert inspect(row.path).custom_operators == ()
        assert (card.detection, card.preprocessing, card.labels) == (
            source.detection,
            source.preprocessing,
            source.labels,
        )


@pytest.mark.device
def test_an_arm_cpu_answers_the_same(answering: tuple[Path, Any]) -> None:
    try:
        pi = arm("cortex-a72")
    except UnavailableError as error:
        pytest.skip(str(error))
    folder, _ = answering
    again = open_data(str(coco_folder(folder / "few", 5, suffix="jpg")), part=Part.EVALUATION, data_dir=None)
    paths = [folder / f"model.{name}" for name in ("fp32.tflite", "int8.tflite", "fp32.onnx", "int8.onnx")]
    for path in paths:
        inputs = held_out_inputs(path, paths, again, 5)
        ours, theirs = (run(place, path, inputs).outputs for place in (here(), pi))
        assert same_answers(ours, theirs).totals.sqnr_db > 40, path.name
