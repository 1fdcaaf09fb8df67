"""The report: results in, one self-contained page out, whatever the results say."""

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
from edgekit.report.read import Accuracy, Results, Row, Timing
from edgekit.report.svg import Point, scatter

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
