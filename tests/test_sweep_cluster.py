"""Sweeps on the workers of a dask scheduler: real processes, one job at a time for every device."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, Nanny, Scheduler, SpecCluster, get_task_stream

from edgekit.artifact import open_artifact
from edgekit.converters import Request
from edgekit.errors import ConversionError, DeviceError, InputError, MissingExtraError
from edgekit.measure.host import host_facts
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.measure.turns import machine_of
from edgekit.recipe import Precision, Recipe
from edgekit.sweep import Sweep, sweep
from edgekit.sweep.cluster import Cluster, ClusterDevice, _absolute
from edgekit.workers import silent

QUICK = BenchmarkSettings(threads=(1,), runs=6, warmup=1, min_duration_s=0, rounds=3)
FP32 = (Recipe(precision=Precision.FP32),)


@pytest.fixture(scope="module")
def lab() -> Iterator[str]:
    """The address of a scheduler with two worker processes, of which one reaches this machine; both reach ``both``."""
    workers = {
        name: {"cls": Nanny, "options": {"nthreads": 2, "resources": resources, "dashboard_address": None}}
        for name, resources in enumerate(({"local": 1, "both": 1}, {"both": 1}))
    }
    options = {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}
    with SpecCluster(workers=workers, scheduler={"cls": Scheduler, "options": options}, silence_logs=50) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def jobs(tiny_models: Path) -> list[Job]:
    """One model to be timed."""
    return [Job(artifact=open_artifact(tiny_models / "convnet.onnx"))]


def test_cells_are_measured_by_the_worker_that_reaches_the_device(lab: str, tiny_models: Path, tmp_path: Path) -> None:
    files, told = (tiny_models / "convnet.onnx", tiny_models / "convnet.tflite"), []
    with Cluster(lab) as cluster:
        report = sweep(Sweep(files=files, settings=QUICK), tmp_path / "out", site=cluster)
        sweep(Sweep(files=files, settings=QUICK), tmp_path / "out", site=cluster, announce=told.append)
    assert report.failures == ()
    assert {row["artifact"] for row in report.rows} == set(map(str, files))
    assert told == ["2 of 2 cells done before"]


def turns(dask_worker: Any) -> list[tuple[str, bool]]:
    """Which jobs for devices a worker has begun or ended, and whether begun, by its own log: clocks may differ."""
    moves = [(str(entry[0]), entry[1], entry[3]) for entry in dask_worker.state.log if len(entry) == 7]
    mine = [move for move in moves if "_measure" in move[0]]
    return [(key, after == "executing") for key, before, after in mine if "executing" in (before, after)]


def test_a_device_has_one_job_at_a_time_whoever_asks(lab: str, jobs: list[Job]) -> None:
    with Cluster(lab) as one, Cluster(lab) as other, Client(lab, set_as_default=False) as client:
        before = {key for told in client.run(turns).values() for key, _ in told}
        threads = [
            threading.Thread(target=lambda c=c: c.open("local").measure(jobs, QUICK, progress=silent))
            for c in (one, other, one, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = client.run(turns).values()
        found = sorted(([turn for turn in told if turn[0] not in before] for told in after), key=len)
    assert [[begins for _, begins in told] for told in found] == [[], 4 * [True, False]]
    assert len({key for key, _ in found[1]}) == 4
    assert all(one[0] == other[0] for one, other in zip(found[1][::2], found[1][1::2], strict=True))


def test_a_worker_that_dies_costs_time_and_no_cell(lab: str, jobs: list[Job]) -> None:
    died: list[int] = []

    def kill(_what: str, _done: int, _total: int) -> None:
        if not died:
            pids = client.run(os.getpid)
            (worker,) = (w for w, facts in client.scheduler_info()["workers"].items() if "local" in facts["resources"])
            died.append(pids[worker])
            os.kill(pids[worker], signal.SIGKILL)

    with Cluster(lab) as cluster, Client(lab, set_as_default=False) as client:
        run = cluster.open("local").measure(jobs, replace(QUICK, min_duration_s=0.5), progress=kill)
        client.wait_for_workers(2, timeout=30)
    assert (len(died), len(run.timings)) == (1, 1)


@pytest.fixture
def fragile() -> Iterator[str]:
    """The address of a scheduler that gives a job up whose worker died once."""
    worker = {"cls": Nanny, "options": {"nthreads": 1, "resources": {"local": 1}, "dashboard_address": None}}
    options = {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        SpecCluster(workers={0: worker}, scheduler={"cls": Scheduler, "options": options}, silence_logs=50) as cluster,
    ):
        yield cluster.scheduler_address


def kill_worker_at_work(client: Client) -> None:
    """Kill the process of the only worker as soon as it has begun with a job."""
    (pid,) = client.run(os.getpid).values()
    while not any(client.processing().values()):
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)


def test_a_job_that_is_given_up_is_one_sentence(
    fragile: str, jobs: list[Job], tiny_models: Path, tmp_path: Path
) -> None:
    see = "see the logs of the scheduler and its workers, and start again."
    long = replace(QUICK, min_duration_s=20)
    with Cluster(fragile) as cluster, Client(fragile, set_as_default=False) as client:
        killer = threading.Thread(target=kill_worker_at_work, args=(client,))
        killer.start()
        with pytest.raises(DeviceError) as caught:
            cluster.open("local").measure(jobs, long, progress=silent)
        killer.join()
        assert str(caught.value) == f"The job for local was lost at {fragile}; {see}"
        client.wait_for_workers(1, timeout=30)
        killer = threading.Thread(target=kill_worker_at_work, args=(client,))
        killer.start()
        request = Request(source=tiny_models / "convnet.keras", recipes=FP32, output_dir=tmp_path)
        ((given, outcome),) = cluster.convert([request], progress=silent)
        killer.join()
    assert given is request
    assert isinstance(outcome, ConversionError)
    assert str(outcome) == f"The conversion was lost at {fragile}; {see}"


def test_a_worker_that_stays_away_is_one_sentence(lab: str, jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.sweep.cluster.GONE_S", 0)
    with Cluster(lab) as cluster:
        device = ClusterDevice("ssh://pi@pi4", cluster)
        for ask in (device.host, lambda: device.measure(jobs, QUICK, progress=silent)):
            with pytest.raises(DeviceError) as caught:
                ask()
            assert str(caught.value) == "No worker reaches ssh://pi@pi4 any more; start it again."


@pytest.mark.timeout(60)
def test_a_conversion_whose_worker_stays_away_is_one_sentence(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.sweep.cluster.GONE_S", 1)
    options: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}
    with SpecCluster(workers={}, scheduler={"cls": Scheduler, "options": options}, silence_logs=50) as empty:
        address = empty.scheduler_address
        words = ("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        with (
            subprocess.Popen([sys.executable, "-m", "dask", *words], stderr=subprocess.DEVNULL, cwd=tmp_path) as worker,
            Client(address, set_as_default=False) as client,
        ):
            client.wait_for_workers(1, timeout=30)
            with Cluster(address) as cluster:
                killer = threading.Thread(target=kill_worker_at_work, args=(client,), daemon=True)
                killer.start()
                requests = [Request(source=tiny_models / "convnet.keras", recipes=FP32, output_dir=tmp_path)]
                ((_, outcome),) = cluster.convert(requests, progress=silent)
            assert worker.wait() == -signal.SIGKILL
    assert isinstance(outcome, ConversionError)
    assert str(outcome).startswith(f"The conversion was lost at {address}; ")


def test_a_conversion_that_fails_stops_no_other(lab: str, tmp_path: Path) -> None:
    requests = [Request(source=tmp_path / name, recipes=FP32, output_dir=tmp_path) for name in ("a.keras", "b.keras")]
    with Cluster(lab) as cluster:
        found = list(cluster.convert(requests, progress=silent))
    assert {request.source.name for request, _ in found} == {"a.keras", "b.keras"}
    assert all(isinstance(outcome, InputError) and "does not exist" in str(outcome) for _, outcome in found)


def test_all_workers_are_seen_where_distributed_tells_of_some(lab: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client.scheduler_info, "__defaults__", (1,))
    with Cluster(lab) as cluster:
        assert len(cluster.reaching("both")) == 2


def test_a_device_tells_its_machine_through_its_worker(lab: str) -> None:
    with Cluster(lab) as cluster:
        assert machine_of(cluster.open("local").host(), "local") == machine_of(host_facts(), "another")


def test_names_mean_data_and_presets_on_workers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("cifar10", "torch", "photos"):
        Path(folder).mkdir()
    request = Request(source=Path("m"), output_dir=Path(), calibration="photos", preprocess="photos")
    told = _absolute(replace(request, calibration="cifar10", preprocess="torch"))
    assert (told.calibration, told.preprocess) == ("cifar10", "torch")
    told = _absolute(request)
    assert (told.calibration, told.preprocess) == (str(tmp_path / "photos"), str(tmp_path / "photos"))
    assert _absolute(replace(request, calibration="gone")).calibration == "gone"


@pytest.mark.parametrize("address", ["tls://127.0.0.1:9", "..:1"])
def test_what_cannot_be_spoken_to_is_one_sentence(address: str) -> None:
    before = threading.enumerate()
    with pytest.raises(InputError) as caught:
        Cluster(address)
    assert new_threads(before) == []
    assert str(caught.value) == (
        f"{address} cannot be spoken to; expected the address of a dask scheduler, and for tls:// certificates in "
        "dask's configuration (distributed.comm.tls)."
    )


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        (
            "ssh://pi@pi4",
            "No worker of {lab} reaches ssh://pi@pi4; start one with: dask worker {lab} --resources 'ssh://pi@pi4=1'",
        ),
        (
            "both",
            "2 workers of {lab} reach both, which would disturb each other; name it in the resources of one of them.",
        ),
    ],
)
def test_a_device_is_reached_by_exactly_one_worker(lab: str, uri: str, sentence: str) -> None:
    with Cluster(lab) as cluster, pytest.raises(InputError) as caught:
        cluster.open(uri)
    assert str(caught.value) == sentence.format(lab=lab)


def test_errors_of_a_device_arrive(lab: str, jobs: list[Job]) -> None:
    with Cluster(lab) as cluster, pytest.raises(InputError) as caught:
        cluster.open("local").measure([replace(jobs[0], engine="nothing")], QUICK, progress=silent)
    assert str(caught.value).startswith("There is no engine 'nothing'")


def test_workers_of_another_edgekit_are_refused(lab: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit import __version__

    monkeypatch.setattr("edgekit.sweep.cluster.__version__", "9.9")
    with pytest.raises(InputError, match=rf"The worker \S+ has edgekit {__version__}, not 9\.9; install that there\."):
        Cluster(lab)


def new_threads(before: list[threading.Thread]) -> list[str]:
    """The loops of dask that run and did not ``before``; the garbage collector would end them, at a time of its own."""
    return [thread.name for thread in set(threading.enumerate()).difference(before) if thread.name == "IO loop"]


def logs_from() -> int:
    """The level from which a worker's logs are shown."""
    return logging.getLogger("distributed.worker").getEffectiveLevel()


