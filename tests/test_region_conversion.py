"""Conversion of detectors that look at regions: what calibrates, and how two files stay together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_two_stage import opened, quarters, region_file
from tiny_two_stage import PIXELS, two_stage

from edgekit.artifact import open_artifact
from edgekit.card import DataRef
from edgekit.companion import Companion
from edgekit.converters import Request, convert, region_items
from edgekit.converters.regions_worker import spread
from edgekit.converters.stages import own_patterns
from edgekit.data import Dataset, item_digest
from edgekit.errors import InputError
from edgekit.files import sha256_file
from edgekit.measure.held_out import HeldOut, used_items
from edgekit.preprocessing import resize
from edgekit.recipe import Precision, Recipe
from edgekit.regions import Search
from edgekit.tasks.regions import pool

FP32 = Recipe(precision=Precision.FP32)


def photos(count: int = 6) -> Dataset:
    names = ["red", "green", "blue"]
    return Dataset(
        name="photos", items=[quarters(names[i % 3], names[(i + 1) % 3], names[(i + 2) % 3]) for i in range(count)]
    )


def test_both_files_are_made_and_the_first_names_the_second(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(np.asarray(photos().items[index])).save(folder / f"{index}.png")
    report = convert(
        Request(source=two_stage(tmp_path), recipes=(FP32,), calibration=str(folder), output_dir=tmp_path / "out")
    )
    assert [row.path.name for row in report.artifacts] == ["d.heads.fp32.onnx", "d.fp32.onnx"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "d.heads.fp32.onnx", "d.fp32.onnx", "d.fp32.onnx.manifest.json",
    }  # fmt: skip
    assert report.manifest == tmp_path / "out/d.fp32.onnx.manifest.json"
    first, second = (open_artifact(tmp_path / "out" / name) for name in ("d.fp32.onnx", "d.heads.fp32.onnx"))
    assert first.card.detection is not None
    assert first.card.detection.proposals is not None
    assert first.card.detection.proposals.heads == Companion(name=second.path.name, sha256=second.sha256)
    assert second.card.provenance.source_sha256 == sha256_file(tmp_path / "d.heads.onnx")
    image = quarters("blue", "red", "")
    before, after = (opened(path).detect(image) for path in (tmp_path / "d.onnx", first.path))
    assert before.classes.tolist() == after.classes.tolist() != []
    np.testing.assert_allclose(before.scores, after.scores, atol=1e-5)
    assert any(note.startswith("The second file: Files were compared with the source on ") for note in report.notes)
    again = convert(Request(source=report.manifest, output_dir=tmp_path / "again"))
    assert [row.sha256 for row in again.artifacts] == [row.sha256 for row in report.artifacts]


@pytest.mark.parametrize("make", [two_stage, lambda folder: region_file(folder / "r.onnx")])
def test_images_whose_regions_calibrated_a_file_are_held_out(make: Any, tmp_path: Path) -> None:
    images = [np.asarray(item) // 16 * 16 + np.uint8(index) for index, item in enumerate(photos().items)]  # type: ignore[arg-type, var-annotated]
    data = Dataset(name="photos", items=images)
    recipe = Recipe(precision=Precision.INT8, calibration_samples=4)  # regions of one image
    report = convert(Request(source=make(tmp_path), recipes=(recipe,), calibration=data, output_dir=tmp_path / "out"))
    calibrated, *first = [open_artifact(row.path) for row in report.artifacts]
    chosen = HeldOut(data, [calibrated], samples=None, seed=0)
    assert (len(list(chosen)), chosen.left_out) == (5, 1)
    shown = used_items([calibrated]) & {item_digest(image) for image in images}
    assert len(shown) == 1
    for file in first:  # its own calibration leaves out what the second file's did
        assert shown < used_items([file])


@pytest.mark.parametrize("there", ["d.fp32.onnx", "d.heads.fp32.onnx"])
def test_no_file_is_replaced_unasked(there: str, tmp_path: Path) -> None:
    source, out = two_stage(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / there).write_text("mine")
    request = Request(source=source, recipes=(FP32,), calibration=photos(), output_dir=out)
    with pytest.raises(InputError) as caught:
        convert(request)
    assert str(caught.value) == f"{out / there} exists; use --force to replace it or -o to write elsewhere."
    assert [path.name for path in out.iterdir()] == [there]
    convert(replace(request, force=True))
    assert open_artifact(out / there).card.provenance.recipe == FP32


def test_a_detector_without_its_second_file_is_not_converted(tmp_path: Path) -> None:
    source = two_stage(tmp_path)
    (tmp_path / "d.heads.onnx").unlink()
    with pytest.raises(InputError) as caught:
        convert(Request(source=source, recipes=(FP32,), calibration=photos(), output_dir=tmp_path / "out"))
    assert str(caught.value) == f"{source} needs d.heads.onnx in the same folder; copy both files of the detector."
    assert not (tmp_path / "out").exists()


def test_the_second_file_is_calibrated_on_pooled_regions(tmp_path: Path) -> None:
    path, data = two_stage(tmp_path), photos()
    card = open_artifact(path).card
    request = Request(source=path, recipes=(replace(FP32, calibration_samples=8),))
    found = region_items.pooled(data, card, path, request, tmp_path, lambda *_: None)
    assert found.name == "regions of photos"
    assert len(found) == 2 * 3  # of two images, which have three regions each
    regions = np.float32([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1]])
    each = [pool(resize(np.asarray(item), PIXELS).astype(np.float32) / 255, regions, 2) for item in data.items]  # type: ignore[attr-defined]
    for start in (0, 3):
        pooled = np.stack([np.asarray(found.items[start + i]) for i in range(3)])
        assert any(np.allclose(pooled, own, atol=0.02) for own in each)


def test_only_images_that_were_learned_from_calibrate(tmp_path: Path) -> None:
    data = photos(3)
    path = two_stage(tmp_path)
    card = open_artifact(path).card
    learned = DataRef(name="photos", digest="", count=1, items=(item_digest(data.items[2]),))
    card = replace(card, provenance=replace(card.provenance, training=learned))
    found = region_items.pooled(data, card, path, Request(source=path, recipes=(FP32,)), tmp_path, lambda *_: None)
    assert len(found) == 3
    assert np.asarray(found.items[0]).mean(axis=(0, 1)).argmax() == 2  # the third begins with blue


def test_a_file_that_searches_is_calibrated_on_what_is_found(tmp_path: Path) -> None:
    image = np.full((80, 80, 3), 40, np.uint8)
    image[10:50, 10:50] = [255, 0, 0]
    data = Dataset(name="squares", items=[image] * 3)
    path = region_file(tmp_path / "r.onnx")
    card = open_artifact(path).card
    assert card.detection is not None
    assert card.detection.search is not None
    request = Request(source=path, recipes=(replace(FP32, calibration_samples=3),))
    found = region_items.searched(data, card, card.detection.search, request)
    assert found.name == "regions of squares"
    assert 1 < len(found) <= region_items.REGIONS_OF_IMAGE
    items = np.stack([np.asarray(found.items[i]) for i in range(len(found))])
    assert (items.shape[1:], items.dtype) == ((6, 6, 3), np.uint8)
    assert (items[..., 0] > 200).any(axis=(1, 2)).any()
    silent = replace(card, preprocessing=None)
    with pytest.raises(InputError) as caught:
        region_items.searched(data, silent, Search(size_hw=(40, 40)), request)
    assert str(caught.value) == "The card of r does not say how a region becomes its input; use --preprocess."
    folder = tmp_path / "squares"
    folder.mkdir()
    Image.fromarray(image).save(folder / "0.png")
    report = convert(Request(source=path, recipes=(FP32,), calibration=str(folder), output_dir=tmp_path / "out"))
    assert report.calibration is not None
    assert report.calibration.name == "regions of squares"
    again = convert(Request(source=report.manifest, output_dir=tmp_path / "again"))
    assert [row.sha256 for row in again.artifacts] == [row.sha256 for row in report.artifacts]


@pytest.mark.parametrize(
    ("count", "expected"), [(48, [0, 3, 12, 47]), (4, [0, 1, 2, 3]), (2, [0, 1]), (1, [0]), (0, [])]
)
def test_more_of_the_best_regions_calibrate(count: int, expected: Any) -> None:
    found = spread(np.arange(count), 4)
    assert len(found) <= 4
    assert found.tolist() == expected


def test_an_expression_reaches_the_file_whose_layers_it_names() -> None:
    first, second = ("conv", "proposals"), ("hidden", "scores")
    recipe = Recipe(precision=Precision.INT8, keep_float=("conv", "hidden", "o", "nowhere"), exclude=("scores",))
    assert own_patterns(recipe, first, second).keep_float == ("conv", "o", "nowhere")
    assert own_patterns(recipe, second, first).keep_float == ("hidden", "o", "nowhere")
    assert (own_patterns(recipe, first, second).exclude, own_patterns(recipe, second, first).exclude) == (
        (),
        ("scores",),
    )
