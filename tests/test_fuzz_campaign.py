"""Short campaigns of damaged files and of kills through the real commands, whole in `make fuzz`; and their canaries."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz import campaign, kills
from fuzz.campaign import MIX, Case, run, verdict
from fuzz.host import Host, Outcome
from fuzz.readers import CORPUS, GOLDEN

pytestmark = pytest.mark.slow
SHARE = {"inspect": 0.05, "benchmark": 0.03, "evaluate": 0.03, "convert": 0.03}


@pytest.fixture(autouse=True)
def children_find_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(__file__).parent
    known = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(folder.parent), *known]))


@pytest.mark.parametrize("verb", MIX)
def test_damaged_models_end_in_a_sentence(verb: str) -> None:
    (result,) = run([verb], seed=1, share=SHARE[verb], sampled=10)
    assert result["found"] == []
    assert result["n"] == sum(round(count * SHARE[verb]) for count in MIX[verb].values())
    assert set(result["exit_codes"]) <= {"0", "1", "2"}


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("FUZZ_CANARY", "1")
    with Host(limit_s=15) as host:
        yield host


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("crash", "crash: the process ended with -6"),
        ("hang", "hang"),
        ("traceback", "traceback: Traceback (most recent call last)"),
        ("code", "crash: the exit code is 77"),
        ("mumble", "untidy: exit code 2"),
        ("litter", "left: ['.edgekit-left']"),
        ("fine", None),
    ],
)
def test_a_command_that_goes_wrong_is_noticed(how: str, told: str | None, canary: Host, tmp_path: Path) -> None:
    if how == "hang":
        canary.run(["canary", "fine", "x"])  # so that loading is over
        canary._limit_s = 1.0
    case = Case(verb=how, source=CORPUS / "onnx" / "card.onnx", operator="flip", number=0, seed=0)
    file = tmp_path / "damaged.onnx"
    file.write_bytes(case.content())
    outcome = canary.run(case.arguments(file, tmp_path))
    found = verdict(case, outcome, tmp_path)
    assert found is None if told is None else found is not None and found.startswith(told), found
    assert canary.run(["canary", "fine", str(file)]).code == 0  # the next one is not hurt


def test_a_refused_whole_file_and_a_result_that_is_no_json_are_noticed(tmp_path: Path) -> None:
    whole = Case(verb="inspect", source=CORPUS / "onnx" / "card.onnx", operator=None, number=0, seed=0)
    told = verdict(whole, Outcome(code=2, stderr="edgekit: No.\n", seconds=0.0), tmp_path)
    assert told == "control: the whole file was refused: edgekit: No.\n"
    (tmp_path / "result.json").write_text('{"value": NaN}')
    told = verdict(whole, Outcome(code=0, stderr="", seconds=0.0), tmp_path)
    assert told == "untidy: the JSON result is none: NaN is no JSON"


def test_a_process_that_ends_otherwise_is_noticed(tmp_path: Path) -> None:
    case = Case(verb="inspect", source=CORPUS / "onnx" / "card.onnx", operator="truncate", number=0, seed=0)
    told = campaign._again(case, Outcome(code=0, stderr="", seconds=0.0), tmp_path)
    assert told is not None
    assert told.startswith("differs as a process: 2 ")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")
@pytest.mark.parametrize(("verb", "kinds"), [("train", (0,)), ("convert", (0, 1))])
def test_a_kill_leaves_nothing_partial_and_a_later_run_mends_all(
    verb: str, kinds: tuple[int, ...], tmp_path: Path
) -> None:
    report = kills.kill(kills.VERBS[verb], 4, 1, tmp_path, kinds=kinds)
    assert report.found == []
    assert len(report.before_s) == 4
    assert report.killed >= 1


def test_what_a_kill_must_not_leave_is_noticed(tmp_path: Path) -> None:
    assert list(kills._train_partial(tmp_path)) == list(kills._convert_partial(tmp_path)) == []
    whole = (CORPUS / "keras" / "card.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(whole)
    shutil.copy(CORPUS / "npz" / "checkpoint.npz", tmp_path)
    assert list(kills._train_partial(tmp_path)) == []
    (tmp_path / "model.keras").write_bytes(whole[:-1000])
    (tmp_path / "checkpoint.npz").write_bytes((CORPUS / "npz" / "checkpoint.npz").read_bytes()[:-10])
    (tmp_path / "settings.json").write_text("{")
    (tmp_path / "rest.tmp").write_text("")
    told = sorted(kills._train_partial(tmp_path))
    assert [t.partition(" ")[0] for t in told] == ["checkpoint.npz", "model.keras", "rest.tmp", "settings.json"]
    folder = tmp_path / "out"
    folder.mkdir()
    onnx = (CORPUS / "onnx" / "card.onnx").read_bytes()
    (folder / "whole.onnx").write_bytes(onnx)
    assert list(kills._convert_partial(folder)) == []
    (folder / "half.onnx").write_bytes(onnx[: len(onnx) // 2])
    shutil.copy(GOLDEN / "models" / "convnet.onnx", folder / "without_card.onnx")
    (folder / "x.manifest.json").write_text("{}")
    told = sorted(kills._convert_partial(folder))
    assert [t.partition(" ")[0] for t in told] == ["half.onnx", "without_card.onnx", "x.manifest.json"]


def test_another_loss_curve_and_a_lingering_child_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = kills.Place(tmp_path)
    command = kills._train(place, 0)
    command[command.index("8")] = "2"
    expected = kills._train_reference(place, command)
    assert list(kills._train_mended(place, command, expected)) == []
    history = json.loads((place.out / "history.json").read_bytes())
    history["epochs"][0]["loss"] += 1e-7
    (place.out / "history.json").write_text(json.dumps(history))
    assert list(kills._train_mended(place, command, expected)) == [
        "the loss curve or the weights differ from those of an uninterrupted training"
    ]
    monkeypatch.setattr(kills, "LINGER_S", 0.2)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=place._env)
    try:
        assert place.linger_s() is None
    finally:
        child.kill()
        child.wait()
    assert place.linger_s() is not None
