"""A phone for tests: the device side of adb's transport, whose shell commands run for real on this machine.

It speaks what AOSP's protocol.txt, SERVICES.TXT, SYNC.TXT and shell_protocol.h describe: CNXN, AUTH, OPEN, OKAY, WRTE
and CLSE, the services ``shell`` in both generations, and ``sync`` with STAT, SEND and RECV. Its file system is a
folder: ``/data``, ``/proc`` and ``/sys`` in commands lead into it, and its ``bin`` is first in the PATH.
"""

import asyncio
import contextlib
import errno
import os
import re
import signal
import struct
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

MOST_PAYLOAD = 256 * 1024
VERSION = 0x01000000
_CNXN, _AUTH, _OPEN, _OKAY, _CLSE, _WRTE = (
    int.from_bytes(word, "little") for word in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"CLSE", b"WRTE")
)
_TOKEN, _SIGNATURE = 1, 2
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)

Send = Callable[[int, int, int, bytes], Awaitable[None]]


class FakeAndroid:
    """A phone whose file system is ``root``, at ``serial`` while the context lasts.

    ``shell_v2=False`` is an Android before 7, ``trusts=False`` one whose owner has not accepted this computer. When a
    command contains ``unplug_at``, the cable is pulled. While it is ``full``, nothing can be written.
    """

    def __init__(self, root: Path, *, shell_v2: bool = True, trusts: bool = True, unplug_at: str | None = None) -> None:
        self.root, self.shell_v2, self.trusts, self.unplug_at = root, shell_v2, trusts, unplug_at
        self.commands: list[str] = []
        self.pushed: list[str] = []
        self.full = False
        self._loop = asyncio.new_event_loop()
        self._transports: list[_Transport] = []

    def __enter__(self) -> Self:
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def place(self, path: str) -> Path:
        """Where the phone's ``path`` is on this machine."""
        return self.root / path.lstrip("/")

    def inside(self, command: str) -> str:
        """``command`` with the phone's absolute paths as those of this machine."""
        return re.sub(r"(?<![\w./])(?=/(data|proc|sys)/)", lambda _: str(self.root), command)

    def pull(self) -> None:
        """Pull the cable, from another thread."""
        self._loop.call_soon_threadsafe(self.unplug)

    def unplug(self) -> None:
        """Be gone, for good."""
        self._server.close()
        for transport in self._transports:
            transport.writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = _Transport(self, reader, writer)
        self._transports.append(transport)
        with contextlib.suppress(asyncio.CancelledError):
            await transport.run()

    async def _end(self) -> None:
        self.unplug()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # until what they closed has ended


