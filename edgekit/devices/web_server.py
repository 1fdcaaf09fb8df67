"""The page of ``web://`` over HTTP: its own files, those of the engines, and messages to and fro."""

import contextlib
import http.server
import select
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from edgekit.devices.web_engines import engine_files
from edgekit.devices.web_session import MOST_BYTES, Session, closed
from edgekit.errors import DataError, DeviceError, InputError
from edgekit.urls import reachable_name

SILENCE_S = 30.0
"""A page that takes or sends nothing in the midst of a message for so long has gone."""
SESSION = "Edgekit-Session"
"""The header by which the page shows that the session is its own."""
PAGE = Path(__file__).parent / "web_page"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
}

_CHUNK = 1 << 18
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",  # with the next one: threads, and a fine clock
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page_files(engines: Path) -> dict[str, tuple[bytes, str]]:
    """All that is served, by path: bytes and media type. What is not in this table is not there."""
    found = {f"/{path.name}": path.read_bytes() for path in PAGE.iterdir()}
    found |= {f"/engines/{name}": data for name, data in engine_files(engines).items()}
    served = {path: (data, KINDS[Path(path).suffix]) for path, data in found.items()}
    served["/"] = served.pop("/index.html")
    return served


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files`` to everybody and ``session`` to one page; a thread for each connection, none of which stays."""

    block_on_close = False

    def __init__(self, host: str, port: int, session: Session, files: Mapping[str, tuple[bytes, str]]) -> None:
        self.session, self.files = session, files
        self._connections: set[socket.socket] = set()
        self.over = False
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), Handler)
        name = reachable_name(host)
        self.url = f"http://{f'[{name}]' if ':' in name else name}:{self.server_address[1]}/?token={session.token}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note the connection, so that it ends with the server."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection, which has ended."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Take no more of any connection; an answer that is under way still leaves."""
        self.over = True
        super().server_close()
        for connection in tuple(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is nothing to tell."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serving(host: str, port: int, session: Session, engines: Path) -> Iterator[Server]:
    """A server at ``host`` and ``port`` while the block lasts; port 0 is a free one."""
    try:
        server = Server(host, port, session, page_files(engines))
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(
            f"The page cannot be served on {host} port {port}: {reason}; choose another such as web://{host}:8077."
        ) from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="web", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = SILENCE_S
    disable_nagle_algorithm = True  # else a body waits until its headers are acknowledged, 40 ms a message
    server_version, sys_version = "edgekit", ""

    def parse_request(self) -> bool:
        """Whether there is a request to answer; none once the server is closed, though it came just before."""
        return super().parse_request() and not self.server.over

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal belongs to the command."""

    def do_GET(self) -> None:
        """The page for who has the link, and files for everybody."""
        path, _, query = self.path.partition("?")
        if path not in self.server.files:
            self._answer(HTTPStatus.NOT_FOUND, "There is nothing here; open the whole link that edgekit told.")
        elif path == "/" and not self.server.session.invited(_token(query)):
            self._answer(HTTPStatus.FORBIDDEN, _REFUSED)
        else:
            data, kind = self.server.files[path]
            self._answer(HTTPStatus.OK, data, kind, keep=path.startswith("/engines/"))

    def do_POST(self) -> None:
        """Messages to and fro, for the one page that has the session."""
        path, _, query = self.path.partition("?")
        body = self._body()
        if body is None:
            return
        if path == "/claim":
            self._claim(_token(query))
        elif not self._is_page():
            self._answer(HTTPStatus.FORBIDDEN, _REFUSED)
        elif path == "/next":
            self._next()
        elif path == "/answer":
            self._take(body)
        elif path == "/bye":
            self.server.session.end(closed(self.server.session.uri))
            self._answer(HTTPStatus.NO_CONTENT)
        else:
            self._answer(HTTPStatus.NOT_FOUND, "There is nothing here; open the whole link that edgekit told.")

    def _claim(self, token: str) -> None:
        secret = self.server.session.claim(token)
        if secret is None:
            self._answer(HTTPStatus.FORBIDDEN, _REFUSED)
        else:
            self._answer(HTTPStatus.OK, secret)

    def _next(self) -> None:
        session = self.server.session
        session.attended(True)
        try:
            message = session.next(self._gone)
            if message is None:
                self._answer(HTTPStatus.NO_CONTENT)
            else:
                self._answer(HTTPStatus.OK, message, "application/octet-stream")
        except DeviceError as error:
            self._answer(HTTPStatus.GONE, str(error))
        finally:
            session.attended(False)

    def _take(self, body: bytes) -> None:
        try:
            self.server.session.take(body)
        except DataError as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._answer(HTTPStatus.NO_CONTENT)

    def _body(self) -> bytes | None:
        """What was posted; None where it has no length or is too long, which is answered, and ends the connection."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal() or len(length) > 12:
            self.close_connection = True
            self._answer(HTTPStatus.LENGTH_REQUIRED, "A message needs its length; use a current browser.")
            return None
        most = MOST_BYTES if self._is_page() else 0
        if int(length) > most:
            self.close_connection = True
            if most:
                self.server.session.end(
                    f"{self.server.session.uri} sent {int(length):,} bytes; expected {most:,} at most."
                )
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The message has {length} bytes; {most} are taken.")
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):  # the browser has gone
            self.close_connection = True
            return None
        return body

    def _is_page(self) -> bool:
        """Whether the request comes from the page that has the session.

        It says so in a header, since browsers show cookies to all ports of a machine, and send them unasked.
        """
        return self.server.session.admits(self.headers.get(SESSION, ""))

    def _gone(self) -> bool:
        """Whether the browser has closed the connection on which it waits."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def _answer(
        self,
        status: HTTPStatus,
        data: str | bytes = b"",
        kind: str = "text/plain; charset=utf-8",
        *,
        keep: bool = False,
    ) -> None:
        body = data.encode() if isinstance(data, str) else data
        self.send_response(status)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "private, max-age=3600" if keep else "no-store")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(body), _CHUNK):  # each has its own time: all at once is too much for a slow network
            self.wfile.write(body[start : start + _CHUNK])


_REFUSED = (
    "This link is for one page, the first that opened it, or it is not whole; "
    "start edgekit again and open the link that it tells."
)


def _token(query: str) -> str:
    return parse_qs(query).get("token", [""])[0]
