"""``convert --nms graph``: the command on a Keras model, and every verb on its files."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from tiny_detector import detector as yolo
from tiny_ssd import (
    AS_IS,
    POSTPROCESS,
)  # fmt: skip

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from aarch64.places import UnavailableError, arm
from aarch64.places import run as run_at

from edgekit.artifact import attach_card, open_artifact
from edgekit.converters.nms_parity import require_same_detections
from edgekit.detection import AnchorLevel, Detection, Head
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.runtimes import open_runtime
from edgekit.tasks.detection import make_decoder

CARD = Detection(
    head=Head.SSD, anchors=(AnchorLevel(rows=4, columns=4, shapes=((0.25, 0.25), (0.3, 0.3))),), score_threshold=0.4
)


def scenes(folder: Path, count: int, seed: int) -> Path:
    """Photos of 16 x 16 pixels with one to three squares, and their boxes as YOLO writes them."""
    random = np.random.default_rng(seed)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.txt").write_text("red\nblue\n")
    for index in range(count):
        pixels, lines = random.integers(70, 130, (16, 16, 3)).astype(np.uint8), []
        for cell in random.choice(16, random.integers(1, 4), replace=False):
            row, column, kind = cell // 4, cell % 4, int(random.integers(2))
            pixels[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = [(230, 60, 20), (20, 60, 230)][kind]
            lines.append(f"{kind} {(column + 0.5) / 4} {(row + 0.5) / 4} 0.25 0.25\n")
        Image.fromarray(pixels).save(folder / "images" / f"{index:02}.png")
        (folder / "labels" / f"{index:02}.txt").write_text("".join(lines))
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The folder with the source and its data, and what two conversions wrote: boxes chosen by the device, and not."""

    home: Path
    device: Path
    graph: Path
    rows: list[dict[str, Any]]
    told: str


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    home = tmp_path_factory.mktemp("detector")
    script = Path(__file__).parent / "convert_detector.py"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, script, home / "d.keras"], check=True, capture_output=True, env=environment)
    card = open_artifact(home / "d.keras").card
    how = Preprocessing(size_hw=(16, 16), resize=Resize.STRETCH, scale=(1 / 255,))
    attach_card(
        home / "d.keras",
        replace(card, task="detection", preprocessing=how, labels=("red", "blue"), detection=CARD),
    )
    calibration = scenes(home / "train", 40, 0)
    scenes(home / "test", 24, 1)
    flags = ["-p", "fp32", "--int8", "--calibration", calibration, "--json", "-"]
    results = {}
    for nms in ("device", "graph"):
        done = edgekit("convert", home / "d.keras", "--nms", nms, "-o", home / nms, *flags)
        assert done.returncode == 0, done.stderr
        results[nms] = (json.loads(done.stdout)["results"], done.stderr)
    rows, told = results["graph"]
    return Converted(home=home, device=home / "device", graph=home / "graph", rows=rows, told=told)


FILES = [f"d.{recipe}.{fmt}" for recipe in ("fp32", "int8") for fmt in ("tflite", "onnx")]


@pytest.mark.parametrize("name", FILES)
def test_the_card_says_that_boxes_are_chosen_and_keeps_the_thresholds(name: str, converted: Converted) -> None:
    artifact = open_artifact(converted.graph / name)
    assert [output.name for output in artifact.card.outputs] == list(POSTPROCESS)
    assert artifact.card.detection == Detection(head=Head.SSD_POSTPROCESS, score_threshold=0.4)
    assert artifact.card.labels == ("red", "blue")
    recipe = artifact.card.provenance.recipe
    assert recipe is not None
    assert (recipe.nms, recipe.code) == ("graph", name.split(".")[1])
    before = open_artifact(converted.device / name).card
    assert before.detection == CARD
    assert [i.dtype for i in artifact.card.inputs] == [i.dtype for i in before.inputs]


def test_average_precision_is_the_same_wherever_boxes_are_chosen(converted: Converted) -> None:
    files = [folder / name for name in FILES for folder in (converted.device, converted.graph)]
    done = edgekit("evaluate", *files, "--data", converted.home / "test", "--json", "-")
    assert done.returncode == 0, done.stderr
    rows = [row["metrics"] for row in json.loads(done.stdout)["results"]]
    for device, graph in zip(rows[::2], rows[1::2], strict=True):
        assert graph == pytest.approx(device, abs=1e-6)
        assert 0.5 < graph["map"] <= 1


