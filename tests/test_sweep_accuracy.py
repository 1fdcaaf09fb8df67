"""Accuracies in a sweep: measured once for a file and engine, and anew where what they depend on has changed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeping import QUICK, times
from tiny_tables import PLAIN, detector, write_csv
from tiny_two_stage import heads, scenes, two_stage
from tiny_verifier import pictures, verifier

from edgekit.artifact import open_artifact
from edgekit.codec import to_jsonable
from edgekit.errors import ConversionError, DataError
from edgekit.formats.keras import write_card
from edgekit.preprocessing import preset
from edgekit.recipe import Precision, Recipe
from edgekit.report import read_results
from edgekit.sweep import SWEEP, Here, Sweep, sweep
from edgekit.sweep.plan import stated
from edgekit.sweep.ranking import table


def write_items(path: Path, model: Path, count: int = 12) -> str:
    """Random labelled items for ``model``, as data."""
    random = np.random.default_rng(0)
    shape = [n for n in open_artifact(model).card.inputs[0].shape[1:] if n]
    np.savez(path, x=random.integers(0, 256, (count, *shape), np.uint8), y=random.integers(0, 3, count))
    return str(path)


@pytest.fixture
def judged(two: tuple[Path, ...], tmp_path: Path) -> Sweep:
    """A file whose card is silent, data for it, and a preprocessing in a file."""
    height, width = (n for n in open_artifact(two[1]).card.inputs[0].shape[1:3] if n)
    how = preset("unit", size_hw=(height, width))
    (tmp_path / "how.json").write_text(json.dumps(to_jsonable(how)))
    return Sweep(
        files=two[1:],
        settings=replace(QUICK, threads=(1,)),
        data=write_items(tmp_path / "data.npz", two[1]),
        preprocess=str(tmp_path / "how.json"),
    )


def test_accuracies_are_measured_together_once(judged: Sweep, tmp_path: Path) -> None:
    asked = replace(judged, settings=QUICK)
    report, told = sweep(asked, tmp_path / "out"), []
    known = json.loads((tmp_path / "out/accuracy.json").read_bytes())["results"]
    assert [row["metrics"]["top1"] for row in report.rows] == 2 * [known[0]["metrics"]["top1"]]
    assert table(report.rows)[1][-1] == "top-1, %"
    assert report.notes == ("Accuracies are those of 12 items of data.",)
    before = times(tmp_path / "out")
    sweep(asked, tmp_path / "out", announce=told.append)
    assert told == ["1 of 1 evaluations done before", "2 of 2 cells done before"]
    sweep(replace(asked, samples=6), tmp_path / "out")
    assert [name for name, time in times(tmp_path / "out").items() if time != before[name]] == ["accuracy.json"]
    results = read_results(tmp_path / "out")
    assert [(len(row.timings), row.accuracy.count) for row in results.rows if row.accuracy] == [(2, 6)]
    assert results.verdicts == tuple(json.loads((tmp_path / "out" / SWEEP).read_bytes())["verdicts"])
    assert "; none is more accurate." in results.verdicts[0]


def _labels(asked: Sweep) -> Sweep:
    return replace(asked, labels=tuple("abcde"))


def _preset(asked: Sweep) -> Sweep:
    return replace(asked, preprocess="raw")


def _preprocessing_file(asked: Sweep) -> Sweep:
    path = Path(str(asked.preprocess))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"scale": [0.5]}))
    return asked


def _engine(asked: Sweep) -> Sweep:
    return replace(asked, engines=("onnxruntime",))


def _items(asked: Sweep) -> Sweep:
    write_items(Path(str(asked.data)), asked.files[0], 11)
    return asked


def _seed(asked: Sweep) -> Sweep:
    return replace(asked, settings=replace(asked.settings, seed=1))


@pytest.mark.parametrize("change", [_labels, _preset, _preprocessing_file, _engine, _items, _seed])
def test_an_accuracy_is_measured_anew_where_what_it_depends_on_has_changed(
    judged: Sweep, tmp_path: Path, change: Callable[[Sweep], Sweep]
) -> None:
    assert sweep(judged, tmp_path / "out").failures == ()
    before = times(tmp_path / "out")["accuracy.json"]
    assert sweep(judged, tmp_path / "out").failures == ()
    assert times(tmp_path / "out")["accuracy.json"] == before
    assert sweep(change(judged), tmp_path / "out").failures == ()
    assert times(tmp_path / "out")["accuracy.json"] != before


def test_a_detector_whose_second_file_has_changed_has_no_accuracy(tmp_path: Path) -> None:
    model = two_stage(tmp_path)
    asked = Sweep(files=(model,), settings=replace(QUICK, threads=(1,)), data=str(scenes(tmp_path / "scenes")))
    before = sweep(asked, tmp_path / "out")
    assert before.failures == ()
    assert "map50" in before.rows[0]["metrics"]
    heads(tmp_path / "d.heads.onnx", side=4)
    after = sweep(asked, tmp_path / "out")
    assert after.rows[0]["metrics"] == {}
    assert after.failures == (
        f"evaluating: {tmp_path}/d.heads.onnx is not the file that {model} was made with; "
        "copy both files of one conversion.",
    )


def test_what_a_file_says_of_preprocessing_counts_and_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1")
    (tmp_path / "b.json").write_text("1")
    first = stated(str(tmp_path / "a.json"))
    assert first == stated(str(tmp_path / "b.json"))
    (tmp_path / "a.json").write_text("2")
    assert first != stated(str(tmp_path / "a.json"))
    assert [stated(told) for told in (None, "torch", "gone.json")] == [None, "torch", "gone.json"]


def test_data_without_labels_is_refused_before_anything_is_done(two: tuple[Path, ...], tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 8, 8, 1), np.float32))
    with pytest.raises(DataError, match="has no labels"):
        sweep(Sweep(files=two, data=str(tmp_path / "data.npz")), tmp_path / "out")
    assert times(tmp_path / "out") == {}


def test_a_table_may_hold_columns_that_the_model_does_not_take(tmp_path: Path) -> None:
    """And text in them."""
    path, data = detector(tmp_path / "d.onnx", [0, 1, 1]), write_csv(tmp_path / "t.csv")
    head, *lines = data.read_text().splitlines()
    data.write_text("\n".join([f"shop,{head}", *(f"corner,{line}" for line in lines)]) + "\n")
    report = sweep(Sweep(files=(path,), settings=replace(QUICK, threads=(1,)), data=str(data)), tmp_path / "out")
    assert report.failures == ()
    assert report.notes == ("Accuracies are those of 60 items of t.",)
    title, columns, (line,) = table(report.rows)
    assert title == "Latency of every cell, ranked on each device"
    assert dict(zip(columns, line, strict=True))["PR-AUC"] == f"{report.rows[0]['metrics']['pr_auc']:.4g}"


def test_what_compares_pictures_has_its_equal_error_rate(tmp_path: Path) -> None:
    asked = Sweep(
        files=(verifier(tmp_path), verifier(tmp_path, name="flat", gain=0.0)),
        settings=replace(QUICK, threads=(1,)),
        data=str(pictures(tmp_path / "people")),
    )
    report = sweep(asked, tmp_path / "out")
    assert report.failures == ()
    _, columns, lines = table(report.rows)
    told = {line[columns.index("file")]: line[columns.index("equal error rate, %")] for line in lines}
    assert told["flat.onnx"] == "50.00"
    assert float(told["v.onnx"]) < 20


def test_the_cards_of_sources_tell_which_columns_are_read(tiny_models: Path, tmp_path: Path) -> None:
    """Before anything is converted, which here nothing is."""

    class Nowhere(Here):
        def convert(self, requests: Any, *, progress: Any) -> Any:
            progress("converting", 0, len(requests))
            return ((request, ConversionError("not today")) for request in requests)

    source, data = tmp_path / "d.keras", write_csv(tmp_path / "t.csv")
    shutil.copy(tiny_models / "convnet.keras", source)
    head, *lines = data.read_text().splitlines()
    data.write_text("\n".join([f"shop,{head}", *(f"corner,{line}" for line in lines)]) + "\n")
    recipes = (Recipe(precision=Precision.FP32),)
    asked = Sweep(files=(source,), settings=QUICK, recipes=recipes, data=str(data))
    with pytest.raises(DataError, match="corner"):
        sweep(asked, tmp_path / "plain", site=Nowhere())
    write_card(source, replace(open_artifact(source).card, tabular=PLAIN))
    report = sweep(asked, tmp_path / "out", site=Nowhere())
    assert report.failures == ("converting d: not today",)
