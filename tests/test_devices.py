"""Devices by their address, and the one interface that all of them keep."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pythons import interpreter, make_venv
from sshd import serving
from tiny_ssd import raw_outputs, ssd, with_nms
from tiny_ssd import run as run_ssd

from edgekit.artifact import Artifact, open_artifact
from edgekit.devices import SCHEMES, Device, open_device
from edgekit.devices.linked import LinkedDevice
from edgekit.devices.local import LocalDevice
from edgekit.devices.parcel import START, parcel
from edgekit.devices.pipe import PipeLink, start_words
from edgekit.devices.ssh import SSHDevice
from edgekit.errors import DataError, DeviceError, InputError, MissingExtraError
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.runtimes import open_runtime
from edgekit.workers import silent

ADDRESSES = {
    "local": "local",
    "ssh": "ssh://pi@raspberrypi.local:2222",
    "adb": "adb://R58M123ABC",
    "web": "web://127.0.0.1:8077",
}
QUICK = BenchmarkSettings(threads=(1, 2), runs=6, warmup=1, min_duration_s=0, rounds=3)


@pytest.fixture
def over_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """This machine as a device that answers over SSH."""
    with serving(tmp_path / "sshd", monkeypatch) as server:
        yield SSHDevice(server.uri)


@pytest.fixture(params=["local", "piped", "over_ssh"])
def device(request: pytest.FixtureRequest) -> Device:
    found: Device = LocalDevice() if request.param == "local" else request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_kind_of_device_can_be_opened(scheme: str) -> None:
    assert open_device(ADDRESSES[scheme]).uri == ADDRESSES[scheme]


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("phone://x", f"There is no device 'phone://x'; known kinds of device: {', '.join(SCHEMES)}."),
        ("local://here", "The device 'local://here' has an address; this machine is called just local."),
    ],
)
def test_an_unknown_device_is_one_sentence(uri: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        open_device(uri)
    assert str(caught.value) == sentence


# The interface


def test_a_device_tells_of_itself(device: Device) -> None:
    with device:
        facts = device.host()
    assert facts["allowed_cpus"] >= 1
    assert facts["packages"]["numpy"] == np.__version__


def test_a_device_can_be_used_again(device: Device) -> None:
    for _ in range(2):
        with device:
            assert device.host()["allowed_cpus"] >= 1


@pytest.mark.parametrize("name", ["convnet_int8.tflite", "convnet.tflite", "convnet.onnx"])
def test_a_model_answers_on_a_device_as_here(device: Device, tiny_models: Path, name: str) -> None:
    artifact = open_artifact(tiny_models / name)
    feed, here = sample_inputs(artifact.card, seed=3), open_runtime(artifact.path)
    with device:
        there = device.open(artifact)
        assert (there.name, there.version, there.inputs, there.outputs, there.delegation) == (
            *(here.name, here.version, here.inputs, here.outputs, here.delegation),
        )
        answers = [there.run(feed, as_float=as_float) for as_float in (False, True)]
        bound = there.bind(feed)()
    for as_float, answer in zip((False, True), answers, strict=True):
        for key, values in here.run(feed, as_float=as_float).items():
            assert answer[key].dtype == values.dtype
            np.testing.assert_array_equal(answer[key], values)
    for values, known in zip(bound, here.bind(feed)(), strict=True):  # type: ignore[call-overload]
        np.testing.assert_array_equal(values, known)


@pytest.mark.parametrize("name", ["boxes.tflite", "boxes.onnx"])
def test_a_file_that_chooses_its_boxes_answers_there_too(piped: Device, tmp_path: Path, name: str) -> None:
    here = with_nms(tmp_path / name, ssd())
    inputs = raw_outputs(count=3)
    with piped:
        there = piped.open(open_artifact(tmp_path / name))
        found = run_ssd(there, inputs)
    for key, values in run_ssd(here, inputs).items():
        np.testing.assert_array_equal(found[key], values)


def test_models_are_timed_in_turns_on_a_device(device: Device, tiny_models: Path) -> None:
    jobs = [Job(artifact=open_artifact(tiny_models / name)) for name in ("convnet_int8.tflite", "convnet.onnx")]
    with device:
        run = device.measure(jobs, QUICK, progress=silent)
    assert [(t.artifact.path.name, t.threads, t.runtime_name) for t in run.timings] == [
        ("convnet_int8.tflite", 1, "litert"),
        ("convnet_int8.tflite", 2, "litert"),
        ("convnet.onnx", 1, "onnxruntime"),
        ("convnet.onnx", 2, "onnxruntime"),
    ]
    assert {t.device for t in run.timings} == {device.uri}
    assert all(len(t.rounds_ms) == 3 and t.runs == 6 and t.first_ms > 0 and t.init_ms > 0 for t in run.timings)
    assert (len(run.conditions), len(run.order)) == (4, 3)
    assert run.others_cpus is not None
    assert run.host["cores"] >= 1


# What runs there


def test_a_file_is_sent_once_and_the_runner_too(piped: Device, tiny_models: Path, tmp_path: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet_int8.tflite")
    with piped:
        piped.open(artifact)
        kept = tmp_path / "cache/edgekit/files" / artifact.sha256
        assert kept.read_bytes() == artifact.path.read_bytes()
        written = kept.stat().st_ino
        piped.open(artifact)
        assert kept.stat().st_ino == written
        kept.write_bytes(b"damaged")
        piped.open(artifact)
        assert kept.read_bytes() == artifact.path.read_bytes()
    names = sorted(path.name[:6] for path in (tmp_path / "cache/edgekit").iterdir())
    assert names == ["agent-", "files"]


def test_what_was_not_used_for_a_month_goes(piped: Device, tiny_models: Path, tmp_path: Path) -> None:
    cache, long_ago = tmp_path / "cache/edgekit", time.time() - 31 * 24 * 60 * 60
    for name in ("files/old", "files/new", "agent-old/x", "agent-new/x"):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_text("")
    for name in ("files/old", "agent-old"):
        os.utime(cache / name, (long_ago, long_ago))
    with piped:
        piped.open(open_artifact(tiny_models / "convnet.onnx"))
    assert not (cache / "files/old").exists()
    assert not (cache / "agent-old").exists()
    assert (cache / "files/new").exists()
    assert (cache / "agent-new").exists()


def test_what_is_used_is_kept(piped: Device, tiny_models: Path, tmp_path: Path) -> None:
    cache, long_ago = tmp_path / "cache/edgekit", time.time() - 31 * 24 * 60 * 60
    artifact, other = (open_artifact(tiny_models / name) for name in ("convnet.onnx", "convnet.tflite"))
    with piped:
        piped.open(artifact)
    for path in (cache / "files" / artifact.sha256, *cache.glob("agent-*")):
        os.utime(path, (long_ago, long_ago))
    with piped:
        piped.open(artifact)
        piped.open(other)
    assert (cache / "files" / artifact.sha256).exists()
    assert all(time.time() - path.stat().st_mtime < 3600 for path in cache.glob("agent-*"))


def emptied(folder: Path) -> list[Path]:
    """The files in ``folder``, as a power cut may leave them."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        path.write_bytes(b"")
    return files


