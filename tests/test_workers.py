"""Work in another process: answers, errors, noise and crashes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgekit.errors import DataError
from edgekit.workers import Worker, WorkerCrashError, _last_words

CHILD = "worker_child"


def child(**env: str) -> Worker:
    folder = str(Path(__file__).parent)
    known = os.environ.get("PYTHONPATH")
    return Worker(CHILD, env={"PYTHONPATH": folder if known is None else f"{folder}{os.pathsep}{known}", **env})


@pytest.fixture
def worker() -> Iterator[Worker]:
    with child() as started:
        yield started


@pytest.fixture
def busy_worker() -> Iterator[Worker]:
    """One that takes two calls at once."""
    with child(CALLS_AT_ONCE="2") as started:
        yield started


def test_answers_and_progress_come_back(worker: Worker) -> None:
    steps: list[tuple[str, int, int]] = []
    request = {"text": "größe\n", "numbers": [1, 2.5, None]}
    assert worker.call("echo", request, progress=lambda *step: steps.append(step)) == request
    assert steps == [("echoing", 1, 2), ("echoing", 2, 2)]
    assert worker.call("echo", {}) == {}


def test_an_error_is_raised_here_as_what_it_was_there(worker: Worker) -> None:
    with pytest.raises(DataError) as caught:
        worker.call("refuse", {"what": "cats"})
    assert str(caught.value) == "No cats here."
    assert worker.call("echo", {"still": "there"}) == {"still": "there"}


def test_what_libraries_print_does_not_disturb(worker: Worker) -> None:
    assert worker.call("noise", {"a": 1}) == {"a": 1}
    assert worker.log_tail().splitlines() == ["noise from Python", "noise from C"]


def test_a_crash_is_an_error_with_the_last_words(worker: Worker) -> None:
    with pytest.raises(WorkerCrashError) as caught:
        worker.call("kill", {})
    assert str(caught.value) == (f"the process of {CHILD} was killed by SIGSEGV; its last words: about to fall")
    with pytest.raises(WorkerCrashError):
        worker.call("echo", {})


def test_leaving_without_an_answer_is_an_error(worker: Worker) -> None:
    with pytest.raises(WorkerCrashError) as caught:
        worker.call("leave", {})
    assert str(caught.value) == f"the process of {CHILD} ended with code 3"


def test_a_child_without_an_answer_in_time_is_ended_and_told(worker: Worker) -> None:
    assert worker.call("sleep", {"seconds": 0}, limit_s=60) == {}
    with pytest.raises(WorkerCrashError) as caught:
        worker.call("sleep", {"seconds": 600}, limit_s=0.2)
    assert str(caught.value) == f"the process of {CHILD} had no result after 0.2 s"
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


def test_calls_of_several_threads_each_get_their_own_answer(worker: Worker, busy_worker: Worker) -> None:
    large = "x" * 200_000  # more than a pipe holds
    for one in (worker, busy_worker):
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(one.call, "echo", {"number": i, "text": large}) for i in range(40)]
            assert [f.result()["number"] for f in futures] == list(range(40))


def test_messages_of_calls_at_the_same_time_stay_whole(busy_worker: Worker) -> None:
    with ThreadPoolExecutor(2) as pool:
        steps: list[list[int]] = [[], []]
        calls = [
            pool.submit(
                busy_worker.call, "chatter", {"n": i}, progress=lambda _what, done, _all, i=i: steps[i].append(done)
            )
            for i in range(2)
        ]
        assert [call.result() for call in calls] == [{"n": 0}, {"n": 1}]
    assert steps == [list(range(200))] * 2


def test_a_child_that_writes_what_is_no_message_is_ended(worker: Worker) -> None:
    with pytest.raises(WorkerCrashError, match="was killed by SIGKILL"):
        worker.call("garble", {})


def test_calls_that_end_in_an_error_are_forgotten(worker: Worker) -> None:
    for _ in range(3):
        with pytest.raises(DataError):
            worker.call("refuse", {"what": "cats"})
    assert worker._calls == {}


def test_every_thread_hears_the_last_words(worker: Worker) -> None:
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(worker.call, "kill", {}) for _ in range(8)]
        words = {str(call.exception()) for call in waiting}
    assert words == {f"the process of {CHILD} was killed by SIGSEGV; its last words: about to fall"}


def test_calls_run_beside_each_other_where_the_child_serves_so(busy_worker: Worker) -> None:
    with ThreadPoolExecutor(2) as pool:
        places = [pool.submit(busy_worker.call, "meet", {}) for _ in range(2)]
        assert sorted(future.result()["place"] for future in places) == [0, 1]


@pytest.mark.parametrize("operation", ["kill", "stumble", "leave"])
def test_every_call_that_waits_hears_of_a_crash(busy_worker: Worker, operation: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(busy_worker.call, "sleep", {"seconds": 600})
        with pytest.raises(WorkerCrashError):
            busy_worker.call(operation, {})
        with pytest.raises(WorkerCrashError):
            waiting.result()


PARENT = """
import sys, time
from edgekit.workers import Worker
with Worker("worker_child") as worker:
    print(worker.pid, flush=True)
    worker.call("sleep", {"seconds": 600})
"""


def test_a_child_ends_with_a_parent_that_is_killed() -> None:
    """In the middle of its work too: it does not read from the pipe then."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(child, 0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 30
    while _alive(child):
        assert time.monotonic() < end, "the child lives on"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if not Path("/proc/self/stat").exists():
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it ended in between
        return False


def test_a_bug_in_the_child_is_told_in_its_own_words(worker: Worker) -> None:
    with pytest.raises(WorkerCrashError, match=r"ended with code 1; its last words: ZeroDivisionError: a bug$"):
        worker.call("stumble", {})


def test_words_of_many_lines_are_told_by_the_first(worker: Worker) -> None:
    """As Keras has them, whose errors end in lines of arguments and an empty one."""
    with pytest.raises(WorkerCrashError, match=r"ended with code 1; its last words: ZeroDivisionError: a bug$"):
        worker.call("stumble", {"words": "a bug\n\nArguments received:\n  x=3\n"})


def test_the_last_words_are_never_empty() -> None:
    assert _last_words("one\ntwo\n\n") == "two"
    assert _last_words("") == ""
    assert _last_words("Traceback (most recent call last):\n  File\nKeyError\n\nlater\n") == "KeyError"


def test_what_a_child_leaves_behind_goes_with_it(worker: Worker) -> None:
    left = Path(str(worker.call("leave_file", {})["path"]))
    assert left.exists()
    worker.__exit__(None, None, None)
    assert not left.parent.exists()
    worker.__enter__()  # the fixture leaves it once more


def test_a_child_does_not_report_what_it_runs(worker: Worker) -> None:
    assert worker.call("environment", {})["ORT_DISABLE_TELEMETRY"] == os.environ.get("ORT_DISABLE_TELEMETRY", "1")


def test_a_child_does_not_outlive_its_user(worker: Worker) -> None:
    pid = worker.pid
    worker.__exit__(None, None, None)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    worker.__enter__()  # the fixture leaves it once more
