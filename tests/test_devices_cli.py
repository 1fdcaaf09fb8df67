"""The measuring verbs on a device over SSH, as their users start them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from check_project import double_a_scale, project
from command import edgekit
from sshd import Server, serving

INT8 = "small.int8.onnx"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(tmp_path / "sshd", monkeypatch) as found:
        yield found


def test_a_benchmark_here_and_there_with_one_that_is_not_there(server: Server, tiny_models: Path) -> None:
    files = [tiny_models / name for name in ("convnet_int8.tflite", "convnet.onnx")]
    devices = ["--device", "local", "--device", server.uri, "--device", "ssh://127.0.0.1:1"]
    done = edgekit("benchmark", *files, *devices, "--runs", 30, "--min-secs", 0, "--json", "-")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("edgekit: 1 of 3 devices failed: ")
    assert "ssh://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
    data = json.loads(done.stdout)
    assert [row["device"] for row in data["results"]] == ["local"] * 2 + [server.uri] * 2
    assert [row["answers"] and row["answers"]["identical"] for row in data["results"]] == [None, None, True, True]
    assert list(data["hosts"]) == ["local", server.uri]
    assert list(data["failed"]) == ["ssh://127.0.0.1:1"]


def test_an_evaluation_is_the_same_there(
    server: Server, colour_model: Callable[..., Path], colour_photos: Path
) -> None:
    model = colour_model()
    found = []
    for device in ("local", server.uri):
        done = edgekit("evaluate", model, "--data", colour_photos, "--device", device, "--json", "-")
        assert (done.returncode, done.stderr) == (0, "")
        (row,) = json.loads(done.stdout)["results"]
        assert row["device"] == device
        found.append(row["metrics"])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "verb",
    [
        ("evaluate", "x.onnx", "--data", "y"),
        ("compare", "x.onnx", "y.onnx", "--data", "y"),
        ("check",),
        ("check", "init", "x.onnx", "--data", "y"),
    ],
    ids=["evaluate", "compare", "check", "check init"],
)
def test_a_second_device_is_refused_where_one_is_taken(verb: tuple[str, ...]) -> None:
    done = edgekit(*verb, "--device", "pi", "--device", "local")
    assert (done.returncode, done.stderr) == (
        2,
        "edgekit: --device can be given once here; got pi, local: run it for each.\n",
    )


def test_a_check_fails_on_the_device_where_a_model_got_worse(server: Server, tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    begun = edgekit("check", "init", INT8, "--data", "photos.npz", "--device", server.uri, cwd=folder)
    assert begun.returncode == 0
    assert begun.stderr.endswith(f"Check with: edgekit check --device {server.uri}\n")
    elsewhere = edgekit("check", cwd=folder)
    assert elsewhere.returncode == 2
    assert elsewhere.stderr.startswith(
        f"edgekit: baseline.json was measured on {server.uri}, and this check is of local;"
    )
    assert edgekit("check", "--device", server.uri, cwd=folder).returncode == 0
    double_a_scale(folder / INT8)
    worse = edgekit("check", "--device", server.uri, cwd=folder)
    assert worse.returncode == 1
    assert worse.stderr.splitlines()[-1].startswith("edgekit: 3 of 7 lines got worse: ")
