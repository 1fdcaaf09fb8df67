"""What the report says of each task: its figures, their plots, and pictures of generators."""

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_report import Page, entry, results, row, write

from edgekit.errors import InputError
from edgekit.report import read_results, render, write_report
from edgekit.report.page import COLUMNS, cells
from edgekit.report.read import Accuracy, Results
from edgekit.report.svg import Point, scatter
from edgekit.report.words import NOTHING

__all__ = ["results"]  # a fixture


def test_detectors_are_drawn_by_their_mean_average_precision(results: Path, tmp_path: Path) -> None:
    found = [
        {**entry("int8", metrics={"map50": value, "map": 0.4}, n=500, data="digit_scenes"), "sha256": name * 64}
        for name, value in (("c", 0.9134), ("d", 0.88))
    ]
    write(results, "evaluate-detectors", found)
    path = results / "evaluate-detectors.json"
    path.write_text(path.read_text().replace('"command": "evaluate-detectors"', '"command": "evaluate"'))
    better = next(row for row in read_results(results).rows if row.sha256[0] == "c")
    assert better.accuracy is not None
    assert (better.accuracy.metric, better.accuracy.value, better.accuracy.low) == ("mAP .50", 0.9134, None)
    page = Page(write_report(results, tmp_path / "report.html").read_text())
    for said in ("On digits", "On digit_scenes", "mAP .50, %", "91.34", "top-1, %", "97.22"):
        assert said in page.text, said


EVALUATED = {
    "t.csv": {"pr_auc": 0.8895, "pr_auc_low": 0.7411, "pr_auc_high": 1.0, "roc_auc": 0.9746},
    "films": {
        **{"mse": 0.0335, "mse_ratio": 0.8555, "mse_ratio_low": 0.8204, "mse_ratio_high": 0.8921},
        **{"item_mean_mse": 0.039, "offset_mse": 0.032},
    },
    "faces": {"eer": 0.0071, "eer_low": 0.0, "eer_high": 0.0151, "auc": 0.9998, "one_shot_4": 0.995, "pixels_4": 0.893},
    "digits": {
        **{"top1": 0.9733, "nll": 0.08833, "ece": 0.01645, "entropy": 0.09882},
        **{"ood_auroc": 0.6655, "ood_auroc_low": 0.6223, "ood_auroc_high": 0.7087},
    },
}


def evaluations(folder: Path) -> None:
    """One evaluation of a file a task, as far as a report looks at it."""
    write(
        folder,
        "evaluate",
        [
            {**entry("int8", metrics=metrics, n=300, data=data, model_bytes=1000), "sha256": data}
            for data, metrics in EVALUATED.items()
        ],
    )


def test_each_task_has_its_own_figures_with_their_intervals(tmp_path: Path) -> None:
    evaluations(tmp_path)
    found = [dict(zip(COLUMNS, cells(row), strict=True)) for row in read_results(tmp_path).rows]
    intervals = [[cell for name, cell in zip(COLUMNS, cells(row), strict=True) if name == "95 % interval"]
                 for row in read_results(tmp_path).rows]  # fmt: skip
    assert [[cell for cell in line if cell != NOTHING] for line in intervals] == [
        ["0.7411–1"], ["0.8204–0.8921"], ["0.00–1.51"], ["94.83–98.64"]
    ]  # fmt: skip
    anomalies, films, faces, digits = found
    assert (anomalies["PR-AUC"], anomalies["ROC-AUC"], anomalies["top-1, %"]) == ("0.8895", "0.9746", NOTHING)
    assert (films["MSE over that of item means"], films["MSE"]) == ("0.8555", "0.0335")
    assert films["MSE over that of no change"] == NOTHING
    figures = [faces[f"{name}, %"] for name in ("equal error rate", "area under the curve", "4-way")]
    assert figures == ["0.71", "99.98", "99.50"]
    assert faces["nearest pixels, 4-way, %"] == "89.30"
    assert (digits["NLL, nats"], digits["calibration error"], digits["entropy, nats"]) == (
        "0.08833", "0.01645", "0.09882"
    )  # fmt: skip
    figures = [digits[f"OOD AUROC{name}, %"] for name in ("", " from", " to")]
    assert figures == ["66.55", "62.23", "70.87"]


