"""Android phones: the real adb client, a phone that speaks adb's protocol, and real LiteRT on it."""

import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command import edgekit
from fake_android import FakeAndroid
from phone import NEWER, script, tool, write

from edgekit.artifact import open_artifact
from edgekit.devices import open_device
from edgekit.devices.android import client
from edgekit.devices.android.phone import TIMED, Tool, _Bench
from edgekit.doctor.device import examine_device
from edgekit.doctor.finding import Status
from edgekit.errors import InputError
from edgekit.measure.benchmark import benchmark
from edgekit.measure.evaluate import evaluate
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.runtimes import open_runtime
from edgekit.workers import silent

QUICK = BenchmarkSettings(runs=4, warmup=1, min_duration_s=0, rounds=2, settle=1)

Plug = Callable[..., FakeAndroid]


def jobs(tiny_models: Path, *names: str) -> list[Job]:
    return [Job(artifact=open_artifact(tiny_models / name)) for name in names]


# Timing with benchmark_model


@pytest.mark.parametrize(("generation", "shell_v2"), [("2021", False), ("newer", True)])
def test_models_are_timed_in_turns(generation: str, shell_v2: bool, plug: Plug, tiny_models: Path) -> None:
    phone = plug(generation=generation, shell_v2=shell_v2)
    with open_device("adb://") as device:
        run = device.measure(jobs(tiny_models, "convnet_int8.tflite", "convnet.tflite"), QUICK, progress=silent)
    assert [(t.artifact.path.name, t.device, t.runtime_name) for t in run.timings] == [
        ("convnet_int8.tflite", "adb://", "benchmark_model"),
        ("convnet.tflite", "adb://", "benchmark_model"),
    ]
    for timing in run.timings:
        assert [len(samples) for samples in timing.rounds_ms] == [1, 1]
        assert timing.samples_ms == tuple(figures.mean_ms for figures in timing.figures)
        assert timing.runs == sum(figures.runs for figures in timing.figures) == 4
        assert all(f.min_ms <= f.mean_ms <= f.max_ms for f in timing.figures)
        assert (timing.figures[0].p50_ms is None) == (generation == "2021")
        assert timing.first_ms > 0
        assert timing.init_ms > 0
        assert timing.footprint_bytes is not None
        assert timing.timed == TIMED
    told = [(t.delegation.operators, t.delegation.total) if t.delegation else None for t in run.timings]
    here = [open_runtime(t.artifact.path).delegation for t in run.timings]
    known = [(d.operators, d.total) for d in here if d is not None]
    partly = known[0][0] < known[0][1]
    assert told == ([None, known[1]] if generation == "2021" and partly else known)
    assert any("XNNPACK runs convnet_int8.tflite only in part" in note for note in run.notes) == (told[0] is None)
    assert (len(run.conditions), len(run.order)) == (3, 2)
    assert run.others_cpus == 0.0
    calls = [command for command in phone.commands if "--graph=" in command]
    assert len(calls) == 2 + 2 * 2
    assert (
        "--num_threads=1 --use_xnnpack=true --num_runs=2 --min_secs=0.000 --max_secs=150 --warmup_runs=2" in calls[-1]
    )


def test_a_benchmark_goes_from_the_command_to_the_phone(plug: Plug, tiny_models: Path, tmp_path: Path) -> None:
    phone = plug(generation=None)
    write(phone.root / "text/told", NEWER)
    script(phone.place("/data/local/tmp/benchmark_model"), 'cat "$PHONE/text/told"')  # a real one takes long
    done = edgekit(
        *("benchmark", tiny_models / "convnet_int8.tflite", "--device", f"adb://{phone.serial}"),
        *("--runs", "20", "--min-secs", "0", "--warmup", "1", "--json", tmp_path / "b.json"),
    )
    assert done.returncode == 0, done.stderr
    assert f"adb://{phone.serial} was timed by benchmark_model, which tells no single runs" in done.stderr
    assert "runs it in the background" in done.stderr
    assert "took its power from USB" in done.stderr
    told = json.loads((tmp_path / "b.json").read_text())
    (result,) = told["results"]
    assert result["timed"] == TIMED
    assert result["samples_ms"] == [round_["mean_ms"] for round_ in result["rounds"]] == [899.641] * 20
    assert (result["rounds"][0]["p95_ms"], result["runs"], result["latency_ms"]["first"]) == (904.305, 1000, 905.463)
    assert (result["footprint_bytes"], result["peak_rss_bytes"]) == (round(14.8164 * 2**20), None)
    assert result["delegation"] == {"name": "xnnpack", "operators": 58, "total": 60, "works": True}
    assert (told["host"]["soc"], told["host"]["android"]["sdk"]) == ("SM8250", "33")
    assert (result["answers"], result["comparable"]) == (None, True)
    assert result["conditions"]["before"]["temperature_c"] == {"CPU0": 36.5, "VIRTUAL-SKIN": 31.2, "battery": 30.1}


