"""A camera that speaks RTSP for tests: JPEGs over RTP (RFC 2435) in the RTSP connection (RFC 2326, section 10.12)."""

import base64
import contextlib
import socketserver
import struct
import threading
import time
from collections.abc import Iterator

import numpy as np
from mjpeg import PASSWORD, RATE_HZ, USER

_PAYLOAD = 1200
_JPEG = 26
"""The number that RTP has for JPEG."""


class _Camera(socketserver.StreamRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while request := self.rfile.readline().decode().split():
                headers = {}
                while line := self.rfile.readline().decode().strip():
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                self._answer(request[0], request[1], headers)
                if request[0] == "PLAY":
                    self._play()
                    return

    def _answer(self, method: str, url: str, headers: dict[str, str]) -> None:
        told = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        lines, body = [f"CSeq: {headers['cseq']}", "Session: 1"], ""
        status = "200 OK"
        if method == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        elif headers.get("authorization") != f"Basic {told}":
            status = "401 Unauthorized"
            lines.append('WWW-Authenticate: Basic realm="camera"')
        elif method == "DESCRIBE":
            body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            body += f"m=video 0 RTP/AVP {_JPEG}\r\na=control:track0\r\n"
            lines += [f"Content-Base: {url}/", "Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            if "TCP" not in headers["transport"]:
                status = "461 Unsupported Transport"
            lines.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        self.wfile.write("\r\n".join([f"RTSP/1.0 {status}", *lines, "", body]).encode())

    def _play(self) -> None:
        import cv2

        sequence = number = 0
        while self.server.alive.is_set():
            picture = np.full((120, 160, 3), 40 + 10 * (number % 20), np.uint8)
            tables, scan = _parts(cv2.imencode(".jpg", picture)[1].tobytes())
            for offset in range(0, len(scan), _PAYLOAD):
                part = scan[offset : offset + _PAYLOAD]
                last = offset + _PAYLOAD >= len(scan)
                head = struct.pack(">BBHII", 0x80, _JPEG | (0x80 if last else 0), sequence & 0xFFFF, number * 3000, 7)
                head += struct.pack(">IBBBB", offset, 1, 255, 160 // 8, 120 // 8)  # 4:2:0, tables of its own
                if offset == 0:
                    head += struct.pack(">BBH", 0, 0, len(tables)) + tables
                self.wfile.write(struct.pack(">cBH", b"$", 0, len(head + part)) + head + part)
                sequence += 1
            number += 1
            time.sleep(1 / RATE_HZ)


def _parts(jpeg: bytes) -> tuple[bytes, bytes]:
    """The quantization tables and the scan of a JPEG."""
    tables, place = b"", 2
    while True:
        marker, length = struct.unpack(">HH", jpeg[place : place + 4])
        body = jpeg[place + 4 : place + 2 + length]
        if marker == 0xFFDB:
            while body:
                tables, body = tables + body[1:65], body[65:]
        place += 2 + length
        if marker == 0xFFDA:
            return tables, jpeg[place:-2]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    block_on_close = False
    alive: threading.Event


@contextlib.contextmanager
def serving_rtsp() -> Iterator[tuple[int, threading.Event]]:
    """The port of a camera while the block lasts; it is lost when the event is cleared."""
    with _Server(("127.0.0.1", 0), _Camera) as server:
        server.alive = threading.Event()
        server.alive.set()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server.server_address[1], server.alive
        finally:
            server.alive.clear()
            server.shutdown()
