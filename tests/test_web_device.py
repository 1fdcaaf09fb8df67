"""A browser as a device, as the desk sees it: who may speak, what is served, and how a session begins and ends."""

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from web_visitor import Visitor, result, revisited, stand_in_engines, visited

from edgekit.devices import web_server, web_session
from edgekit.devices.agent.frames import Array
from edgekit.devices.web import WebDevice, invitation, web_address
from edgekit.errors import DeviceError, InputError, MissingExtraError

REFUSED = (
    b"This link is for one page, the first that opened it, or it is not whole; "
    b"start edgekit again and open the link that it tells."
)
NOTHING = b"There is nothing here; open the whole link that edgekit told."
LOST = "web:// was lost: its page was closed or cannot reach the desk any more; start again and open the new link."


@pytest.fixture(autouse=True)
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_engines(tmp_path / "data", monkeypatch)


def alive(header: dict[str, Any], _arrays: list[Array]) -> bytes:
    return result(header, {"hidden": False, "clock_ms": 1500})


# Who may speak


def test_the_link_is_for_the_first_page_that_opens_it() -> None:
    def come(told: str) -> None:
        if "http" not in told:
            return
        first, second = Visitor(told), Visitor(told)
        for query in ("", "?token=", "?token=wrong", "?tok=x&token=%ff"):
            assert first.ask("GET", f"/{query}")[:2] == (403, REFUSED)
            assert first.ask("POST", f"/claim{query}")[:2] == (403, REFUSED)
        assert first.ask("GET", f"/{first.query}")[0] == 200
        assert second.ask("GET", f"/{first.query}")[0] == 200  # such as a preview of a chat, which runs no script
        first.claim()
        assert second.ask("GET", f"/{first.query}")[:2] == (403, REFUSED)
        assert second.ask("POST", f"/claim{first.query}")[:2] == (403, REFUSED)
        for path in ("/next", "/answer", "/bye"):
            assert second.ask("POST", path)[:2] == (403, REFUSED)
        assert first.ask("POST", "/elsewhere")[:2] == (404, NOTHING)
        first.leave()

    with WebDevice("web://", tell=come):
        pass


def test_a_page_answers_and_hears_the_end() -> None:
    with visited(alive) as (device, visitor):
        state = device.state()
    assert (state.clock_s, state.busy_s, state.conditions.throttled) == (1.5, None, ())
    assert visitor.operations == ["state", "end", "bye"]
    with pytest.raises(ConnectionRefusedError):
        visitor.ask("POST", "/next")


def test_a_page_in_the_background_is_a_reason_for_doubt() -> None:
    def hidden(header: dict[str, Any], _arrays: list[Array]) -> bytes:
        return result(header, {"hidden": True, "clock_ms": 0})

    with visited(hidden) as (device, _):
        assert device.state().conditions.throttled == ("the page was in the background",)


def test_nobody_comes() -> None:
    with pytest.raises(DeviceError) as caught, WebDevice("web://", tell=lambda _: None, wait_s=0.05):
        pass
    assert str(caught.value) == "No page opened the link of web:// within 0.05 s; start again."


def test_a_device_can_be_opened_again_by_another_name() -> None:
    with visited(alive) as (device, visitor):
        first = visitor.query
        device.state()
    device.uri = "phone"
    with revisited(device, alive) as visitor:
        assert device.state().clock_s == 1.5
        assert visitor.query != first
        device.session.end(f"{device.session.uri} is over.")
        with pytest.raises(DeviceError) as caught:
            device.state()
    assert str(caught.value) == "phone is over."


def test_ctrl_c_while_nobody_comes_leaves_nothing_behind() -> None:
    told: list[str] = []

    def interrupted(text: str) -> None:
        told.append(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), WebDevice("web://", tell=interrupted):
        pass
    with pytest.raises(ConnectionRefusedError):
        Visitor(told[0]).ask("GET", "/")


