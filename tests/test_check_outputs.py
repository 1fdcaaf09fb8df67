"""A check's JSON, JUnit and Markdown, and the configuration that is written for people."""

import json
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from check_project import MODEL, double_a_scale, project
from command import edgekit
from hypothesis import given
from hypothesis import strategies as st

from edgekit.check import init
from edgekit.check.baseline import Baseline, DataRecord, Metric, Scores, dump, read_baseline
from edgekit.check.budgets import Budgets, Config, DataSettings, LatencySettings, ModelEntry
from edgekit.check.judge import Line
from edgekit.check.outputs import to_junit, to_markdown
from edgekit.check.recording import doubts
from edgekit.check.run import CheckReport, check
from edgekit.check.template import render
from edgekit.check.verdicts import Finding, Verdict
from edgekit.codec import from_jsonable
from edgekit.errors import InputError
from edgekit.measure.stats import Ratio


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose model got worse since its baseline."""
    folder = project(tmp_path_factory.mktemp("damaged"))
    init([folder / MODEL], str(folder / "photos.npz"), output_dir=folder)
    double_a_scale(folder / MODEL)
    return folder


@pytest.fixture(scope="module")
def report(damaged: Path) -> CheckReport:
    return check(damaged / "edgekit.toml")


def test_the_command_writes_everything_and_still_fails(damaged: Path, tmp_path: Path) -> None:
    files = {kind: tmp_path / f"check.{kind}" for kind in ("json", "xml", "md")}
    done = edgekit(
        "check", "--json", files["json"], "--junit", files["xml"], "--markdown", files["md"], cwd=damaged
    )  # fmt: skip
    assert done.returncode == 1
    data = json.loads(files["json"].read_text())
    assert (data["schema_version"], data["command"]) == (1, "check")
    assert data["regressed"] == [f"{MODEL} {name}" for name in ("top1", "agreement", "outputs")]
    (result,) = data["results"]
    assert (result["artifact"], result["format"], result["recipe"], result["n"]) == (MODEL, "onnx", "int8", 160)
    assert result["metrics"] == {"top1": pytest.approx(0.25)}
    assert [line["line"] for line in result["lines"]] == [
        *("top1", "agreement", "outputs", "size", "calibration", "preprocessing", "labels")
    ]
    assert result["lines"][0]["verdict"] == "regress"
    assert result["lines"][0]["figures"]["drop"] == pytest.approx(0.6125)
    assert data["host"]["cores"]
    suite = ElementTree.parse(files["xml"]).getroot()[0]  # noqa: S314 - our own
    assert {key: suite.attrib[key] for key in ("name", "tests", "failures", "errors", "skipped")} == {
        "name": "edgekit check",
        "tests": "7",
        "failures": "3",
        "errors": "0",
        "skipped": "0",
    }
    failed = [case.attrib["name"] for case in suite if case.find("failure") is not None]
    assert failed == ["top1", "agreement", "outputs"]
    assert {case.attrib["classname"] for case in suite} == {MODEL}
    summary = files["md"].read_text().splitlines()
    assert summary[0] == "### edgekit check: 3 of 7 lines got worse."
    assert summary[4] == "| file | line | verdict | now | baseline | budget | why |"
    assert summary[6].startswith("| small.int8.onnx | top1 | ❌ regress | 25.00 % | 86.25 % |")
    assert sum("✅ pass" in line for line in summary) == 4


def test_json_can_take_the_place_of_the_table(damaged: Path) -> None:
    done = edgekit("check", "--json", "-", cwd=damaged)
    assert done.returncode == 1
    assert json.loads(done.stdout)["arguments"] == ["check", "--json", "-"]


@pytest.mark.parametrize("option", ["--json", "--junit", "--markdown"])
def test_a_target_that_cannot_be_written_is_refused_before_the_work(option: str, damaged: Path) -> None:
    done = edgekit("check", option, ".", cwd=damaged)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "edgekit: . is a folder; give the name of a file to write.\n"


@pytest.mark.parametrize("option", ["--junit", "--markdown"])
def test_the_tables_place_is_for_json_alone(option: str, damaged: Path) -> None:
    done = edgekit("check", option, "-", cwd=damaged)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        "edgekit: --junit and --markdown write files; standard output is for --json alone."
    )


def test_a_machine_under_difficulties_is_remarked(report: CheckReport) -> None:
    assert doubts(report.seen) == ()
    busy = replace(report.seen, doubts=("load: other work took 2.0 of 2 CPUs during the run",))
    assert doubts(busy) == (
        "Latencies were measured under difficulties: load: other work took 2.0 of 2 CPUs during the run.",
    )


def test_names_of_any_kind_stay_text(report: CheckReport) -> None:
    evil = "a|b<script>\x1b[31m\n*c*.onnx"
    finding = Finding(verdict=Verdict.REGRESS, baseline="1", now="2", limit="3", why="]]> & <x>\x00")
    changed = replace(report, lines=(Line(file=evil, name="top1", found=finding),), notes=("<b>note</b>",))
    case = ElementTree.fromstring(to_junit(changed))[0][0]  # noqa: S314 - our own
    assert case.attrib["classname"] == "a|b<script>\ufffd[31m *c*.onnx"
    failure = case.find("failure")
    assert failure is not None
    assert failure.attrib["message"].endswith("(]]> & <x>\ufffd)")
    text = to_markdown(changed)
    assert "| a\\|b&lt;script&gt;\ufffd\\[31m \\*c\\*.onnx | top1 |" in text
    assert "- &lt;b&gt;note&lt;/b&gt;" in text
    assert to_markdown(replace(report, lines=())).startswith("### edgekit check: All 0 lines hold.")


# The files


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
FRACTIONS = st.none() | st.floats(0, 1)
BUDGETS = st.builds(
    Budgets,
    max_drop=FRACTIONS,
    min_agreement=FRACTIONS,
    min_sqnr_db=st.none() | st.floats(-200, 200),
    max_size_growth=st.none() | st.floats(0, 1e6),
    min_calibration_share=FRACTIONS,
    max_p50_ratio=st.none() | st.floats(1e-6, 1e6),
)
CONFIGS = st.builds(
    Config,
    data=st.builds(
        DataSettings,
        source=TEXT,
        samples=st.none() | st.integers(1, 10**9),
        seed=st.integers(0, 10**9),
        preprocess=st.none() | TEXT,
        labels=st.none() | TEXT,
        decoder=st.none() | TEXT,
    ),
    latency=st.builds(LatencySettings, reference=TEXT, threads=st.integers(1, 64), min_secs=st.floats(0, 100)),
    budgets=BUDGETS,
    models=st.lists(
        st.builds(ModelEntry, file=TEXT, budgets=BUDGETS), min_size=1, max_size=3, unique_by=lambda m: m.file
    ).map(tuple),
)


@given(CONFIGS)
def test_what_is_written_for_people_says_what_was_meant(config: Config) -> None:
    assert from_jsonable(Config, tomllib.loads(render(config, {}, least="few."))) == config


def test_limits_of_a_model_come_before_those_of_all() -> None:
    common = Budgets(max_drop=0.01, max_p50_ratio=1.0)
    entries = (ModelEntry(file="a"), ModelEntry(file="b", budgets=Budgets(max_drop=0.0, min_agreement=0.5)))
    config = Config(
        data=DataSettings(source="d"), latency=LatencySettings(reference="./a"), budgets=common, models=entries
    )
    assert config.limits("a") == common
    assert config.limits("b") == Budgets(max_drop=0.0, min_agreement=0.5, max_p50_ratio=1.0)
    assert [config.timed(name) for name in "ab"] == [False, True]


def test_a_baseline_is_the_same_when_it_is_read(damaged: Path, tmp_path: Path) -> None:
    baseline = read_baseline(damaged / "baseline.json")
    (tmp_path / "again.json").write_bytes(dump(baseline))
    assert read_baseline(tmp_path / "again.json") == baseline
    assert max(map(len, dump(baseline).decode().splitlines())) < 3000  # a line for each list


def test_a_baseline_keeps_the_largest_of_many_scores(damaged: Path, tmp_path: Path) -> None:
    baseline = read_baseline(damaged / "baseline.json")
    record = baseline.models[MODEL]
    many = Scores(places=tuple(range(1000)), values=tuple(float(v) for v in range(1000)))
    wide = replace(baseline, models={MODEL: replace(record, outputs=(many,) * 8)})
    (tmp_path / "wide.json").write_bytes(dump(wide))
    kept = read_baseline(tmp_path / "wide.json").models[MODEL].outputs[0]
    assert kept.places == tuple(range(900, 1000))
    assert kept.values == many.values[900:]


DATA = DataRecord(
    source="d", name="d", total=2, samples=None, seed=0, indices=(0, 1), digests=("a", "b"), truth="t"
)  # fmt: skip


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"indices": ()}, "The baseline's items and their digests do not belong together; make it anew."),
        ({"digests": ("a",)}, "The baseline's items and their digests do not belong together; make it anew."),
        ({"indices": (0, 2)}, "The baseline names items that its data does not have; make it anew."),
        ({"indices": (-1, 0)}, "The baseline names items that its data does not have; make it anew."),
    ],
)
def test_a_baseline_whose_parts_do_not_fit_is_refused(data: dict[str, tuple[object, ...]], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Baseline(metric=Metric.TOP1, machine="m", reference_sha256=None, data=replace(DATA, **data), models={})  # type: ignore[arg-type]
    assert str(caught.value) == sentence


@pytest.mark.parametrize("change", [{"model_bytes": 0}, {"latency": Ratio(value=0.0, low=0.0, high=0.0)}])
def test_a_model_without_size_or_latency_is_refused(change: dict[str, object], damaged: Path) -> None:
    record = read_baseline(damaged / "baseline.json").models[MODEL]
    with pytest.raises(InputError) as caught:
        replace(record, **change)  # type: ignore[arg-type]
    assert str(caught.value) == "The baseline has a model without a size or without a latency; make it anew."


@pytest.mark.parametrize(("places", "values"), [((0, 1), (0.5,)), ((-1,), (0.5,)), ((), ())])
def test_scores_without_their_places_are_refused(places: tuple[int, ...], values: tuple[float, ...]) -> None:
    with pytest.raises(InputError) as caught:
        Scores(places=places, values=values)
    assert str(caught.value) == "The baseline's outputs and their places do not belong together; make it anew."


def test_a_check_that_could_not_tell_leaves_no_old_answer(damaged: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(damaged, tmp_path / "project"))
    written = {"--junit": folder / "j.xml", "--markdown": folder / "s.md", "--json": folder / "c.json"}
    options = [word for name, path in written.items() for word in (name, path)]
    assert edgekit("check", *options, cwd=folder).returncode == 1
    assert "error" not in json.loads(written["--json"].read_text())
    (folder / "photos.npz").unlink()
    done = edgekit("check", *options, cwd=folder)
    assert done.returncode == 2
    told = done.stderr.strip().removeprefix("edgekit: ")
    (suite,) = ElementTree.fromstring(written["--junit"].read_bytes())  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("1", "1", "0")
    assert suite[0][0].get("message") == told
    assert written["--markdown"].read_text().startswith("### edgekit check: it could not tell\n\n")
    left = json.loads(written["--json"].read_text())
    assert (left["command"], left["results"], left["error"]) == ("check", [], told)
    assert json.loads(edgekit("check", "--json", "-", cwd=folder).stdout)["error"] == told
