"""Accuracy on a device: what is prepared here and run there, and what it says of itself."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_two_stage import two_stage

from edgekit.artifact import open_artifact
from edgekit.cli.compare import command as compare_command
from edgekit.cli.evaluate import command
from edgekit.devices import open_device
from edgekit.errors import DeviceError, InputError
from edgekit.measure.compare import compare
from edgekit.measure.detectors import open_detectors
from edgekit.measure.evaluate import evaluate
from edgekit.measure.evaluate_detection import evaluate_detection

Make = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("piped")


def test_a_classifier_on_a_device_is_as_good_as_here(colour_model: Make, colour_photos: Path) -> None:
    path = colour_model([[9, 1, 3], [1, 4, 5], [2, 6, 7]])
    here, there = (evaluate([path], str(colour_photos), device=device) for device in ("local", "board"))
    assert [e.metrics() for e in there.entries] == [e.metrics() for e in here.entries]
    assert there.entries[0].metrics()["top1"] < 1
    assert [report.results()[0]["device"] for report in (here, there)] == ["local", "board"]
    assert there.host["boot_id"] == here.host["boot_id"]
    assert there.table()[0] == f"Accuracy on 24 items of {colour_photos.name}, on board"
    assert here.table()[0] == f"Accuracy on 24 items of {colour_photos.name}"


def test_the_command_says_where_it_was_measured(colour_model: Make, colour_photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = [str(colour_model()), "--data", str(colour_photos), "--device", "board://emulated", "--json", str(out)]
    done = CliRunner().invoke(command, [*arguments, "--engine", "onnxruntime"], catch_exceptions=False)
    assert done.exit_code == 0
    data = json.loads(out.read_text())
    assert data["results"][0]["device"] == "board://emulated"
    assert data["results"][0]["engine"].startswith("onnxruntime ")
    assert data["results"][0]["metrics"]["top1"] == 1.0
    assert data["host"]["emulated"] is True  # of the device, not of this machine
    assert "on board://emulated" in done.stdout


def test_a_detector_of_two_files_runs_both_on_the_device(tmp_path: Path) -> None:
    path = two_stage(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    options = {"preprocess": None, "labels": None, "decoder": None, "threads": 1}
    (here,) = open_detectors([path], **options)  # type: ignore[arg-type]
    with open_device("board") as device:
        (there,) = open_detectors([path], **options, device=device)  # type: ignore[arg-type]
        assert there.subject.device == "board"
        assert type(there.subject.runtime.last).__name__ == "LinkedRuntime"  # type: ignore[attr-defined]
        found, known = there.detect(image), here.detect(image)
    np.testing.assert_array_equal(found.boxes, known.boxes)
    np.testing.assert_array_equal(found.scores, known.scores)


def test_detections_are_scored_on_a_device(finder: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((30, 40, 3), 200, np.uint8)).save(tmp_path / "images" / "a.png")
    (tmp_path / "boxes.csv").write_text("file,xmin,ymin,xmax,ymax,class_name\nimages/a.png,10,7,30,23,bright\n")
    here, there = (
        evaluate_detection([finder], str(tmp_path / "boxes.csv"), device=device, labels=("dark", "bright"))
        for device in ("local", "board")
    )
    assert there.entries[0].result.metrics() == here.entries[0].result.metrics()
    assert there.entries[0].result.metrics()["map50"] == pytest.approx(1)
    assert there.results()[0]["device"] == "board"
    assert there.table()[0].endswith(", on board")
    assert there.host["boot_id"] == here.host["boot_id"]


def test_a_file_beside_itself_shows_what_a_device_makes_of_it(tiny_models: Path, colour_photos: Path) -> None:
    path = tiny_models / "convnet_int8.tflite"
    report = compare(path, [path], str(colour_photos), preprocess="unit", device="board")
    assert report.entries[0].metrics()["max_abs"] == 0
    assert [report.reference.device, report.entries[0].subject.device] == ["local", "board"]
    assert report.table()[0].endswith(", on board")
    assert report.results()[0]["device"] == "board"


def test_layers_are_looked_at_here_alone(tiny_models: Path) -> None:
    path = str(tiny_models / "convnet.onnx")
    done = CliRunner().invoke(compare_command, [path, path, "--data", "digits", "--layers", "--device", "board"])
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == (
        "--layers looks into files here by their own engines; leave --engine, --device, --ood and --passes out."
    )


def test_what_a_device_does_not_run_is_told(tiny_models: Path, colour_photos: Path) -> None:
    with pytest.raises(InputError, match="The engine openvino runs on this machine only, and not on board; "):
        evaluate([tiny_models / "convnet.onnx"], str(colour_photos), device="board", engines=["openvino"])
    with pytest.raises(InputError, match=r"convnet\.keras is a Keras file, which board does not run; convert"):
        evaluate([tiny_models / "convnet.keras"], str(colour_photos), device="board", preprocess="unit")


def test_a_device_that_is_gone_is_one_sentence(colour_model: Make, colour_photos: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        evaluate([colour_model()], str(colour_photos), device="board://gone")
    assert str(caught.value) == "gone and 3"
    assert open_artifact(colour_model()).card.labels is not None
