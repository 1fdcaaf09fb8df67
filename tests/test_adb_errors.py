"""What can be wrong with a phone, each told in one sentence with what mends it."""

import dataclasses
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_android import FakeAndroid
from phone import script, write

from edgekit.artifact import open_artifact
from edgekit.devices import Device, open_device
from edgekit.devices.android import client
from edgekit.errors import DeviceError, EdgekitError, InputError, MissingExtraError
from edgekit.files import sha256_file
from edgekit.measure.settings import BenchmarkSettings, Job, Mode
from edgekit.workers import silent

QUICK = BenchmarkSettings(runs=4, warmup=1, min_duration_s=0, rounds=2, settle=1)

Plug = Callable[..., FakeAndroid]


def jobs(tiny_models: Path, *names: str) -> list[Job]:
    return [Job(artifact=open_artifact(tiny_models / name)) for name in names]


def failure(uri: str, do: Callable[[Any], object]) -> str:
    """The sentence in which it ends."""
    with pytest.raises(EdgekitError) as caught, open_device(uri) as device:
        do(device)
    return f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize("uri", ["adb", "adb://-s", "adb://a b", "adb://x;reboot", "adb://x?y"])
def test_an_address_that_is_none(uri: str) -> None:
    with pytest.raises(InputError) as caught:
        open_device(uri)
    assert str(caught.value) == (
        f"'{uri}' is no address of an Android device; expected adb://, adb://SERIAL or adb://SERIAL/path/to/python3, "
        "with a serial of: adb devices"
    )


def test_a_missing_adb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingExtraError) as caught, open_device("adb://"):
        pass
    assert str(caught.value) == "adb is not installed; install Android's platform tools, such as: apt install adb"


def test_an_adb_that_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "adb", "echo 'error: cannot connect to daemon' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert failure("adb://", str) == (
        "DeviceError: adb does not work here: error: cannot connect to daemon; see what this says: adb devices"
    )


def test_no_phone_and_too_many(plug: Plug) -> None:
    assert failure("adb://", str) == (
        "DeviceError: No Android device is connected; plug one in, with USB debugging switched on, and look at: "
        "adb devices"
    )
    first = plug()
    assert failure("adb://other", str) == (
        f"DeviceError: There is no Android device other; adb devices lists {first.serial}: plug it in, with USB "
        "debugging switched on."
    )
    names = sorted([first.serial, plug().serial])
    assert failure("adb://", str) == (
        f"DeviceError: Several Android devices are connected ({', '.join(names)}); name one, such as adb://{names[0]}"
    )


def test_a_phone_that_does_not_trust_this_computer(plug: Plug) -> None:
    phone = plug(trusts=False)
    assert failure(f"adb://{phone.serial}", str) == (
        f"DeviceError: adb://{phone.serial} does not trust this computer yet; unlock it and accept its dialog 'Allow "
        "USB debugging?'."
    )


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("device", None),
        ("offline", "adb://x is offline; plug it in again, or run: adb kill-server"),
        (
            "no permissions (user in plugdev group; are your udev rules wrong?); see [http://developer.android.com]",
            "This user may not use adb://x; add Android's rules for udev, such as: "
            "apt install android-sdk-platform-tools-common",
        ),
        ("recovery", "adb://x is in the state 'recovery'; start Android on it, and unlock it."),
    ],
)
def test_states_in_which_a_phone_is_no_use(state: str, sentence: str | None) -> None:
    assert client.state_trouble("adb://x", "x", {"x": state}) == sentence


def test_a_phone_without_the_tool(plug: Plug, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(generation=None)
    work = jobs(tiny_models, "convnet.tflite")
    assert failure("adb://", lambda d: d.measure(work, QUICK, progress=silent)) == (
        "InputError: There is no benchmark_model on adb://; take the one for its CPU from "
        "https://ai.google.dev/edge/litert/models/measurement and name it by EDGEKIT_BENCHMARK_MODEL, or put it to "
        "/data/local/tmp/benchmark_model."
    )
    monkeypatch.setenv("EDGEKIT_BENCHMARK_MODEL", "/nowhere/tool")
    assert failure("adb://", lambda d: d.measure(work, QUICK, progress=silent)) == (
        "InputError: EDGEKIT_BENCHMARK_MODEL names /nowhere/tool, which is no file; name a benchmark_model for the "
        "phone."
    )


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "echo 'sh: /data/local/tmp/benchmark_model: not executable: 64-bit ELF file'; exit 126",
            "DeviceError: benchmark_model is built for another CPU than that of adb:// (sh: "
            "/data/local/tmp/benchmark_model: not executable: 64-bit ELF file); take another from "
            "https://ai.google.dev/edge/litert/models/measurement",
        ),
        (
            "echo 'ERROR: Encountered unresolved custom op: X.'; echo 'ERROR: Benchmarking failed.'; exit 1",
            "ArtifactError: {path} does not run in benchmark_model on adb://: Encountered unresolved custom op: X.",
        ),
        (
            "echo 'Failed to apply XNNPACK delegate.'; echo 'Benchmarking failed.'",
            "ArtifactError: {path} does not run in benchmark_model on adb://: Failed to apply XNNPACK delegate.",
        ),
        (
            "echo 'INFO: STARTING!'; kill -SEGV $$",
            "ArtifactError: {path} does not run in benchmark_model on adb://: signal 11 ended it.",
        ),
        (
            "echo STARTING!",
            "DeviceError: benchmark_model on adb:// did not tell Init, First inference, Inference (avg), count, curr "
            "as a number; expected lines such as 'Inference (avg): 266473' and 'count=50 curr=266': take another build "
            "of it.",
        ),
    ],
)
def test_a_tool_that_fails(body: str, sentence: str, plug: Plug, tiny_models: Path) -> None:
    phone = plug(generation=None)
    script(phone.place("/data/local/tmp/benchmark_model"), body)
    work = jobs(tiny_models, "convnet.tflite")
    found = failure("adb://", lambda d: d.measure(work, QUICK, progress=silent))
    assert found == sentence.format(path=work[0].artifact.path)


