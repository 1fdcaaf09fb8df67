"""The page of a demo: what it shows and who may ask for what, alone and in a running demo."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from mjpeg import serving

from edgekit.demos.frames import Pixels
from edgekit.demos.views import Key
from edgekit.demos.web import Handler, WebView, web_view
from edgekit.errors import InputError
from edgekit.urls import reachable_name

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what needs a token


def ask(
    view: WebView, path: str, *, method: str = "GET", port: int | None = None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of what a page answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port or view.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.headers)
    finally:
        connection.close()


def pictures(url_port: int, path: str = "/stream") -> Iterator[Pixels]:
    """What a viewer of the stream at ``path`` gets."""
    import cv2

    with socket.create_connection(("127.0.0.1", url_port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        with connection.makefile("rb") as stream:
            assert stream.readline().split()[1] == b"200"
            for line in stream:
                if line.lower().startswith(b"content-length:"):
                    assert stream.readline() == b"\r\n"
                    data = stream.read(int(line.split()[1]))
                    yield cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.fixture
def page() -> Iterator[WebView]:
    with web_view("edgekit: <model>", port=0, tell=[].append) as view:
        yield view


def grey(level: int) -> Pixels:
    return np.full((90, 120, 3), level, np.uint8)


def test_the_page_shows_frames_and_tells_their_rate(page: WebView) -> None:
    status, text, headers = ask(page, "/")
    assert (status, "edgekit: &lt;model&gt;" in text, "<model>" in text) == (200, True, False)
    assert {name: headers[name] for name in headers.keys() - {"Server", "Date", "Content-Length"}} == {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",  # the address may hold a token
        "Content-Security-Policy": (
            "default-src 'none'; img-src 'self'; connect-src 'self'; script-src 'unsafe-inline'; "
            "style-src 'unsafe-inline'; frame-ancestors 'none'"
        ),
    }
    assert page.url == f"http://127.0.0.1:{page.port}/"
    assert not page.wait_for_viewer(0.0)
    page.show(grey(10), None)
    viewer = pictures(page.port)
    assert next(viewer).mean() == pytest.approx(10, abs=2)
    assert page.wait_for_viewer(0.0)
    page.show(np.full((90, 120, 3), (200, 10, 10), np.uint8), 12.5)
    assert next(viewer)[50, 50] == pytest.approx([200, 10, 10], abs=6)  # RGB, not BGR
    assert json.loads(ask(page, "/status")[1]) == {"fps": 12.5, "frames": 2}
    assert ask(page, "/etc")[:2] == (404, "There is nothing here; open the address without a path.")


def test_keys_come_from_the_pages_own_buttons_only(page: WebView) -> None:
    own = f"http://127.0.0.1:{page.port}"
    for key in Key:
        assert ask(page, f"/key/{key}", method="POST", Origin=own)[0] == 200
        assert page.keys() == (key,)
    for headers in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert ask(page, "/key/stop", method="POST", **headers)[:2] == (
            403, "Another page may not press keys here; use the buttons of this one.",
        )  # fmt: skip
    assert ask(page, "/key/explode", method="POST", Origin=own)[:2] == (
        404, "There is no such key; expected one of: stop, pause, save, next.",
    )  # fmt: skip
    assert ask(page, "/key/stop", method="GET")[0] == 404
    assert page.keys() == ()
    begin_s = time.monotonic()
    assert page.keys(0.1) == ()
    assert time.monotonic() - begin_s >= 0.09


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "[::1", "10.0.0.7"])
def test_a_name_that_leads_here_from_elsewhere_is_refused(page: WebView, host: str) -> None:
    page.show(grey(1), None)
    for path in ("/", "/stream", "/status"):
        assert ask(page, path, Host=host)[:2] == (
            403, "This page is for its own machine; open the address that the demo told.",
        )  # fmt: skip
    for own in ("localhost:1", f"127.0.0.1:{page.port}", "[::1]:80"):
        assert ask(page, "/status", Host=own)[0] == 200


def test_any_other_address_needs_the_token(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    with web_view("x", host=EVERYWHERE, port=0, tell=told.append) as view:
        view.show(grey(10), None)
        assert view.token is not None
        assert len(view.token) >= 22  # 128 bits
        assert view.url.endswith(f":{view.port}/?token={view.token}")
        assert told == [f"Open {view.url} to watch."]
        for path in ("/", "/stream", "/status", "/?token=", "/?token=wrong", f"/?token={view.token}x", "/?token=%ff"):
            assert ask(view, path)[:2] == (
                403, "The address lacks its token; open the one that the demo told, whole.",
            )  # fmt: skip
        host = f"127.0.0.1:{view.port}"
        for method, path in (("GET", "/"), ("GET", "/status"), ("POST", "/key/stop")):
            headers = {"Origin": f"http://{host}"} if method == "POST" else {}
            assert ask(view, path, method=method, **headers)[0] == 403
            assert ask(view, f"{path}?token={view.token}", method=method, **headers)[0] == 200
        assert next(pictures(view.port, f"/stream?token={view.token}")).mean() == pytest.approx(10, abs=2)
        assert view.keys() == (Key.STOP,)
        with web_view("y", host=EVERYWHERE, port=0, tell=told.append) as other:
            assert other.token != view.token
    assert capfd.readouterr() == ("", "")


def test_others_reach_a_machine_by_an_address() -> None:
    assert reachable_name("pi.local") == "pi.local"
    assert reachable_name(EVERYWHERE) not in (EVERYWHERE, "")


def test_slow_and_absent_viewers_slow_nobody(page: WebView) -> None:
    """One viewer never reads, one reads all: the frames go on, and who reads gets the newest."""
    asleep = socket.create_connection(("127.0.0.1", page.port))
    asleep.sendall(b"GET /stream HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    page.show(noise, None)
    viewer = pictures(page.port)
    next(viewer)
    slowest_ms = 0.0
    for _ in range(300):
        begin_s = time.perf_counter()
        page.show(noise, None)
        slowest_ms = max(slowest_ms, (time.perf_counter() - begin_s) * 1000)
    page.show(grey(99), None)
    assert slowest_ms < 2000  # a viewer who takes nothing would be waited for ten seconds
    for number, picture in enumerate(viewer):
        if picture.shape[:2] == (90, 120):
            break
        assert number < 20  # not all 300
    asleep.close()


def test_who_looks_away_finds_few_old_pictures(page: WebView) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    with socket.socket() as away:
        away.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        away.settimeout(10)
        away.connect(("127.0.0.1", page.port))
        away.sendall(b"GET /stream HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        viewer = pictures(page.port)
        for _ in range(60):  # of 50 kB
            page.show(noise, None)
            next(viewer)
        page.end()
        assert sum(len(part) for part in iter(lambda: away.recv(1 << 16), b"")) < 1 << 20


def test_who_says_nothing_is_let_go(page: WebView, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Handler.timeout == 10
    monkeypatch.setattr(Handler, "timeout", 0.2)
    with socket.create_connection(("127.0.0.1", page.port), timeout=5) as connection:
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"\0\xff\xfe\r\n\r\n",
        b"GET //[::1 HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /?token=\xff%zz&token HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET http://elsewhere/stream HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /key/stop HTTP/1.1\r\nHost: a b\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/9.9\r\n" + b"X: y\r\n" * 200,
        b"GET /" + b"a" * 100_000,
        b"BREW / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n",
    ],
)
def test_a_page_survives_what_is_no_request(
    page: WebView, request_bytes: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", page.port), timeout=10) as connection, suppress(OSError):
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
    assert ask(page, "/status")[0] == 200
    assert page.keys() == ()
    assert capfd.readouterr() == ("", "")


def test_a_page_ends_with_its_threads_and_leaves_its_port(capfd: pytest.CaptureFixture[str]) -> None:
    before = set(threading.enumerate())  # of which those of earlier pages may end at any time
    with web_view("x", port=0, tell=[].append) as view:
        view.show(grey(1), None)
        viewer = pictures(view.port)
        next(viewer)
        port = view.port
    assert list(viewer) == []
    end_s = time.monotonic() + 20
    while (left := set(threading.enumerate()) - before) and time.monotonic() < end_s:
        time.sleep(0.01)
    assert not left
    with web_view("x", port=port, tell=[].append):
        pass
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("host", "reason"), [("127.0.0.1", "Address already in use"), ("203.0.113.1", None)])
def test_a_page_that_cannot_be_served_is_a_sentence(page: WebView, host: str, reason: str | None) -> None:
    with pytest.raises(InputError) as caught, web_view("y", host=host, port=page.port, tell=[].append):
        pass
    begin = f"The page cannot be served on {host} port {page.port}: {reason or ''}"
    assert str(caught.value).startswith(begin)
    assert str(caught.value).endswith("; choose others with --host and --port.")


def started(finder: Path, source: str, cwd: Path, *options: str, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "edgekit", "demo", "detect", str(finder), "--source", source, *options]
    return subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )


def page_of(process: "subprocess.Popen[str]") -> str:
    """The address that a demo tells."""
    assert process.stderr is not None
    words = process.stderr.readline().split()
    assert words[0] == "Open", words
    return words[1]


def test_a_stream_is_watched_in_a_page_and_stopped_from_there(finder: Path, tmp_path: Path) -> None:
    with serving() as server:
        process = started(finder, server.url, tmp_path, "--view", "web", "--port", "0", "--json", "x.json")
        port = int(page_of(process).rsplit(":", 1)[1].strip("/"))
        viewer = pictures(port)
        assert [next(viewer).shape for _ in range(3)] == [(240, 320, 3)] * 3
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/key/stop", headers={"Origin": f"http://127.0.0.1:{port}"})
        assert connection.getresponse().status == 200
        out, err = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in err) == (0, False)
    assert "end to end" in out
    assert json.loads((tmp_path / "x.json").read_text())["summary"]["frames"] >= 3


def test_a_clip_waits_for_somebody_to_open_the_page(finder: Path, clip: Path, tmp_path: Path) -> None:
    process = started(finder, str(clip), tmp_path, "--view", "web", "--port", "0", "--json", "x.json")
    port = int(page_of(process).rsplit(":", 1)[1].strip("/"))
    begin_s = time.monotonic()
    assert len(list(pictures(port))) >= 2  # those in between are left out for who is slow
    assert time.monotonic() - begin_s >= 9 / 20
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in err) == (0, False)
    assert json.loads((tmp_path / "x.json").read_text())["summary"]["frames"] == 10


def test_who_stops_before_the_first_frame_gets_no_report(finder: Path, clip: Path, tmp_path: Path) -> None:
    process = started(finder, str(clip), tmp_path, "--view", "web", "--port", "0", "--save", "x.mp4")
    port = int(page_of(process).rsplit(":", 1)[1].strip("/"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/key/stop", headers={"Origin": f"http://127.0.0.1:{port}"})
    assert connection.getresponse().status == 200
    assert list(pictures(port)) == []
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "edgekit: interrupted; nothing unfinished was left behind."
    assert list(tmp_path.iterdir()) == []


def test_who_never_opens_the_page_is_not_in_the_way_of_a_signal(finder: Path, clip: Path, tmp_path: Path) -> None:
    process = started(finder, str(clip), tmp_path, "--view", "web", "--port", "0")
    page_of(process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, "edgekit: interrupted; nothing unfinished was left behind.")
