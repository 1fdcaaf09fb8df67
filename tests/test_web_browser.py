"""Models in a real browser: the same answers as here, timed in workers, and nothing that leaves for elsewhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, browsing
from web_pages import ALONE, link_in, opened, require_engines

from edgekit.artifact import open_artifact
from edgekit.converters.signatures import add_signatures
from edgekit.devices import linked
from edgekit.devices.web import WebDevice
from edgekit.devices.web_answers import IN_BACKGROUND
from edgekit.errors import ArtifactError, DataError, DeviceError, EdgekitError, InputError
from edgekit.formats.tflite_objects import open_model, save_model
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.runtimes import open_runtime
from edgekit.workers import silent

pytestmark = pytest.mark.slow

QUICK = BenchmarkSettings(threads=(1, 2), runs=40, warmup=1, min_duration_s=0, rounds=4)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WebDevice, Browser]]:
    """One page for tests that leave it as it is."""
    with opened(tmp_path_factory.mktemp("browser")) as found:
        yield found


def outputs(device: WebDevice, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a file gives in the browser, and here."""
    artifact = open_artifact(path)
    feed = sample_inputs(artifact.card, seed=3)
    return device.open(artifact).run(feed), open_runtime(path).run(feed)


@pytest.mark.parametrize("name", ["convnet.tflite", "convnet_int8_float_io.tflite", "two_inputs.tflite"])
def test_tflite_files_give_the_same_bits_as_here(page: tuple[WebDevice, Browser], tiny_models: Path, name: str) -> None:
    there, here = outputs(page[0], tiny_models / name)
    assert list(there) == list(here)
    for key, values in here.items():
        assert there[key].dtype == values.dtype
        np.testing.assert_array_equal(there[key], values)


def test_a_file_of_several_signatures_gives_the_same_bits_as_here(
    page: tuple[WebDevice, Browser], tiny_models: Path, tmp_path: Path
) -> None:
    model = open_model(tiny_models / "two_inputs.tflite")
    add_signatures(model, {"added": ("sum",)})
    save_model(model, tmp_path / "uses.tflite")
    there, here = outputs(page[0], tmp_path / "uses.tflite")
    assert sorted(there) == sorted(here) == ["difference", "sum"]
    assert all(np.array_equal(there[key], values) for key, values in here.items())


@pytest.mark.parametrize("name", ["convnet.onnx", "two_inputs.onnx", "quantized_interface.onnx"])
def test_onnx_files_give_nearly_the_same_as_here(page: tuple[WebDevice, Browser], tiny_models: Path, name: str) -> None:
    there, here = outputs(page[0], tiny_models / name)
    assert list(there) == list(here)
    for key, values in here.items():
        assert (there[key].dtype, there[key].shape) == (values.dtype, values.shape)
        assert np.isfinite(there[key]).all()
        np.testing.assert_allclose(there[key], values, atol=1e-3)