def test_a_tool_that_may_not_be_run(plug: Plug, tiny_models: Path) -> None:
    phone = plug()
    phone.place("/data/local/tmp/benchmark_model").chmod(0o644)
    assert failure("adb://", lambda d: d.measure(jobs(tiny_models, "convnet.tflite"), QUICK, progress=silent)) == (
        "DeviceError: /data/local/tmp/benchmark_model may not be run on adb://; run there: chmod 755"
    )


def test_a_tool_that_cannot_be_made_a_program(
    plug: Plug, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = plug(generation=None)
    script(phone.root / "bin/chmod", "echo 'chmod: Operation not permitted' >&2; exit 1")
    monkeypatch.setenv("EDGEKIT_BENCHMARK_MODEL", str(script(tmp_path / "tool", "exit 0")))
    assert failure("adb://", lambda d: d.measure(jobs(tiny_models, "convnet.tflite"), QUICK, progress=silent)) == (
        "DeviceError: adb:// does not let adb make tool a program: chmod: Operation not permitted; look at rights in "
        "/data/local/tmp/edgekit."
    )


def test_a_file_that_changed_meanwhile(plug: Plug, tiny_models: Path, tmp_path: Path) -> None:
    plug()
    path = tmp_path / "changing.tflite"
    path.write_bytes((tiny_models / "convnet.tflite").read_bytes())
    artifact = open_artifact(path)
    path.write_bytes(b"nothing")
    found = failure("adb://", lambda d: d.measure([Job(artifact=artifact)], QUICK, progress=silent))
    assert found == f"DataError: {path} arrived damaged on adb://, or changed meanwhile; try again."


def test_a_model_that_the_engine_refuses(plug: Plug, tiny_models: Path, tmp_path: Path) -> None:
    """The words are LiteRT's own."""
    plug()
    artifact = open_artifact(tiny_models / "convnet.tflite")
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"nothing")
    job = Job(artifact=dataclasses.replace(artifact, path=broken, sha256=sha256_file(broken)))
    found = failure("adb://", lambda d: d.measure([job], QUICK, progress=silent))
    said = "The model is not a valid Flatbuffer buffer."
    assert found == f"ArtifactError: {broken} does not run in benchmark_model on adb://: {said}"


@pytest.mark.parametrize(("name", "engine"), [("convnet.onnx", None), ("convnet.tflite", "onnxruntime")])
def test_what_the_tool_does_not_run(name: str, engine: str | None, plug: Plug, tiny_models: Path) -> None:
    plug()
    artifact = open_artifact(tiny_models / name)
    job = Job(artifact=artifact, engine=engine)
    assert failure("adb://", lambda d: d.measure([job], QUICK, progress=silent)) == (
        f"InputError: {artifact.path} in {engine or 'onnx'} is nothing for benchmark_model on adb://, which runs "
        ".tflite files in litert; name a Python of the phone for others, such as adb://SERIAL/path/to/python3."
    )


def test_a_percentile_of_runs_is_not_the_tools(plug: Plug, tiny_models: Path) -> None:
    plug()
    work, settings = jobs(tiny_models, "convnet.tflite"), BenchmarkSettings.in_mode(Mode.SUBMISSION)
    assert failure("adb://", lambda d: d.measure(work, settings, progress=silent)) == (
        "InputError: The mode submission counts the 90th percentile of runs, which benchmark_model on adb:// does not "
        "tell; choose another mode, or name a Python of the phone, such as adb://SERIAL/path/to/python3."
    )


