"""Detector files on images with boxes, through the real engines and the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from tiny_detector import detector

from edgekit.errors import InputError
from edgekit.measure.detectors import open_detectors
from edgekit.measure.evaluate_detection import evaluate_detection
from edgekit.tasks.labels import read_labels


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Twelve 40 x 20 photos, each with one object whose class is the brightness of the photo, always in one place."""
    folder = tmp_path / "scenes"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text("dark\nbright\n")
    for index in range(12):
        Image.new("L", (40, 20), 60 + 130 * (index % 2)).save(folder / "images" / f"{index:02}.png")
        (folder / "labels" / f"{index:02}.txt").write_text(f"{index % 2} 0.5 0.5 0.5 0.5\n")
    return folder


def test_a_file_with_a_card_needs_no_flag(scenes: Path, tmp_path: Path) -> None:
    model = detector(tmp_path / "d.onnx", name="d")
    report = evaluate_detection([model], str(scenes))
    (row,) = report.results()
    assert (row["n"], row["objects"], row["data"]) == (12, 12, "scenes")
    assert row["metrics"]["map"] == pytest.approx(1)
    assert row["map_by_class"] == {"dark": pytest.approx(1), "bright": pytest.approx(1)}
    assert report.indices == tuple(range(12))
    assert [found.classes[:1].tolist() for found in report.entries[0].found] == [[0], [1]] * 6


def test_labels_in_another_order_are_matched_by_name(scenes: Path, tmp_path: Path) -> None:
    wrong = detector(tmp_path / "d.onnx", labels=("bright", "dark"))
    right = detector(tmp_path / "e.onnx", name="e")
    swapped, straight = evaluate_detection([wrong, right], str(scenes)).results()
    assert swapped["metrics"]["map"] < 0.6 < straight["metrics"]["map"]


