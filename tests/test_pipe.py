"""A link to a device that is silent, late, or says what it should not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scripted_device
from scripted_device import BOUND, HOST, LOADED, STATE, TURN, answer

from edgekit.artifact import open_artifact
from edgekit.devices import linked, pipe
from edgekit.devices.agent.frames import packed_frame, parse_frame, read_header
from edgekit.devices.linked import LinkedDevice
from edgekit.devices.pipe import PipeLink
from edgekit.errors import DataError, DeviceError
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job
from edgekit.workers import silent

LATE = "board did not answer within {} s; see whether it is busy."
SCORES = np.zeros((1, 5), np.int8)
SANE = {
    "host": answer(HOST),
    "state": answer(STATE),
    "has": answer({"has": True}),
    "load": answer(LOADED),
    "bind": answer(BOUND),
    "turn": answer(TURN),
    "run": answer({"run_ms": 1.0}, [SCORES]),
}


def link(answers: dict[str, str], **options: str) -> PipeLink:
    return PipeLink(
        scripted_device.command(answers, **options), device="board", explain=lambda told, code: f"{told} and {code}"
    )


def measured(tiny_models: Path, answers: dict[str, str], *, warmup: int = 0, min_duration_s: float = 0) -> DeviceRun:
    job = Job(artifact=open_artifact(tiny_models / "convnet_int8.tflite"))
    settings = BenchmarkSettings(runs=4, warmup=warmup, min_duration_s=min_duration_s, rounds=2, settle=1)
    with LinkedDevice("board", lambda: link(answers)) as board:
        return board.measure([job], settings, progress=silent)


def failure(do: Any) -> str:
    with pytest.raises(DeviceError) as caught:
        do()
    return str(caught.value)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no work may take a second."""
    monkeypatch.setattr(pipe, "LIMIT_S", 1.0)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("operation", ["host", "state"])
def test_a_device_that_is_silent_is_one_sentence(operation: str) -> None:
    with LinkedDevice("board", lambda: link({})) as board:
        assert failure(getattr(board, operation)) == LATE.format(1)


@pytest.mark.usefixtures("hasty")
def test_a_device_that_takes_no_file_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with link({}) as silent_one:
        assert failure(lambda: silent_one.send("0" * 64, b"x")) == LATE.format(1)
    monkeypatch.setattr(pipe, "SLOWEST_BYTES_PER_S", 1000)
    with link({"has": answer({"has": False})}) as silent_one:
        assert failure(lambda: silent_one.send("0" * 64, bytes(500))) == LATE.format(1.5)


def test_a_device_that_never_starts_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "START_S", 0.3)
    assert failure(link({}, greeting="").__enter__) == LATE.format(0.3)


@pytest.mark.parametrize(
    ("lacking", "limit_s"),
    [("load", 1), ("run", 1), ("bind", 1 * (1 + 2)), ("turn", 1 * (2 + 1) + 0.5)],
)
def test_work_has_a_limit_by_how_much_it_is(
    lacking: str, limit_s: float, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linked, "patience_s", lambda _: 0.1)
    answers = {operation: told for operation, told in SANE.items() if operation != lacking}
    assert failure(lambda: measured(tiny_models, answers, warmup=2, min_duration_s=1.0)) == LATE.format(limit_s)


def test_a_device_hears_of_the_desk_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """This one answers a ping only, and in the place of what was asked before."""
    monkeypatch.setattr(pipe, "BEAT_S", 0.05)
    told = packed_frame({"number": 0, "kind": "result", "value": {"of": "a ping"}}).decode()
    with link({"ping": told}) as board:
        assert board.call("host", {}, limit_s=20) == ({"of": "a ping"}, [])


@pytest.mark.parametrize(
    "told",
    ["hello\n", "{}\n", '{"arrays": [[[], [1]]], "more": 0}\n', '{"arrays": [["int8", [0, 1e30]]], "more": 0}\n'],
    ids=range(4),
)
def test_a_device_that_goes_astray_is_ended(told: str, capfd: pytest.CaptureFixture[str]) -> None:
    with link({"host": told}) as board:
        assert failure(lambda: board.call("host", {})) == " and -9"
    assert capfd.readouterr() == ("", "")


def test_bytes_that_nobody_asked_for_are_no_answer() -> None:
    with link({"host": answer(HOST, more=b"x")}) as board:
        assert failure(lambda: board.call("host", {})) == "board answers what was not asked; try again."


def test_a_clock_that_stands_tells_nothing_of_others(tiny_models: Path) -> None:
    assert measured(tiny_models, SANE).others_cpus is None


@pytest.mark.parametrize(
    "arrays",
    ['[[[], [1]]]', '[[{}, [1]]]', '[["int8", [0, 1' + "0" * 30 + "]]]", '[["int8", [0, 65536, 65536]]]',
     '[["int8", [true]]]', '[["int8", [-1]]]', '[["int8", 1]]', '[["object", [1]]]', '["int8"]', "7"],
)  # fmt: skip
def test_a_header_with_impossible_arrays_is_refused(arrays: str) -> None:
    line = f'{{"arrays": {arrays}, "more": 0}}'.encode()
    with pytest.raises(DataError) as caught:
        read_header(line)
    assert str(caught.value) == f"A message lacks its arrays or sizes: {line[:80]!r}."


def test_an_array_of_nothing_is_sent() -> None:
    _, (got,) = parse_frame(packed_frame({}, [np.zeros((0, 4), np.float32)]))
    assert got.shape == (0, 4)
