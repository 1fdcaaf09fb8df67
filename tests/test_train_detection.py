"""Training of a detector from the command line to a file that finds what it learned."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from scene_folder import coco_folder

from edgekit.artifact import open_artifact
from edgekit.data import Part, open_data
from edgekit.detection import Head
from edgekit.measure.detectors import open_detectors
from edgekit.models.build import build, build_with_weights, card_for, save
from edgekit.models.detection_lesson import DetectionLesson
from edgekit.models.fitting import fit
from edgekit.models.images import load_boxed_images
from edgekit.models.registry import find_spec
from edgekit.workers import silent

pytestmark = pytest.mark.timeout(300)

NARROW = ("--alpha", "0.1", "--size", "64")


def test_a_detector_is_trained_on_a_users_own_boxes_and_its_file_is_evaluated(tmp_path: Path) -> None:
    data, run = coco_folder(tmp_path / "scenes", 40), tmp_path / "run"
    train = ("train", "ssdlite_mobilenet_v2", *NARROW, "--data", data, "--epochs", "2", "--batch-size", "8", "-o", run)
    done = edgekit(*train, "--json", tmp_path / "train.json")
    assert done.returncode == 0, done.stderr
    assert "epoch 2/2: loss " in done.stderr
    assert "; validation loss " in done.stderr
    assert ", map50 " in done.stderr
    (row,) = json.loads((tmp_path / "train.json").read_bytes())["results"]
    assert (row["n"], set(row["metrics"])) == (8, {"map", "map50"})
    assert row["data"].endswith(", 20% held out")
    card = open_artifact(run / "model.keras").card
    assert (card.task, card.labels) == ("detection", tuple("0123456789"))
    assert card.detection is not None
    assert (card.detection.head, len(card.detection.anchors)) == (Head.SSD, 6)
    assert [output.name for output in card.outputs] == ["boxes", "scores"]
    assert card.provenance.training is not None
    assert card.provenance.training.count == 32
    (first, second) = json.loads((run / "history.json").read_bytes())["epochs"]
    assert second["loss"] < first["loss"]
    assert {"anchor_accuracy", "val_loss", "val_map50", "seconds"} < set(first)
    done = edgekit("evaluate", run / "model.keras", "--data", data, "--json", tmp_path / "evaluate.json")
    assert done.returncode == 0, done.stderr
    (evaluated,) = json.loads((tmp_path / "evaluate.json").read_bytes())["results"]
    assert (evaluated["n"], evaluated["left_out"]) == (8, 32)
    for name in ("map", "map50"):
        assert evaluated["metrics"][name] == pytest.approx(row["metrics"][name], abs=1e-4)
    again = edgekit(*train)
    assert (again.returncode, "holds this very training, finished" in again.stderr) == (0, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--data", "digits"),
            "edgekit: digits has no boxes; training a detector needs the objects of each image.\n",
        ),
        (
            ("--preset", "book"),
            "edgekit: The preset book of ssdlite_mobilenet_v2 has no data set of its own; name one with --data.\n",
        ),
    ],
)
def test_a_detector_that_cannot_be_trained_is_refused(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = edgekit("train", "ssdlite_mobilenet_v2", *NARROW, *options, "-o", tmp_path / "run")
    assert (done.returncode, done.stderr) == (2, message)
    assert not (tmp_path / "run").exists()


def test_a_detector_starts_from_the_weights_of_its_backbone(tmp_path: Path) -> None:
    narrow = {"alpha": 0.1, "size": 64}
    done = edgekit("zoo", "build", "mobilenet_v2", *NARROW, "--seed", "5", "-o", tmp_path / "backbone.keras")
    assert done.returncode == 0, done.stderr
    spec = find_spec("ssdlite_mobilenet_v2")
    model, imported, arguments = build_with_weights(
        spec, tmp_path / "backbone.keras", classes=3, defaults={"momentum": 0.9}, arguments={"size": 96}
    )
    assert (arguments["alpha"], arguments["size"], arguments["classes"]) == (0.1, 96, 3)
    backbone = build(find_spec("mobilenet_v2"), seed=5, **narrow)
    fresh = build(spec, seed=0, **arguments)
    taken = [layer.name for layer in backbone.layers if layer.weights and layer.name != "logits"]
    for name in taken:
        for ours, theirs in zip(
            model.get_layer(name).get_weights(), backbone.get_layer(name).get_weights(), strict=True
        ):
            assert np.array_equal(ours, theirs), name
    assert not np.array_equal(model.get_layer("stem").get_weights()[0], fresh.get_layer("stem").get_weights()[0])
    assert np.array_equal(model.get_layer("scores_1").get_weights()[0], fresh.get_layer("scores_1").get_weights()[0])
    assert imported.provenance.source_format == "keras"


def test_a_detector_goes_on_from_its_own_file_with_other_classes(tmp_path: Path) -> None:
    done = edgekit("zoo", "build", "ssdlite_mobilenet_v2", *NARROW, "-o", tmp_path / "whole.keras")
    assert done.returncode == 0, done.stderr
    spec = find_spec("ssdlite_mobilenet_v2")
    source, _, same = build_with_weights(spec, tmp_path / "whole.keras", arguments={})
    other, _, arguments = build_with_weights(spec, tmp_path / "whole.keras", seed=1, classes=3, arguments={})
    assert (same["classes"], arguments["classes"]) == (80, 3)
    for name in ("stem", "boxes_1", "extra_1"):
        assert np.array_equal(source.get_layer(name).get_weights()[0], other.get_layer(name).get_weights()[0])
    assert other.get_layer("scores_1").get_weights()[0].shape[-1] == 6 // 2 * 4


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    done = edgekit("zoo", "build", "mobilenet_v1", *NARROW, "-o", tmp_path / "v1.keras")
    assert done.returncode == 0, done.stderr
    done = edgekit(
        "train", "ssdlite_mobilenet_v2", *NARROW, "--weights", tmp_path / "v1.keras", "--preset", "small", "-o",
        tmp_path / "run",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2,
        f"edgekit: {tmp_path}/v1.keras holds mobilenet_v1, not mobilenet_v2; use it with mobilenet_v1 instead.\n",
    )


@pytest.mark.slow
def test_yolo_is_trained_on_a_users_own_boxes_too(tmp_path: Path) -> None:
    data, run = coco_folder(tmp_path / "scenes", 20), tmp_path / "run"
    done = edgekit("train", "yolo_v1", *NARROW, "--data", data, "--epochs", "1", "--batch-size", "8", "-o", run)
    assert done.returncode == 0, done.stderr
    card = open_artifact(run / "model.keras").card
    assert card.detection == find_spec("yolo_v1").detection({"size": 64, "cell": 16})
    assert card.labels == tuple("0123456789")
    (first,) = json.loads((run / "history.json").read_bytes())["epochs"]
    assert {"cell_accuracy", "val_loss", "val_map50"} < set(first)


def learned(folder: Path, scenes: Path, arguments: dict[str, Any], epochs: int) -> Path:
    """``folder`` with a YOLO that has learned ``scenes``, all of them and nothing else, and its file."""
    spec = find_spec("yolo_v1")
    preset = replace(spec.presets["small"], boxes=None, learning_rate=1.5e-3, batch_size=8, epochs=epochs)
    arguments = spec.resolved({**preset.arguments, "depth": "tiny", "alpha": 0.25, "size": 96, "cell": 16, **arguments})
    preprocessing, detection = spec.preprocessing(arguments), spec.detection(arguments)
    assert detection is not None
    data = open_data(str(scenes), part=Part.TRAIN, data_dir=None)
    images = load_boxed_images(data, preprocessing)
    assert data.class_names is not None
    lesson = DetectionLesson(
        training=images,
        validation=images,
        class_names=data.class_names,
        detection=detection,
        preprocessing=preprocessing,
        preset=preset,
        seed=0,
    )
    folder.mkdir()
    model = build(spec, seed=0, **arguments)
    state, model = fit(
        model, lesson, checkpoint=folder / "checkpoint.npz", progress=silent, on_epoch=lambda _record, _epochs: None
    )
    first, last = state.history[0], state.history[-1]
    assert last.loss < first.loss / 4
    assert last.metrics["val_map50"] > first.metrics["val_map50"] + 0.5
    card = card_for(model, spec, arguments=arguments, preprocessing=preprocessing, labels=data.class_names)
    save(model, card, folder / "model.keras")
    return folder / "model.keras"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("arguments", "epochs"),
    [
        ({"head": "conv", "activation": "relu"}, 40),
        ({"head": "dense", "activation": "leaky", "units": 128, "dropout": 0.0}, 90),
    ],
    ids=["conv-relu", "dense-leaky"],
)
def test_yolo_learns_scenes_and_its_files_find_what_it_does(
    arguments: dict[str, Any], epochs: int, tmp_path: Path
) -> None:
    scenes, files = coco_folder(tmp_path / "scenes", 24), tmp_path / "files"
    model = learned(tmp_path / "yolo_v1", scenes, arguments, epochs)
    done = edgekit(
        "convert", model, "-p", "fp32", "-p", "int8", "--calibration", scenes, "--samples", "8", "-o", files,
        "--json", tmp_path / "made.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "made.json").read_bytes())["results"]
    assert {op["op"] for row in made for op in row["float_ops"]} == {"Transpose"}  # of the image, in ONNX
    paths = [model, *(files / f"model.{recipe}.{fmt}" for recipe in ("fp32", "int8") for fmt in ("tflite", "onnx"))]
    done = edgekit("evaluate", *paths, "--data", scenes, "--json", tmp_path / "evaluate.json")
    assert done.returncode == 0, done.stderr
    found = [row["metrics"]["map50"] for row in json.loads((tmp_path / "evaluate.json").read_bytes())["results"]]
    assert found[0] > 0.5
    assert found[1:3] == pytest.approx([found[0]] * 2, abs=1e-3)
    assert found[3:] == pytest.approx([found[0]] * 2, abs=0.05)
    source, *others = open_detectors(paths[:3], preprocess=None, labels=None, decoder=None, threads=1)
    for photo in sorted((scenes / "images").iterdir()):
        pixels = np.asarray(Image.open(photo))
        expected = source.detect(pixels)
        for other in others:
            again = other.detect(pixels)
            np.testing.assert_array_equal(again.classes, expected.classes)
            np.testing.assert_allclose(again.boxes, expected.boxes, atol=1e-4)
