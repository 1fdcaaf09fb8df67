"""The report: results in, one self-contained page out, whatever the results say."""

import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputError
from edgekit.report import read_results, render, write_report
from edgekit.report.page import COLUMNS, cells
from edgekit.report.read import Accuracy, Results, Row, Timing
from edgekit.report.svg import Point, scatter
from edgekit.report.words import NOTHING

SHA = {"int8": "a" * 64, "fp32": "b" * 64}


def entry(recipe: str, **values: Any) -> dict[str, Any]:
    return {
        "artifact": f"out/m.{recipe}.tflite",
        "sha256": SHA[recipe],
        "format": "tflite",
        "recipe": recipe,
        **values,
    }


def write(folder: Path, command: str, results: list[dict[str, Any]], **more: Any) -> Path:
    path = folder / f"{command}.json"
    path.write_text(json.dumps({"schema_version": 1, "command": command, "results": results, **more}))
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with a conversion, an evaluation and a benchmark of two files, and a JSON file of somebody else."""
    folder = tmp_path / "results"
    folder.mkdir()
    converted = [
        entry(r, model_bytes=size, ratio=ratio, metrics={"sqnr_db": db, "agreement": 0.99}, notes=[])
        for r, size, ratio, db in (("fp32", 400_000, 1.0, 120.0), ("int8", 120_000, 3.33, 24.5))
    ]
    evaluated = [entry(r, metrics={"top1": v}, n=360, data="digits") for r, v in (("fp32", 0.975), ("int8", 0.9722))]
    timed = [
        entry(
            r,
            latency_ms={"p50": p50, "p90": p50 * 1.1},
            device="local",
            threads=1,
            peak_rss_bytes=45_000_000,
            valid=valid,
            flags=flags,
        )
        for r, p50, valid, flags in (("fp32", 0.5, True, []), ("int8", 0.4, False, ["the machine was busy"]))
    ]
    write(folder, "convert", converted, arguments=["convert", "my model", "-p", "int8"])
    write(folder, "evaluate", evaluated)
    write(
        folder, "benchmark", timed, host={"cpu": "A CPU", "memory_bytes": 8_000_000_000}, verdicts=["int8 is slower."]
    )
    (folder / "settings.json").write_text('{"epochs": 3}')
    return folder


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_joins_the_results_of_a_file(results: Path) -> None:
    fp32, int8 = read_results(results).rows
    assert (int8.name, int8.model_bytes, int8.ratio, int8.sqnr_db) == ("m.int8.tflite", 120_000, 3.33, 24.5)
    assert int8.accuracy is not None
    assert int8.accuracy.low is not None
    assert int8.accuracy.high is not None
    assert int8.accuracy.low < 0.9722 < int8.accuracy.high
    assert int8.timing is not None
    assert (int8.timing.p50_ms, int8.timing.valid, int8.timing.flags) == (0.4, False, ("the machine was busy",))
    assert int8.timing.p90_ms == pytest.approx(0.44)
    assert fp32.timing is not None
    assert fp32.timing.valid


def test_the_page_says_what_was_measured(results: Path, tmp_path: Path) -> None:
    page = Page(write_report(results, tmp_path / "report.html").read_text())
    for said in (
        "2 model files · accuracy on 360 items · latency per item, threads: 1 · A CPU",
        "top-1 97.22 % (94.96–98.48) · 120.0 kB",
        "90 % within 0.440 ms · timing not valid: the machine was busy",
        "int8 is slower.",
        "edgekit convert 'my model' -p int8",
        "8.00 GB",
    ):
        assert said in page.text, said
    assert page.tags.count("figure") == 2
    assert page.tags.count("figcaption") == 2


def test_an_invalid_timing_is_never_called_the_fastest(results: Path, tmp_path: Path) -> None:
    text = write_report(results, tmp_path / "report.html").read_text()
    fastest = re.search(r'Fastest within 1 point of the best</h2><p class="big">([^<]*)<', text)
    assert fastest is not None
    assert fastest[1] == "m.fp32.tflite"


def test_what_cannot_be_compared_is_listed_and_never_ranked(results: Path, tmp_path: Path) -> None:
    path = results / "benchmark.json"
    data = json.loads(path.read_text())
    emulated = ["emulated: these times say nothing about the machine imitated"]
    data["results"][1] |= {"valid": False, "comparable": False, "flags": emulated, "device": "ssh://pi"}
    path.write_text(json.dumps(data))
    fp32, int8 = read_results(results).rows
    assert fp32.timing is not None
    assert (int8.timing, [t.comparable for t in int8.timings]) == (None, [False])
    page = Page(write_report(results, tmp_path / "r.html").read_text()).text
    assert "not comparable: emulated" in page
    assert "median 0.4" not in page


def test_an_evaluation_on_a_device_stands_beside_that_here(results: Path) -> None:
    there = [entry("int8", metrics={"top1": 0.5}, n=360, data="digits", device="ssh://pi")]
    (results / "evaluate2.json").write_text(json.dumps({"schema_version": 1, "command": "evaluate", "results": there}))
    _, int8 = read_results(results).rows
    assert [(a.data, a.value) for a in int8.accuracies] == [("digits", 0.9722), ("digits on ssh://pi", 0.5)]


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


def row(name: str, size: int, top1: float, fmt: str = "tflite", data: str = "digits") -> Row:
    accuracy = Accuracy(value=top1, low=top1 - 0.02, high=top1 + 0.01, count=360, data=data)
    return Row(artifact=name, sha256=name, format=fmt, recipe="int8", model_bytes=size, accuracies=(accuracy,))


def test_the_smallest_is_one_that_keeps_the_accuracy_and_can_be_shipped() -> None:
    rows = (
        row("large", 400, 0.97),
        row("small", 120, 0.965),
        row("inaccurate", 10, 0.955),
        row("trained", 50, 0.97, fmt="keras"),
    )
    page = render(Results(rows=rows, commands=(), verdicts=(), host=None), title="t")
    found = re.findall(r'<h2>([^<]*)</h2><p class="big">([^<]*)<', page)
    assert found == [("Smallest within 1 point of the best", "small")]


def test_bars_show_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Point] = []

    def recorded(points: list[Point], **labels: str) -> str:
        drawn.extend(points)
        return scatter(points, **labels)

    monkeypatch.setattr("edgekit.report.accuracy.scatter", recorded)
    render(Results(rows=(row("m", 120_000, 0.97),), commands=(), verdicts=(), host=None), title="t")
    assert [(p.x, p.y, p.low, p.high) for p in drawn] == [pytest.approx((120.0, 97.0, 95.0, 98.0))]


def test_only_what_was_measured_on_the_same_data_is_compared() -> None:
    rows = (row("easy.int8.tflite", 400, 0.97, data="digits"), row("hard.int8.tflite", 800, 0.76, data="<cifar>"))
    page = render(Results(rows=rows, commands=(), verdicts=(), host=None), title="t")
    found = re.findall(r'<h2>([^<]*)</h2>(?:<p class="big">([^<]*)<)?', page)
    smallest = "Smallest within 1 point of the best"
    assert found[:4] == [
        ("On digits", ""), (smallest, "easy.int8.tflite"), ("On &lt;cifar&gt;", ""), (smallest, "hard.int8.tflite")
    ]  # fmt: skip
    assert page.count("<figcaption>Accuracy against size") == 2
    assert page.count("Up and to the left is better.") == 1


def test_points_are_named_by_recipe_or_where_there_are_several_by_model() -> None:
    def labels(*rows: Row) -> list[str]:
        page = render(Results(rows=rows, commands=(), verdicts=(), host=None), title="t")
        return re.findall(r'<text class="label [^>]*>([^<]*)<', page)

    one = (row("a.int8.tflite", 120, 0.96), replace(row("a.fp32.onnx", 400, 0.97), recipe="fp32"))
    assert labels(*one) == ["int8", "fp32"]
    assert labels(*one, row("b.int8.tflite", 300, 0.9)) == ["a", "b"]


@pytest.mark.parametrize(
    ("artifact", "recipe", "name", "model"),
    [
        ("runs/vgg16/model.keras", "source", "vgg16/model.keras", "vgg16"),
        ("runs\\vgg16\\vgg16.int8.tflite", "int8", "vgg16.int8.tflite", "vgg16"),
        ("model.keras", "source", "model.keras", "model"),
        ("net_0.25_128.onnx", "unknown", "net_0.25_128.onnx", "net_0.25_128"),
        ("net", "unknown", "net", "net"),
    ],
)
def test_files_of_one_training_have_one_name(artifact: str, recipe: str, name: str, model: str) -> None:
    found = Row(artifact=artifact, sha256="0", format="x", recipe=recipe)
    assert (found.name, found.model) == (name, model)


def test_a_file_evaluated_on_two_data_sets_is_drawn_on_both(results: Path) -> None:
    for number, (name, top1) in enumerate((("cifar", 0.5), ("digits", 0.9))):
        evaluated = [entry("int8", metrics={"top1": top1}, n=100, data=name)]
        (results / f"more{number}.json").write_text(
            json.dumps({"schema_version": 1, "command": "evaluate", "results": evaluated})
        )
    read = read_results(results)
    (int8,) = (row for row in read.rows if row.recipe == "int8")
    assert {a.data: a.value for a in int8.accuracies} == {"digits": 0.9, "cifar": 0.5}  # the later one of a data set
    page = render(read, title="t")
    assert re.findall(r"<h2>On ([^<]*)</h2>", page) == ["digits", "cifar"]
    assert "90.00 (digits), 50.00 (cifar)" in page or "50.00 (cifar), 90.00 (digits)" in page


def timing(p50_ms: float = 1.0, p90_ms: float = 1.0, threads: int = 1, device: str = "d") -> Timing:
    return Timing(
        device=device, engine=None, threads=threads, p50_ms=p50_ms, p90_ms=p90_ms, rss_bytes=None, valid=True, flags=()
    )


def test_the_plot_and_the_choice_are_by_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Point] = []

    def recorded(points: list[Point], **labels: str) -> str:
        drawn.extend(points)
        return scatter(points, **labels)

    monkeypatch.setattr("edgekit.report.accuracy.scatter", recorded)
    rows = (
        replace(row("slow", 120, 0.97), timings=(timing(p50_ms=4.0, p90_ms=4.1),)),
        replace(row("quick", 400, 0.97), timings=(timing(p50_ms=2.0, p90_ms=9.0),)),
    )
    page = render(Results(rows=rows, commands=(), verdicts=(), host=None), title="t")
    assert [point.x for point in drawn[:2]] == [2.0, 4.0]
    assert re.findall(r'<h2>Fastest[^<]*</h2><p class="big">([^<]*)<', page) == ["quick"]


def test_every_timing_is_listed_and_the_last_machine_named(results: Path, tmp_path: Path) -> None:
    timed = [
        entry(
            "fp32",
            latency_ms={"p50": 7.25, "p90": 8.5},
            device="ssh://pi",
            threads=4,
            valid=True,
            flags=[],
        )
    ]
    (results / "z.json").write_text(
        json.dumps({"schema_version": 1, "command": "benchmark", "results": timed, "host": {"cpu": "Another CPU"}})
    )
    page = Page(write_report(results, tmp_path / "r.html").read_text())
    assert "Another CPU" in page.text
    assert "A CPU" not in page.text
    for cell in ("ssh://pi", "7.25", "8.50", "0.500"):
        assert cell in page.text, cell


def test_the_fewest_threads_are_compared() -> None:
    timed = replace(row("m", 1, 1.0), timings=(timing(threads=4), timing(threads=1), timing(threads=2)))
    assert timed.timing == timing(threads=1)


def test_the_page_needs_nothing_else(results: Path, tmp_path: Path) -> None:
    page = Page(write_report(results, tmp_path / "report.html").read_text())
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert not {"src", "href", "srcset", "action"} & {name for name, _ in page.attributes}
    assert "url(" not in page.text
    assert "@import" not in page.text


def test_the_same_results_give_the_same_bytes(results: Path) -> None:
    first, second = (render(read_results(results), title="t") for _ in range(2))
    assert first == second


def test_hostile_names_are_shown_and_do_nothing(results: Path, tmp_path: Path) -> None:
    name = '"><script>alert(1)</script>.tflite'
    hostile = {"artifact": name, "recipe": name, "format": name, "sha256": name}
    evil = {**hostile, "metrics": {"top1": 0.5}, "n": 2, "data": name}
    timed = {
        **hostile,
        "latency_ms": {"p50": 1, "p90": 1},
        "device": name,
        "threads": 1,
        "valid": False,
        "flags": [name],
    }
    write(results, "evaluate", [evil], arguments=[name], host={name: name})
    write(results, "benchmark", [timed], verdicts=[name])
    page = Page(write_report(results, tmp_path / "report.html").read_text())
    assert "script" not in page.tags
    assert page.text.count("alert(1)") > 5


@pytest.mark.parametrize(
    ("command", "change", "message"),
    [
        (
            "evaluate",
            {"metrics": {"top1": 1.5}},
            "has top1 = 1.5 of 360 items; expected a fraction of 1 or more items.",
        ),
        ("evaluate", {"metrics": {"top1": "x"}}, "has top1 = 'x'; expected a finite number."),
        ("evaluate", {"metrics": {"top1": float("nan")}}, "has top1 = 'nan'; expected a finite number."),
        ("evaluate", {"n": -1}, "has n = '-1'; expected a number of 0 or more."),
        ("evaluate", {"metrics": 3}, "has metrics = '3'; expected an object."),
        ("evaluate", {"sha256": 3}, "has sha256 = '3'; expected text."),
        ("benchmark", {"valid": "yes"}, "has valid = 'yes'; expected true or false."),
        ("benchmark", {"flags": "x"}, "has flags = 'x'; expected a list."),
        ("benchmark", {"latency_ms": {"p90": 1}}, "has a result without 'p50'; write it again with edgekit --json."),
    ],
)
def test_a_value_that_cannot_be_is_refused(results: Path, command: str, change: dict[str, Any], message: str) -> None:
    path = results / f"{command}.json"
    data = json.loads(path.read_text())
    data["results"][0] |= change
    path.write_text(json.dumps(data))
    with pytest.raises(InputError) as error:
        read_results(results)
    assert str(error.value) == f"{path} {message}"


def test_broken_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(InputError, match=r"^.*x\.json is not JSON: .*; remove it or write it again\.$"):
        read_results(tmp_path)
    path.write_text('{"schema_version": 2, "command": "evaluate", "results": []}')
    with pytest.raises(InputError) as error:
        read_results(tmp_path)
    assert str(error.value) == (
        f"{path} has schema version 2; this edgekit reads 1: use the edgekit that wrote it, or a newer one."
    )
    path.write_text('{"schema_version": 1, "command": "evaluate", "results": [3]}')
    with pytest.raises(InputError) as error:
        read_results(tmp_path)
    assert str(error.value) == f"{path} has a result that is no object; write it again with edgekit --json."


def test_the_command(results: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edgekit", "report", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )

    done = run("results")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "Open report.html in a browser.\n")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    again = run("results")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "edgekit: report.html exists; use --force to replace it or -o to write elsewhere.\n"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run("empty", "-o", "e.html").stderr == (
        "edgekit: There are no results in empty; expected JSON files written with --json by edgekit "
        "train, convert, evaluate, compare, benchmark, sweep.\n"
    )
    assert run("nowhere", "-o", "e.html").stderr == (
        "edgekit: nowhere is not a folder; expected one with JSON files written by edgekit --json.\n"
    )
    assert not (tmp_path / "e.html").exists()


def layer(name: str, db: float | None, share: float | None) -> dict[str, Any]:
    return {"name": name, "activation_sqnr_db": db, "share": share}


def test_layers_are_drawn_where_they_were_compared(results: Path) -> None:
    page = render(read_results(results), title="t")
    assert "Layer by layer" not in page
    compared = [entry("int8", layers=[layer("stem", 41.26, 0.1), layer("<add>", 12.0, 0.9)], advice="keep it")]
    write(results, "compare", compared)
    page = render(read_results(results), title="t")
    assert "Layer by layer" in page
    assert "<title>stem: 41.3 dB, 10.0 % of the error</title>" in page
    assert "&lt;add&gt; 90 %" in page
    assert "<add>" not in page
    assert "keep it" in page


def test_a_layer_of_nan_is_left_out_of_the_plot(tmp_path: Path) -> None:
    write(tmp_path, "compare", [entry("int8", layers=[layer("a", 20.0, None), layer("b", None, None)], advice="b")])
    page = render(read_results(tmp_path), title="t")
    assert "<title>a: 20.0 dB</title>" in page
    assert "<title>b" not in page


def test_a_comparison_without_layers_is_no_row(tmp_path: Path) -> None:
    write(tmp_path, "compare", [entry("int8", metrics={})])
    with pytest.raises(InputError, match="There are no results in"):
        read_results(tmp_path)


def test_layers_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "compare", [entry("int8", layers=7, advice="")])
    with pytest.raises(InputError) as caught:
        read_results(tmp_path)
    assert str(caught.value) == f"{path} has layers = '7'; expected a list."


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
