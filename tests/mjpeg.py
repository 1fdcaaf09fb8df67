"""A camera on the network for tests: MJPEG over HTTP on this machine, which can be lost, silent, and come back."""

import base64
import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

RATE_HZ = 30.0
USER, PASSWORD = "admin", "s3cret"
"""What a stream that is asked with ``?locked`` wants to be told."""


class MjpegServer:
    """Streams pictures whose brightness is their number, at `RATE_HZ`; ``port`` stays the same for its whole life."""

    def __init__(self) -> None:
        self.port = 0
        self.silent = False
        self._server: http.server.ThreadingHTTPServer | None = None
        self._alive = threading.Event()

    @property
    def url(self) -> str:
        """Where it streams."""
        return f"http://127.0.0.1:{self.port}/stream.mjpg"

    def start(self) -> None:
        """Serve, at the same port as before where it has served."""
        self._alive = threading.Event()
        self._alive.set()
        self.silent = False
        handler = type("Stream", (_Stream,), {"camera": self, "alive": self._alive})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Be gone: streams end, connections are refused."""
        self._alive.clear()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Stream(http.server.BaseHTTPRequestHandler):
    camera: MjpegServer
    alive: threading.Event

    def log_message(self, *_args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """One viewer's stream."""
        import cv2

        told = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if "?locked" in self.path and self.headers.get("Authorization") != f"Basic {told}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        with contextlib.suppress(OSError):
            while self.alive.is_set():
                if not self.camera.silent:
                    picture = np.full((120, 160, 3), 40 + 10 * (number % 20), np.uint8)
                    data = cv2.imencode(".jpg", picture)[1].tobytes()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")
                    number += 1
                time.sleep(1 / RATE_HZ)


@contextlib.contextmanager
def serving() -> Iterator[MjpegServer]:
    """A server while the block lasts."""
    server = MjpegServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
