"""A page that shows the frames as they come, for machines without a display.

Every viewer has a thread that sends the newest frame when the last one has gone out, so that slow viewers see fewer and
nobody waits for them. Frames are made JPEGs once for all viewers, and not at all where nobody looks.
"""

import contextlib
import http.server
import json
import queue
import re
import secrets
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from edgekit.demos.captures import opencv
from edgekit.demos.frames import Pixels, Tell
from edgekit.demos.page import page
from edgekit.demos.views import Key
from edgekit.errors import InputError
from edgekit.urls import is_loopback, reachable_name

LOOPBACK = "127.0.0.1"
PORT = 8642
QUALITY = 80
"""Of JPEGs, 0..100."""
SILENCE_S = 10.0
"""A viewer that takes nothing for so long has gone."""
BACKLOG_BYTES = 1 << 18
"""What the kernel keeps for a slow viewer: a few frames, not seconds of them."""

_HOST = re.compile(r"\[?([^\[\]]+?)\]?(?::\d+)?")


class WebView:
    """Shows frames to whoever opens ``url``, which ``tell`` hears of when there is something to see."""

    watched = True

    def __init__(self, title: str, *, host: str, port: int, tell: Tell) -> None:
        self._cv2: Any = opencv()
        self._tell, self._told = tell, False
        self.page = page(title)
        self.token = None if is_loopback(host) else secrets.token_urlsafe(16)
        self._changed = threading.Condition()
        self._pixels: Pixels | None = None
        self._fps: float | None = None
        self._number, self.ended = 0, False
        self._encoding = threading.Lock()
        self._jpeg = (0, b"")
        self._keys: queue.SimpleQueue[Key] = queue.SimpleQueue()
        self._opened = threading.Event()
        try:
            self.server = Server(host, port, self)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise InputError(
                f"The page cannot be served on {host} port {port}: {reason}; choose others with --host and --port."
            ) from None
        self.port = int(self.server.server_address[1])
        name = reachable_name(host)
        self.url = f"http://{f'[{name}]' if ':' in name else name}:{self.port}/"
        if self.token is not None:
            self.url += f"?token={self.token}"

    def invite(self, more: str = "") -> None:
        """Tell the address, and ``more``."""
        self._told = True
        self._tell(f"Open {self.url} to watch{more}.")

    def show(self, pixels: Pixels, fps: float | None) -> None:
        """As `View.show`."""
        if not self._told:
            self.invite()
        with self._changed:
            self._pixels, self._fps = pixels, fps
            self._number += 1
            self._changed.notify_all()

    def keys(self, wait_s: float = 0.0) -> Sequence[Key]:
        """As `View.keys`."""
        try:
            return (self._keys.get(timeout=wait_s) if wait_s else self._keys.get_nowait(),)
        except queue.Empty:
            return ()

    def press(self, key: Key) -> None:
        """Ask for ``key``."""
        self._keys.put(key)

    def wait_for_viewer(self, wait_s: float) -> bool:
        """Whether somebody looks within ``wait_s``."""
        return self._opened.wait(wait_s)

    def status(self) -> dict[str, Any]:
        """What the page tells beside the picture."""
        return {"fps": self._fps, "frames": self._number}

    def jpegs(self) -> Iterator[bytes]:
        """Each time the newest frame, once for every viewer."""
        self._opened.set()
        last = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._number > last or self.ended)  # noqa: B023 - called at once
                if self._pixels is None or self._number == last:
                    return
                number, pixels = self._number, self._pixels
            yield self._encoded(number, pixels)
            last = number

    def _encoded(self, number: int, pixels: Pixels) -> bytes:
        with self._encoding:
            if self._jpeg[0] < number:
                picture = self._cv2.cvtColor(pixels, self._cv2.COLOR_RGB2BGR)
                _, data = self._cv2.imencode(".jpg", picture, [self._cv2.IMWRITE_JPEG_QUALITY, QUALITY])
                self._jpeg = (number, data.tobytes())
            return self._jpeg[1]

    def end(self) -> None:
        """Send the last frame to everybody, and then no more."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()


@contextlib.contextmanager
def web_view(title: str, *, host: str = LOOPBACK, port: int = PORT, tell: Tell) -> Iterator[WebView]:
    """A page at ``host`` and ``port`` while the block lasts; port 0 is a free one."""
    view = WebView(title, host=host, port=port, tell=tell)
    thread = threading.Thread(target=view.server.serve_forever, kwargs={"poll_interval": 0.05}, name="web", daemon=True)
    thread.start()
    try:
        yield view
    finally:
        view.end()
        view.server.shutdown()
        thread.join()
        view.server.server_close()


class Server(http.server.ThreadingHTTPServer):
    """A server whose viewers' threads end with the process, wherever they are."""

    block_on_close = False

    def __init__(self, host: str, port: int, view: WebView) -> None:
        self.view = view
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Viewers come and go: a connection that breaks is nothing to tell."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one viewer."""

    server: Server
    timeout = SILENCE_S
    server_version, sys_version = "edgekit", ""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal belongs to the demo."""

    def do_GET(self) -> None:
        """The page, its pictures, its figures."""
        view = self.server.view
        if not self._allowed():
            return
        match self._asked()[0]:
            case "/":
                self._answer(HTTPStatus.OK, view.page, "text/html; charset=utf-8")
            case "/stream":
                self._stream()
            case "/status":
                self._answer(HTTPStatus.OK, json.dumps(view.status()), "application/json")
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "There is nothing here; open the address without a path.")

    def do_POST(self) -> None:
        """A key, from our own page only."""
        if not self._allowed():
            return
        if self.headers.get("Origin") != f"http://{self.headers.get('Host')}":
            self._answer(HTTPStatus.FORBIDDEN, "Another page may not press keys here; use the buttons of this one.")
            return
        asked = self._asked()[0].removeprefix("/key/")
        if asked not in set(Key):
            self._answer(HTTPStatus.NOT_FOUND, f"There is no such key; expected one of: {', '.join(Key)}.")
            return
        self.server.view.press(Key(asked))
        self._answer(HTTPStatus.OK, "")

    def _allowed(self) -> bool:
        """Whether the request has the token, or where there is none calls this machine by its name; answered if not.

        A page elsewhere whose name is made to lead to this machine would be let in by the browser.
        """
        token = self.server.view.token
        if token is not None:
            given = parse_qs(self._asked()[1]).get("token", [""])[0]
            if secrets.compare_digest(given.encode(), token.encode()):
                return True
            self._answer(HTTPStatus.FORBIDDEN, "The address lacks its token; open the one that the demo told, whole.")
            return False
        called = _HOST.fullmatch(self.headers.get("Host", ""))
        if called is not None and is_loopback(called[1]):
            return True
        self._answer(HTTPStatus.FORBIDDEN, "This page is for its own machine; open the address that the demo told.")
        return False

    def _asked(self) -> tuple[str, str]:
        """The path, and what follows its question mark."""
        path, _, query = self.path.partition("?")
        return path, query

    def _stream(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BACKLOG_BYTES)
        self.send_response(HTTPStatus.OK)
        self._headers("multipart/x-mixed-replace; boundary=frame")
        with contextlib.suppress(OSError):  # the viewer has gone
            self.wfile.write(b"--frame\r\n")
            for jpeg in self.server.view.jpegs():
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n--frame\r\n")

    def _answer(self, status: HTTPStatus, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self._headers(kind)
        self.wfile.write(data)

    def _headers(self, kind: str) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header(
            "Content-Security-Policy",
            "default-src 'none'; img-src 'self'; connect-src 'self'; script-src 'unsafe-inline'; "
            "style-src 'unsafe-inline'; frame-ancestors 'none'",
        )
        self.end_headers()
