"""A headless Chromium that tests look through, driven by its own protocol over a pipe; no package is needed."""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Navigated(Exception):
    """The page went elsewhere before it answered."""


class Browser:
    """One tab; ``send`` is a command of the DevTools protocol. ``more`` are options of Chromium."""

    def __init__(self, folder: Path, *more: str) -> None:
        self._numbers = itertools.count(1)
        commands, self._to = os.pipe()
        self._from, answers = os.pipe()
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            "--window-size=900,700",
            *more,
        ]
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "chromium", str(CHROMIUM), *options,
             f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        self._buffer = b""
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to ``method``."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                data = os.read(self._from, 1 << 16)
                assert data, "the browser has gone"
                self._buffer += data
            line, _, self._buffer = self._buffer.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == number:
                if "navigated" in answer.get("error", {}).get("message", ""):
                    raise Navigated(method)
                assert "error" not in answer, answer
                return dict(answer["result"])

    def evaluate(self, code: str) -> Any:
        """The value of ``code`` in the page."""
        return self.send("Runtime.evaluate", expression=code, returnByValue=True)["result"].get("value")

    def until(self, code: str, wait_s: float = 20.0) -> Any:
        """The value of ``code`` in the page as soon as there is one that is true, whatever page that is by then."""
        end_s, value = time.monotonic() + wait_s, None
        while True:
            with contextlib.suppress(Navigated):
                value = self.evaluate(code)
            if value:
                return value
            assert time.monotonic() < end_s, f"{code} stayed {value!r}"
            time.sleep(0.05)

    def screenshot(self, path: Path) -> None:
        """Write what the page looks like."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(10)
        os.close(self._to)
        os.close(self._from)


@contextlib.contextmanager
def browsing(folder: Path, *more: str) -> Iterator[Browser]:
    """A browser while the block lasts, which keeps its files in ``folder``; the test is skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium; Debian's package chromium has it")
    browser = Browser(folder, *more)
    try:
        yield browser
    finally:
        browser.close()