def test_the_command_writes_the_agreed_json(scenes: Path, tmp_path: Path) -> None:
    model = detector(tmp_path / "d.onnx", name="d")
    done = edgekit("evaluate", model, "--data", scenes, "--samples", 6, "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    (row,) = data["results"]
    assert (data["schema_version"], data["command"], row["n"], row["format"]) == (1, "evaluate", 6, "onnx")
    assert row["metrics"]["map50"] == pytest.approx(1)
    table = edgekit("evaluate", model, "--data", scenes).stdout
    assert "12 objects in 12 images of scenes" in table
    assert "mAP" in table
    assert "100.00" in table


def test_predict_tells_what_is_where(scenes: Path, tmp_path: Path) -> None:
    model = detector(tmp_path / "d.onnx", name="d")
    done = edgekit("predict", model, scenes / "images" / "01.png", "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = json.loads(done.stdout)["results"]
    (found,) = row["detections"]
    assert (found["label"], found["class_id"]) == ("bright", 1)
    assert found["score"] == pytest.approx(190 / 255, abs=0.01)
    assert found["box"] == pytest.approx([0.25, 0.25, 0.75, 0.75])
    table = edgekit("predict", model, scenes / "images").stdout
    assert "10, 5, 30, 15" in table
    assert table.count("bright") == 6


def test_a_foreign_file_says_nothing_by_itself(scenes: Path, tmp_path: Path) -> None:
    model = detector(tmp_path / "d.onnx")
    labels = scenes / "classes.txt"
    flags = ["--preprocess", "unit", "--decoder", "yolov8", "--labels", labels]
    assert edgekit("evaluate", model, "--data", scenes, *flags).returncode == 0
    for missing, message in (
        (slice(0, 2), f"Nothing says how images become the input of {model}: say it with --preprocess."),
        (slice(2, 4), f"Nothing says what the outputs of {model} mean: name them with --decoder, one of "),
    ):
        left = [flag for flag in flags if flag not in flags[missing]]
        done = edgekit("evaluate", model, "--data", scenes, *left)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert done.stderr.startswith(f"edgekit: {message}")
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    done = edgekit("evaluate", model, "--data", scenes, *flags[:-1], tmp_path / "three.txt")
    assert done.stderr == f"edgekit: {model} has 2 classes and 3 labels; give as many with --labels.\n"


@pytest.mark.parametrize(("head", "what"), [("ssd", "anchors"), ("yolo-v1", "grid")])
def test_a_head_that_needs_a_card_is_refused_without_one(head: str, what: str, scenes: Path, tmp_path: Path) -> None:
    model = detector(tmp_path / "d.onnx")
    done = edgekit("evaluate", model, "--data", scenes, "--preprocess", "unit", "--decoder", head)
    assert (done.returncode, done.stderr) == (
        2, f"edgekit: The {what} of {model} must be told in its card: use `edgekit card attach`.\n",
    )  # fmt: skip


def test_labels_of_another_number_are_refused_everywhere(scenes: Path, tmp_path: Path) -> None:
    model, photo = detector(tmp_path / "d.onnx"), scenes / "images" / "01.png"
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    flags = ("--preprocess", "unit", "--decoder", "yolov8", "--labels", tmp_path / "three.txt")
    for command in (
        ("predict", model, photo, *flags),
        ("demo", "detect", model, "--source", photo, *flags),
        ("evaluate", model, "--data", scenes, *flags),
    ):
        done = edgekit(*command)
        assert (done.returncode, done.stderr) == (
            2, f"edgekit: {model} has 2 classes and 3 labels; give as many with --labels.\n",
        )  # fmt: skip


def test_a_class_that_no_label_names_is_refused(tmp_path: Path) -> None:
    (found,) = open_detectors(
        [detector(tmp_path / "d.onnx", name="d")], preprocess=None, labels=None, decoder=None, threads=1
    )
    assert found.label(1) == "bright"
    with pytest.raises(InputError) as caught:
        found.label(2)
    assert str(caught.value) == f"{tmp_path / 'd.onnx'} found class 2 and has 2 labels; give all with --labels."


def test_data_without_boxes_are_refused(colour_photos: Path, tmp_path: Path) -> None:
    model = detector(tmp_path / "d.onnx", name="d")
    done = edgekit("evaluate", model, "--data", colour_photos, "--decoder", "yolov8")
    assert done.returncode == 2
    assert done.stderr.startswith(f"edgekit: The data set {colour_photos.name} has no boxes; expected instances.json")


@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ssd_mobilenet_v1_coco_quant_postprocess.tflite", "fastestdet_coco.onnx"])
def test_known_detectors_reach_what_a_plain_script_measures(name: str, shared_data: Path, tmp_path: Path) -> None:
    """The script is written out here, from the files' documentation alone, and shares no code with edgekit."""
    models, kind = shared_data / "models", "tflite" if name.endswith("tflite") else "onnx"
    labels = "labels_coco_90_ssd.txt" if kind == "tflite" else "labels_coco_80.txt"
    report = evaluate_detection(
        [models / name],
        "coco_mini",
        data_dir=shared_data,
        preprocess="tf" if kind == "tflite" else "unit",
        labels=read_labels(models / labels),
        decoder=None if kind == "tflite" else "fastestdet",
    )
    figures = report.results()[0]["metrics"]
    reference = plain_script(models / name, models / labels, shared_data / "coco_mini" / "coco_mini.zip", tmp_path)
    assert figures["map"] == pytest.approx(reference[0], abs=0.002)
    assert figures["map50"] == pytest.approx(reference[1], abs=0.002)
    assert figures["map50"] > 0.3


def plain_script(model: Path, labels: Path, archive: Path, folder: Path) -> tuple[float, float]:
    """mAP at .50:.95 and at .50 of one of the two known files on the photos in ``archive``."""
    import zipfile

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with zipfile.ZipFile(archive) as photos:  # of the data sets at hand, whose names are known
        photos.extractall(folder)
    truth = COCO(str(folder / "instances.json"))
    ids = {category["name"]: category["id"] for category in truth.loadCats(truth.getCatIds())}
    names = labels.read_text().splitlines()
    look = ssd(model) if model.suffix == ".tflite" else fastestdet(model)
    found = []
    for image in truth.loadImgs(truth.getImgIds()):
        photo = Image.open(folder / image["file_name"]).convert("RGB")
        for x1, y1, x2, y2, score, label in look(photo):
            if names[label] in ids:
                w, h = photo.size
                box = [x1 * w, y1 * h, (x2 - x1) * w, (y2 - y1) * h]
                row = {"image_id": image["id"], "category_id": ids[names[label]], "bbox": box, "score": score}
                found.append(row)
    judge = COCOeval(truth, truth.loadRes(found), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return float(judge.stats[0]), float(judge.stats[1])


def ssd(model: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model))
    interpreter.allocate_tensors()
    source, outputs = interpreter.get_input_details()[0], interpreter.get_output_details()

    def look(photo: Image.Image) -> list[tuple[Any, ...]]:
        pixels = np.asarray(photo.resize((300, 300), Image.Resampling.BILINEAR))
        interpreter.set_tensor(source["index"], pixels[None])
        interpreter.invoke()
        boxes, classes, scores, count = (interpreter.get_tensor(o["index"]) for o in outputs)
        rows = zip(boxes[0], scores[0], classes[0], strict=True)
        return [(b[1], b[0], b[3], b[2], float(s), int(c)) for b, s, c in list(rows)[: int(count[0])]]

    return look


def fastestdet(model: Path) -> Any:
    import math

    import onnxruntime

    session = onnxruntime.InferenceSession(str(model))
    name = session.get_inputs()[0].name

    def look(photo: Image.Image) -> list[tuple[Any, ...]]:
        pixels = np.asarray(photo.resize((352, 352), Image.Resampling.BILINEAR), np.float32)[..., ::-1] / 255
        (maps,) = session.run(None, {name: np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})
        rows = []
        for y in range(22):
            for x in range(22):
                cell = maps[0, :, y, x]
                label = int(cell[5:].argmax())
                score = float(cell[0] ** 0.6 * cell[5 + label] ** 0.4)
                if score < 0.001:
                    continue
                cx, cy = (x + math.tanh(cell[1])) / 22, (y + math.tanh(cell[2])) / 22
                w, h = 1 / (1 + math.exp(-cell[3])), 1 / (1 + math.exp(-cell[4]))
                rows.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score, label))
        rows.sort(key=lambda row: -row[4])
        kept: list[tuple[Any, ...]] = []
        for row in rows:
            if all(other[5] != row[5] or overlap(other, row) <= 0.45 for other in kept):
                kept.append(row)
        return [tuple(min(max(v, 0.0), 1.0) for v in row[:4]) + row[4:] for row in kept[:100]]

    return look


def overlap(a: tuple[Any, ...], b: tuple[Any, ...]) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))