def test_a_model_is_sent_once_and_checked(plug: Plug, tiny_models: Path) -> None:
    phone = plug()
    (job,) = jobs(tiny_models, "convnet_int8.tflite")
    kept = phone.place(f"{client.FOLDER}/{job.artifact.sha256}.tflite")
    with open_device(f"adb://{phone.serial}") as device:
        for _ in range(2):
            device.measure([job], QUICK, progress=silent)
        assert phone.pushed == [f"{client.FOLDER}/{job.artifact.sha256}.tflite"]
        kept.write_bytes(b"damaged")
        device.measure([job], QUICK, progress=silent)
    assert kept.read_bytes() == job.artifact.path.read_bytes()
    assert len(phone.pushed) == 2


def test_the_desk_may_name_the_tool(
    plug: Plug, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = plug(generation=None)
    path = tool(tmp_path / "benchmark_model.for my phone; exit 3", "newer")
    monkeypatch.setenv("EDGEKIT_BENCHMARK_MODEL", str(path))
    with open_device("adb://") as device:
        run = device.measure(jobs(tiny_models, "convnet.tflite"), QUICK, progress=silent)
    sent = [Path(name).name for name in phone.pushed if not name.endswith(".tflite")]
    assert [f"sha256 {name[:12]}" for name in sent] == [run.timings[0].runtime_version]


def test_reasons_to_doubt_are_the_phones(plug: Plug, tiny_models: Path) -> None:
    phone = plug()
    write(phone.root / "text/saver", "1\n")
    write(phone.root / "text/power", "  mWakefulness=Dozing\n")
    write(phone.root / "text/thermalservice", "Thermal Status: 2\n")
    report = benchmark([tiny_models / "convnet.tflite"], QUICK, devices=["adb://"])
    assert "throttled: battery saver, screen off, thermal status moderate" in report.results[0].flags
    assert not report.results[0].valid


def test_the_clock_is_read_right_behind_the_runs(plug: Plug, tiny_models: Path) -> None:
    """Looked at later, an idle phone has lowered it, and each round would look throttled."""
    phone = plug()
    clock = phone.place("/sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq")
    real = tool(phone.root / "tool", "newer")
    script(phone.place("/data/local/tmp/benchmark_model"), f'echo 2841600 > {clock}; exec {real} "$@"')
    script(phone.root / "bin/head", f'echo 300000 > {clock}; exec /usr/bin/head "$@"')  # a look begins with it
    with open_device("adb://") as device:
        run = device.measure(jobs(tiny_models, "convnet.tflite"), QUICK, progress=silent)
    assert [state.top_frequency_mhz for state in run.conditions[1:]] == [2841.6, 2841.6]


def test_the_clock_is_that_of_the_model_which_works_hardest(plug: Plug, tiny_models: Path) -> None:
    phone = plug()
    clock = phone.place("/sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq")
    first, second = jobs(tiny_models, "convnet_int8.tflite", "convnet.tflite")
    real = tool(phone.root / "tool", "newer")
    script(
        phone.place("/data/local/tmp/benchmark_model"),
        f'case "$1" in *{first.artifact.sha256}*) echo 1900000;; *) echo 2800000;; esac > {clock}; exec {real} "$@"',
    )
    with open_device("adb://") as device:
        run = device.measure([first, second], QUICK, progress=silent)
    assert [state.top_frequency_mhz for state in run.conditions[1:]] == [2800, 2800]


def test_where_the_shell_does_not_tell_its_time_other_work_is_unknown(
    plug: Plug, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.devices.android.phone._TIMES", re.compile("as no shell has them"))
    plug()
    with open_device("adb://") as device:
        run = device.measure(jobs(tiny_models, "convnet.tflite"), QUICK, progress=silent)
    assert run.others_cpus is None


def test_the_time_of_the_tool_is_all_of_it() -> None:
    """In the words of mksh, which is Android's shell."""
    bench = _Bench(client.Adb("adb://x", "x"), Tool(path="/x", sha256="0" * 64))
    bench._count("edgekit:times\n0m0.01s 0m0.02s\n1m2.50s 2m3,25s\n")
    bench._count("edgekit:times\n0m0.01s 0m0.02s\n0m1.00s 0m0.00s\n")
    assert bench._cpu_s == 62.5 + 123.25 + 1
    assert bench.counted


def test_long_turns_are_not_cut_short_by_the_tool(plug: Plug, tiny_models: Path) -> None:
    phone = plug(generation=None)
    write(phone.root / "text/told", NEWER)
    script(phone.place("/data/local/tmp/benchmark_model"), 'cat "$PHONE/text/told"')
    settings = dataclasses.replace(QUICK, min_duration_s=800)
    with open_device("adb://") as device:
        device.measure(jobs(tiny_models, "convnet.tflite"), settings, progress=silent)
    assert "--min_secs=400.000 --max_secs=550 " in phone.commands[-2]


def test_a_quiet_phone_has_no_reason_but_few_runs(plug: Plug, tiny_models: Path) -> None:
    plug()
    report = benchmark([tiny_models / "convnet.tflite"], QUICK, devices=["adb://"])
    assert [flag for flag in report.results[0].flags if not flag.startswith("drift")] == [
        "runs: 4; expected 30 or more"
    ]


def test_a_doctor_looks_at_a_phone(plug: Plug) -> None:
    phone = plug()
    done = edgekit("device", "doctor", "adb://")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Maker Phone 5, aarch64, 8 CPUs" in done.stdout
    assert re.search(r"^ok +benchmark_model +sha256 [0-9a-f]{12} times \.tflite files, and gives no", done.stdout, re.M)
    phone.place("/data/local/tmp/benchmark_model").unlink()
    done = edgekit("device", "doctor", "adb://")
    assert done.returncode == 1
    assert re.search(r"^broken +benchmark_model +There is no benchmark_model on adb://; take ", done.stdout, re.M)


# Running models by edgekit's own runner


def test_a_python_of_the_phone_answers_as_here(plug: Plug, tiny_models: Path, tmp_path: Path) -> None:
    phone = plug(generation=None)
    python = script(phone.place("/data/local/tmp/python3"), f'cd / && exec {shlex.quote(sys.executable)} "$@"')
    artifact = open_artifact(tiny_models / "convnet_int8.tflite")
    feed, here = sample_inputs(artifact.card, seed=3), open_runtime(artifact.path)
    uri = f"adb://{phone.serial}/data/local/tmp/python3"
    assert python.exists()
    with open_device(uri) as device:
        there = device.open(artifact)
        for key, values in here.run(feed).items():
            np.testing.assert_array_equal(there.run(feed)[key], values)
        run = device.measure(jobs(tiny_models, "convnet_int8.tflite", "convnet.onnx"), QUICK, progress=silent)
        facts = device.host()
    assert [t.runtime_name for t in run.timings] == ["litert", "onnxruntime"]
    assert all(len(t.samples_ms) == 4 and not t.figures for t in run.timings)
    assert run.conditions[0].temperature_c["VIRTUAL-SKIN"] == 31.2
    assert facts["android"]["power"] == "USB"
    assert facts["packages"]["numpy"] == np.__version__
    assert phone.place(f"{client.FOLDER}/files/{artifact.sha256}").read_bytes() == artifact.path.read_bytes()


def test_a_doctor_looks_at_the_python_of_a_phone(plug: Plug) -> None:
    phone = plug(generation=None)
    uri = f"adb://{phone.serial}/data/local/tmp/python3"
    found = examine_device(uri)
    assert [(f.name, f.status) for f in found.findings] == [("reachable", Status.OK), ("work", Status.BROKEN)]
    assert found.findings[1].detail == (
        f"There is no Python at /data/local/tmp/python3 on {uri}; name one that the adb shell can run."
    )
    script(phone.place("/data/local/tmp/python3"), f'cd / && exec {shlex.quote(sys.executable)} "$@"')
    found = examine_device(uri)
    assert found.healthy
    assert [f.name for f in found.findings] == [
        *("reachable", "system", "platform", "cpu", "governor", ".tflite", "XNNPACK", ".onnx"),
    ]


def test_a_doctor_does_not_reach_what_is_not_connected(plug: Plug) -> None:
    phone = plug()
    (finding,) = examine_device("adb://R58M123ABC/data/local/tmp/python3").findings
    assert (finding.name, finding.status) == ("reachable", Status.BROKEN)
    assert finding.detail == (
        f"There is no Android device R58M123ABC; adb devices lists {phone.serial}: plug it in, with USB debugging "
        "switched on."
    )


def test_accuracy_is_measured_through_adb(plug: Plug, colour_model: Callable[..., Path], colour_photos: Path) -> None:
    phone = plug()
    script(phone.place("/data/local/tmp/python3"), f'cd / && exec {shlex.quote(sys.executable)} "$@"')
    path = colour_model([[9, 1, 3], [1, 4, 5], [2, 6, 7]])
    uri = f"adb://{phone.serial}/data/local/tmp/python3"
    here, there = (evaluate([path], str(colour_photos), device=device) for device in ("local", uri))
    assert [e.metrics() for e in there.entries] == [e.metrics() for e in here.entries]
    assert there.results()[0]["device"] == uri
    with pytest.raises(InputError) as caught:
        evaluate([path], str(colour_photos), device="adb://")
    assert str(caught.value) == (
        f"benchmark_model on adb:// gives no outputs of {path}; name a Python of the phone, such as "
        "adb://SERIAL/path/to/python3, or reach Termux by ssh://."
    )
