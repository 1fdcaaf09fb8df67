"""A demo as people see it: in a window under Xvfb, in a page in Chromium; screenshots are looked at."""

import contextlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browsing
from mjpeg import serving
from PIL import Image, ImageGrab

from edgekit.demos.canvas import class_colour

pytestmark = pytest.mark.slow


def started(finder: Path, source: object, cwd: Path, *options: str, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "edgekit", "demo", "detect", str(finder), "--source", str(source), *options]
    return subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )


def boxes(path: Path) -> int:
    """Pixels of a screenshot in the colours of the two classes, as good as unchanged by a JPEG."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return sum(int((np.abs(pixels - class_colour(number)).max(axis=-1) < 30).sum()) for number in (0, 1))


def still(look: Callable[[], Any], for_s: float) -> Any:
    """What ``look()`` gives as soon as that has been the same ``for_s``."""
    found, since_s = look(), time.monotonic()
    end_s = since_s + 20
    while time.monotonic() - since_s < for_s:
        assert time.monotonic() < end_s, "it went on"
        time.sleep(0.05)
        if (now := look()) != found:
            found, since_s = now, time.monotonic()
    return found


def test_a_page_in_a_browser(finder: Path, tmp_path: Path) -> None:
    with serving() as server, browsing(tmp_path / "profile") as browser:
        process = started(finder, server.url, tmp_path, "--view", "web", "--port", "0")
        assert process.stderr is not None
        browser.send("Page.navigate", url=process.stderr.readline().split()[1])
        browser.until("document.getElementById('view')?.naturalWidth > 0")
        browser.until("document.getElementById('told').textContent.includes('frames/s')")
        browser.screenshot(tmp_path / "page.png")
        assert boxes(tmp_path / "page.png") > 500
        told = "document.getElementById('told').textContent"

        def press(key: str) -> None:
            browser.evaluate(f"document.querySelector('[data-key={key}]').click()")

        press("pause")
        before = still(lambda: browser.evaluate(told), 1.5)
        press("save")
        press("pause")
        browser.until(f"{told} != {before!r}")
        press("stop")
        browser.until(f"{told} == 'The demo has ended.'")
        out, err = process.communicate(timeout=30)
    assert (process.returncode, "end to end" in out) == (0, True), err
    with Image.open(tmp_path / "edgekit-1.png") as image:
        assert image.size == (320, 240)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the OpenCV that has windows, of the version of the one without; both in one environment break."""
    folder = tmp_path_factory.mktemp("windows")
    version = importlib.metadata.version("opencv-python-headless")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder),
         f"opencv-python=={version}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"opencv-python cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return folder


@contextlib.contextmanager
def screen() -> Iterator[str]:
    """The name of a display that nobody sees."""
    read, write = os.pipe()
    server = subprocess.Popen(
        [str(shutil.which("Xvfb")), "-displayfd", str(write), "-screen", "0", "1024x768x24", "-nolisten", "tcp"],
        pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    try:
        with open(read, encoding="ascii") as told:
            yield f":{told.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


def test_a_window_and_its_keys(finder: Path, windows: Path, tmp_path: Path) -> None:
    missing = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} are not installed; Debian's packages xvfb and xdotool have them")
    with serving() as server, screen() as display:
        paths = os.pathsep.join(filter(None, (str(windows), os.environ.get("PYTHONPATH"))))
        process = started(finder, server.url, tmp_path, DISPLAY=display, PYTHONPATH=paths, QT_QPA_PLATFORM="xcb")

        def key(name: str) -> None:
            command = ["xdotool", "search", "--sync", "--onlyvisible", "--name", "edgekit", "windowfocus", "key", name]
            subprocess.run(command, env=os.environ | {"DISPLAY": display}, check=True, capture_output=True, timeout=30)

        key("s")
        end_s = time.monotonic() + 20
        while not (tmp_path / "edgekit-1.png").exists() or (tmp_path / "edgekit-1.png").stat().st_size == 0:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end_s, "s saved nothing"
            time.sleep(0.05)
        ImageGrab.grab(xdisplay=display).save(tmp_path / "window.png")
        assert boxes(tmp_path / "window.png") > 500
        key("space")
        paused = still(lambda: ImageGrab.grab(xdisplay=display).tobytes(), 0.7)
        key("space")
        end_s = time.monotonic() + 20
        while ImageGrab.grab(xdisplay=display).tobytes() == paused:
            assert time.monotonic() < end_s, "the second space changed nothing"
            time.sleep(0.05)
        key("q")
        out, err = process.communicate(timeout=30)
    assert (process.returncode, "end to end" in out) == (0, True), err
    assert "Traceback" not in err
