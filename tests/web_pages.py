"""Pages of ``web://`` in a real browser; tests are skipped with the reason where it or the engines are missing."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, browsing

from edgekit.devices.web import WebDevice
from edgekit.devices.web_engines import engine_files, engines_folder
from edgekit.errors import MissingExtraError

ALONE = (
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
    "--host-resolver-rules=MAP phone.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""A browser that asks for nothing by itself, and finds no other machine."""
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