def test_errors_are_drawn_with_their_bars_and_the_least_is_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Point] = []
    axes: list[str] = []

    def recorded(points: list[Point], **labels: str) -> str:
        drawn.extend(points)
        axes.append(labels["y_label"])
        return scatter(points, **labels)

    monkeypatch.setattr("edgekit.report.accuracy.scatter", recorded)
    figures = {"low": 0.05, "high": 0.2, "count": 100, "data": "faces", "task": "verification"}
    errors = [
        replace(row(name, size, 0.9), accuracies=(Accuracy(value=value, **figures),))
        for name, size, value in (("worst", 100, 0.19), ("best", 500, 0.1), ("as good", 400, 0.101))
    ]
    page = render(Results(rows=tuple(errors), commands=(), verdicts=(), host=None), title="t")
    assert axes == ["equal error rate, %"]
    assert [(p.y, p.low, p.high) for p in drawn if p.tooltip.startswith("best")] == [pytest.approx((10, 5, 20))]
    assert re.findall(r'<h2>([^<]*)</h2><p class="big">([^<]*)<', page) == [
        ("Smallest within 2 % of the best", "as good")
    ]
    assert "equal error rate 10.10 % (5.00–20.00)" in page
    assert "<figcaption>Error against size" in page
    assert "Down and to the left is better." in page
    page = render(Results(rows=(*errors, row("m", 100, 0.9)), commands=(), verdicts=(), host=None), title="t")
    assert "Up, of errors down, and to the left is better." in page


def test_a_column_without_any_value_is_left_out(results: Path, tmp_path: Path) -> None:
    text = Page(write_report(results, tmp_path / "report.html").read_text()).text
    assert "mAP .50, %" not in text
    assert "agreement, %" in text


def judged(recipe: str, *, sheet: bytes = b"\x89PNG\r\n\x1a\nsheet", **figures: float) -> dict[str, Any]:
    """What an evaluation says of a generator's file."""
    return entry(
        recipe,
        metrics={"frechet": 4.25, "precision": 0.9, "recall": 0.8, **figures},
        n=1000,
        data="mnist",
        judge={"artifact": "judge", "sha256": "c" * 64, "top1": 0.99, "n": 1000},
        sheet_png=base64.b64encode(sheet).decode(),
    )


def test_pictures_of_generators_stand_side_by_side(tmp_path: Path) -> None:
    changed = {"frechet": 4.2, "frechet_change": -0.0125, "psnr_db": 31.2, "ssim": 0.987}
    write(tmp_path, "evaluate", [judged("fp32", conditional_accuracy=0.97), judged("int8", **changed)])
    text = write_report(tmp_path, tmp_path / "page.html").read_text()
    page = Page(text)
    assert (
        "1,000 beside mnist, judged by the classifier cccccccccccc, which is right on 99.00 % of real ones."
        in page.text
    )
    for told in ("Fréchet distance", "4.250", "-1.25", "97.00", "31.2", "0.9870", "m.int8.tflite"):
        assert told in page.text
    assert "purity, %" not in page.text
    sources = [value or "" for name, value in page.attributes if name == "src"]
    assert [base64.b64decode(s.partition(",")[2])[8:] for s in sources] == [b"sheet", b"sheet"]
    assert all(s.startswith("data:image/png;base64,") for s in sources)


def test_pictures_of_other_judges_are_not_compared(tmp_path: Path) -> None:
    other = judged("int8") | {"judge": None, "sheet_png": None, "device": "ssh://pi"}
    write(tmp_path, "evaluate", [judged("fp32"), other])
    page = Page(write_report(tmp_path, tmp_path / "page.html").read_text())
    assert page.tags.count("img") == 1
    assert "1,000 beside mnist on ssh://pi." in page.text


@pytest.mark.parametrize("sheet", ["no base64", base64.b64encode(b"GIF89a").decode(), '"><script>alert(1)</script>'])
def test_a_sheet_that_is_no_png_is_refused(tmp_path: Path, sheet: str) -> None:
    path = write(tmp_path, "evaluate", [judged("fp32") | {"sheet_png": sheet}])
    with pytest.raises(InputError) as caught:
        read_results(tmp_path)
    assert str(caught.value) == (
        f"{path} has a sheet_png that is no PNG in base64; write it again with edgekit --json."
    )


def test_figures_of_pictures_are_checked(tmp_path: Path) -> None:
    path = write(tmp_path, "evaluate", [judged("fp32", recall=-1)])
    with pytest.raises(InputError) as caught:
        read_results(tmp_path)
    assert str(caught.value) == f"{path} has recall = '-1'; expected a number of 0 or more."
