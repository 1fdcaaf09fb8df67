"""Pages that say what cannot be: one sentence each, whatever it is, and no crash."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from web_visitor import raw, result, stand_in_engines, visited

from edgekit.artifact import open_artifact
from edgekit.devices.agent.frames import Array, packed_frame
from edgekit.devices.web import WebDevice
from edgekit.errors import ArtifactError, DeviceError, EdgekitError, InputError
from edgekit.measure.settings import TIMED, BenchmarkSettings, Job, Mode
from edgekit.workers import silent

BROWSER = {
    "user_agent": "Mozilla/5.0",
    "brands": ["Chromium 156"],
    "platform": "Android",
    "platform_version": "16",
    "architecture": "arm",
    "bitness": "64",
    "model": "Phone 7",
    "cores": 8,
    "memory_gb": 8,
    "isolated": False,
    "secure": False,
    "clock_step_ms": 0.1,
}
GOOD = {
    "host": BROWSER,
    "state": {"hidden": False, "clock_ms": 1},
    "has": {"has": False},
    "put": {},
    "load": {"init_ms": 3, "threads": 1},
    "bind": {"first_ms": 2.5, "runs_a_sample": 1},
    "turn": {"samples_ms": [1.5, 1.25], "runs": 6},
    "run": {"run_ms": 1.5},
}
SCORES = np.array([[0.1, 0.2, 0.3, 0.4, 0]], np.float32)
UNASKED = "An answer came to a question that nobody has asked"
QUICK = BenchmarkSettings(runs=6, warmup=1, min_duration_s=0, rounds=3)

Header = dict[str, Any]


@pytest.fixture(autouse=True)
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_engines(tmp_path / "data", monkeypatch)


def replying(operation: str, answer: Callable[[Header], bytes]) -> Callable[[Header, list[Array]], bytes]:
    """A page that does everything well but ``operation``."""

    def reply(header: Header, _arrays: list[Array]) -> bytes:
        asked = header["operation"]
        if asked == operation:
            return answer(header)
        return result(header, GOOD[asked], [SCORES] if asked == "run" else [])

    return reply


def told(operation: str, answer: Callable[[Header], bytes], model: Path) -> EdgekitError:
    """What comes of work with a page that gives this ``answer`` to ``operation``."""
    artifact = open_artifact(model)

    def work(device: WebDevice) -> None:
        device.measure([Job(artifact=artifact)], QUICK, progress=silent)
        device.open(artifact).run({"image": np.zeros((1, 6, 4, 3), np.float32)})

    with visited(replying(operation, answer)) as (device, _), pytest.raises(EdgekitError) as caught:
        work(device)
    return caught.value


def test_a_page_that_says_what_it_should_is_believed(tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet.tflite")
    with visited(replying("", lambda _: b"")) as (device, visitor):
        facts = device.host()
        run = device.measure([Job(artifact=artifact)], QUICK, progress=silent)
        answer = device.open(artifact).run({"image": np.zeros((1, 6, 4, 3), np.float32)})
    assert (facts["board"], facts["machine"], facts["system"]) == (
        "Phone 7",
        "arm 64-bit",
        "Chromium 156 on Android 16",
    )
    assert (facts["cores"], facts["allowed_cpus"], facts["memory_bytes"], facts["cpu"]) == (8, 1, None, None)
    assert facts["packages"]["@litertjs/core"] == "2.5.3"
    assert facts["browser"] == {**BROWSER, "memory_gb": 8.0}
    (timing,) = run.timings
    assert (timing.runtime_name, timing.runtime_version, timing.threads) == ("litert.js", "2.5.3", 1)
    assert (timing.rounds_ms, timing.runs, timing.peak_rss_bytes) == (((1.5, 1.25),) * 3, 18, None)
    assert run.others_cpus is None
    np.testing.assert_array_equal(answer["scores"], SCORES)
    assert visitor.operations.count("put") == 2


@pytest.mark.parametrize(
    ("operation", "value", "sentence"),
    [
        ("host", {}, "it lacks the key 'user_agent'"),
        ("host", None, "it is null; expected an object with named values"),
        ("host", {**BROWSER, "x": 1}, "it has an unknown key 'x'; known keys: " + ", ".join(BROWSER)),
        ("host", {**BROWSER, "cores": "8"}, "it.cores is '8'; expected int"),
        ("host", {**BROWSER, "cores": 0}, "cores is 0; expected 1 to 4096"),
        ("host", {**BROWSER, "clock_step_ms": float("nan")}, "it.clock_step_ms is nan; expected a finite number"),
        ("host", {**BROWSER, "model": "x" * 1001}, "a text of it has 1,001 characters; expected 1000 at most"),
        ("host", {**BROWSER, "brands": ["x" * 1001]}, "a text of it has 1,001 characters; expected 1000 at most"),
        ("host", {**BROWSER, "brands": ["x"] * 21}, "brands has 21 entries; expected 20 at most"),
        ("state", {"hidden": 0, "clock_ms": 1}, "it.hidden is 0; expected bool"),
        ("has", {"has": "yes"}, "it.has is 'yes'; expected bool"),
        ("put", {"more": 1}, "it has an unknown key 'more'; known keys: "),
        ("load", {"init_ms": -1, "threads": 1}, "init_ms is -1; expected 0 to 1e+09"),
        ("bind", {"first_ms": 1e10, "runs_a_sample": 1}, "first_ms is 1e+10; expected 0 to 1e+09"),
        ("bind", {"first_ms": 1, "runs_a_sample": 0}, "runs_a_sample is 0; expected 1 to 1e+06"),
        ("turn", {"samples_ms": [], "runs": 1}, "the number of samples_ms is 0; expected 1 to 500"),
        ("turn", {"samples_ms": [1.0] * 501, "runs": 501}, "the number of samples_ms is 501; expected 1 to 500"),
        ("turn", {"samples_ms": [1.0, -1.0], "runs": 2}, "samples_ms is -1; expected 0 to 1e+09"),
        ("turn", {"samples_ms": [0.0, 0.0], "runs": 2}, "all samples_ms are 0; expected times of runs"),
        ("turn", {"samples_ms": [1.0, "2"], "runs": 2}, "it.samples_ms[1] is '2'; expected float"),
        ("turn", {"samples_ms": [1.0, 2.0], "runs": 1}, "runs is 1; expected 2 to 1e+09"),
        ("turn", {"samples_ms": [1.0, 2.0], "runs": 10**400}, "runs is too large; expected 2 to 1e+09"),
        ("load", {"init_ms": 1, "threads": -(10**400)}, "threads is too large; expected 1 to 4096"),
    ],
)  # fmt: skip
def test_values_that_cannot_be(operation: str, value: Any, sentence: str, tiny_models: Path) -> None:
    error = told(operation, lambda header: result(header, value), tiny_models / "convnet.tflite")
    assert type(error) is DeviceError
    assert str(error) == f"web:// gave no answer to {operation!r}: {sentence}."


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (lambda _: b"", "An answer has no header"),
        (lambda _: b"{" * (2 << 20), "An answer has no header"),
        (lambda _: b"[" * 9999 + b"\n", "A message is not JSON: b'" + "[" * 80 + "'"),
        (lambda _: raw([1]), "A message lacks its arrays or sizes: b'[1]'"),
        (lambda _: raw({"arrays": [["object", [1]]], "more": 0}), "A message lacks its arrays or sizes: "
         'b\'{"arrays": [["object", [1]]], "more": 0}\''),
        (lambda _: raw({"arrays": [["int8", [1 << 40]]], "more": 0}), "A message lacks its arrays or sizes: "
         'b\'{"arrays": [["int8", [1099511627776]]], "more": 0}\''),
        (lambda _: raw({"arrays": [["int8", [9]]], "more": 0}, b"x"), "An array of 9 bytes ended after 1"),
        (lambda h: raw({"number": h["number"], "arrays": [], "more": 0}, b"xy"), "A message has 2 bytes; expected 0"),
        (lambda _: raw({"number": 10**9, "arrays": [], "more": 0}), UNASKED),
        (lambda _: raw({"number": "1", "arrays": [], "more": 0}), UNASKED),
        (lambda _: raw({"number": [], "arrays": [], "more": 0}), UNASKED),
    ],
)  # fmt: skip
def test_what_is_no_answer_ends_the_session(body: Callable[[Header], bytes], sentence: str, tiny_models: Path) -> None:
    error = told("load", body, tiny_models / "convnet.tflite")
    assert type(error) is DeviceError
    assert str(error) == f"web:// sent what is no answer: {sentence}."


def test_arrays_that_nobody_asked_for(tiny_models: Path) -> None:
    error = told("bind", lambda header: result(header, GOOD["bind"], [SCORES]), tiny_models / "convnet.tflite")
    assert str(error) == "web:// gave no answer to 'bind': it came with arrays, which nobody asked for."


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        ([], "web:// gave 0 outputs; the model has 1."),
        ([SCORES[:, :4]], "web:// gave output 'scores' as float32 (1, 4); the model has float32 (1, 5)."),
        ([SCORES.astype(np.int8)], "web:// gave output 'scores' as int8 (1, 5); the model has float32 (1, 5)."),
    ],
)
def test_outputs_that_are_not_the_models(outputs: list[Array], sentence: str, tiny_models: Path) -> None:
    error = told("run", lambda header: result(header, GOOD["run"], outputs), tiny_models / "convnet.tflite")
    assert (type(error), str(error)) == (DeviceError, sentence)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("InputError", InputError), ("ArtifactError", ArtifactError), ("SystemExit", DeviceError), ("need", DeviceError)],
)
def test_errors_of_a_page_are_what_they_are_there(kind: str, expected: type[Exception], tiny_models: Path) -> None:
    value = {"kind": kind, "message": "It is \x1b[31mred."}

    def fail(header: Header) -> bytes:
        return packed_frame({"number": header["number"], "kind": "error", "value": value})

    error = told("load", fail, tiny_models / "convnet.tflite")
    assert (type(error), str(error)) == (expected, "On web://: It is \N{REPLACEMENT CHARACTER}[31mred.")


def test_an_error_that_is_none(tiny_models: Path) -> None:
    def fail(header: Header) -> bytes:
        return packed_frame({"number": header["number"], "kind": "error", "value": {"kind": "InputError"}})

    error = told("load", fail, tiny_models / "convnet.tflite")
    assert str(error) == "web:// gave no answer to 'load': the error lacks the key 'message'."


def test_fewer_threads_than_asked_for_are_not_passed_over(tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet.onnx")
    with visited(replying("", lambda _: b"")) as (device, _), pytest.raises(DeviceError) as caught:
        device.open(artifact, threads=4)
    assert str(caught.value) == "web:// runs onnxruntime-web in 1 threads, not in 4; use --threads 1."


def test_where_single_runs_count_means_do_not(tiny_models: Path) -> None:
    coarse = replying("bind", lambda header: result(header, {"first_ms": 1, "runs_a_sample": 20}))
    jobs = [Job(artifact=open_artifact(tiny_models / "convnet.tflite"))]
    with visited(coarse) as (device, _):
        (timing,) = device.measure(jobs, QUICK, progress=silent).timings
        assert timing.timed == f"{TIMED}; a sample is the mean of 20 runs, since the page's clock is coarse"
        with pytest.raises(InputError) as caught:
            device.measure(jobs, BenchmarkSettings.in_mode(Mode.SUBMISSION), progress=silent)
    assert str(caught.value) == (
        "The mode submission counts the 90th percentile of runs, and the clock of web:// is too coarse for those of "
        "convnet.tflite; choose another mode."
    )


def test_engines_of_other_devices_are_not_in_a_browser(tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet.tflite")
    with visited(replying("", lambda _: b"")) as (device, _), pytest.raises(InputError) as caught:
        device.open(artifact, engine="tflite-runtime")
    assert str(caught.value) == (
        "There is no tflite-runtime to choose in a browser, where .tflite files run in litert.js; leave out the engine."
    )


def test_a_file_is_sent_as_it_is(tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet.tflite")
    sizes: list[tuple[str, int]] = []

    def look(header: Header, arrays: list[Array]) -> bytes:
        if header["operation"] == "put":
            sizes.append((header["value"]["sha256"], header["more"]))
        return result(header, GOOD[header["operation"]])

    with visited(look) as (device, _):
        device.open(artifact)
    assert sizes == [(artifact.sha256, artifact.model_bytes)]