def test_workers_of_this_machine_end_with_the_sweep_and_leave_nothing(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    asked = Sweep(files=(tiny_models / "convnet.onnx",), settings=QUICK)
    with Cluster("local", asked.devices) as cluster:
        report = sweep(asked, tmp_path / "out", site=cluster)
        with Client(cluster._client.scheduler.address, set_as_default=False) as client:
            pids = list(client.run(os.getpid).values())
            levels = set(client.run(logs_from).values())
    assert levels == {logging.CRITICAL}
    assert list((tmp_path / "scratch").iterdir()) == []
    assert (len(report.rows), report.failures, len(pids)) == (1, (), 2)
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_a_worker_of_this_machine_that_dies_comes_back_however_long_that_takes() -> None:
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "0s"}), Cluster("local", ("local",)) as cluster:
        before = cluster._client.run(os.getpid)
        address, pid = before.popitem()
        os.kill(pid, signal.SIGKILL)
        while address in cluster._client.run(os.getpid, on_error="ignore"):
            time.sleep(0.01)
        cluster._client.wait_for_workers(2, timeout=60)
        assert len(cluster._client.cluster.workers) == 2  # those that dask has not ended


@pytest.mark.slow
def test_models_are_converted_on_the_workers_without_devices(lab: str, tmp_path: Path) -> None:
    code = "import sys; from convert_models import leaky; [leaky().save(path) for path in sys.argv[1:]]"
    sources = tuple(tmp_path / f"{name}.keras" for name in "ab")
    subprocess.run([sys.executable, "-c", code, *sources], check=True, cwd=Path(__file__).parent, capture_output=True)
    asked = Sweep(files=sources, settings=QUICK, recipes=FP32)
    with Cluster(lab) as cluster, Client(lab, set_as_default=False) as client:
        with get_task_stream(client) as stream:
            report = sweep(asked, tmp_path / "out", site=cluster)
        spans: dict[str, list[tuple[float, float]]] = {"_convert": [], "_host": [], "_measure": []}
        for task in stream.data:
            spans[str(task["key"]).partition("-")[0]] += [(p["start"], p["stop"]) for p in task["startstops"]]
    assert (len(report.rows), report.failures) == (4, ())
    assert len(spans["_convert"]) >= 2
    assert max(stop for _, stop in spans["_convert"]) <= min(start for start, _ in spans["_measure"])


