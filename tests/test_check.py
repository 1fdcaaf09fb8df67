"""Regression tests of models: honest runs pass, and each way of getting worse is named."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from check_project import DAMAGES, MODEL, change_card, double_a_scale, grow
from command import edgekit

from edgekit.artifact import open_artifact
from edgekit.card import DataRef
from edgekit.check import Line, Verdict, check, init, require_no_regression, update
from edgekit.check.baseline import Metric, read_baseline
from edgekit.check.start import least_drop
from edgekit.data import Part, item_digest, open_data
from edgekit.errors import CheckFailedError, InputError


@pytest.fixture
def folder(checked_project: Path, tmp_path: Path) -> Path:
    """A copy of the original to be changed."""
    return Path(shutil.copytree(checked_project, tmp_path / "project"))


def lines(folder: Path) -> dict[str, Line]:
    return {line.name: line for line in check(folder / "edgekit.toml").lines}


def regressed(folder: Path) -> set[str]:
    return {name for name, line in lines(folder).items() if line.regressed}


def test_an_honest_run_passes_every_line(folder: Path) -> None:
    found = lines(folder)
    assert list(found) == ["top1", "agreement", "outputs", "size", "calibration", "preprocessing", "labels"]
    assert {line.found.verdict for line in found.values()} == {Verdict.PASS}
    assert found["top1"].sentence() == (
        "small.int8.onnx top1: pass: 86.25 %, baseline 86.25 %, budget 85.25 % or more "
        "(0 items lost, 0 won of 160; McNemar's exact p 1)"
    )


@pytest.mark.parametrize("name", DAMAGES)
def test_what_got_worse_is_named(name: str, folder: Path) -> None:
    damage, expected = DAMAGES[name]
    damage(folder / MODEL)
    report = check(folder / "edgekit.toml")
    assert {line.name for line in report.regressed} == set(expected)
    with pytest.raises(CheckFailedError) as caught:
        require_no_regression(report)
    names = ", ".join(f"{MODEL} {line}" for line in expected)
    assert str(caught.value) == f"{len(expected)} of 7 lines got worse: {names}."


def test_the_command_fails_and_names_the_lines(folder: Path) -> None:
    double_a_scale(folder / MODEL)
    done = edgekit("check", cwd=folder)
    assert done.returncode == 1
    assert done.stderr == (
        "edgekit: 3 of 7 lines got worse: small.int8.onnx top1, small.int8.onnx agreement, small.int8.onnx outputs.\n"
    )
    assert "Check on 160 items of photos against the baseline of" in done.stdout
    assert done.stdout.count("regress") == 3


def test_the_command_begins_and_passes(folder: Path) -> None:
    for name in ("edgekit.toml", "baseline.json"):
        (folder / name).unlink()
    begun = edgekit("check", "init", MODEL, "--data", "photos.npz", "--samples", 80, "--seed", 3, cwd=folder)
    assert (begun.returncode, begun.stdout) == (0, "")
    assert begun.stderr.splitlines() == [
        "With 80 items a drop of less than 7.5 points is not told from chance.",
        "Latency is not checked, since there is no other file to time this one against: give --reference FILE, such as "
        "a copy of it that never changes.",
        "Wrote edgekit.toml and baseline.json. Check with: edgekit check",
    ]
    done = edgekit("check", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Check on 80 items of photos" in done.stdout
    again = edgekit("check", "init", MODEL, "--data", "photos.npz", cwd=folder)
    assert again.returncode == 2
    assert again.stderr == "edgekit: edgekit.toml exists; use --force to replace it or -o to write elsewhere.\n"
    forced = edgekit("check", "init", MODEL, "--data", "photos.npz", "--force", cwd=folder)
    assert forced.returncode == 0


def test_paths_are_those_of_the_configuration_wherever_it_is_called(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "elsewhere").symlink_to("far/new")
    (tmp_path / "far" / "new").mkdir()
    (tmp_path / "far" / "latest.onnx").symlink_to(folder / MODEL)
    elsewhere = tmp_path / "elsewhere"
    init([tmp_path / "far" / "latest.onnx"], str(folder / "photos.npz"), output_dir=elsewhere)
    assert 'file = "../latest.onnx"' in (elsewhere / "edgekit.toml").read_text()
    init([folder / MODEL], str(folder / "photos.npz"), output_dir=tmp_path / "new")
    assert 'file = "../project/small.int8.onnx"' in (tmp_path / "new" / "edgekit.toml").read_text()
    for name in ("elsewhere", "new"):
        done = edgekit("check", "--config", f"{name}/edgekit.toml", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")


def test_what_got_better_is_told_and_passes(folder: Path) -> None:
    good = (folder / MODEL).read_bytes()
    double_a_scale(folder / MODEL)
    grow(folder / MODEL)
    update(folder / "edgekit.toml", reason="worse, on purpose")
    (folder / MODEL).write_bytes(good)
    found = lines(folder)
    assert {name for name, line in found.items() if line.found.verdict is Verdict.IMPROVE} == {"top1", "size"}
    assert found["top1"].found.figures["drop"] == pytest.approx(-0.6125)


def test_a_new_baseline_keeps_why(folder: Path) -> None:
    double_a_scale(folder / MODEL)
    done = edgekit("check", "--update", "--reason", "the scale\nis meant", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        f"{MODEL}: 25.00 %, {(folder / MODEL).stat().st_size:,} bytes\nRecorded a new baseline: the scale is meant\n"
    )
    assert regressed(folder) == set()
    first, second = read_baseline(folder / "baseline.json").history
    assert (first.reason, second.reason) == ("the first baseline", "the scale is meant")
    assert first.models[MODEL].metric == pytest.approx(0.8625)
    assert second.models[MODEL].metric == pytest.approx(0.25)
    assert first.models[MODEL].sha256 != second.models[MODEL].sha256
    assert {"edgekit", "numpy", "onnxruntime", "python"} <= set(second.versions)


@pytest.mark.parametrize("arguments", [["--update"], ["--reason", "because"]])
def test_a_reason_and_an_update_belong_together(arguments: list[str], folder: Path) -> None:
    done = edgekit("check", *arguments, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "edgekit: --update and --reason TEXT belong together: a new baseline keeps why it was made."
    )


def test_an_empty_reason_is_none(folder: Path) -> None:
    with pytest.raises(InputError, match=r"^A new baseline needs a reason; say why with --reason TEXT\.$"):
        update(folder / "edgekit.toml", reason=" ")


def test_an_update_takes_other_data_and_other_models(folder: Path) -> None:
    text = (folder / "edgekit.toml").read_text()
    (folder / "edgekit.toml").write_text(text.replace(MODEL, "small.fp32.onnx").replace("seed = 0", "samples = 50"))
    update(folder / "edgekit.toml", reason="the float network, on fewer photos")
    assert list(lines(folder)) == ["top1", "agreement", "outputs", "size", "preprocessing", "labels"]
    assert len(read_baseline(folder / "baseline.json").data.indices) == 50


def test_an_update_that_fails_leaves_the_old_baseline(folder: Path) -> None:
    before = (folder / "baseline.json").read_bytes()
    (folder / MODEL).write_bytes(b"no network")
    with pytest.raises(InputError):
        update(folder / "edgekit.toml", reason="broken")
    assert (folder / "baseline.json").read_bytes() == before
    assert sorted(p.name for p in folder.iterdir() if p.name.startswith(".")) == []


def test_items_that_calibrate_now_are_left_out_of_both(folder: Path) -> None:
    """The rest is paired with the same items of the baseline."""
    data = open_data(str(folder / "photos.npz"), part=Part.EVALUATION, data_dir=None)
    digests = tuple(item_digest(data.items[index]) for index in range(0, 150, 3))
    card = open_artifact(folder / MODEL).card
    used = DataRef(name="photos", digest="0" * 64, count=200, items=digests)
    change_card(folder / MODEL, provenance=replace(card.provenance, calibration=used))
    report = check(folder / "edgekit.toml")
    assert (report.regressed, report.seen.left_out, len(report.seen.places)) == ((), 50, 110)
    assert {line.name: line.found.why for line in report.lines}["agreement"] == "0 of 110 answers differ"


def test_options_before_init_are_refused(folder: Path) -> None:
    done = edgekit("check", "--device", "local", "init", MODEL, "--data", "photos.npz", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "edgekit: --device has no effect before init; give it after init, or leave it out."
    )


def test_an_option_that_init_lacks_is_not_sent_there(folder: Path) -> None:
    for option in ("--config=edgekit.toml", "--json=x", "--junit=x", "--update"):
        done = edgekit("check", option, "init", MODEL, "--data", "photos.npz", cwd=folder)
        assert done.returncode == 2
        name = option.partition("=")[0]
        assert done.stderr.splitlines()[-1] == f"edgekit: {name} has no effect before init; leave it out."


@pytest.mark.parametrize("options", [("--json", "--junit"), ("--junit", "--markdown"), ("--json", "--markdown")])
def test_results_of_two_kinds_are_two_files(options: tuple[str, str], folder: Path) -> None:
    done = edgekit("check", options[0], "x.out", options[1], "./x.out", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "edgekit: --json, --junit and --markdown write files of their own; two of them name one file."
    )
    assert not (folder / "x.out").exists()


@pytest.mark.parametrize(
    ("count", "metric", "sentence"),
    [
        (5, Metric.TOP1, "With only 5 of the items no drop is told from chance; take more of them."),
        (6, Metric.TOP1, "With 6 items a drop of less than 100 points is not told from chance."),
        (10_000, Metric.TOP1, "With 10000 items a drop of less than 0.06 points is not told from chance."),
        (5, Metric.MAP, "With only 5 of the images no drop is told from chance; take more of them."),
        (6, Metric.MAP, "A loss in fewer than 6 of the 6 images is not told from chance."),
        (90, Metric.PR_AUC, "A loss that fewer than 6 of the anomalies show is not told from chance."),
        (12, Metric.EER, "A loss in fewer than 6 of the 12 people is not told from chance."),
        (90, Metric.MSE, "A loss in fewer than 6 of the 90 users is not told from chance."),
    ],
)
def test_what_so_many_items_can_tell(count: int, metric: Metric, sentence: str) -> None:
    assert least_drop(count, metric) == sentence


def test_an_update_writes_no_results(folder: Path) -> None:
    done = edgekit("check", "--update", "--reason", "x", "--json", "-", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "edgekit: --update judges nothing; leave out --json, --junit and --markdown."
    )
