"""The page of ``web://`` in a real browser: who gets it, how it looks, what it lets out, how it ends."""

from pathlib import Path

import pytest
from browser import browsing
from web_pages import ALONE, opened, opened_in

from edgekit.artifact import open_artifact
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.workers import silent

pytestmark = pytest.mark.slow


def test_the_policy_of_the_page_lets_nothing_out(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, browser):
        browser.evaluate(
            "window.refused = [];"
            "addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective));"
            "fetch('http://192.0.2.1/').catch(() => {}); document.body.append(Object.assign(new Image(), "
            "{src: 'http://192.0.2.1/x.png'})); document.head.append(Object.assign(document.createElement('script'), "
            "{textContent: 'window.ran = true'}));"
        )
        assert (
            browser.until("refused.length >= 3 && refused.toSorted().join()") == "connect-src,img-src,script-src-elem"
        )
        assert browser.evaluate("window.ran") is None


def test_a_second_page_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "first") as (device, browser), browsing(tmp_path / "second", *ALONE) as second:
        second.send("Page.navigate", url=browser.evaluate("location.href"))
        text = second.until("document.body.innerText")
        assert device.state().conditions.throttled == ()  # the first goes on
    assert text.startswith("This link is for one page, the first that opened it, or it is not whole")


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


def test_the_page_fits_every_screen(tmp_path: Path, tiny_models: Path) -> None:
    jobs = [
        Job(artifact=open_artifact(tiny_models / name)) for name in ("convnet_int8_float_io.tflite", "convnet.onnx")
    ]
    settings = BenchmarkSettings(threads=(1, 2), runs=10, min_duration_s=0, rounds=2)
    grounds = {"light": "rgb(244, 245, 247)", "dark": "rgb(16, 19, 23)"}
    with opened(tmp_path) as (device, browser):
        device.measure(jobs, settings, progress=silent)
        assert browser.evaluate("document.getElementById('rows').rows.length") == 4
        for width, height in ((412, 915), (320, 640), (1280, 800)):
            browser.send(
                "Emulation.setDeviceMetricsOverride",
                width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
            )  # fmt: skip
            for scheme, ground in grounds.items():
                browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
                assert browser.evaluate("document.documentElement.scrollWidth") <= width
                assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == ground
                browser.screenshot(tmp_path / f"{scheme}-{width}.png")