class _Transport:
    """One connection of an adb server."""

    def __init__(self, phone: FakeAndroid, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.phone, self.reader, self.writer = phone, reader, writer
        self.streams: dict[int, _Stream] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while True:
                header = await self.reader.readexactly(24)
                command, first, second, size, _, magic = struct.unpack("<6I", header)
                assert magic == command ^ 0xFFFFFFFF
                await self._take(command, first, second, await self.reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for stream in self.streams.values():
                stream.end()
            self.writer.close()

    async def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        header = struct.pack("<6I", command, first, second, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF)
        self.writer.write(header + data)
        await self.writer.drain()

    async def _take(self, command: int, first: int, second: int, data: bytes) -> None:
        stream = self.streams.get(second)
        if command == _CNXN and self.phone.trusts:
            features = "cmd,shell_v2" if self.phone.shell_v2 else "cmd"
            banner = f"device::ro.product.name=fake;ro.product.model=Fake;ro.product.device=fake;features={features}"
            await self.send(_CNXN, VERSION, MOST_PAYLOAD, banner.encode())
        elif command == _CNXN or (command == _AUTH and first == _SIGNATURE):
            await self.send(_AUTH, _TOKEN, 0, bytes(20))
        elif command == _OPEN:
            await self._open(first, data.rstrip(b"\0").decode())
        elif command == _WRTE and stream is not None:
            await stream.arrived(data)
        elif command == _OKAY and stream is not None:
            stream.taken.set()
        elif command == _CLSE and stream is not None:
            await stream.close()
            stream.end()

    async def _open(self, theirs: int, service: str) -> None:
        if self.phone.unplug_at is not None and self.phone.unplug_at in service:
            self.phone.unplug()
            return
        ours = max(self.streams, default=0) + 1
        stream = self.streams[ours] = _Stream(self, ours, theirs)
        await self.send(_OKAY, ours, theirs)
        task = asyncio.create_task(stream.run(service))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class _Stream:
    """One service that the other side has opened."""

    def __init__(self, transport: _Transport, ours: int, theirs: int) -> None:
        self._transport, self._ours, self._theirs = transport, ours, theirs
        self._input = asyncio.StreamReader()
        self._writing = asyncio.Lock()
        self.taken = asyncio.Event()
        self._closed = False

    async def arrived(self, data: bytes) -> None:
        """Data from the other side, which may send more."""
        if not self._input.at_eof():
            self._input.feed_data(data)
        await self._transport.send(_OKAY, self._ours, self._theirs)

    def end(self) -> None:
        """Nothing more arrives, and nothing is taken."""
        self._closed = True
        self._input.feed_eof()
        self.taken.set()

    async def write(self, data: bytes) -> None:
        """Send ``data``, each piece after the one before was taken."""
        async with self._writing:
            for place in range(0, len(data), MOST_PAYLOAD):
                if self._closed:
                    return
                self.taken.clear()
                await self._transport.send(_WRTE, self._ours, self._theirs, data[place : place + MOST_PAYLOAD])
                await self.taken.wait()

    async def close(self) -> None:
        """Tell the other side, once."""
        if not self._closed:
            self._closed = True
            await self._transport.send(_CLSE, self._ours, self._theirs)

    async def run(self, service: str) -> None:
        try:
            kind, _, argument = service.partition(":")
            if kind.partition(",")[0] == "shell":
                await self._shell(argument, v2="v2" in kind.split(","))
            elif kind == "sync":
                await self._sync()
            await self.close()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def _shell(self, command: str, *, v2: bool) -> None:
        phone = self._transport.phone
        phone.commands.append(command)
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", phone.inside(command)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if v2 else asyncio.subprocess.STDOUT,
            start_new_session=True,
            env={"PATH": f"{phone.root}/bin:/usr/bin:/bin", "HOME": "/", "PHONE": str(phone.root)},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        feeding = asyncio.create_task(self._feed(process.stdin, v2=v2))
        try:
            if v2:
                assert process.stderr is not None
                await asyncio.gather(self._pump(process.stdout, _STDOUT), self._pump(process.stderr, _STDERR))
                code = await process.wait()
                await self.write(struct.pack("<BIB", _EXIT, 1, code & 0xFF))
            else:
                while data := await process.stdout.read(32768):
                    await self.write(data.replace(b"\n", b"\r\n"))  # its terminal does so
                await process.wait()
        finally:
            feeding.cancel()
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            process._transport.close()  # type: ignore[attr-defined] # what nobody reads any more would keep it open

    async def _pump(self, source: asyncio.StreamReader, kind: int) -> None:
        unplug_at = self._transport.phone.unplug_at
        while data := await source.read(32768):
            if unplug_at is not None and unplug_at.encode() in data:
                self._transport.phone.unplug()
            await self.write(struct.pack("<BI", kind, len(data)) + data)

    async def _feed(self, process: asyncio.StreamWriter, *, v2: bool) -> None:
        """Hand on what the other side types, until it closes its end."""
        try:
            while v2:
                kind, size = struct.unpack("<BI", await self._input.readexactly(5))
                data = await self._input.readexactly(size)
                if kind == _STDIN:
                    process.write(data)
                    await process.drain()
                elif kind == _CLOSE_STDIN:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        process.close()

    async def _sync(self) -> None:
        while True:
            word, size = struct.unpack("<4sI", await self._input.readexactly(8))
            if word == b"QUIT":
                return
            argument = (await self._input.readexactly(size)).decode()
            if word in (b"STAT", b"LSTA"):
                await self._stat(argument)
            elif word == b"SEND":
                await self._receive(argument)
            elif word == b"RECV":
                await self._give(argument)
            else:
                await self._fail(f"unknown command {word!r}")

    async def _stat(self, path: str) -> None:
        try:
            found = os.stat(self._transport.phone.place(path))
            numbers = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))
        except OSError:
            numbers = (0, 0, 0)
        await self.write(struct.pack("<4s3I", b"STAT", *numbers))

    async def _receive(self, argument: str) -> None:
        path, _, mode = argument.rpartition(",")
        phone = self._transport.phone
        data, trouble = bytearray(), None
        while True:
            word, size = struct.unpack("<4sI", await self._input.readexactly(8))
            if word == b"DONE":
                break
            data += await self._input.readexactly(size)
        try:
            if phone.full:
                raise OSError(errno.ENOSPC, "full")
            phone.place(path).write_bytes(data)
            phone.place(path).chmod(int(mode) & 0o777)
        except OSError as error:
            trouble = os.strerror(error.errno or 0)
        phone.pushed.append(path)
        if trouble is None:
            await self.write(struct.pack("<4sI", b"OKAY", 0))
        else:
            await self._fail(trouble)

    async def _give(self, path: str) -> None:
        try:
            data = self._transport.phone.place(path).read_bytes()
        except OSError as error:
            await self._fail(os.strerror(error.errno or 0))
            return
        for place in range(0, len(data), 65536):
            part = data[place : place + 65536]
            await self.write(struct.pack("<4sI", b"DATA", len(part)) + part)
        await self.write(struct.pack("<4sI", b"DONE", 0))

    async def _fail(self, words: str) -> None:
        await self.write(struct.pack("<4sI", b"FAIL", len(words.encode())) + words.encode())
