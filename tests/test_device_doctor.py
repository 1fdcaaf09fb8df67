"""What `edgekit device doctor` finds on a device, and what it makes of it."""

import dataclasses
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scripted_device
from command import edgekit
from scripted_device import HOST, LOADED, answer
from sshd import Server, serving
from test_provision import PI

from edgekit.devices.linked import LinkedDevice
from edgekit.devices.pipe import PipeLink
from edgekit.doctor.device import engine_findings, examine_device, look_findings
from edgekit.doctor.finding import Diagnosis, Finding, Status, lines


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(tmp_path / "sshd", monkeypatch) as running:
        yield running


def test_a_device_that_is_fit(server: Server) -> None:
    done = edgekit("device", "doctor", server.uri, "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["command"], told["healthy"]) == ("device doctor", True)
    assert [finding["name"] for finding in told["results"]] == [
        *("reachable", "machine", "python", "numpy", "disk", "memory"),
        *("system", "platform", "cpu", "governor"),
        *(".tflite", "XNNPACK", ".onnx"),
    ]
    details = {finding["name"]: finding["detail"] for finding in told["results"]}
    assert details["numpy"] == np.__version__
    assert details[".tflite"].startswith("litert ")
    assert details["XNNPACK"] == "runs operators of .tflite files"
    assert told["host"]["packages"]["numpy"] == np.__version__
    assert edgekit("device", "doctor", server.uri).stdout.splitlines()[-1] == "Nothing is broken."


def test_a_device_is_only_looked_at(server: Server) -> None:
    examine_device(server.uri)
    assert [path.name for path in server.home.iterdir()] == [".cache"]
    assert [path.name for path in (server.home / ".cache").iterdir()] == ["edgekit"]


def test_this_machine_is_a_device_too() -> None:
    found = examine_device("local")
    assert found.healthy
    assert [finding.name for finding in found.findings][:2] == ["reachable", "system"]


def test_a_device_that_does_not_answer_is_told(server: Server) -> None:
    (server.folder / "known_hosts").write_text("")
    done = edgekit("device", "doctor", server.uri)
    assert done.returncode == 1
    first, last = done.stdout.splitlines()
    assert first.startswith(f"broken  reachable  The host key of {server.uri} is not known here; connect once by hand")
    assert last == "Broken: 1."


def test_a_device_without_numpy_is_told_with_what_mends_it(server: Server) -> None:
    server.python(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S "$@"\n')
    found = {finding.name: finding for finding in examine_device(server.uri).findings}
    assert list(found) == ["reachable", "machine", "python", "numpy", "disk", "memory"]
    assert (found["numpy"].status, found["numpy"].detail) == (Status.BROKEN, "not installed")
    assert found["numpy"].advice == f"Run: edgekit device provision {server.uri}"


@pytest.mark.parametrize(("module", "suffix", "engine"), [("onnxruntime", ".onnx", "onnxruntime")])
def test_a_device_that_lacks_one_engine_is_fit_for_the_other(
    server: Server, tmp_path: Path, module: str, suffix: str, engine: str
) -> None:
    hide(server, tmp_path / "site", module)
    found = examine_device(server.uri)
    assert found.healthy
    missing = next(finding for finding in found.findings if finding.name == suffix)
    assert (missing.status, missing.detail) == (Status.NOTE, f"nothing runs {suffix} files")
    assert missing.advice == f"Run: edgekit device provision {server.uri} --engine {engine}"


def test_a_device_without_engines_is_not_fit(server: Server, tmp_path: Path) -> None:
    hide(server, tmp_path / "site", "onnxruntime", "ai_edge_litert")
    found = examine_device(server.uri)
    assert not found.healthy
    last = found.findings[-1]
    assert (last.name, last.status, last.detail) == ("models", Status.BROKEN, "no model can run there")
    assert last.advice == f"Run: edgekit device provision {server.uri}"


def test_an_engine_that_counts_wrong_is_noticed(server: Server, tmp_path: Path) -> None:
    """An engine whose answer is another one, as that of a damaged installation."""
    hide(server, tmp_path / "site", "onnxruntime")
    with (tmp_path / "site/sitecustomize.py").open("a") as stream:
        stream.write(
            "import ai_edge_litert.interpreter as engine\n"
            "right = engine.Interpreter.get_tensor\n"
            "engine.Interpreter.get_tensor = lambda self, index: right(self, index) + 1\n"
        )
    found = examine_device(server.uri)
    assert not found.healthy
    wrong = next(finding for finding in found.findings if finding.name == ".tflite")
    assert wrong.status is Status.BROKEN
    assert wrong.detail.endswith("says that relu of -1 and 2 is [[1.0, 3.0]]; expected [[0.0, 2.0]].")


def test_an_engine_that_takes_the_process_down_is_told(server: Server, tmp_path: Path) -> None:
    hide(server, tmp_path / "site", "onnxruntime")
    with (tmp_path / "site/sitecustomize.py").open("a") as stream:
        stream.write(
            "import os\nimport ai_edge_litert.interpreter as engine\n"
            "engine.Interpreter.invoke = lambda self: os.kill(os.getpid(), 11)\n"
        )
    found = examine_device(server.uri)
    assert not found.healthy
    wrong = next(finding for finding in found.findings if finding.name == ".tflite")
    assert (
        wrong.detail == f"An engine crashed on {server.uri}; install another one: edgekit device provision {server.uri}"
    )


def test_what_a_device_is_short_of_is_told() -> None:
    short = dataclasses.replace(
        PI, python="3.7.3", free_bytes=1 << 20, memory_available_bytes=1 << 20, writable=False, packages={}
    )
    found = {finding.name: finding for finding in look_findings("pi", short)}
    assert {name: finding.status for name, finding in found.items()} == {
        "machine": Status.OK,
        "python": Status.BROKEN,
        "numpy": Status.BROKEN,
        "disk": Status.NOTE,
        "memory": Status.NOTE,
    }
    assert found["python"].detail == "3.7.3, /usr/bin/python3; expected 3.9 or newer"
    assert found["machine"].detail == "Linux, aarch64, Python of 64 bits, glibc 2.36"
    assert found["numpy"].advice is None  # an old Python comes first
    assert found["disk"].detail == "1 MB free in /home/pi, not writable"
    assert found["memory"].advice == "Close what else runs there."
    for free_bytes, status in ((299_999_999, Status.NOTE), (300_000_000, Status.OK)):
        look = dataclasses.replace(PI, free_bytes=free_bytes, memory_available_bytes=free_bytes)
        found = {finding.name: finding for finding in look_findings("pi", look)}
        assert (found["disk"].status, found["memory"].status) == (status, status)
    other = next(look_findings("pi", dataclasses.replace(PI, glibc=None)))
    assert other.detail.endswith(", another C library than glibc")
    silent = dataclasses.replace(PI, memory_available_bytes=None)
    assert {f.name: f.detail for f in look_findings("pi", silent)}["memory"] == "it does not tell"


def test_a_device_without_the_fast_kernels_is_told() -> None:
    delegation = {"name": "XNNPACK", "operators": 0, "total": 1, "works": False}
    answers = {
        **{"host": answer(HOST), "has": answer({"has": True}), "load": answer({**LOADED, "delegation": delegation})},
        "run": answer({"run_ms": 1.0}, [np.array([[0, 2]], np.float32)]),
    }

    def connect() -> PipeLink:
        return PipeLink(scripted_device.command(answers), device="board", explain=lambda told, _: told)

    with LinkedDevice("board", connect) as device:
        found = engine_findings(device, provisioned=False)[1]
    assert (found.name, found.status) == ("XNNPACK", Status.NOTE)
    assert found.detail == "is not used, so that .tflite files are slow"
    assert found.advice == "Look at /proc/cpuinfo and /sys/devices/system/cpu there."


def test_what_a_device_says_cannot_command_the_terminal() -> None:
    """Nor forge a line of its own."""
    bad = "2.1\x1b[2K\nok      python"
    found = Finding(name="numpy", status=Status.OK, detail=bad, advice=bad)
    told = lines(Diagnosis(findings=(found,), host={}))
    assert told == [
        "ok      numpy  2.1\ufffd[2K ok      python",
        "               -> 2.1\ufffd[2K ok      python",
        "Nothing is broken.",
    ]


def hide(server: Server, folder: Path, *modules: str) -> None:
    """Let the device's Python be without ``modules``, and nothing of its own."""
    folder.mkdir()
    lines = ["import sys", *(f"sys.modules[{module!r}] = None" for module in modules)]
    (folder / "sitecustomize.py").write_text("\n".join(lines) + "\n")
    server.python(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(folder))} exec {shlex.quote(sys.executable)} "$@"\n')
