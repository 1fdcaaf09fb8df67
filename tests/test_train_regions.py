"""Detectors that look at regions: trained, converted and evaluated from the command line, and learning by heart."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import edgekit
from test_train_detection import coco_folder

from edgekit.artifact import open_artifact
from edgekit.data import Part, open_data
from edgekit.detection import Detection
from edgekit.models.batches import ALONE
from edgekit.models.build import build
from edgekit.models.detection_lesson import detection_course
from edgekit.models.fitting import fit
from edgekit.models.lesson import Setting
from edgekit.models.parts import Parts
from edgekit.models.rcnn_lesson import RegionLesson, found
from edgekit.models.region_learner import learner
from edgekit.models.region_samples import sampled
from edgekit.models.registry import find_spec
from edgekit.models.train import ignore_epoch
from edgekit.workers import silent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RECIPES = {("tflite", r) for r in ("fp32", "fp16", "dynamic", "int8", "int16x8")} | {
    ("onnx", r) for r in ("fp32", "fp16", "dynamic", "int8")
}


def results(*arguments: Any) -> list[dict[str, Any]]:
    done = edgekit(*arguments, "--json", "-")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["results"])


@pytest.mark.parametrize(
    ("name", "narrow"),
    [("faster_rcnn", ("--alpha", "0.1", "--size", "64")), ("rcnn", ("--alpha", "0.1", "--size", "32"))],
)
def test_a_detector_is_trained_converted_in_all_recipes_and_evaluated(
    name: str, narrow: tuple[str, ...], tmp_path: Path
) -> None:
    data, run = coco_folder(tmp_path / "scenes", 40), tmp_path / "run"
    train = ("train", name, *narrow, "--data", data, "--epochs", "2", "--batch-size", "8", "-o", run)
    (row,) = results(*train)
    assert (row["n"], set(row["metrics"])) == (8, {"map", "map50"})
    first, second = json.loads((run / "history.json").read_bytes())["epochs"]
    assert second["loss"] < first["loss"]
    (evaluated,) = results("evaluate", run / "model.keras", "--data", data)
    assert (evaluated["n"], evaluated["left_out"]) == (8, 32)
    for figure in ("map", "map50"):
        assert evaluated["metrics"][figure] == pytest.approx(row["metrics"][figure], abs=2e-3)
    assert "holds this very training, finished" in edgekit(*train).stderr
    options = [word for recipe in ("fp32", "fp16", "dynamic", "int8", "int16x8") for word in ("-p", recipe)]
    convert = ("convert", run, *options, "--calibration", data, "--samples", "32", "-o", tmp_path / "files")
    rows = results(*convert)
    stages = ("run.heads.", "run.") if name == "faster_rcnn" else ("run.",)
    assert [Path(r["artifact"]).name for r in rows] == [
        f"{stage}{r['recipe']}.{r['format']}" for stage in stages for r in rows[: len(RECIPES)]
    ]
    assert {(r["format"], r["recipe"]) for r in rows[: len(RECIPES)]} == RECIPES
    assert all(r["metrics"]["max_abs"] < 1e-3 for r in rows if r["recipe"] == "fp32")
    files = [tmp_path / "files" / f"run.{recipe}.{fmt}" for fmt, recipe in sorted(RECIPES) if recipe != "int16x8"]
    for told in results("evaluate", run / "model.keras", *files, "--data", data)[1:]:
        assert told["n"] == 8
        if told["recipe"] == "fp32":
            assert told["metrics"]["map"] == pytest.approx(evaluated["metrics"]["map"], abs=0.01)
    again = edgekit(*convert)
    assert again.returncode == 2
    assert again.stderr.endswith("exists; use --force to replace it or -o to write elsewhere.\n")
    if name == "faster_rcnn":
        _keeps_its_second_file(tmp_path / "files", run)


def _keeps_its_second_file(files: Path, run: Path) -> None:
    """Each first file names the second one of its recipe and format; from its manifest both are made again."""
    for fmt, recipe in RECIPES:
        detection = open_artifact(files / f"run.{recipe}.{fmt}").card.detection
        assert detection is not None
        assert detection.proposals is not None
        second = open_artifact(files / f"run.heads.{recipe}.{fmt}")
        assert detection.proposals.heads is not None
        assert (detection.proposals.heads.name, detection.proposals.heads.sha256) == (second.path.name, second.sha256)
        calibration = second.card.provenance.calibration
        assert calibration is None or calibration.name.startswith("regions of ")
        assert second.card.provenance.source_sha256 == open_artifact(run / "model.heads.keras").sha256
    (manifest,) = files.glob("*.manifest.json")
    again = files.parent / "again"
    assert edgekit("convert", manifest, "-o", again).returncode == 0
    assert {p.name for p in again.iterdir()} == {p.name for p in files.iterdir()}
    assert (again / "run.heads.int8.onnx").read_bytes() == (files / "run.heads.int8.onnx").read_bytes()
    (run / "model.heads.keras").unlink()
    done = edgekit("convert", run, "-p", "fp32", "-o", files.parent / "none")
    assert (done.returncode, done.stderr) == (
        2,
        f"edgekit: {run / 'model.keras'} needs model.heads.keras in the same folder; copy both files of the "
        "detector.\n",
    )
    assert not (files.parent / "none").exists()
    shutil.rmtree(again)


@pytest.mark.parametrize(
    ("name", "arguments", "schedule", "least"),
    [
        ("faster_rcnn", {"alpha": 0.1, "size": 96, "units": 64, "regions": 24}, (60, 4, 3e-3), 0.3),
        ("rcnn", {"alpha": 0.2, "units": 64, "regions": 80}, (12, 64, 2e-3), 0.5),
    ],
)
def test_a_detector_learns_some_scenes_by_heart(
    name: str, arguments: dict[str, Any], schedule: tuple[int, int, float], least: float, tmp_path: Path
) -> None:
    spec, data = find_spec(name), open_data("digit_scenes", part=Part.TRAIN, data_dir=None).subset(range(40))
    small, (epochs, batch_size, rate) = spec.presets["small"], schedule
    wanted = spec.resolved({**small.arguments, **arguments})
    detection, model = spec.detection(wanted), build(spec, seed=0, **wanted)
    assert detection is not None
    course = detection_course(
        Setting(
            parts=Parts(train=data, test=None),
            preprocessing=spec.preprocessing(wanted),
            preset=replace(small, epochs=epochs, learning_rate=rate, batch_size=batch_size, boxes=None),
            detection=detection,
            seed=0,
            share=ALONE,
            progress=silent,
        )
    )
    lesson: Any = course.lesson
    learned = replace(lesson, validation=lesson.training)  # what is known by heart is all that counts
    before = _found(lesson, model, detection)
    state, _ = fit(
        course.learner(model), learned, checkpoint=tmp_path / "c.npz", progress=silent, on_epoch=ignore_epoch
    )
    assert state.history[-1].loss < 0.5 * state.history[0].loss
    after = _found(lesson, course.finish(model), detection)
    assert before < 0.05
    assert after > least


def _found(lesson: Any, model: Any, detection: Detection) -> float:
    """The mean average precision at one half on the images that ``lesson`` teaches."""
    names = tuple("0123456789")
    if isinstance(lesson, RegionLesson):
        assert detection.search is not None
        images = lesson.training.pictures
        return found(model, lesson, sampled(images, detection.search, truth=False), detection, images, names)["map50"]
    whole = learner(model, detection)
    return float(lesson.found(whole, lesson.training)["map50"])
