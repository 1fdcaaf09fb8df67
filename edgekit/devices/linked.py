"""A device at the other end of a link: all that differs between kinds is how a link to it is made."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from edgekit.artifact import Artifact, Format
from edgekit.bundle.entries import entry_of
from edgekit.card import TensorSpec
from edgekit.codec import to_jsonable
from edgekit.devices.answers import Bound, Loaded, Now, Turn, read_answer, read_facts
from edgekit.devices.link import Link
from edgekit.errors import DeviceError, InputError
from edgekit.measure.interleave import State, interleave
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job
from edgekit.runtimes.base import Array, Feed, Inputs, by_name
from edgekit.runtimes.probe import patience_s
from edgekit.workers import Json, Progress

SLOWER = 10
"""A device may take so many times as long as the desk before it counts as stuck."""


class LinkedDevice(contextlib.ExitStack):
    """The device called ``uri``; ``connect`` makes a link, which is a process of its own there."""

    def __init__(self, uri: str, connect: Callable[[], Link]) -> None:
        super().__init__()
        self.uri, self._connect = uri, connect
        self._control: Link | None = None

    def host(self) -> dict[str, Any]:
        """Facts of the device."""
        facts, _ = self._controlled().call("host", {})
        return read_facts(facts, device=self.uri)

    def state(self) -> State:
        """How the device is now."""
        told, _ = self._controlled().call("state", {})
        now = read_answer(Now, told, device=self.uri)
        return State(conditions=now.conditions, busy_s=now.busy_s, own_s=now.own_s, clock_s=now.clock_s)

    @contextlib.contextmanager
    def bench(self) -> Iterator["LinkedBench"]:
        """A process there for one model."""
        with self._connect() as link:
            yield LinkedBench(self.uri, link)

    def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        """Do ``jobs`` there, each in a process of its own."""
        return interleave(jobs, settings, self, progress=progress)

    def open(self, artifact: Artifact, *, threads: int = 1, engine: str | None = None) -> "LinkedRuntime":
        """The model in a process there, which ends with the device."""
        link = self.enter_context(self._connect())
        return LinkedRuntime(link, artifact, self.uri, threads=threads, engine=engine)

    def _controlled(self) -> Link:
        """The link that tells of the device; of measuring nothing goes through it."""
        if self._control is None:
            self._control = self.enter_context(self._connect())
            self.callback(self._uncontrolled)
        return self._control

    def _uncontrolled(self) -> None:
        self._control = None


class LinkedRuntime:
    """A model that is loaded at the other end of ``link``, as an `edgekit.runtimes.Runtime`."""

    def __init__(self, link: Link, artifact: Artifact, uri: str, *, threads: int, engine: str | None) -> None:
        if artifact.format is Format.KERAS:
            raise InputError(f"{artifact.path} is a Keras file, which devices do not run; convert it first.")
        self._link, self._uri, self._limit_s = link, uri, SLOWER * patience_s(artifact.path)
        entry = entry_of(artifact)
        link.send(artifact.sha256, artifact.path.read_bytes())
        value = {"entry": to_jsonable(entry), "sha256": artifact.sha256, "threads": threads, "engine": engine}
        told, _ = link.call("load", value, limit_s=self._limit_s)
        self.loaded = read_answer(Loaded, told, device=uri)
        self.name, self.version, self.delegation = self.loaded.engine, self.loaded.version, self.loaded.delegation
        self.inputs: tuple[TensorSpec, ...] = entry.card.inputs
        self.outputs: tuple[TensorSpec, ...] = entry.card.outputs
        self._checks = Inputs(self.inputs)

    def run(self, feed: Feed, *, as_float: bool = False) -> dict[str, Array]:
        """Outputs by name, as `edgekit.runtimes.Runtime.run`."""
        return by_name(self._run(self._checks.checked(feed)), self.outputs, as_float=as_float)

    def bind(self, feed: Feed) -> Callable[[], list[Array]]:
        """As `edgekit.runtimes.Runtime.bind`; the time of a call contains the way there and back."""
        arrays = self._checks.checked(feed)
        return lambda: self._run(arrays)

    def checked(self, feed: Feed) -> list[Array]:
        """``feed`` as the file takes it, in the file's order."""
        return self._checks.checked(feed)

    def _run(self, arrays: Sequence[Array]) -> list[Array]:
        _, outputs = self._link.call("run", {}, arrays, limit_s=self._limit_s)
        if len(outputs) != len(self.outputs):
            raise DeviceError(f"{self._uri} gave {len(outputs)} outputs; the model has {len(self.outputs)}.")
        for values, spec in zip(outputs, self.outputs, strict=True):
            if str(values.dtype) != spec.dtype or not _fits(values, spec):
                raise DeviceError(
                    f"{self._uri} gave output {spec.name!r} as {values.dtype} {values.shape}; "
                    f"the model has {spec.dtype} {spec.shape}."
                )
        return outputs


def _fits(values: Array, spec: TensorSpec) -> bool:
    """Whether ``values`` have the shape of ``spec``; an operator that chooses its boxes states none."""
    return not spec.shape or (
        values.ndim == len(spec.shape)
        and all(size in (None, got) for size, got in zip(spec.shape, values.shape, strict=True))
    )


class LinkedBench:
    """A process at the other end of ``link`` that times one model."""

    def __init__(self, uri: str, link: Link) -> None:
        self._uri, self._link, self._limit_s = uri, link, 0.0
        self._runtime: LinkedRuntime | None = None

    def load(self, job: Job, feed: Mapping[str, Array], *, threads: int, warmup: int) -> Json:
        """As `edgekit.measure.interleave.Bench.load`."""
        runtime = LinkedRuntime(self._link, job.artifact, self._uri, threads=threads, engine=job.engine)
        self._runtime = runtime
        self._limit_s = SLOWER * patience_s(job.artifact.path)
        told, _ = self._link.call(
            "bind", {"warmup": warmup}, runtime.checked(feed), limit_s=self._limit_s * (1 + warmup)
        )
        first = read_answer(Bound, told, device=self._uri)
        at_work = runtime.loaded.threads_actual if first.threads_actual is None else first.threads_actual
        return {
            **to_jsonable(runtime.loaded),
            "runtime": runtime.name,
            **to_jsonable(first),
            "threads_actual": at_work,
        }

    def turn(self, *, runs: int, min_duration_s: float, settle: int) -> Json:
        """As `edgekit.measure.interleave.Bench.turn`."""
        value = {"runs": runs, "min_duration_s": min_duration_s, "settle": settle}
        told, _ = self._link.call("turn", value, limit_s=self._limit_s * (runs + settle) + min_duration_s)
        answer: Json = to_jsonable(read_answer(Turn, told, device=self._uri))
        return answer

    def answers(self, feeds: Sequence[Mapping[str, Array]]) -> tuple[dict[str, Array], ...]:
        """As `edgekit.measure.interleave.Bench.answers`."""
        assert self._runtime is not None  # noqa: S101 - it is asked after it was timed
        return tuple(self._runtime.run(feed) for feed in feeds)
