"""What a device does when it is asked: load a model, run it on given inputs, time it, tell how it is."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgekit.bundle.runner.engines import Loaded, find_engine, load
from edgekit.bundle.runner.manifest import Entry
from edgekit.codec import from_jsonable, to_jsonable
from edgekit.devices.agent.frames import Array, Json
from edgekit.devices.agent.store import Store
from edgekit.errors import ArtifactError
from edgekit.measure.conditions import busy_cpu_s, read_conditions
from edgekit.measure.host import host_facts
from edgekit.measure.memory import peak_rss_bytes
from edgekit.measure.system import own_threads, threads_at_work
from edgekit.measure.timing import thinned, time_calls

Answer = tuple[Json, Sequence[Array]]


class Operations:
    """One model at most, and the operations by their names; each takes a value with arrays and gives the same."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loaded: Loaded | None = None
        self._call: Callable[[], object] | None = None
        self._threads: int | None = None

    def table(self) -> "Mapping[str, Callable[[Json, Sequence[Array]], Answer]]":
        """All operations."""
        return {
            "host": self.host,
            "state": self.state,
            "has": self.has,
            "load": self.load,
            "bind": self.bind,
            "run": self.run,
            "turn": self.turn,
        }

    def host(self, _value: Json, _arrays: Sequence[Array]) -> Answer:
        """Facts of the device, see `edgekit.measure.host.host_facts`."""
        return host_facts(), ()

    def state(self, _value: Json, _arrays: Sequence[Array]) -> Answer:
        """How it is now; CPU seconds of all work since it started, and of this process."""
        state = {"conditions": to_jsonable(read_conditions()), "busy_s": busy_cpu_s(), "own_s": time.process_time()}
        return {**state, "clock_s": time.monotonic()}, ()

    def has(self, value: Json, _arrays: Sequence[Array]) -> Answer:
        """Whether the file ``sha256`` is here."""
        return {"has": self._store.has(value["sha256"])}, ()

    def load(self, value: Json, _arrays: Sequence[Array]) -> Answer:
        """Load the file ``sha256``, which ``entry`` describes, with ``threads``, in ``engine`` where one is named.

        Importing an engine is not loading a model: it comes first, and stays out of the time to load.
        """
        entry = from_jsonable(Entry, value["entry"])
        base = peak_rss_bytes()
        engine = find_engine(entry.format, value["engine"])
        data = self._store.path(value["sha256"]).read_bytes()
        self._threads = own_threads()
        start = time.perf_counter_ns()
        loaded = load(entry, data, threads=value["threads"], by=engine)
        init_ms = (time.perf_counter_ns() - start) / 1e6
        self._loaded, self._call = loaded, None
        facts = {
            "init_ms": init_ms,
            "engine": engine.name,
            "version": engine.version,
            "delegation": to_jsonable(loaded.delegation),
            "base_rss_bytes": base,
        }
        return facts, ()

    def run(self, _value: Json, arrays: Sequence[Array]) -> Answer:
        """The outputs for ``arrays``, inputs in the order of the entry, as the file has them; and how long it took."""
        start = time.perf_counter_ns()
        outputs = self._model().run(list(arrays))
        return {"run_ms": (time.perf_counter_ns() - start) / 1e6}, [np.asarray(values) for values in outputs]

    def bind(self, value: Json, arrays: Sequence[Array]) -> Answer:
        """Keep ``arrays`` to be timed with; run once, and ``warmup`` more times."""
        loaded, inputs = self._model(), list(arrays)

        def call() -> object:
            return loaded.run(inputs)

        (first,) = time_calls(call, runs=1, min_duration_s=0, settle=0)
        for _ in range(value["warmup"]):
            call()
        self._call = call
        threads = threads_at_work(self._threads, own_threads())
        return {"first_ms": first / 1e6, "cpu_s": time.process_time(), "threads_actual": threads}, ()

    def turn(self, value: Json, _arrays: Sequence[Array]) -> Answer:
        """One turn of timed runs: the kept times in ms, how many were run, peak memory and CPU time so far."""
        if self._call is None:
            raise ArtifactError("A turn was asked for before a model had inputs; bind them first.")
        times = time_calls(
            self._call, runs=value["runs"], min_duration_s=value["min_duration_s"], settle=value["settle"]
        )
        facts = {
            "samples_ms": [t / 1e6 for t in thinned(times)],
            "runs": len(times),
            "peak_rss_bytes": peak_rss_bytes(),
            "cpu_s": time.process_time(),
        }
        return facts, ()

    def _model(self) -> Loaded:
        if self._loaded is None:
            raise ArtifactError("A run was asked for before a model was loaded; load one first.")
        return self._loaded
