"""Regression tests of detectors: image by image, on the boxes that they find."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from check_project import change_card
from onnx import numpy_helper
from PIL import Image
from tiny_detector import detector

from edgekit.check import CheckReport, Verdict, check, init
from edgekit.check.baseline import read_baseline

MODEL = "d.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve photos of one object each, and a detector that finds it, with its baseline."""
    for name in ("images", "labels"):
        (tmp_path / "scenes" / name).mkdir(parents=True)
    (tmp_path / "scenes" / "classes.txt").write_text("dark\nbright\n")
    for index in range(12):
        shade = 60 + 130 * (index % 2) + index
        Image.new("L", (40, 20), shade).save(tmp_path / "scenes" / "images" / f"{index:02}.png")
        (tmp_path / "scenes" / "labels" / f"{index:02}.txt").write_text(f"{index % 2} 0.5 0.5 0.5 0.5\n")
    detector(tmp_path / MODEL, name="d")
    init([tmp_path / MODEL], str(tmp_path / "scenes"), output_dir=tmp_path)
    return tmp_path


def move_boxes(path: Path, pixels: float) -> None:
    """Let all boxes be so many pixels of the input further to the right."""
    model = onnx.load(str(path))
    (base,) = (i for i in model.graph.initializer if i.name == "base")
    values = numpy_helper.to_array(base).copy()
    values[0, 0, 0] += pixels
    base.CopyFrom(numpy_helper.from_array(values, "base"))
    onnx.save(model, str(path))


def verdicts(report: CheckReport) -> dict[str, Verdict]:
    return {line.name: line.found.verdict for line in report.lines}


def test_an_honest_run_passes(folder: Path) -> None:
    report = check(folder / "edgekit.toml")
    assert verdicts(report) == dict.fromkeys(("map", "agreement", "size", "preprocessing", "labels"), Verdict.PASS)
    record = read_baseline(folder / "baseline.json").models[MODEL]
    assert record.metric.value == pytest.approx(1)
    assert np.mean(record.contributions) == pytest.approx(1)
    assert record.objects[1][0] == pytest.approx((1, 191 / 255, 0.25, 0.25, 0.75, 0.75), abs=0.001)


def test_boxes_beside_their_objects_regress(folder: Path) -> None:
    move_boxes(folder / MODEL, 1)  # an overlap of 0.6: the strict figures suffer, and no object is missed
    report = check(folder / "edgekit.toml")
    assert [line.title for line in report.regressed] == ["d.onnx map"]
    assert report.lines[0].found.why.endswith("; randomization p 0.00049")  # 2 in 2 ** 12


def test_objects_that_are_missed_regress_in_both(folder: Path) -> None:
    move_boxes(folder / MODEL, 3)
    assert [line.name for line in check(folder / "edgekit.toml").regressed] == ["map", "agreement"]


def test_labels_in_another_order_regress(folder: Path) -> None:
    change_card(folder / MODEL, labels=("bright", "dark"))
    assert [line.name for line in check(folder / "edgekit.toml").regressed] == ["map", "agreement", "labels"]


def test_a_better_detector_improves(folder: Path) -> None:
    good = (folder / MODEL).read_bytes()
    move_boxes(folder / MODEL, 1)
    init([folder / MODEL], str(folder / "scenes"), output_dir=folder, force=True)
    (folder / MODEL).write_bytes(good)
    assert verdicts(check(folder / "edgekit.toml"))["map"] is Verdict.IMPROVE


def test_a_file_without_a_card_needs_the_same_flags_as_elsewhere(folder: Path) -> None:
    detector(folder / "foreign.onnx")
    labels = folder / "scenes" / "classes.txt"
    flags = {"preprocess": "unit", "labels": labels, "decoder": "yolov8"}
    init([folder / "foreign.onnx"], str(folder / "scenes"), output_dir=folder, force=True, **flags)  # type: ignore[arg-type]
    text = (folder / "edgekit.toml").read_text()
    assert 'labels = "scenes/classes.txt"' in text
    assert 'decoder = "yolov8"' in text
    assert check(folder / "edgekit.toml").regressed == ()
    labels.write_text("bright\ndark\n")
    (folder / "other.txt").write_text("dark\nbright\n")
    (folder / "edgekit.toml").write_text(text.replace("scenes/classes.txt", "other.txt"))
    with pytest.raises(Exception, match=r"^The labels of scenes are not those of the baseline; restore it"):
        check(folder / "edgekit.toml")
