"""Devices for tests: what runs on a device, in a process of this machine that knows nothing of edgekit."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from edgekit.devices.linked import LinkedBench, LinkedDevice
from edgekit.devices.pipe import PipeLink, start_words
from edgekit.measure.interleave import State
from edgekit.runtimes import Array


class Board(LinkedDevice):
    """``board``, or one that has something: ``board://gone``, ``board://wrong``, ``board://hot``, ``board://emulated``."""

    throttled: tuple[str, ...] = ()

    def __init__(self, uri: str) -> None:
        self.ails = uri.partition("://")[2]
        if self.ails == "hot":
            self.throttled = ("throttled",)
        command = ["sh", "-c", f"cd / && env -u PYTHONPATH {start_words(sys.executable)}"]
        if self.ails == "gone":
            command = ["sh", "-c", "echo gone >&2; exit 3"]
        super().__init__(uri, lambda: PipeLink(command, device=uri, explain=_told))

    def host(self) -> dict[str, Any]:
        """Its facts; ``board://far`` is another machine."""
        facts = super().host() | {"emulated": self.ails == "emulated"}
        return facts | {"boot_id": "another"} if self.ails == "far" else facts

    def state(self) -> State:
        """Its state, hot or not."""
        state = super().state()
        return replace(state, conditions=replace(state.conditions, throttled=self.throttled))

    @contextmanager
    def bench(self) -> Iterator[LinkedBench]:
        """As others have it; the answers of a ``wrong`` one are another's."""
        with self._connect() as link:
            yield (Wrong if self.ails == "wrong" else LinkedBench)(self.uri, link)


class Wrong(LinkedBench):
    """Answers upside down."""

    def answers(self, feeds: Sequence[Mapping[str, Array]]) -> tuple[dict[str, Array], ...]:
        return tuple({name: v[..., ::-1] for name, v in found.items()} for found in super().answers(feeds))


def _told(text: str, code: int | None) -> str:
    return f"{text} and {code}"
