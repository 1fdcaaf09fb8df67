"""One command of an entry of the zoo, run in a process of its own, whose results tell whether it is done."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.files import sha256_file, write_atomic

Announce = Callable[[str], None]

UNREADABLE = (OSError, ValueError, KeyError, TypeError)
"""What results of another edgekit, or damaged ones, raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One command of an entry: its ``arguments`` without ``--json``, the folder of its files, its file of results.

    ``judge`` is the model whose digest the results must tell, none where nobody judges.
    """

    name: str
    arguments: tuple[str, ...]
    home: Path
    results: Path
    judge: Path | None = None


def is_done(verb: Verb) -> bool:
    """Whether the results of ``verb`` are there, from the same arguments, and the files they speak of unchanged."""
    try:
        data = json.loads(verb.results.read_bytes())
        judge = None if verb.judge is None else sha256_file(verb.judge)
        return all(_mean_the_same(a, b) for a, b in zip(data["verb"], verb.arguments, strict=True)) and all(
            sha256_file(verb.home / Path(row["artifact"]).name) == row["sha256"]
            and (judge is None or row["judge"]["sha256"] == judge)
            for row in data["results"]
        )
    except UNREADABLE:
        return False


def _mean_the_same(argument: str, other: str) -> bool:
    """Whether two arguments are equal, or paths of one and the same file or folder."""
    if argument == other:
        return True
    return Path(argument).exists() and Path(other).exists() and Path(argument).samefile(other)


def call(verb: Verb, announce: Announce, more: Sequence[str] = ()) -> str:
    """Run ``verb``; the sentence with which it failed, or nothing. Its time and memory go into its results."""
    told = verb.results.with_suffix(".part")  # those of an earlier run stay until there are new ones
    command = [sys.executable, "-m", "edgekit", *verb.arguments, *more, "--json", str(told)]
    start, last = time.monotonic(), "it said nothing"
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as child:
        try:
            for line in child.stderr or ():
                last = line.strip().removeprefix("edgekit: ")
                announce(f"    {last}")
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.terminate()  # it keeps what it can go on from
            raise
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        return last if child.returncode > 0 else f"ended by signal {-child.returncode} ({last})"
    data = json.loads(told.read_bytes())
    data |= {
        "verb": list(verb.arguments),
        "seconds": round(time.monotonic() - start, 1),
        "peak_rss_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    write_atomic(verb.results, (json.dumps(data, indent=2) + "\n").encode())
    told.unlink()
    return ""