@pytest.mark.parametrize("name", ["*", "parcel", "edgekit/devices/agent/serve.py"])
def test_a_runner_that_was_damaged_is_sent_anew(piped: Device, tmp_path: Path, name: str) -> None:
    with piped:
        piped.host()
    (agent,) = (tmp_path / "cache/edgekit").glob("agent-*")
    hurt = emptied(agent) if name == "*" else [agent / name]
    hurt[-1].write_bytes(b"")
    with piped:
        assert piped.host()["allowed_cpus"] >= 1
    assert all(path.stat().st_size for path in hurt if path.name != "__init__.py")
    assert list((tmp_path / "cache/edgekit").glob("agent-*")) == [agent]


def test_what_a_kill_leaves_of_a_runner_goes_in_a_month(piped: Device, tmp_path: Path) -> None:
    """It is called as those that do."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/shutil.py").write_text("def rmtree(*_, **__):\n    pass\n")
    (tmp_path / "site/zipfile.py").write_text("import os\nclass ZipFile:\n    __init__ = lambda *_: os._exit(9)\n")
    command = ["sh", "-c", f"PYTHONPATH={tmp_path}/site {start_words(sys.executable)}"]
    with pytest.raises(DeviceError), PipeLink(command, device="x", explain=_told):
        pass
    (left,) = (tmp_path / "cache/edgekit").iterdir()
    assert left.name.startswith("agent-")
    assert left.name != f"agent-{parcel().sha256}"


def test_a_runner_that_arrives_damaged_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = [sys.executable, "-c", START, "0" * 64]
    with pytest.raises(DeviceError) as caught, PipeLink(command, device="x", explain=_told):
        pass
    assert str(caught.value) == "edgekit: the runner arrived damaged and 1"
    assert not (tmp_path / "cache").exists()


def test_a_folder_in_the_place_of_a_file_goes(piped: Device, tiny_models: Path, tmp_path: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet.onnx")
    place = tmp_path / "cache/edgekit/files" / artifact.sha256
    (place / "x").mkdir(parents=True)
    with piped:
        piped.open(artifact)
    assert place.is_file()


@pytest.fixture
def own_disk(piped: Device, tmp_path: Path) -> Iterator[Path]:
    """A disk of its own for what is kept on the device."""
    disk = tmp_path / "cache"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a disk is mounted by root only")
    yield disk
    words = ["umount", "--lazy", str(disk)]
    subprocess.run(words, check=True)


def test_a_disk_that_became_read_only_still_serves(piped: Device, own_disk: Path, tiny_models: Path) -> None:
    artifact, other = (open_artifact(tiny_models / name) for name in ("convnet.onnx", "convnet.tflite"))
    with piped:
        piped.open(artifact)
    words = ["mount", "-o", "remount,ro", str(own_disk)]
    subprocess.run(words, check=True)
    with piped:
        piped.open(artifact)
        with pytest.raises(DeviceError, match="Read-only file system"):
            piped.open(other)


def ailing(tmp_path: Path, lines: str) -> LinkedDevice:
    """A device whose Python does ``lines`` first."""
    (tmp_path / "sitecustomize.py").write_text(lines)
    command = ["sh", "-c", f"PYTHONPATH={tmp_path} {start_words(sys.executable)}"]
    return LinkedDevice("board", lambda: PipeLink(command, device="board", explain=_told))


@pytest.fixture
def artifact(piped: Device, tiny_models: Path) -> Artifact:
    """A model, for a device that keeps it in the test's folder."""
    return open_artifact(tiny_models / "convnet.onnx")