@pytest.mark.parametrize("address", ["hello", "http://127.0.0.1:8786", "tcp://"])
def test_an_address_that_is_none_is_one_sentence(address: str) -> None:
    with pytest.raises(InputError) as caught:
        Cluster(address)
    assert str(caught.value) == (
        f"{address!r} is no address of a scheduler; expected one such as tcp://host:8786, or local."
    )


def test_a_scheduler_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.sweep.cluster.CONNECT_S", 1)
    before = threading.enumerate()
    with pytest.raises(InputError) as caught:
        Cluster("tcp://127.0.0.1:9")
    assert new_threads(before) == []
    assert str(caught.value) == (
        "No scheduler answers at tcp://127.0.0.1:9; start one with dask scheduler and give its address, "
        "or --scheduler local."
    )


def test_without_distributed_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError) as caught:
        Cluster("local")
    assert str(caught.value) == "distributed is not installed. Run: pip install 'edgekit-ml[cluster]'"


def test_a_scheduler_without_workers_is_one_sentence() -> None:
    options: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}
    with SpecCluster(workers={}, scheduler={"cls": Scheduler, "options": options}, silence_logs=50) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(InputError) as caught:
            Cluster(address)
    assert str(caught.value) == f"{address} has no workers; start some with: dask worker {address} --nthreads 1"
