"""Feeds damaged files to every reader until the time is over; keeps and tells each file that broke the promise.

Run: PYTHONPATH=tests python -m fuzz.fuzzing --seconds 600 [--reader NAME ...] [--seed N]
"""

import argparse
import faulthandler
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz.contract import TIME_S, broken_promise
from fuzz.damage import damaged
from fuzz.readers import TARGETS, Target

_START_S = 120.0  # Python and numpy are loaded before the first case
FOUND = Path(__file__).parent / "found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One damaged file: seed file number ``seed_file`` of the reader, damaged with ``seed``."""

    reader: str
    seed_file: int
    seed: int

    def content(self) -> bytes:
        """The damaged bytes."""
        return damaged(TARGETS[self.reader].seeds[self.seed_file].read_bytes(), self.seed)


def cases(readers: Sequence[str], seed: int) -> Iterator[Case]:
    """Without end, the readers in turns and their seed files in turns."""
    for number in itertools.count(seed):
        for reader in readers:
            yield Case(reader=reader, seed_file=number % len(TARGETS[reader].seeds), seed=number)


def try_case(case: Case, folder: Path) -> str | None:
    """None, or how the reader broke its promise on the case."""
    return try_content(TARGETS[case.reader], case.content(), folder)


def try_content(target: Target, content: bytes, folder: Path) -> str | None:
    """None, or how the reader broke its promise on ``content``."""
    path = folder / f"damaged{target.suffix}"
    path.write_bytes(content)
    return broken_promise(target.read, path)


def keep(case: Case, report: str, into: Path) -> Path:
    """Save the input of a broken promise with its report beside it; its path."""
    into.mkdir(parents=True, exist_ok=True)
    target: Target = TARGETS[case.reader]
    path = into / f"{case.reader}-{case.seed_file}-{case.seed}{target.suffix}"
    path.write_bytes(case.content())
    path.with_name(path.name + ".txt").write_text(f"{target.seeds[case.seed_file]}, seed {case.seed}\n{report}\n")
    return path


def work(readers: Sequence[str], seconds: float, seed: int) -> int:
    """Child process: one line of JSON before every case, and one for every broken promise; 0 when time is over."""
    faulthandler.enable()
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(readers, seed):
            if time.monotonic() > end:
                return 0
            print(json.dumps([case.reader, case.seed_file, case.seed]), flush=True)
            report = try_case(case, Path(folder))
            if report is not None:
                print(json.dumps({"report": report}), flush=True)
    return 0


def fuzz(readers: Sequence[str], seconds: float, seed: int, *, into: Path = FOUND) -> tuple[int, list[Path]]:
    """(files tried, inputs that broke a promise); a reader that takes the process down or never ends is found too."""
    end, tried, found = time.monotonic() + seconds, 0, list[Path]()
    itself = sys.modules["__main__"].__spec__
    module = "fuzz.fuzzing" if itself is None or not itself.name.startswith("fuzz.") else itself.name
    while (left := end - time.monotonic()) > 0:
        command = [sys.executable, "-m", module, "--work", "--seed", str(seed), "--seconds", str(left)]
        for reader in readers:
            command += ["--reader", reader]
        with tempfile.TemporaryFile() as log:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
            last, broken = _follow(child, into, found)
            tried += broken
            code = child.wait()
            log.seek(0)
            words = log.read().decode(errors="replace")
        if code == 0:
            break
        if last is None:
            raise RuntimeError(f"the fuzzing process ended with code {code} before its first case: {words[-2000:]}")
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        found.append(keep(last, f"the process ended with {how}\n{words[-4000:]}", into))
        seed = last.seed + 1
    return tried, found


def _follow(child: "subprocess.Popen[str]", into: Path, found: list[Path]) -> tuple[Case | None, int]:
    assert child.stdout is not None
    last, tried = None, 0
    # C code that never comes back hears no alarm: kill what says nothing for twice the time that a reader has.
    for line in _lines(child, 2 * TIME_S):
        message = json.loads(line)
        if isinstance(message, list):
            last, tried = Case(reader=message[0], seed_file=message[1], seed=message[2]), tried + 1
        elif last is not None:
            found.append(keep(last, message["report"], into))
    return last, tried


def _lines(child: "subprocess.Popen[str]", patience_s: float) -> Iterator[str]:
    assert child.stdout is not None
    wait_s = _START_S
    while True:
        timer = threading.Timer(wait_s, child.kill)
        timer.start()
        wait_s = patience_s
        line = child.stdout.readline()
        timer.cancel()
        if not line:
            return
        yield line


def main() -> int:
    """Tell what was tried and found; 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", choices=sorted(TARGETS))
    parser.add_argument("--into", type=Path, default=FOUND, help="folder for what is found")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    readers = given.reader or list(TARGETS)
    if given.work:
        return work(readers, given.seconds, given.seed)
    tried, found = fuzz(readers, given.seconds, given.seed, into=given.into)
    print(f"{tried} damaged files through {len(readers)} readers in {given.seconds:g} s: {len(found)} broken promises")
    for path in found:
        print(f"  {path}: see {path.name}.txt")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