def test_what_an_engine_prints_is_no_answer(tmp_path: Path, artifact: Artifact) -> None:
    chatty = "import os, onnxruntime\nrun = onnxruntime.InferenceSession.run\n"
    chatty += "def talk(*words):\n    os.write(1, b'hello')\n    print('hello', flush=True)\n    return run(*words)\n"
    with ailing(tmp_path, chatty + "onnxruntime.InferenceSession.run = talk\n") as board:
        assert board.open(artifact).run(sample_inputs(artifact.card, seed=0))


def test_a_device_whose_memory_is_full_says_so(tmp_path: Path, artifact: Artifact) -> None:
    full = "import onnxruntime\ndef run(*_):\n    raise MemoryError\nonnxruntime.InferenceSession.run = run\n"
    with ailing(tmp_path, full) as board, pytest.raises(DeviceError) as caught:
        board.open(artifact).run(sample_inputs(artifact.card, seed=0))
    assert str(caught.value) == "On board: there is not enough memory."


def test_importing_an_engine_is_not_loading_a_model(tmp_path: Path, artifact: Artifact) -> None:
    slow = "import sys, time\nclass Slow:\n    def find_spec(self, name, *_):\n"
    slow += "        if name == 'onnxruntime':\n            end = time.monotonic() + 1\n"
    slow += "            while time.monotonic() < end:\n                pass\nsys.meta_path.insert(0, Slow())\n"
    with ailing(tmp_path, slow) as board:
        assert board.open(artifact).loaded.init_ms < 1000


def test_errors_of_a_device_name_it(piped: Device, tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet_int8.tflite")
    with piped, pytest.raises(InputError) as caught:
        piped.open(artifact, engine="tflite-runtime")
    assert str(caught.value) == (
        "On board: There is no tflite-runtime for .tflite files here, which run in litert or tflite-runtime; "
        "install it, or name another."
    )


def test_a_device_without_an_engine_says_so(tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "numpy").symlink_to(Path(np.__file__).parent)
    (tmp_path / "numpy.libs").symlink_to(Path(np.__file__).parents[1] / "numpy.libs")
    command = ["sh", "-c", f"cd / && PYTHONPATH={tmp_path} {start_words(sys.base_prefix + '/bin/python3')}"]
    with (
        LinkedDevice("board", lambda: PipeLink(command, device="board", explain=_told)) as board,
        pytest.raises(MissingExtraError) as caught,
    ):
        board.open(open_artifact(tiny_models / "convnet.onnx"))
    assert str(caught.value) == "On board: No engine for .onnx files is installed. Run: pip install onnxruntime"


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13"])
def test_other_pythons_run_there(version: str, tmp_path: Path, tiny_models: Path) -> None:
    python = make_venv(tmp_path / "venv", interpreter(version), "numpy", "ai-edge-litert")
    command = ["sh", "-c", f"cd / && env -u PYTHONPATH HOME={tmp_path} {start_words(python)}"]
    artifact = open_artifact(tiny_models / "convnet_int8.tflite")
    feed = sample_inputs(artifact.card, seed=0)
    with LinkedDevice("board", lambda: PipeLink(command, device="board", explain=_told)) as board:
        assert board.host()["python"].startswith(version)
        run = board.measure([Job(artifact=artifact)], QUICK, progress=silent)
        answer = board.open(artifact).run(feed)
    assert run.timings[0].runs == 6
    for name, values in open_runtime(artifact.path).run(feed).items():
        np.testing.assert_array_equal(answer[name], values)


def test_a_keras_file_is_refused(piped: Device, tiny_models: Path) -> None:
    with piped, pytest.raises(InputError) as caught:
        piped.open(open_artifact(tiny_models / "convnet.keras"))
    assert str(caught.value).endswith("convnet.keras is a Keras file, which devices do not run; convert it first.")


def test_a_device_that_is_lost_is_one_sentence(tiny_models: Path) -> None:
    with (
        pytest.raises(DeviceError) as caught,
        LinkedDevice("x", lambda: PipeLink(["sh", "-c", "echo gone >&2; exit 3"], device="x", explain=_told)) as device,
    ):
        device.host()
    assert str(caught.value) == "gone and 3"


def test_a_file_that_changed_meanwhile_is_not_taken(piped: Device, tiny_models: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes((tiny_models / "convnet.onnx").read_bytes())
    artifact = open_artifact(path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with piped, pytest.raises(DataError) as caught:
        piped.open(artifact)
    assert str(caught.value) == "On board: A file arrived damaged: its digest is another; send it again."


def _told(text: str, code: int | None) -> str:
    return f"{text} and {code}"