def test_other_inputs_give_other_answers(page: tuple[WebDevice, Browser], tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet_int8_float_io.tflite")
    runtime = page[0].open(artifact)
    first, second = (runtime.run(sample_inputs(artifact.card, seed=seed))["scores"] for seed in (3, 4))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "convnet_int8.tflite",
            "image of convnet_int8.tflite is int8, which LiteRT.js does not take; convert it with --io float.",
        ),
        (
            "convnet_any_batch.tflite",
            "image of convnet_any_batch.tflite has a free axis, which LiteRT.js does not take; "
            "convert it with --batch static.",
        ),
        (
            "lstm.tflite",
            "lstm.tflite keeps state from run to run, which LiteRT.js cannot forget; run it elsewhere.",
        ),
    ],
)
def test_what_a_browser_does_not_run_has_its_remedy(
    page: tuple[WebDevice, Browser], tiny_models: Path, name: str, sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        page[0].open(open_artifact(tiny_models / name))
    assert str(caught.value) == f"On web://: {sentence}"


def test_a_file_that_arrives_damaged_is_not_taken(page: tuple[WebDevice, Browser]) -> None:
    with page[0]._connect() as link, pytest.raises(DataError) as caught:
        link.send("0" * 64, b"something else")
    assert str(caught.value) == "On web://: A file arrived damaged: its digest is another; send it again."


def test_a_file_that_does_not_load_is_one_sentence(page: tuple[WebDevice, Browser], tmp_path: Path) -> None:
    model = (Path(__file__).parent / "golden/tiny.onnx").read_bytes()
    path = tmp_path / "odd.onnx"
    path.write_bytes(model.replace(b"MatMul", b"MatMuk"))
    artifact = open_artifact(path)
    with pytest.raises(ArtifactError) as caught:
        page[0].open(artifact)
    assert str(caught.value).startswith("On web://: odd.onnx cannot be loaded in this browser: ")
    assert str(caught.value).endswith(".")


def test_a_worker_that_cannot_start_is_one_sentence(tiny_models: Path, tmp_path: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet.tflite")
    with opened(tmp_path) as (device, browser):
        browser.evaluate("Worker = class extends Worker { constructor() { super('/none.js'); } }")
        with pytest.raises(DeviceError) as caught:
            device.open(artifact)
    assert str(caught.value) == "On web://: The model's worker ended: it could not start."


def test_a_page_that_cannot_draw_still_answers(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [Job(artifact=open_artifact(tiny_models / "convnet.onnx"))]
    settings = replace(QUICK, threads=(1,))
    monkeypatch.setattr(linked, "SLOWER", 0.3)
    with opened(tmp_path) as (device, browser):
        browser.evaluate("window.broken = []; onerror = (message) => { broken.push(message); }")
        browser.evaluate("delete Array.prototype.toSorted")  # as in browsers that are older
        device.measure(jobs, settings, progress=silent)
        assert browser.evaluate("broken.join()") == ""
        browser.evaluate("progress.draw = () => { throw new Error('out of paper'); }")
        assert outputs(device, tiny_models / "convnet.onnx")
        browser.until("broken.join().includes('out of paper')")


@pytest.mark.shared_data
def test_a_mobilenet_gives_the_same_bits_as_here(page: tuple[WebDevice, Browser], shared_data: Path) -> None:
    (there,), (here,) = (
        found.values() for found in outputs(page[0], shared_data / "models/mobilenet_v1_0.25_128_quant.tflite")
    )
    assert here.std() > 0
    np.testing.assert_array_equal(there, here)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "ssd_mobilenet_v1_coco_quant_postprocess.tflite",
            "TFLite_Detection_PostProcess of ssd_mobilenet_v1_coco_quant_postprocess.tflite has no shape in the file, "
            "which LiteRT.js does not take; run it elsewhere, or convert a detector with --nms device.",
        ),
        (
            "deeplabv3_mnv2_dm05_pascal_quant.tflite",
            "ArgMax of deeplabv3_mnv2_dm05_pascal_quant.tflite is int64, which LiteRT.js does not take; "
            "run it elsewhere.",
        ),
    ],
)
def test_outputs_that_a_browser_does_not_give(
    page: tuple[WebDevice, Browser], shared_data: Path, name: str, sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        page[0].open(open_artifact(shared_data / "models" / name))
    assert str(caught.value) == f"On web://: {sentence}"


def test_a_browser_tells_what_it_is(page: tuple[WebDevice, Browser]) -> None:
    facts = page[0].host()
    assert facts["browser"]["isolated"]
    assert facts["browser"]["secure"]
    assert 0 < facts["browser"]["clock_step_ms"] < 0.1
    assert facts["allowed_cpus"] == facts["cores"] >= 1
    assert "Chromium" in facts["system"]


def test_models_are_timed_in_turns(page: tuple[WebDevice, Browser], tiny_models: Path) -> None:
    files = ("convnet_int8_float_io.tflite", "convnet.onnx")
    run = page[0].measure([Job(artifact=open_artifact(tiny_models / name)) for name in files], QUICK, progress=silent)
    assert [(t.artifact.path.name, t.threads, t.runtime_name) for t in run.timings] == [
        (files[0], 1, "litert.js"),
        (files[0], 2, "litert.js"),
        (files[1], 1, "onnxruntime-web"),
        (files[1], 2, "onnxruntime-web"),
    ]
    assert all(len(t.rounds_ms) == 4 and t.runs >= 40 and t.first_ms > 0 and t.init_ms > 0 for t in run.timings)
    assert all(0 < min(t.samples_ms) <= np.median(t.samples_ms) < 100 for t in run.timings)
    assert all(state.throttled == () for state in run.conditions)


def test_the_verb_measures_in_a_browser_that_asks_for_nothing_else(tiny_models: Path, tmp_path: Path) -> None:
    require_engines()
    files = [tiny_models / name for name in ("convnet_int8_float_io.tflite", "convnet.onnx")]
    log, out = tmp_path / "net.json", tmp_path / "out.json"
    command = [sys.executable, "-m", "edgekit", "benchmark", *map(str, files), "--device", "web://"]
    with (
        browsing(tmp_path / "browser", *ALONE, f"--log-net-log={log}", "--net-log-capture-mode=Everything") as browser,
        subprocess.Popen(
            [*command, "--runs", "40", "--min-secs", "0.1", "--json", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as edgekit,
    ):
        assert edgekit.stderr is not None
        link = link_in(next(line for line in edgekit.stderr if "http://" in line))
        browser.send("Page.navigate", url=link)
        told, errors = edgekit.communicate(timeout=100)
        assert edgekit.returncode == 0, errors
        browser.until("document.body.dataset.state === 'done'")
        assert "convnet.onnx" in browser.evaluate("document.getElementById('rows').innerText")
        browser.evaluate("location = 'http://elsewhere.invalid/'")  # what the log must show
        browser.until("location.protocol === 'chrome-error:'")
    results = json.loads(out.read_text())["results"]
    assert [(r["device"], r["runtime"]["name"]) for r in results] == [
        ("web://", "litert.js"),
        ("web://", "onnxruntime-web"),
    ]
    assert all(r["latency_ms"]["p50"] > 0 and r["peak_rss_bytes"] is None for r in results)
    assert "litert.js" in told
    origin = link.partition("/?")[0]
    asked = asked_by(origin, log)
    assert any(url.endswith(".wasm") for url in asked)
    assert {url for url in asked if not url.startswith(f"{origin}/")} == {"http://elsewhere.invalid/"}


def asked_by(origin: str, log: Path) -> set[str]:
    """The addresses that pages of ``origin`` and their workers asked for, by the browser's own log of its network."""
    events = [json.loads(line.rstrip(",")) for line in log.read_text().splitlines() if '"initiator"' in line]
    return {event["params"]["url"] for event in events if event["params"]["initiator"] == origin}


def test_a_page_that_is_closed_ends_the_work_in_a_sentence(tmp_path: Path, tiny_models: Path) -> None:
    jobs = [Job(artifact=open_artifact(tiny_models / "convnet.onnx"))]
    settings = BenchmarkSettings(rounds=2, min_duration_s=100)

    with opened(tmp_path) as (device, browser):

        def leave(what: str, done: int, _total: int) -> None:
            if (what, done) == ("timing", 0):
                browser.evaluate("setTimeout(() => { location = 'about:blank'; }, 300)")

        with pytest.raises(DeviceError) as caught:
            device.measure(jobs, settings, progress=leave)
    assert str(caught.value) == (
        "web:// was lost: its page was closed or cannot reach the desk any more; start again and open the new link."
    )


def test_a_page_in_the_background_makes_a_run_doubtful(tmp_path: Path) -> None:
    with opened(tmp_path) as (device, browser):
        assert device.state().conditions.throttled == ()
        window = browser.send("Browser.getWindowForTarget")["windowId"]
        browser.send("Browser.setWindowBounds", windowId=window, bounds={"windowState": "minimized"})
        browser.until("document.visibilityState === 'hidden'")
        assert device.state().conditions.throttled == (IN_BACKGROUND,)


def test_a_page_over_plain_http_has_one_thread(tmp_path: Path, tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet_int8_float_io.tflite")
    with opened(tmp_path, name="phone.test") as (device, _):
        facts = device.host()
        assert (facts["allowed_cpus"], facts["browser"]["isolated"], facts["browser"]["secure"]) == (1, False, False)
        there, here = outputs(device, artifact.path)
        np.testing.assert_array_equal(there["scores"], here["scores"])
        assert facts["browser"]["clock_step_ms"] > 0.05
        (timing,) = device.measure([Job(artifact=artifact)], replace(QUICK, threads=(1,)), progress=silent).timings
        assert "; a sample is the mean of " in timing.timed
        assert timing.runs > 10 * len(timing.samples_ms)  # since one run takes less than a step of the clock
        assert all(0.001 < sample < 10 for sample in timing.samples_ms)
        for name in ("convnet_int8_float_io.tflite", "convnet.onnx"):
            with pytest.raises(EdgekitError) as caught:
                device.open(open_artifact(tiny_models / name), threads=2)
            assert str(caught.value) == (
                "On web://: 2 threads were asked for, but a page that comes over plain http from another machine has "
                "one: use --threads 1, or open the page over localhost (adb reverse) or https."
            )
