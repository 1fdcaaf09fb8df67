"""The work of a sweep on the workers of a dask.distributed scheduler: a farm for conversions, hosts with devices.

A worker says which devices it reaches as resources called by their addresses, of which it has one each, so that the
scheduler gives a device one job at a time, whoever asks. Model files travel with the jobs for devices; conversions read
and write the paths of this machine, on a file system that all share.
"""

import contextlib
import functools
import logging
import re
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import __version__
from edgekit.artifact import open_artifact
from edgekit.data import KNOWN
from edgekit.devices import open_device
from edgekit.errors import ConversionError, DeviceError, EdgekitError, InputError, need
from edgekit.files import scratch_folder
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job
from edgekit.preprocessing import PRESETS
from edgekit.sweep.site import converted
from edgekit.workers import Progress, silent

if TYPE_CHECKING:
    from edgekit.converters import ConversionReport, Request

Part = tuple[str, bytes, str | None]
"""A job as it travels: the name of the file, what is in it, the engine."""
LOCAL = "local"
"""In the place of an address: workers of this machine, which end with the sweep."""
LOCAL_WORKERS = 2
_ADDRESS = re.compile(r"((tcp|tls)://)?[A-Za-z0-9._:%\[\]-]+:[0-9]+")
CONNECT_S = 10
GONE_S = 30.0
"""How long a worker may be away, such as one that its nanny starts again."""
SEE_LOGS = "see the logs of the scheduler and its workers, and start again"
LOOK_S = 1.0
"""How often it is looked whether a job still has a worker, and whether anybody still waits for it."""