def test_ctrl_c_at_the_command_line_is_no_traceback(tiny_models: Path) -> None:
    command = [sys.executable, "-m", "edgekit", "benchmark", str(tiny_models / "convnet.onnx"), "--device", "web://"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as edgekit:
        assert edgekit.stderr is not None
        assert any("http://127.0.0.1" in line for line in edgekit.stderr)
        edgekit.send_signal(signal.SIGINT)
        _, errors = edgekit.communicate(timeout=60)
    assert edgekit.returncode == 130
    assert "Traceback" not in errors


# What is served


def test_everything_is_served_with_its_policy() -> None:
    def come(told: str) -> None:
        if "http" not in told:
            return
        visitor = Visitor(told)
        for path in (f"/{visitor.query}", "/page.js", "/worker.js", "/engines/ort/ort.wasm.min.js", "/none", "/"):
            _, _, headers = visitor.ask("GET", path)
            of_each = {"Server", "Date", "Content-Type", "Content-Length", "Cache-Control"}
            assert {name: value for name, value in headers.items() if name not in of_each} == {
                "Content-Security-Policy": (
                    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
                    "style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                ),
                "Cross-Origin-Opener-Policy": "same-origin",
                "Cross-Origin-Embedder-Policy": "require-corp",
                "Cross-Origin-Resource-Policy": "same-origin",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
            }
            assert headers["Server"].strip() == "edgekit"
        status, body, headers = visitor.ask("GET", "/engines/ort/ort-wasm-simd-threaded.wasm")
        assert (status, body) == (200, b"this is ort/ort-wasm-simd-threaded.wasm")
        assert (headers["Content-Type"], headers["Cache-Control"]) == ("application/wasm", "private, max-age=3600")
        visitor.claim()
        visitor.leave()

    with WebDevice("web://", tell=come):
        pass


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/../pyproject.toml",
            "/..%2f..%2fetc/passwd",
            "/engines/../../../../etc/passwd",
            "//etc/passwd",
            "/index.html",
        ),
        *("/engines/", "/engines/litert/package.json", "/engines/litert/..", "/%2e%2e/web.py", "/web.py", "/x\\..\\y"),
    ],
)
def test_nothing_else_is_served(path: str) -> None:
    def come(told: str) -> None:
        if "http" in told:
            visitor = Visitor(told)
            assert visitor.ask("GET", path)[:2] == (404, NOTHING)
            visitor.claim()
            visitor.leave()

    with WebDevice("web://", tell=come):
        pass


def test_a_message_has_a_length_and_a_limit() -> None:
    with visited(alive) as (device, visitor):
        needs = b"A message needs its length; use a current browser."
        for length in ("", "-1", "1e3", "9" * 13):
            assert visitor.ask("POST", "/answer", headers={"Content-Length": length})[:2] == (411, needs)
        stranger = {"Content-Length": "1", "Edgekit-Session": "x"}
        assert visitor.ask("POST", "/claim", headers=stranger)[:2] == (413, b"The message has 1 bytes; 0 are taken.")
        assert device.state().clock_s == 1.5
        most = web_session.MOST_BYTES
        status, body, _ = visitor.ask("POST", "/answer", headers={"Content-Length": str(most + 1)})
        assert (status, body) == (413, f"The message has {most + 1} bytes; {most} are taken.".encode())
        with pytest.raises(DeviceError) as caught:
            device.state()
    assert str(caught.value) == "web:// sent 268,435,457 bytes; expected 268,435,456 at most."


def test_a_message_that_is_cut_short_is_none() -> None:
    with visited(alive) as (device, visitor):
        with socket.create_connection((visitor.host, visitor.port)) as cut:
            head = f"POST /answer HTTP/1.1\r\nEdgekit-Session: {visitor.secret}\r\nContent-Length: 10\r\n\r\nhello"
            cut.sendall(head.encode())
            cut.shutdown(socket.SHUT_WR)
            assert cut.recv(100) == b""
        assert device.state().clock_s == 1.5


def test_who_says_nothing_holds_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    assert web_server.Handler.timeout == 30
    monkeypatch.setattr(web_server.Handler, "timeout", 0.1)
    with visited(alive) as (_, visitor), socket.create_connection((visitor.host, visitor.port)) as silent:
        silent.sendall(b"GET / HT")
        silent.settimeout(20)
        assert silent.recv(100) == b""


def test_nothing_is_served_once_the_device_is_closed() -> None:
    def page(connection: http.client.HTTPConnection) -> bytes:
        connection.request("GET", "/page.js")
        return connection.getresponse().read()

    with visited(alive) as (device, visitor):
        kept = http.client.HTTPConnection(visitor.host, visitor.port or 0, timeout=20)
        assert page(kept)
        half = socket.create_connection((visitor.host, visitor.port), timeout=20)
        half.sendall(b"GET /page.js HTTP/1.1\r\n")
        device.state()
    with contextlib.closing(kept), pytest.raises(ConnectionError):
        page(kept)
    with half:
        assert half.recv(100) == b""


def test_engines_that_are_missing_are_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "empty"))
    with pytest.raises(MissingExtraError) as caught, WebDevice("web://"):
        pass
    assert str(caught.value).startswith(f"The engines that a browser runs are not in {tmp_path / 'empty'}/edgekit/web-")
    assert str(caught.value).endswith(". Run: edgekit device provision web://")


