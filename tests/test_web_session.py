"""The desk's end of a page: which answers count, for how long it waits, and what it asks anew."""

import threading

import pytest

from edgekit.devices import web_session
from edgekit.devices.agent.frames import Array, Json, packed_frame
from edgekit.devices.web_session import Session, WebLink
from edgekit.errors import DataError, DeviceError


class Answering(Session):
    """A session whose page answers at once: it has files or not, and takes them."""

    def __init__(self, *, has: bool) -> None:
        super().__init__("web://")
        self.has = has
        self.asked: list[tuple[str, float]] = []

    def ask(self, _link: int, operation: str, *_message: object, limit_s: float) -> tuple[Json, list[Array]]:
        """What the page says to ``operation``."""
        self.asked.append((operation, limit_s))
        return {"kind": "result", "value": {"has": self.has} if operation == "has" else {}}, []


def test_a_file_has_as_much_time_as_a_slow_network_needs() -> None:
    session = Answering(has=False)
    WebLink(session, 1).send("0" * 64, bytes(5_000_000))
    assert session.asked == [("has", 60), ("put", 60 + 5_000_000 / 100_000)]


def test_a_file_that_the_page_has_is_not_sent_again() -> None:
    session = Answering(has=True)
    WebLink(session, 1).send("0" * 64, bytes(5_000_000))
    assert session.asked == [("has", 60)]


def test_nobody_is_invited_once_the_session_is_over() -> None:
    session = Session("web://")
    assert session.invited(session.token)
    session.end("It is over.")
    assert not session.invited(session.token)
    assert session.claim(session.token) is None


def test_the_first_answer_counts_and_a_second_is_none() -> None:
    session = Session("web://")
    session.claim(session.token)
    session.attended(True)
    found: list[int] = []

    def ask() -> None:
        header, _ = session.ask(1, "state", {}, (), b"", limit_s=60)
        found.append(header["value"])

    asking = threading.Thread(target=ask)
    asking.start()
    assert session.next(lambda: False) is not None
    with session._changed:  # who asked has not yet taken the first
        session.take(packed_frame({"number": 0, "value": 1}))
        with pytest.raises(DataError) as caught:
            session.take(packed_frame({"number": 0, "value": 2}))
    asking.join(10)
    assert str(caught.value) == "An answer came to a question that nobody has asked."
    assert found == [1]
    with pytest.raises(DeviceError):
        session.next(lambda: False)


def test_the_farewell_waits_for_a_page_that_is_about_to_ask() -> None:
    session = Session("web://")
    session.attended(True)
    waiting = threading.Thread(target=session.wait_until_taken, args=[60])
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    session.attended(False)
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_page_that_waits_for_long_asks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert web_session.LOST_S < web_session.POLL_S < 60  # after which proxies end a connection that says nothing
    monkeypatch.setattr(web_session, "POLL_S", 0.01)
    assert Session("web://").next(lambda: False) is None