class Cluster(contextlib.ExitStack):
    """The workers of the scheduler at ``address``, or of one that is started here for ``devices``.

    Use it as a context manager. `MissingExtraError` without dask.distributed; `InputError` where nobody answers, or the
    workers are not those of this edgekit.
    """

    def __init__(self, address: str, devices: Sequence[str] = ()) -> None:
        super().__init__()
        self._distributed = need("distributed", extra="cluster")
        self._address = address
        try:
            self.enter_context(self._distributed.utils.silence_logging_cmgr(logging.CRITICAL))
            self.enter_context(need("dask", extra="cluster").config.set(self._settings()))
            self._client = self.enter_context(self._connected(devices))
            self._require_same_edgekit()
            if address == LOCAL:
                self._client.run(_ignore_interrupts)
        except BaseException:
            self.close()
            raise

    def convert(
        self, requests: "Sequence[Request]", *, progress: Progress
    ) -> "Iterator[tuple[Request, ConversionReport | EdgekitError]]":
        """As `edgekit.sweep.site.Site.convert`, on workers that reach no device where there are such."""
        workers = self._workers()
        farm = [name for name, resources in workers.items() if not resources]
        # A worker that is started again has another address: only others may take over from it.
        choice = {"workers": farm, "allow_other_workers": True} if 0 < len(farm) < len(workers) else {}
        futures = {
            self._client.submit(_convert, _absolute(request), **choice, pure=False): request for request in requests
        }
        keys, count = {future.key for future in futures}, len(futures)

        def at_work() -> bool:
            return any(keys.intersection(held) for held in self._client.processing().values())

        try:
            while futures:
                for future in self._finished(futures, at_work) or list(futures):
                    request, outcome = futures.pop(future), self._outcome(future)
                    progress("converting", count - len(futures), count)
                    lost = ConversionError(f"The conversion was lost at {self._address}; {SEE_LOGS}.")
                    yield request, outcome or lost
        finally:
            self._client.cancel(list(futures))

    def open(self, uri: str) -> "ClusterDevice":
        """The device ``uri`` through the one worker that reaches it; `InputError` where there is none, or several."""
        found = self.reaching(uri)
        if not found:
            raise InputError(
                f"No worker of {self._address} reaches {uri}; start one with: "
                f"dask worker {self._address} --resources '{uri}=1'"
            )
        if len(found) > 1 and self._address != LOCAL:
            raise InputError(
                f"{len(found)} workers of {self._address} reach {uri}, which would disturb each other; "
                "name it in the resources of one of them."
            )
        return ClusterDevice(uri, self)

    def measure(self, uri: str, parts: Sequence[Part], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        """The timings of ``parts`` on ``uri``. A worker that dies is given time to come back, and its job again."""
        run: DeviceRun = self._on_device(uri, _measure, list(parts), settings, progress=progress)
        return run

    def host(self, uri: str) -> dict[str, Any]:
        """Facts of the device ``uri``."""
        facts: dict[str, Any] = self._on_device(uri, _host, progress=silent)
        return facts

    def _on_device(self, uri: str, work: Callable[..., Any], *given: Any, progress: Progress) -> Any:
        def reached() -> bool:
            progress("measuring", 0, 0)
            return bool(self.reaching(uri))

        try:
            future = self._client.submit(work, uri, *given, resources={uri: 1}, pure=False)
            try:
                if not self._finished([future], reached):
                    raise _gone(uri)
                return future.result()
            finally:
                future.cancel()
        except self._lost:
            raise DeviceError(f"The job for {uri} was lost at {self._address}; {SEE_LOGS}.") from None

    def _finished(self, futures: Iterable[Any], alive: Callable[[], bool]) -> list[Any]:
        """Those of ``futures`` that are done, once one is; none where they have not been ``alive`` for `GONE_S`."""
        seen_s = time.monotonic()
        while not (done := [future for future in futures if future.done()]):
            if alive():
                seen_s = time.monotonic()
            elif time.monotonic() - seen_s > GONE_S:
                return []
            with contextlib.suppress(TimeoutError):
                self._distributed.wait(list(futures), timeout=LOOK_S, return_when="FIRST_COMPLETED")
        return done

    def _outcome(self, future: Any) -> "ConversionReport | EdgekitError | None":
        """What came of a conversion; None where it was lost."""
        try:
            outcome: ConversionReport | EdgekitError | None = future.result() if future.done() else None
        except self._lost:
            return None
        return outcome

    def reaching(self, uri: str) -> list[str]:
        """The workers that reach the device."""
        return [name for name, resources in self._workers().items() if resources.get(uri, 0) >= 1]

    @functools.cached_property
    def _lost(self) -> tuple[type[BaseException], ...]:
        """What dask raises where a worker or the scheduler is gone."""
        from distributed.scheduler import KilledWorker

        return (KilledWorker, CancelledError, OSError)

    def _settings(self) -> dict[str, Any]:
        return {
            # Model files go with their jobs: what is kept on a worker beforehand would die with it.
            "distributed.admin.large-graph-warning-threshold": "1TiB",
            # After which dask ends a worker that its nanny starts again: its 15 s are too few for a busy machine.
            "distributed.deploy.lost-worker-timeout": "1h",
            "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",
            "temporary-directory": self.enter_context(scratch_folder()),
        }

    def _connected(self, devices: Sequence[str]) -> Any:
        target: Any = self._address
        if self._address == LOCAL:
            target = self.enter_context(
                self._distributed.LocalCluster(
                    n_workers=max(LOCAL_WORKERS, len(devices)),
                    threads_per_worker=1,
                    resources=dict.fromkeys(devices, 1),
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,  # which tells of every task that an interrupt cancels
                )
            )
        elif not _ADDRESS.fullmatch(self._address):
            raise InputError(
                f"{self._address!r} is no address of a scheduler; expected one such as tcp://host:8786, or {LOCAL}."
            )
        try:
            return _client_class(self._distributed)(target, timeout=CONNECT_S)
        except OSError:
            raise InputError(
                f"No scheduler answers at {self._address}; start one with dask scheduler and give its address, "
                f"or --scheduler {LOCAL}."
            ) from None
        except (TypeError, ValueError):  # no certificates, no port, or another kind of server
            raise InputError(
                f"{self._address} cannot be spoken to; expected the address of a dask scheduler, and for tls:// "
                "certificates in dask's configuration (distributed.comm.tls)."
            ) from None

    def _require_same_edgekit(self) -> None:
        if not self._workers():
            raise InputError(
                f"{self._address} has no workers; start some with: dask worker {self._address} --nthreads 1"
            )
        for worker, version in self._client.run(_version, on_error="return").items():
            if version != __version__:
                told = f"edgekit {version}" if isinstance(version, str) else f"no edgekit ({version})"
                raise InputError(f"The worker {worker} has {told}, not {__version__}; install that there.")

    def _workers(self) -> dict[str, dict[str, float]]:
        """The resources of each worker."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]  # some versions default to 5
        return {name: dict(facts["resources"]) for name, facts in workers.items()}


class ClusterDevice(contextlib.ExitStack):
    """A device that a worker opens anew for each job."""

    def __init__(self, uri: str, cluster: Cluster) -> None:
        super().__init__()
        self.uri, self._cluster = uri, cluster

    def host(self) -> dict[str, Any]:
        """Facts of the device, for which a worker opens it; they tell which devices are one machine."""
        return self._cluster.host(self.uri)

    def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        """Do ``jobs`` there; one that runs when ``progress`` raises goes on to its end, unheard."""
        parts = [(job.artifact.path.name, job.artifact.path.read_bytes(), job.engine) for job in jobs]
        return self._cluster.measure(self.uri, parts, settings, progress=progress)


def _client_class(distributed: Any) -> Any:
    """A client that ends its thread where it cannot connect.

    dask's own leaves it running, for the garbage collector to end at any time: if that is while dask starts another
    thread, both wait for one lock for ever.
    """

    class Client(distributed.Client):  # type: ignore[misc]  # distributed is not typed
        def start(self, **options: Any) -> None:
            try:
                super().start(**options)
            except BaseException:
                self.close()
                self._loop_runner.stop()  # which close leaves running where it finds no scheduler
                raise

    return Client


def _gone(uri: str) -> DeviceError:
    return DeviceError(f"No worker reaches {uri} any more; start it again.")


# What workers do; dask finds these functions there by their names.


def _version() -> str:
    return __version__


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to the sweep, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _convert(request: "Request") -> "ConversionReport | EdgekitError":
    return converted(request, progress=silent)


def _host(uri: str) -> dict[str, Any]:
    with open_device(uri) as device:
        return device.host()


def _measure(uri: str, parts: Sequence[Part], settings: BenchmarkSettings) -> DeviceRun:
    jobs = []
    with scratch_folder() as scratch:
        for number, (name, data, engine) in enumerate(parts):
            path = Path(scratch) / str(number) / Path(name).name
            path.parent.mkdir()
            path.write_bytes(data)
            jobs.append(Job(artifact=open_artifact(path), engine=engine))
        with open_device(uri) as device:
            return device.measure(jobs, settings, progress=silent)


def _absolute(request: "Request") -> "Request":
    """``request`` with paths that another working folder does not change."""
    assert request.output_dir is not None  # noqa: S101 - a sweep has a folder
    return replace(
        request,
        source=request.source.resolve(),
        output_dir=request.output_dir.resolve(),
        data_dir=None if request.data_dir is None else request.data_dir.resolve(),
        calibration=_if_path(request.calibration, KNOWN),
        preprocess=_if_path(request.preprocess, PRESETS),
    )


def _if_path(text: Any, names: Collection[str]) -> Any:
    """``text`` as an absolute path where it is one that exists, and none of the ``names`` that mean something else."""
    known = not isinstance(text, str) or text in names
    return text if known or not Path(text).exists() else str(Path(text).resolve())
