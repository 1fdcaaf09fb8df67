"""A phone's browser as a device: the page behind a link runs models in LiteRT.js and ONNX Runtime Web."""

import contextlib
import io
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

from edgekit.devices.linked import LinkedBench, LinkedDevice
from edgekit.devices.web_engines import PACKAGES, engines_folder
from edgekit.devices.web_server import serving
from edgekit.devices.web_session import Session, WebLink
from edgekit.errors import DeviceError, InputError, need
from edgekit.measure.settings import TIMED, BenchmarkSettings, DeviceRun, Job, Mode
from edgekit.runtimes.base import Array
from edgekit.urls import is_loopback
from edgekit.workers import Json, Progress

LOOPBACK = "127.0.0.1"
WAIT_S = 300.0
"""For so long the link waits for a page."""
FAREWELL_S = 2.0

_ADDRESS = re.compile(r"web(://|://((?P<host>[\w.-]+)|\[(?P<ipv6>[\w.:%]+)\])(:(?P<port>[0-9]{1,5}))?/?)?")
_LAST_PORT = 65535

Tell = Callable[[str], None]


def to_terminal(text: str) -> None:
    """Write ``text`` to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class WebDevice(LinkedDevice):
    """The browser that opens the link; ``web://`` serves it to this machine, ``web://0.0.0.0:8077`` to its network.

    ``tell`` hears of the link.
    """

    def __init__(self, uri: str, *, tell: Tell = to_terminal, wait_s: float = WAIT_S) -> None:
        self._host, self._port = web_address(uri)
        self.tell, self._wait_s, self._single = tell, wait_s, False
        self.session = Session(uri)  # a new one each time the device is opened, under the name that it has then
        numbers = itertools.count(1)
        super().__init__(uri, lambda: WebLink(self.session, next(numbers)))

    def __enter__(self) -> Self:
        super().__enter__()
        self.session, self._control = Session(self.uri), None
        try:
            server = self.enter_context(serving(self._host, self._port, self.session, engines_folder()))
            self.tell(invitation(server.url, self._host, self._wait_s))
            if not self.session.wait_for_page(self._wait_s):
                raise DeviceError(f"No page opened the link of {self.uri} within {self._wait_s:g} s; start again.")
            self.callback(self._part)
            self.tell("A page has opened the link; keep it open, in front, and its screen on.")
        except BaseException:
            self.close()
            raise
        return self

    def host(self) -> dict[str, Any]:
        """As `LinkedDevice.host`, with the engines that the desk has sent."""
        return {**super().host(), "packages": {package.name: package.version for package in PACKAGES}}

    def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        """As `LinkedDevice.measure`."""
        self._single = settings.mode is Mode.SUBMISSION
        return super().measure(jobs, settings, progress=progress)

    @contextlib.contextmanager
    def bench(self) -> Iterator[LinkedBench]:
        """A worker of the page for one model."""
        kind = SingleRuns if self._single else LinkedBench
        with self._connect() as link:
            yield kind(self.uri, link)

    def _part(self) -> None:
        self.session.post({"number": -1, "link": 0, "operation": "bye", "value": {}})
        self.session.wait_until_taken(FAREWELL_S)
        self.session.end(f"{self.uri} is no longer served; start again and open the new link.")


class SingleRuns(LinkedBench):
    """A worker whose single runs count, so that means of several are refused."""

    def load(self, job: Job, feed: Mapping[str, Array], *, threads: int, warmup: int) -> Json:
        """As `LinkedBench.load`; `InputError` where the page's clock is too coarse for the model."""
        loaded = super().load(job, feed, threads=threads, warmup=warmup)
        if loaded["timed"] != TIMED:
            raise InputError(
                f"The mode submission counts the 90th percentile of runs, and the clock of {self._uri} is too coarse "
                f"for those of {job.artifact.path.name}; choose another mode."
            )
        return loaded


def web_address(uri: str) -> tuple[str, int]:
    """Host and port to serve at, 0 for a free one; `InputError` for an address that is none.

    >>> web_address("web://"), web_address("web://0.0.0.0:8077")
    (('127.0.0.1', 0), ('0.0.0.0', 8077))
    """
    match = _ADDRESS.fullmatch(uri)
    port = int(match["port"] or 0) if match else 0
    if match is None or port > _LAST_PORT:
        raise InputError(f"{uri!r} is no address of a page; expected web://, web://HOST or web://HOST:PORT.")
    return match["host"] or match["ipv6"] or LOOPBACK, port


def invitation(url: str, host: str, wait_s: float) -> str:
    """What to tell of the link: itself, as a picture for a phone's camera, and what reaches it."""
    picture = io.StringIO()
    need("segno", extra="web").make(url, micro=False).terminal(picture, compact=True, border=2)
    port = urlsplit(url).port
    if is_loopback(host):
        reach = (
            f"This machine alone reaches it; for a phone on a cable first run: adb reverse tcp:{port} tcp:{port}, "
            "for one in the network use web://0.0.0.0:8077."
        )
    else:
        reach = (
            "Whoever is in the network reaches it. Over plain http a phone's page has one thread and a coarse clock; "
            f"after `adb reverse tcp:{port} tcp:{port}` the link with localhost in it has all, as over https."
        )
    return f"Open this link in the browser to measure, within {wait_s:g} s:\n\n  {url}\n\n{picture.getvalue()}\n{reach}"
