"""A page of ``web://`` as the desk sees it, in Python: opens the link, takes messages and posts any answer."""

import contextlib
import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edgekit.devices.agent.frames import Array, packed_frame, parse_frame
from edgekit.devices.web import WebDevice
from edgekit.devices.web_engines import PACKAGES, engines_folder, keep
from edgekit.devices.web_server import SESSION

Reply = Callable[[dict[str, Any], list[Array]], bytes | None]
"""From a message and its arrays to the body of an answer; None for a page that goes away at once."""


class Visitor:
    """Whoever opens the link in ``told``."""

    def __init__(self, told: str) -> None:
        found = re.search(r"http://\S+", told)
        assert found is not None, told
        parts = urlsplit(found[0])
        assert parts.hostname is not None
        self.host, self.port, self.query, self.secret = parts.hostname, parts.port, f"?{parts.query}", ""
        self.operations: list[str] = []

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of an answer; the path goes out as it is."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.putrequest(method, path)
            for name, value in {SESSION: self.secret, "Content-Length": str(len(body)), **(headers or {})}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.headers)
        finally:
            connection.close()

    def claim(self) -> None:
        """Take the session."""
        status, secret, _ = self.ask("POST", f"/claim{self.query}")
        assert status == 200
        self.secret = secret.decode()

    def leave(self) -> None:
        """Say goodbye, as a page does that is closed."""
        assert self.ask("POST", "/bye")[0] == 204

    def stay(self, reply: Reply) -> None:
        """Answer every message by ``reply``, until the desk says goodbye, refuses or is gone."""
        with contextlib.suppress(ConnectionError):
            self._stay(reply)

    def _stay(self, reply: Reply) -> None:
        status = 200
        while status in (200, 204):
            status, message, _ = self.ask("POST", "/next")
            if status != 200:
                continue
            header, arrays = parse_frame(message)
            self.operations.append(header["operation"])
            if header["operation"] == "bye":
                return
            if header["number"] >= 0:
                body = reply(header, arrays)
                if body is None:
                    return
                status, *_ = self.ask("POST", "/answer", body)


@contextlib.contextmanager
def visited(reply: Reply) -> Iterator[tuple[WebDevice, Visitor]]:
    """A device whose page answers by ``reply``."""
    device = WebDevice("web://")
    with revisited(device, reply) as visitor:
        yield device, visitor


@contextlib.contextmanager
def revisited(device: WebDevice, reply: Reply) -> Iterator[Visitor]:
    """The page of ``device``, which answers by ``reply``."""
    visitors: list[Visitor] = []

    def come(told: str) -> None:
        if not visitors:
            visitors.append(Visitor(told))
            visitors[0].claim()

    device.tell = come
    with device:
        thread = threading.Thread(target=visitors[0].stay, args=[reply], daemon=True)
        thread.start()
        yield visitors[0]
    thread.join(10)
    assert not thread.is_alive()


def result(header: dict[str, Any], value: Any, arrays: Sequence[Array] = ()) -> bytes:
    """The body of an answer that is what the desk expects."""
    return packed_frame({"number": header["number"], "kind": "result", "value": value}, arrays)


def raw(header: Any, rest: bytes = b"") -> bytes:
    """The body of an answer with any header."""
    return json.dumps(header).encode() + b"\n" + rest


def stand_in_engines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that no page runs, so that they can be served."""
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    keep(engines_folder(), {name: f"this is {name}".encode() for package in PACKAGES for name in package.files})
