"""Detectors of two files, through real engines and the command line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from tiny_two_stage import COLOURS, PIXELS, QUARTERS, heads, two_stage

from edgekit.card import ModelCard, TensorSpec
from edgekit.detection import Detection, Head, Scores
from edgekit.errors import InputError
from edgekit.measure.detectors import Detector, open_detectors
from edgekit.regions import Companion, Proposals, Search
from edgekit.tasks.boxes import iou

QUARTER_BOXES = [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1]]


def quarters(*colours: str, side: int = 40) -> Any:
    """An image whose quarters have these ``colours``, left to right and down; "" is dark."""
    pixels = np.zeros((2, 2, 3), np.uint8)
    for place, colour in enumerate(colours):
        if colour:
            pixels[place // 2, place % 2, COLOURS.index(colour)] = 255
    return np.repeat(np.repeat(pixels, side // 2, axis=0), side // 2, axis=1)


def opened(path: Path) -> Detector:
    (detector,) = open_detectors([path], preprocess=None, labels=None, decoder=None, threads=1)
    return detector


@pytest.mark.parametrize("batch", [1, None])
def test_regions_of_the_first_file_are_told_by_the_second(batch: int | None, tmp_path: Path) -> None:
    found = opened(two_stage(tmp_path, batch=batch)).detect(quarters("blue", "red", "", "green"))
    order = np.argsort(found.boxes[:, 0])
    assert [COLOURS[found.classes[i]] for i in order] == ["blue", "red"]  # the third is dark, the fourth not proposed
    np.testing.assert_allclose(found.boxes[order], QUARTER_BOXES[:2], atol=1e-3)
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-6)), atol=0.005)


def test_every_verb_takes_the_first_file(tmp_path: Path) -> None:
    data = tmp_path / "scenes"
    (data / "images").mkdir(parents=True)
    (data / "labels").mkdir()
    (data / "classes.txt").write_text("\n".join(COLOURS) + "\n")
    for index in range(4):
        colours = [COLOURS[index % 3], COLOURS[(index + 1) % 3], ""]
        Image.fromarray(quarters(*colours)).save(data / "images" / f"{index}.png")
        lines = [f"{COLOURS.index(c)} {x + 0.25} {0.25} 0.5 0.5" for c, x in zip(colours, (0, 0.5), strict=False)]
        (data / "labels" / f"{index}.txt").write_text("\n".join(lines) + "\n")
    model = two_stage(tmp_path)
    done = edgekit("evaluate", model, "--data", data, "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = json.loads(done.stdout)["results"]
    assert (row["n"], row["objects"], row["metrics"]["map"]) == (4, 8, pytest.approx(1))
    done = edgekit("predict", model, data / "images" / "1.png", "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = json.loads(done.stdout)["results"]
    assert {found["label"] for found in row["detections"]} == {"green", "blue"}
    done = edgekit("demo", "detect", model, "--source", data / "images", "--view", "none", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert [len(row["detections"]) for row in json.loads(done.stdout)["results"]] == [2, 2, 2, 2]


def _without_second(folder: Path) -> str:
    path = two_stage(folder)
    (folder / "d.heads.onnx").unlink()
    return f"{path} needs d.heads.onnx in the same folder; copy both files of the detector."


def _with_another(folder: Path) -> str:
    path = two_stage(folder, companion=Companion(name="d.heads.onnx", sha256="0" * 64))
    second = path.parent / "d.heads.onnx"
    return f"{second} is not the file that {path} was made with; copy both files of one conversion."


def _without_a_name(folder: Path) -> str:
    path = two_stage(folder, proposals=Proposals(bins=2))
    return f"The card of {path} names no second file; train, build or convert the detector anew."


@pytest.mark.parametrize("broken", [_without_second, _with_another, _without_a_name])
def test_a_detector_without_its_second_file_is_refused(broken: Any, tmp_path: Path) -> None:
    message = broken(tmp_path)
    done = edgekit("predict", tmp_path / "d.onnx", tmp_path)
    assert (done.returncode, done.stderr) == (2, f"edgekit: {message}\n")


def region_file(path: Path, *, count: int = 50, **fields: Any) -> Path:
    """A file that tells the colour of a region of 6 x 6 pixels, which selective search finds."""
    card = ModelCard(
        name="r",
        task="detection",
        inputs=(TensorSpec(name="pooled", shape=(1, 6, 6, 3), dtype="float32"),),
        outputs=tuple(TensorSpec(name=n, shape=(1, w), dtype="float32") for n, w in (("scores", 4), ("offsets", 12))),
        preprocessing=replace(PIXELS, size_hw=(6, 6)),
        labels=COLOURS,
        detection=Detection(
            head=Head.REGIONS, search=Search(size_hw=(80, 80), count=count, context=0.0), iou_threshold=0.3
        ),
    )
    return heads(path, side=6, card=replace(card, **fields))


def test_regions_are_searched_where_a_file_asks_for_them(tmp_path: Path) -> None:
    image = np.full((80, 80, 3), 40, np.uint8)
    image[10:30, 10:40], image[50:70, 44:60] = [255, 0, 0], [0, 0, 255]
    found = opened(region_file(tmp_path / "r.onnx")).detect(image).at(slice(2))
    order = np.argsort(found.classes)
    assert [COLOURS[found.classes[i]] for i in order] == ["red", "blue"]
    expected = np.array([[10, 10, 40, 30], [44, 50, 60, 70]]) / 80
    assert np.diag(iou(found.boxes[order], expected)).min() > 0.6  # the file prefers what is inside the blurred edges


def test_a_file_that_gives_other_outputs_is_refused(tmp_path: Path) -> None:
    path = two_stage(tmp_path, anchors=(), proposals=None, search=Search(size_hw=(40, 40)))
    with pytest.raises(InputError) as caught:
        opened(path)
    assert str(caught.value) == (
        f"{path} has 1 inputs and the outputs anchor_offsets, features, objectness; as a part of a detector of two "
        "stages it has one and offsets, scores."
    )


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: Companion(name="../d.onnx", sha256=""),
            "A detector's second file is called '../d.onnx'; expected a name without a folder.",
        ),
        (
            lambda: Companion(name="", sha256=""),
            "A detector's second file is called ''; expected a name without a folder.",
        ),
        (lambda: Proposals(bins=0), "A region has 0 bins a side; expected 1 to 64."),
        (
            lambda: Proposals(count=10, candidates=9),
            "A detector proposes 10 of 9 candidates; expected 1 or more of at least as many, and at most 100000.",
        ),
        (lambda: Proposals(iou_threshold=1.5), "The iou_threshold of proposals is 0 to 1; got 1.5."),
        (lambda: Search(size_hw=(8, 40)), "Regions are searched in 16 to 4096 pixels a side; got (8, 40)."),
        (
            lambda: Search(size_hw=(40, 40), context=0.5),
            "The context of a region is 0 to below 0.5 of its side; got 0.5.",
        ),
        (lambda: Search(size_hw=(40, 40), count=0), "A search gives 1 to 100000 regions; got 0."),
        (lambda: Search(size_hw=(40, 40), least_side=1.0), "The least side of a region is 0 to below 1; got 1."),
        (lambda: Search(size_hw=(40, 40), scales=(0.0,)), "The scales of a search are numbers above 0; got (0.0,)."),
        (
            lambda: Detection(head=Head.REGIONS),
            "The head regions has 0 sources of regions; expected proposals or a search for regions, and neither for "
            "others.",
        ),
        (
            lambda: Detection(head=Head.YOLOV8, search=Search(size_hw=(40, 40))),
            "The head yolov8 has 1 sources of regions; expected proposals or a search for regions, and neither for "
            "others.",
        ),
        (
            lambda: Detection(head=Head.REGIONS, anchors=(QUARTERS,), search=Search(size_hw=(40, 40))),
            "The head regions has 1 levels of anchors; only ssd and proposals have any.",
        ),
    ],
)
def test_regions_that_make_no_sense_are_refused(made: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        made()
    assert str(caught.value) == message


def test_the_card_keeps_what_it_says_of_regions(tmp_path: Path) -> None:
    spec = opened(two_stage(tmp_path, scores=Scores.SIGMOID)).decoder.spec
    assert spec.proposals is not None
    assert spec.proposals.heads is not None
    assert (spec.scores, spec.proposals.count, spec.proposals.heads.name) == (Scores.SIGMOID, 3, "d.heads.onnx")