# How a session ends


def test_a_page_that_is_closed_in_the_midst_of_work_is_one_sentence() -> None:
    visitor: Visitor

    def leave(_header: dict[str, Any], _arrays: list[Array]) -> None:
        assert visitor.ask("POST", "/bye")[0] == 204

    with visited(leave) as (device, visitor):
        with pytest.raises(DeviceError) as caught:
            device.state()
        assert visitor.ask("POST", "/next")[:2] == (410, LOST.encode())
    assert str(caught.value) == LOST


def test_a_page_that_vanishes_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_session, "LOST_S", 0.1)
    with visited(lambda _header, _arrays: None) as (device, _), pytest.raises(DeviceError) as caught:
        device.state()
    assert str(caught.value) == LOST


def test_a_page_that_waits_and_vanishes_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the question, asks for the next message, and its connection breaks."""
    monkeypatch.setattr(web_session, "LOST_S", 0.1)
    monkeypatch.setattr(web_session, "LIMIT_S", 10)
    visitor: Visitor

    def vanish(_header: dict[str, Any], _arrays: list[Array]) -> None:
        with socket.create_connection((visitor.host, visitor.port)) as waiting:
            head = f"POST /next HTTP/1.1\r\nEdgekit-Session: {visitor.secret}\r\nContent-Length: 0\r\n\r\n"
            waiting.sendall(head.encode())

    with visited(vanish) as (device, visitor), pytest.raises(DeviceError) as caught:
        device.state()
    assert str(caught.value) == LOST


def test_a_page_that_has_no_answer_in_time_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_session, "LIMIT_S", 0.2)
    free = threading.Event()

    def slow(header: dict[str, Any], arrays: list[Array]) -> bytes:
        free.wait(10)
        return alive(header, arrays)

    with visited(slow) as (device, _):
        with pytest.raises(DeviceError) as caught:
            device.state()
        free.set()
    assert str(caught.value) == "web:// did not answer within 0.2 s; see what its page says."


# Addresses and the link


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("web://", ("127.0.0.1", 0)),
        ("web", ("127.0.0.1", 0)),
        ("web://localhost", ("localhost", 0)),
        ("web://[::1]:9000", ("::1", 9000)),
        ("web://0.0.0.0:8077/", ("0.0.0.0", 8077)),  # noqa: S104 - what a user may ask for
    ],
)
def test_addresses(uri: str, address: tuple[str, int]) -> None:
    assert web_address(uri) == address


@pytest.mark.parametrize(
    "uri",
    [
        *("web://:80", "web://a/b", "web://u@a", "web://a:x", "web://a:99999", "web://[", "web:a", "web://a b"),
        *(" web://a", "web://a\n", "web://a?x=1", "web://a#y", "web://a?", "web:///"),
    ],
)
def test_what_is_no_address_is_one_sentence(uri: str) -> None:
    with pytest.raises(InputError) as caught:
        WebDevice(uri)
    assert str(caught.value) == f"{uri!r} is no address of a page; expected web://, web://HOST or web://HOST:PORT."


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as caught, WebDevice(f"web://127.0.0.1:{port}"):
            pass
    assert str(caught.value) == (
        f"The page cannot be served on 127.0.0.1 port {port}: Address already in use; "
        "choose another such as web://127.0.0.1:8077."
    )


def test_the_picture_of_the_link_is_the_link() -> None:
    import cv2

    url = "http://127.0.0.1:8077/?token=abcdefghijklmnopqrstuv"
    text = invitation(url, "127.0.0.1", 300)
    assert text.startswith(f"Open this link in the browser to measure, within 300 s:\n\n  {url}\n\n")
    rows = [line for line in text.splitlines() if line and set(line) <= set("█▀▄ ")]
    light = np.array([[[c in "█▀", c in "█▄"] for c in line] for line in rows]).transpose(0, 2, 1)
    pixels = (np.kron(light.reshape(-1, light.shape[2]), np.ones((8, 8))) * 255).astype(np.uint8)
    read, _, _ = cv2.QRCodeDetector().detectAndDecode(pixels)
    assert read == url


def test_the_link_says_who_reaches_it() -> None:
    assert "This machine alone reaches it; for a phone on a cable first run: adb reverse tcp:9 tcp:9" in invitation(
        "http://127.0.0.1:9/?token=x", "127.0.0.1", 1
    )
    network = invitation("http://10.0.0.2:9/?token=x", "0.0.0.0", 1)  # noqa: S104 - not bound
    assert "Whoever is in the network reaches it. Over plain http a phone's page has one thread" in network