def test_outputs_are_not_the_tools(plug: Plug, tiny_models: Path) -> None:
    plug()
    artifact = open_artifact(tiny_models / "convnet.tflite")
    assert failure("adb://", lambda d: d.open(artifact)) == (
        f"InputError: benchmark_model on adb:// gives no outputs of {artifact.path}; name a Python of the phone, such "
        "as adb://SERIAL/path/to/python3, or reach Termux by ssh://."
    )


@pytest.mark.parametrize("moment", ["--num_runs=2 ", "Loaded model"])
def test_a_cable_that_is_pulled(moment: str, plug: Plug, tiny_models: Path) -> None:
    """Before the tool starts, and while it works."""
    phone = plug(unplug_at=moment)
    uri = f"adb://{phone.serial}"
    found = failure(uri, lambda d: d.measure(jobs(tiny_models, "convnet.tflite"), QUICK, progress=silent))
    assert found in (
        f"DeviceError: {uri} is offline; plug it in again, or run: adb kill-server",
        f"DeviceError: {uri} was lost: error: closed; plug it in again and repeat.",
    )


def test_a_phone_without_room(plug: Plug, tiny_models: Path) -> None:
    phone = plug()
    write(phone.place(client.FOLDER), "a file, where a folder should be\n")
    found = failure("adb://", lambda d: d.measure(jobs(tiny_models, "convnet.tflite"), QUICK, progress=silent))
    assert found.startswith("DeviceError: adb:// does not let adb write to /data/local/tmp/edgekit: mkdir: ")
    assert found.endswith("; free space or rights.")


def test_a_push_that_fails(plug: Plug, tiny_models: Path, tmp_path: Path) -> None:
    phone = plug()
    device = client.find_device("adb://", None)
    with pytest.raises(DeviceError) as caught:
        device._push(tiny_models / "convnet.tflite", "/data/nowhere/x")
    assert str(caught.value).startswith("convnet.tflite could not be put on adb://: adb: error: failed to copy ")
    assert str(caught.value).endswith("remote No such file or directory.")
    phone.full = True
    with pytest.raises(DeviceError) as caught:
        device._push(tiny_models / "convnet.tflite", "/data/local/tmp/x")
    assert str(caught.value) == (
        "adb:// has no space for convnet.tflite; free some, such as: adb shell rm -r /data/local/tmp/edgekit"
    )


def test_a_cable_that_is_pulled_while_a_python_runs(plug: Plug) -> None:
    phone = plug(generation=None)
    script(phone.place("/data/local/tmp/python3"), f'cd / && exec {shlex.quote(sys.executable)} "$@"')
    uri = f"adb://{phone.serial}/data/local/tmp/python3"

    def pulled(device: Device) -> None:
        device.host()
        phone.pull()
        device.host()

    assert failure(uri, pulled) in (
        f"DeviceError: {uri} is offline; plug it in again, or run: adb kill-server",
        f"DeviceError: {uri} was lost: error: device offline; plug it in again and repeat.",
        f"DeviceError: {uri} was lost: error: closed; plug it in again and repeat.",
    )


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, "There is no Python at /data/local/tmp/py on {uri}; name one that the adb shell can run."),
        (
            "echo 'py: Permission denied' >&2; exit 126",
            "The adb shell may not run /data/local/tmp/py on {uri}; reach an app's own files, such as Termux's, by its "
            "sshd.",
        ),
        ("echo boom >&2; exit 3", "{uri} was lost (exit code 3): boom; plug it in again and repeat."),
    ],
)
def test_a_python_that_does_not_start(body: str | None, sentence: str, plug: Plug) -> None:
    phone = plug()
    if body is not None:
        script(phone.place("/data/local/tmp/py"), body)
    uri = f"adb://{phone.serial}/data/local/tmp/py"
    assert failure(uri, lambda d: d.host()) == f"DeviceError: {sentence.format(uri=uri)}"


def test_a_phone_too_old_for_a_runner(plug: Plug) -> None:
    phone = plug(shell_v2=False)
    uri = f"adb://{phone.serial}/data/local/tmp/py"
    assert failure(uri, lambda d: d.host()) == (
        f"DeviceError: {uri} is older than Android 7, which cannot run edgekit's side; use adb://SERIAL alone."
    )


def test_a_phone_that_says_too_much_or_nothing(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    plug()
    device = client.find_device("adb://", None)
    monkeypatch.setattr(client, "MOST_TEXT", 1000)
    with pytest.raises(DeviceError) as caught:
        device.shell("seq 100000")
    assert str(caught.value) == "adb:// answered with more than 1,000 bytes, which no phone does; look at it."
    with pytest.raises(DeviceError) as caught:
        device.shell("read line; sleep 5", limit_s=0.2)
    assert str(caught.value) == "adb:// did not answer within 0.2 s; see whether it is busy."
