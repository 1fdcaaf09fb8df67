"""Detectors of two files, through real engines and the command line."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from tiny_two_stage import COLOURS, PIXELS, QUARTERS, heads, quarters, scenes, two_stage

from edgekit.artifact import open_artifact
from edgekit.card import ModelCard, TensorSpec
from edgekit.companion import Companion
from edgekit.detection import AnchorLevel, Detection, Head, Scores
from edgekit.errors import DataError, InputError
from edgekit.files import sha256_file
from edgekit.measure.benchmark import benchmark
from edgekit.measure.detectors import Detector, open_detectors
from edgekit.measure.settings import BenchmarkSettings
from edgekit.measure.two_stage import FIRST_OUTPUTS, RegionRuntime, proposed, proposing
from edgekit.models.registry import find_spec
from edgekit.preprocessing import Colour, resize
from edgekit.regions import Proposals, Search
from edgekit.runtimes import open_runtime
from edgekit.tasks.boxes import iou

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from aarch64.places import here
from regions_elsewhere import RegionFiles

QUARTER_BOXES = [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1]]


def opened(path: Path, *, threads: int = 1, engines: Sequence[str] = ()) -> Detector:
    (detector,) = open_detectors([path], preprocess=None, labels=None, decoder=None, threads=threads, engines=engines)
    return detector


@pytest.mark.parametrize("batch", [1, None])
def test_regions_of_the_first_file_are_told_by_the_second(batch: int | None, tmp_path: Path) -> None:
    found = opened(two_stage(tmp_path, batch=batch)).detect(quarters("blue", "red", "", "green"))
    order = np.argsort(found.boxes[:, 0])
    assert [COLOURS[found.classes[i]] for i in order] == ["blue", "red"]  # the third is dark, the fourth not proposed
    np.testing.assert_allclose(found.boxes[order], QUARTER_BOXES[:2], atol=1e-3)
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-6)), atol=0.005)


def test_both_files_run_in_the_engine_and_threads_that_are_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = two_stage(tmp_path)
    assert _last(opened(path, engines=("openvino",))).name == "openvino"
    last: Any = _last(opened(path, threads=2))
    assert (last.name, last._session.get_session_options().intra_op_num_threads) == ("onnxruntime", 2)


def _last(detector: Detector) -> Any:
    assert isinstance(detector.subject.runtime, RegionRuntime)
    return detector.subject.runtime.last


def test_one_image_is_taken_although_the_file_takes_any_number(tmp_path: Path) -> None:
    (taken,) = opened(two_stage(tmp_path, images=None)).subject.runtime.inputs
    assert taken.shape == (1, 8, 8, 3)


def test_an_image_of_which_nothing_is_proposed_has_no_objects(tmp_path: Path) -> None:
    narrow = AnchorLevel(rows=2, columns=2, shapes=((0.005, 0.5),))
    detector = opened(two_stage(tmp_path, anchors=(narrow,)))
    assert len(detector.detect(quarters("blue", "red"))) == 0
    outputs = detector.subject.runtime.run({"image": np.zeros((1, 8, 8, 3), np.float32)})
    assert {name: values.shape for name, values in outputs.items()} == {
        "regions": (1, 0, 4), "scores": (1, 0, 4), "offsets": (1, 0, 12),
    }  # fmt: skip


@pytest.mark.parametrize("batch", [1, None])
def test_what_regions_show_is_made_in_parts(batch: int | None, tmp_path: Path) -> None:
    last, lengths = open_runtime(heads(tmp_path / "h.onnx", batch=batch)), []
    regions = np.linspace(0, 1, 130 * 4, dtype=np.float32).reshape(130, 4)

    def show(some: Any) -> Any:
        lengths.append(len(some))
        return np.broadcast_to(some[:, None, None, :3], (len(some), 2, 2, 3))

    found = RegionRuntime(inputs=(), look=lambda _: (regions, show), last=last, engine=last).run({})
    assert lengths == [64, 64, 2]
    np.testing.assert_allclose(found["scores"][0, :, 1:], regions[:, :3] * 12, atol=1e-5)
    assert found["offsets"].shape == (1, 130, 12)


@pytest.mark.parametrize("name", FIRST_OUTPUTS)
def test_a_first_file_gone_wrong_is_told(name: str) -> None:
    spec = Detection(head=Head.REGIONS, anchors=(QUARTERS,), proposals=Proposals(bins=2))
    shapes = {"features": (1, 8, 8, 3), "objectness": (1, 4, 2), "anchor_offsets": (1, 4, 4)}
    outputs = {output: np.zeros(shape, np.float32) for output, shape in shapes.items()}
    assert len(proposed(outputs, spec, Path("d.onnx"))[0]) == 4
    outputs[name].flat[0] = np.nan
    with pytest.raises(DataError) as caught:
        proposed(outputs, spec, Path("d.onnx"))
    assert str(caught.value) == (
        f"Output {name!r} of d.onnx has 1 of {outputs[name].size} values that are NaN or infinite; expected finite "
        "numbers."
    )


def test_every_verb_takes_the_first_file(tmp_path: Path) -> None:
    data = scenes(tmp_path / "scenes")
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


def test_outputs_elsewhere_are_as_large_as_the_card_says_however_many_regions_there_are(tmp_path: Path) -> None:
    """Or a region less on another CPU would be another shape, which cannot be compared."""
    path = two_stage(tmp_path)
    proposals = opened(path).decoder.spec.proposals
    assert proposals is not None
    path = two_stage(tmp_path, proposals=replace(proposals, candidates=9, count=9))
    images = np.stack([resize(quarters("blue", "red", "", "green"), PIXELS) / np.float32(255)] * 2)
    found = RegionFiles(artifact=open_artifact(path), images=images).run(here())
    assert found.outputs["regions"].shape == (2, 9, 4)
    assert [np.flatnonzero(each.any(axis=1)).tolist() for each in found.outputs["regions"]] == [[0, 1, 2, 3]] * 2
    assert (found.outputs["scores"].shape, found.outputs["offsets"].shape) == ((2, 9, 4), (2, 9, 12))
    assert found.objects is not None
    assert sorted(COLOURS[i] for i in found.objects[0].classes) == ["blue", "green", "red"]
    picture = np.full((1, 80, 80, 3), 40, np.uint8)
    picture[0, 10:30, 10:40] = [255, 0, 0]
    searched = RegionFiles(artifact=open_artifact(region_file(tmp_path / "r.onnx")), images=picture).run(here())
    assert {name: values.shape for name, values in searched.outputs.items()} == {
        "regions": (1, 50, 4), "scores": (1, 50, 4), "offsets": (1, 50, 12),
    }  # fmt: skip


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


OF_REGION = replace(PIXELS, size_hw=(6, 6))


def region_file(path: Path, *, count: int = 50, **fields: Any) -> Path:
    """A file that tells the colour of a region of 6 x 6 pixels, which selective search finds."""
    card = ModelCard(
        name="r",
        task="detection",
        inputs=(TensorSpec(name="pooled", shape=(1, 6, 6, 3), dtype="float32"),),
        outputs=tuple(TensorSpec(name=n, shape=(1, w), dtype="float32") for n, w in (("scores", 4), ("offsets", 12))),
        preprocessing=OF_REGION,
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


def test_files_in_the_place_of_the_other_are_refused(tmp_path: Path) -> None:
    path = two_stage(tmp_path)
    spec, paths = opened(path).decoder.spec, (path, tmp_path / "d.heads.onnx")
    first, last = map(open_runtime, paths)
    has = {
        path: "has 1 inputs and the outputs anchor_offsets, features, objectness",
        paths[1]: "has 1 inputs and the outputs offsets, scores",
    }
    for given, wrong, expected in (
        ((last, last), 1, "anchor_offsets, features, objectness"),
        ((first, first), 0, "offsets, scores"),
    ):
        with pytest.raises(InputError) as caught:
            proposing(*given, spec, paths=(paths[wrong], paths[wrong]))
        assert str(caught.value) == (
            f"{paths[wrong]} {has[paths[wrong]]}; as a part of a detector of two stages it has one and {expected}."
        )


def test_a_card_unlike_its_files_is_refused(tmp_path: Path) -> None:
    path = two_stage(tmp_path, anchors=(replace(QUARTERS, shapes=((0.5, 0.5), (0.4, 0.4))),))
    with pytest.raises(InputError) as caught:
        opened(path)
    assert str(caught.value) == (
        f"{path} gives objectness (4, 2) and anchor_offsets (4, 4); its card has 8 anchors, with 2 and 4 numbers each: "
        "correct the card."
    )
    path = two_stage(
        tmp_path,
        proposals=Proposals(
            bins=3, heads=Companion(name="d.heads.onnx", sha256=sha256_file(tmp_path / "d.heads.onnx"))
        ),
    )
    with pytest.raises(InputError) as caught:
        opened(path)
    assert str(caught.value) == (
        f"{tmp_path / 'd.heads.onnx'} takes regions (2, 2, 3); the card of {path} says 3 bins a side, of features "
        "(8, 8, 3): correct the card."
    )


def test_regions_are_searched_in_colour_whatever_the_file_takes(tmp_path: Path) -> None:
    image = np.full((80, 80, 3), 40, np.uint8)
    image[10:30, 10:40], image[50:70, 44:60] = [255, 0, 0], [0, 0, 255]
    rgb, bgr = (
        opened(region_file(tmp_path / f"{colour}.onnx", preprocessing=replace(OF_REGION, colour=colour)))
        for colour in (Colour.RGB, Colour.BGR)
    )
    found, swapped = rgb.detect(image), bgr.detect(image)
    found, swapped = (each.at(np.argsort(each.boxes[:, 0])) for each in (found, swapped))
    np.testing.assert_allclose(found.boxes, swapped.boxes, atol=1e-3)
    assert [[COLOURS[i] for i in each.classes] for each in (found, swapped)] == [["red", "blue"], ["blue", "red"]]
    gray = region_file(tmp_path / "gray.onnx", preprocessing=replace(OF_REGION, colour=Colour.GRAY))
    with pytest.raises(InputError) as caught:
        opened(gray)
    assert str(caught.value) == (
        "Regions are searched in colour; got a file of gray regions: use one that takes rgb or bgr."
    )


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: Companion(name="d.onnx", sha256="AB" * 32),
            f"The sha256 of a model's second file is 64 hexadecimal digits; got '{'AB' * 32}'.",
        ),
        (lambda: Proposals(bins=0), "A region has 0 bins a side; expected 1 to 64."),
        (
            lambda: Proposals(count=10, candidates=9),
            "A detector proposes 10 of 9 candidates; expected 1 to 5000 of at least as many, and at most 12000.",
        ),
        (
            lambda: Proposals(count=5001, candidates=6000),
            "A detector proposes 5001 of 6000 candidates; expected 1 to 5000 of at least as many, and at most 12000.",
        ),
        (
            lambda: Proposals(candidates=12_001),
            "A detector proposes 300 of 12001 candidates; expected 1 to 5000 of at least as many, and at most 12000.",
        ),
        (lambda: Proposals(iou_threshold=1.5), "The iou_threshold of proposals is 0 to 1; got 1.5."),
        (lambda: Search(size_hw=(8, 40)), "Regions are searched in 16 to 1024 pixels a side; got (8, 40)."),
        (lambda: Search(size_hw=(40, 1025)), "Regions are searched in 16 to 1024 pixels a side; got (40, 1025)."),
        (
            lambda: Search(size_hw=(40, 40), context=0.5),
            "The context of a region is 0 to below 0.5 of its side; got 0.5.",
        ),
        (lambda: Search(size_hw=(40, 40), count=0), "A search gives 1 to 5000 regions; got 0."),
        (lambda: Search(size_hw=(40, 40), count=5001), "A search gives 1 to 5000 regions; got 5001."),
        (lambda: Search(size_hw=(40, 40), least_side=1.0), "The least side of a region is 0 to below 1; got 1."),
        (lambda: Search(size_hw=(40, 40), scales=(0.0,)), "A search has 1 to 8 scales, numbers above 0; got (0.0,)."),
        (
            lambda: Search(size_hw=(40, 40), scales=(50.0,) * 9),
            f"A search has 1 to 8 scales, numbers above 0; got {(50.0,) * 9}.",
        ),
        (lambda: Search(size_hw=(40, 40), scales=()), "A search has 1 to 8 scales, numbers above 0; got ()."),
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


@pytest.mark.parametrize("name", ["faster_rcnn", "rcnn"])
def test_the_zoo_asks_for_no_more_than_a_card_may(name: str) -> None:
    spec = find_spec(name)
    most = {
        a.name: a.high for a in spec.arguments if a.high is not None and a.name in ("regions", "search_size", "bins")
    }
    detection = spec.detection(spec.resolved(most))
    assert detection is not None
    assert most["regions"] == (detection.proposals or detection.search or Proposals()).count


@pytest.mark.parametrize("name", ["", ".", "..", "../d.onnx", "a/d.onnx", "a\\d.onnx", "C:d.onnx", "d\0.onnx", "d\n"])
def test_a_second_file_is_in_the_same_folder(name: str) -> None:
    assert Companion(name="a b.größe-1.onnx", sha256="0" * 64).name == "a b.größe-1.onnx"
    with pytest.raises(InputError) as caught:
        Companion(name=name, sha256="0" * 64)
    assert str(caught.value) == f"A model's second file is called {name!r}; expected a name without a folder."


def test_the_card_keeps_what_it_says_of_regions(tmp_path: Path) -> None:
    spec = opened(two_stage(tmp_path, scores=Scores.SIGMOID)).decoder.spec
    assert spec.proposals is not None
    assert spec.proposals.heads is not None
    assert (spec.scores, spec.proposals.count, spec.proposals.heads.name) == (Scores.SIGMOID, 3, "d.heads.onnx")


def test_the_time_of_a_part_of_a_detector_is_told_as_that(tmp_path: Path) -> None:
    settings = BenchmarkSettings(runs=2, warmup=1, min_duration_s=0.0)
    assert benchmark([two_stage(tmp_path)], settings).notes == (
        "d.onnx is timed by itself; for an image its second file d.heads.onnx runs on up to 3 regions too: edgekit "
        "demo detect times the whole.",
    )
    assert benchmark([tmp_path / "d.heads.onnx"], settings).notes == ()


def test_the_time_of_one_region_is_told_as_that(tmp_path: Path) -> None:
    settings = BenchmarkSettings(runs=2, warmup=1, min_duration_s=0.0)
    assert benchmark([region_file(tmp_path / "r.onnx", count=40)], settings).notes == (
        "r.onnx is timed for one region; an image has up to 40, and the search for them: edgekit demo detect times the "
        "whole.",
    )