@pytest.mark.parametrize("name", FILES)
def test_predict_finds_the_same_objects(name: str, converted: Converted) -> None:
    photos = converted.home / "test" / "images"
    found = []
    for folder in (converted.device, converted.graph):
        done = edgekit("predict", folder / name, photos, "--json", "-")
        assert (done.returncode, done.stderr) == (0, "")
        found.append([row["detections"] for row in json.loads(done.stdout)["results"]])
    count = 0
    for both in zip(*found, strict=True):
        # Squares of one colour have the same score, and no order.
        device, graph = (sorted(one, key=lambda d: (d["label"], np.round(d["box"], 2).tolist())) for one in both)
        assert [d["label"] for d in graph] == [d["label"] for d in device]
        assert [d["score"] for d in graph] == pytest.approx([d["score"] for d in device], abs=1e-4)
        for mine, its in zip(graph, device, strict=True):
            assert mine["box"] == pytest.approx(its["box"], abs=1e-3)
        count += len(graph)
    assert count == sum(len(text.read_text().splitlines()) for text in (converted.home / "test/labels").iterdir())


def test_the_report_says_what_is_in_float_and_what_was_compared(converted: Converted) -> None:
    ops = {Path(row["artifact"]).name: row["float_ops"] for row in converted.rows}
    reason = "--nms graph chooses boxes in float"
    assert ops["d.fp32.tflite"] == ops["d.fp32.onnx"] == []
    last = {"name": "detection_postprocess", "reason": reason}
    assert {**last, "op": "TFLite_Detection_PostProcess"} in ops["d.int8.tflite"]
    assert {**last, "op": "NonMaxSuppression"} in ops["d.int8.onnx"]
    for row in converted.rows:
        assert row["model_bytes"] == Path(row["artifact"]).stat().st_size
        note = row["notes"][-1]
        assert note.startswith("boxes are chosen in the graph, and the ")
        assert note.endswith(" found in 40 items are those of the device")
        assert f"{Path(row['artifact']).name}: {note}." in converted.told


@pytest.mark.slow
def test_a_manifest_repeats_the_files_to_the_byte(converted: Converted, tmp_path: Path) -> None:
    done = edgekit("convert", converted.graph / "d.fp32-int8.manifest.json", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (converted.graph / name).read_bytes(), name


def test_inspect_tells_a_custom_operator_that_needs_nothing_more(converted: Converted) -> None:
    path = converted.graph / "d.int8.tflite"
    done = edgekit("inspect", path, "--target", "tflite-runtime-2.14")
    assert done.returncode == 0, done.stderr
    assert "TFLite_Detection_PostProcess (built into LiteRT)" in done.stdout.replace("\n", " ")
    (row,) = json.loads(edgekit("inspect", path, "--json", "-").stdout)["results"]
    assert row["custom_operators"] == ["TFLite_Detection_PostProcess"]
    done = edgekit("inspect", converted.graph / "d.int8.onnx", "--target", "onnxruntime-1.19")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.device
@pytest.mark.parametrize("name", ["d.int8.tflite", "d.int8.onnx"])
def test_int8_files_that_choose_their_boxes_run_on_arm(name: str, converted: Converted) -> None:
    try:
        place = arm("cortex-a72")
    except UnavailableError as error:
        pytest.skip(str(error))
    photos = sorted((converted.home / "test" / "images").iterdir())
    images = np.stack([np.asarray(Image.open(photo)) for photo in photos]).astype(np.float32) / 255
    before = open_artifact(converted.device / name)
    runtime = open_runtime(before.path)
    answers = [runtime.run({"image": image[None]}, as_float=True) for image in images]
    reference = {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}
    outputs = run_at(place, converted.graph / name, {"image": images}).outputs
    other = {name: np.reshape(values, (len(images), -1, *values.shape[2:])) for name, values in outputs.items()}
    device, graph = (
        make_decoder(artifact, artifact.card.detection or CARD, AS_IS)
        for artifact in (before, open_artifact(converted.graph / name))
    )
    assert require_same_detections(device, graph, reference, other, what=name) >= len(images)


def test_what_has_no_anchors_is_refused_before_any_work(tmp_path: Path, converted: Converted) -> None:
    model = yolo(tmp_path / "y.onnx", name="y")
    foreign = yolo(tmp_path / "f.onnx")
    sentence = (
        "--nms graph takes a detector with the head ssd, whose anchors are in its card; {} is {}: leave --nms out."
    )
    for path, got in (
        (model, "a detector with the head yolov8"),
        (foreign, "no detector by its card"),
        (converted.graph / "d.fp32.onnx", "a detector with the head ssd-postprocess"),
    ):
        done = edgekit("convert", path, "-p", "fp32", "--nms", "graph", "-o", tmp_path / "out")
        assert (done.returncode, done.stderr) == (2, f"edgekit: {sentence.format(path, got)}\n")
    assert not (tmp_path / "out").exists()


def test_an_unknown_place_is_refused(tmp_path: Path) -> None:
    done = edgekit("convert", yolo(tmp_path / "y.onnx"), "--nms", "cloud")
    assert done.returncode == 2
    assert "'cloud' is not one of 'device', 'graph'" in done.stderr
