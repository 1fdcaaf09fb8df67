"""Models in a real browser: the same answers as here, timed in workers, and nothing that leaves for elsewhere."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, browsing

from edgekit.artifact import open_artifact
from edgekit.devices.web import WebDevice
from edgekit.devices.web_answers import IN_BACKGROUND
from edgekit.devices.web_engines import engine_files, engines_folder
from edgekit.errors import ArtifactError, DataError, DeviceError, EdgekitError, InputError, MissingExtraError
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.runtimes import open_runtime
from edgekit.workers import silent

ALONE = (
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
    "--host-resolver-rules=MAP phone.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""A browser that asks for nothing by itself, and finds no other machine."""
QUICK = BenchmarkSettings(threads=(1, 2), runs=40, warmup=1, min_duration_s=0, rounds=4)
LINK = re.compile(r"http://\S+")


def link_in(told: str) -> str:
    found = LINK.search(told)
    assert found is not None, told
    return found[0]


@contextlib.contextmanager
def opened(folder: Path, *, name: str = "127.0.0.1") -> Iterator[tuple[WebDevice, Browser]]:
    """A device whose page is open in a browser, that calls this machine ``name``."""
    with browsing(folder, *ALONE) as browser, opened_in(browser, name=name) as device:
        yield device, browser


@contextlib.contextmanager
def opened_in(browser: Browser, *, name: str = "127.0.0.1") -> Iterator[WebDevice]:
    """A device whose page is open in ``browser``."""
    require_engines()

    def come(told: str) -> None:
        if "http" in told:
            browser.send("Page.navigate", url=link_in(told).replace("127.0.0.1", name))

    with WebDevice("web://", tell=come, wait_s=30) as device:
        yield device


def require_engines() -> None:
    try:
        engine_files(engines_folder())
    except MissingExtraError as error:
        pytest.skip(str(error))


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


def test_a_browser_tells_what_it_is(page: tuple[WebDevice, Browser]) -> None:
    facts = page[0].host()
    assert facts["browser"]["isolated"]
    assert facts["browser"]["secure"]
    assert 0 < facts["browser"]["clock_step_ms"] < 0.1
    assert facts["allowed_cpus"] == facts["cores"] >= 1
    assert "Chromium" in facts["system"]


@pytest.mark.slow
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
    assert all(0 < sample < 100 for t in run.timings for sample in t.samples_ms)
    assert all(state.throttled == () for state in run.conditions)


@pytest.mark.slow
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


def test_the_policy_of_the_page_lets_nothing_out(page: tuple[WebDevice, Browser]) -> None:
    _, browser = page
    browser.evaluate(
        "window.refused = []; addEventListener('securitypolicyviolation', (e) => refused.push(e.effectiveDirective));"
        "fetch('http://192.0.2.1/').catch(() => {}); document.body.append(Object.assign(new Image(), "
        "{src: 'http://192.0.2.1/x.png'})); document.head.append(Object.assign(document.createElement('script'), "
        "{textContent: 'window.ran = true'}));"
    )
    assert browser.until("refused.length >= 3 && refused.toSorted().join()") == "connect-src,img-src,script-src-elem"
    assert browser.evaluate("window.ran") is None


@pytest.mark.slow
def test_a_second_page_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "first") as (device, browser), browsing(tmp_path / "second", *ALONE) as second:
        second.send("Page.navigate", url=browser.evaluate("location.href"))
        text = second.until("document.body.innerText")
        assert device.state().conditions.throttled == ()  # the first goes on
    assert text.startswith("This link is for one page, the first that opened it, or it is not whole")


@pytest.mark.slow
def test_a_page_says_how_it_ended(tmp_path: Path, tiny_models: Path) -> None:
    with browsing(tmp_path, *ALONE) as browser:
        for reason, title in ((None, "Finished"), ("It is over.", "The desk has ended this session")):
            with opened_in(browser) as device:
                browser.until("document.body.dataset.state === 'connected'")
                device.open(open_artifact(tiny_models / "convnet.onnx"))
                assert browser.evaluate("document.getElementById('state').textContent") == "Working"
                if reason is not None:
                    device.session.end(reason)
            assert browser.until("over && document.getElementById('state').textContent") == title
            if reason is not None:
                assert browser.evaluate("document.getElementById('detail').textContent") == reason


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_page_in_the_background_makes_a_run_doubtful(tmp_path: Path) -> None:
    with opened(tmp_path) as (device, browser):
        assert device.state().conditions.throttled == ()
        window = browser.send("Browser.getWindowForTarget")["windowId"]
        browser.send("Browser.setWindowBounds", windowId=window, bounds={"windowState": "minimized"})
        browser.until("document.visibilityState === 'hidden'")
        assert device.state().conditions.throttled == (IN_BACKGROUND,)


@pytest.mark.slow
def test_a_page_over_plain_http_has_one_thread(tmp_path: Path, tiny_models: Path) -> None:
    artifact = open_artifact(tiny_models / "convnet_int8_float_io.tflite")
    with opened(tmp_path, name="phone.test") as (device, _):
        facts = device.host()
        assert (facts["allowed_cpus"], facts["browser"]["isolated"], facts["browser"]["secure"]) == (1, False, False)
        there, here = outputs(device, artifact.path)
        np.testing.assert_array_equal(there["scores"], here["scores"])
        assert facts["browser"]["clock_step_ms"] > 0.05
        (timing,) = device.measure([Job(artifact=artifact)], replace(QUICK, threads=(1,)), progress=silent).timings
        assert timing.runs > 10 * len(timing.samples_ms)  # since one run takes less than a step of the clock
        assert all(0.001 < sample < 10 for sample in timing.samples_ms)
        for name in ("convnet_int8_float_io.tflite", "convnet.onnx"):
            with pytest.raises(EdgekitError) as caught:
                device.open(open_artifact(tiny_models / name), threads=2)
            assert str(caught.value) == (
                "On web://: 2 threads were asked for, but a page that comes over plain http from another machine has "
                "one: use --threads 1, or open the page over localhost (adb reverse) or https."
            )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(412, 915), (1280, 800)], ids=["phone", "desk"])
def test_the_page_fits_its_screen(size: tuple[int, int], scheme: str, tmp_path: Path, tiny_models: Path) -> None:
    width, height = size
    with opened(tmp_path) as (device, browser):
        browser.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        jobs = [
            Job(artifact=open_artifact(tiny_models / name)) for name in ("convnet_int8_float_io.tflite", "convnet.onnx")
        ]
        device.measure(jobs, QUICK, progress=silent)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate("document.getElementById('rows').rows.length") == 4
        dark = browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 23)"
        assert dark == (scheme == "dark")
        browser.screenshot(tmp_path / f"{scheme}-{width}.png")
        browser.evaluate("scrollTo(0, document.body.scrollHeight)")
