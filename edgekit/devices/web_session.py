"""The desk's end of a page: who may speak, what waits for the page, and what it has answered."""

import itertools
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from edgekit.devices.agent.frames import Array, Json, packed_frame, parse_frame
from edgekit.devices.link import LIMIT_S, SLOWEST_BYTES_PER_S, Answer
from edgekit.devices.web_answers import checked
from edgekit.devices.web_engines import engine_of
from edgekit.errors import DataError, DeviceError, InputError

LOST_S = 5.0
"""A page that does not ask for messages for so long is gone."""
POLL_S = 20.0
"""How long a page's question for messages stays open; then it asks anew."""
MOST_BYTES = 256 << 20
"""Of one answer."""
MOST_HEADER = 1 << 20

_LOOK_S = 0.2


class Session:
    """One page, the first that opens the link. Threads of the server and those that ask meet here."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.token = secrets.token_urlsafe(16)
        self._secret: str | None = None
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._outgoing: deque[bytes] = deque()
        self._answers: dict[int, tuple[Json, list[Array]] | None] = {}
        self._polls, self._seen_s = 0, 0.0
        self._over: str | None = None

    # What the server does for a page

    def invited(self, token: str) -> bool:
        """Whether ``token`` is that of the link, and nobody has used it."""
        return (
            self._secret is None and self._over is None and secrets.compare_digest(token.encode(), self.token.encode())
        )

    def claim(self, token: str) -> str | None:
        """The secret of the one page that has the session, for the first that comes with the link's ``token``."""
        with self._changed:
            if not self.invited(token):
                return None
            self._secret = secrets.token_urlsafe(32)
            self._seen_s = time.monotonic()
            self._changed.notify_all()
            return self._secret

    def admits(self, secret: str) -> bool:
        """Whether ``secret`` is that of the page."""
        return self._secret is not None and _same(secret, self._secret)

    def next(self, gone: Callable[[], bool]) -> bytes | None:
        """The next message for the page, None where there is none within `POLL_S` or the page is ``gone``.

        `DeviceError` when the session is over.
        """
        end_s = time.monotonic() + POLL_S
        with self._changed:
            while True:
                if self._over is not None:
                    raise DeviceError(self._over)
                if self._outgoing:
                    return self._outgoing.popleft()
                if time.monotonic() > end_s or gone():
                    return None
                self._changed.wait(_LOOK_S)

    def attended(self, come: bool) -> None:
        """Note that a page has come to ask for messages, or has got its answer."""
        with self._changed:
            self._polls += 1 if come else -1
            self._seen_s = time.monotonic()
            self._changed.notify_all()

    def take(self, data: bytes) -> None:
        """Hand a page's answer to who waits for it; `DataError` for what is none, after which the session is over."""
        try:
            if data.find(b"\n", 0, MOST_HEADER) < 0:
                raise DataError("An answer has no header.")
            header, arrays = parse_frame(data)
            number = header.get("number")
            with self._changed:
                if type(number) is not int or number not in self._answers or self._answers[number] is not None:
                    raise DataError("An answer came to a question that nobody has asked.")
                self._answers[number] = (header, arrays)
                self._changed.notify_all()
        except DataError as error:
            self.end(f"{self.uri} sent what is no answer: {str(error).rstrip('.')}.")
            raise

    def end(self, reason: str) -> None:
        """End the session; who waits for an answer gets ``reason``."""
        with self._changed:
            self._over = self._over or reason
            self._changed.notify_all()

    # What the desk asks

    def wait_for_page(self, wait_s: float) -> bool:
        """Whether a page has opened the link within ``wait_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._secret is not None, wait_s)

    def post(self, message: Json, arrays: Sequence[Array] = (), more: bytes = b"") -> None:
        """Leave a message for the page, of which nothing comes back."""
        with self._changed:
            self._outgoing.append(packed_frame(message, arrays, more))
            self._changed.notify_all()

    def ask(
        self, link: int, operation: str, value: Json, arrays: Sequence[Array], more: bytes, *, limit_s: float
    ) -> tuple[Json, list[Array]]:
        """The page's answer as it is; `DeviceError` where it is lost, or has none after ``limit_s``."""
        number = next(self._numbers)
        self._answers[number] = None
        try:
            self.post({"number": number, "link": link, "operation": operation, "value": value}, arrays, more)
            end_s = time.monotonic() + limit_s
            with self._changed:
                while (answer := self._answers[number]) is None:
                    self._require_page()
                    if time.monotonic() > end_s:
                        raise DeviceError(f"{self.uri} did not answer within {limit_s:g} s; see what its page says.")
                    self._changed.wait(_LOOK_S)
                return answer
        finally:
            del self._answers[number]

    def wait_until_taken(self, wait_s: float) -> None:
        """Wait until the page has all messages and asks for none, ``wait_s`` at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._over is not None or not (self._outgoing or self._polls), wait_s)

    def _require_page(self) -> None:
        if self._over is None and not self._polls and time.monotonic() - self._seen_s > LOST_S:
            self._over = closed(self.uri)
        if self._over is not None:
            raise DeviceError(self._over)


def _same(given: str, known: str) -> bool:
    return secrets.compare_digest(given.encode(), known.encode())


def closed(uri: str) -> str:
    """What there is to say of a page that has gone."""
    return f"{uri} was lost: its page was closed or cannot reach the desk any more; start again and open the new link."


class WebLink:
    """One worker of the page, which runs one model; as `edgekit.devices.link.Link`."""

    def __init__(self, session: Session, number: int) -> None:
        self._session, self._number = session, number

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.post({"number": -1, "link": self._number, "operation": "end", "value": {}})

    def call(
        self, operation: str, value: Json, arrays: Sequence[Array] = (), *, limit_s: float | None = None
    ) -> Answer:
        """As `edgekit.devices.link.Link.call`."""
        if operation != "load":
            return self._call(operation, value, arrays, limit_s=limit_s or LIMIT_S)
        engine = engine_of(value["entry"]["format"])
        if value["engine"] is not None:
            raise InputError(
                f"There is no {value['engine']} to choose in a browser, where .{value['entry']['format']} files run in "
                f"{engine.name}; leave out the engine."
            )
        told, outputs = self._call(operation, value, arrays, limit_s=limit_s or LIMIT_S)
        asked, actual = value["threads"], told["threads_actual"]
        if actual != asked:
            raise DeviceError(
                f"{self._session.uri} runs {engine.name} in {actual} threads, not in {asked}; use --threads {actual}."
            )
        return {**told, "engine": engine.name, "version": engine.version}, outputs

    def send(self, sha256: str, data: bytes) -> None:
        """As `edgekit.devices.link.Link.send`."""
        known, _ = self._call("has", {"sha256": sha256}, limit_s=LIMIT_S)
        if not known["has"]:
            self._call("put", {"sha256": sha256}, more=data, limit_s=LIMIT_S + len(data) / SLOWEST_BYTES_PER_S)

    def _call(
        self, operation: str, value: Json, arrays: Sequence[Array] = (), more: bytes = b"", *, limit_s: float
    ) -> Answer:
        header, outputs = self._session.ask(self._number, operation, value, arrays, more, limit_s=limit_s)
        return checked(operation, header, outputs, device=self._session.uri), outputs
