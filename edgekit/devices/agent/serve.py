"""The loop of a device: takes messages from standard input until the desk is gone, and answers on standard output."""

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any, BinaryIO

from edgekit.devices.agent.frames import MOST_HEADER, Array, Json, read_arrays, read_header, write_frame
from edgekit.devices.agent.operations import Operations
from edgekit.devices.agent.store import Store, cache_folder
from edgekit.errors import DataError, EdgekitError

PATIENCE_S = 60.0
"""How long a device waits for a sign of life from the desk, which gives one every few seconds."""

Outcome = "EdgekitError | OSError | None"


class Mail:
    """Reads messages from ``stream`` in a thread, so that the end of the desk is seen in the midst of work as well."""

    def __init__(self, stream: BinaryIO, store: Store) -> None:
        self._stream, self._store = stream, store
        self._last_s = time.monotonic()
        self.messages: queue.SimpleQueue[tuple[Json, Sequence[Array], Any]] = queue.SimpleQueue()
        for work in (self._read, self._watch):
            threading.Thread(target=work, daemon=True).start()

    def _read(self) -> None:
        try:
            while line := self._stream.readline(MOST_HEADER):
                header = read_header(line)
                self._last_s = time.monotonic()
                arrays = read_arrays(header, self._take)
                if header["operation"] == "put":
                    self.messages.put((header, arrays, self._received(header)))
                elif header["operation"] != "ping":
                    self.messages.put((header, arrays, None))
        except (DataError, KeyError, TypeError):
            traceback.print_exc()
        finally:
            os._exit(0)  # in the middle of an operation as well: nobody waits for it any more

    def _take(self, count: int) -> bytes:
        parts, left = [], count
        while left:
            part = self._stream.read(min(left, 1 << 20))
            if not part:
                break
            self._last_s = time.monotonic()
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _received(self, header: Json) -> Any:
        """What went wrong while a file came in, None if nothing."""
        try:
            self._store.receive(header["value"]["sha256"], header["more"], self._take)
        except (EdgekitError, OSError) as error:
            return error
        return None

    def _watch(self) -> None:
        while time.monotonic() - self._last_s < PATIENCE_S:
            time.sleep(PATIENCE_S / 10)
        sys.stderr.write(f"edgekit: nothing was heard from the desk for {PATIENCE_S:.0f} s\n")
        sys.stderr.flush()
        os._exit(1)


def main() -> None:
    """Serve until the desk closes the stream, is silent for too long, or something unforeseen happens."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print
    store = Store(cache_folder() / "files")
    table = Operations(store).table()
    mail = Mail(sys.stdin.buffer, store)
    while True:
        header, arrays, failed = mail.messages.get()
        number = header["number"]
        try:
            if failed is not None:
                raise failed
            operation = table.get(header["operation"])
            value, outputs = ({}, ()) if operation is None else operation(header["value"], arrays)
            if operation is None and header["operation"] != "put":
                raise DataError(f"There is no operation {header['operation']!r}; both ends need the same edgekit.")
        except EdgekitError as error:
            write_frame(answers, _failure(number, type(error).__name__, str(error)))
        except MemoryError:
            write_frame(answers, _failure(number, "MemoryError", "there is not enough memory"))
        except OSError as error:
            write_frame(answers, _failure(number, "OSError", f"{error.filename or 'a file'}: {error.strerror}"))
        else:
            write_frame(answers, {"number": number, "kind": "result", "value": value}, outputs)


def _failure(number: int, kind: str, message: str) -> Json:
    return {"number": number, "kind": "error", "value": {"class": kind, "message": message}}
