"""SIGKILL at random moments of `train` and `convert`: nothing partial, no process left, and a later run mends all.

Run from the project's folder: PYTHONPATH=tests python -m fuzz.kills [--kills 30] [--verb train|convert] [--seed N]
The result goes to benchmarks/results/kills.json with the facts of the machine; exit code 1 when anything was found.
"""

import argparse
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.files import STAGING_PREFIX
from fuzz.readers import CORPUS, GOLDEN

LINGER_S = 10.0
"""So long after the command was killed its children must be gone; they notice at once, a busy machine takes time."""
LIMIT_S = 300.0
_MARK = "FUZZ_KILLS"


@dataclass(slots=True, kw_only=True)
class Report:
    """What the kills of one verb led to. ``before_s`` is when each kill came, ``linger_s`` how long children stayed."""

    verb: str
    seed: int
    whole_s: float
    before_s: list[float] = field(default_factory=list)
    linger_s: list[float] = field(default_factory=list)
    killed: int = 0
    ended_before: int = 0
    had_left_staging: int = 0
    found: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The figures."""
        return {
            "verb": self.verb,
            "seed": self.seed,
            "n": len(self.before_s),
            "killed_at_work": self.killed,
            "ended_before_the_kill": self.ended_before,
            "left_staging_for_the_next_run": self.had_left_staging,
            "uninterrupted_s": round(self.whole_s, 1),
            "kills_s": [round(s, 2) for s in self.before_s],
            "children_gone_after_s": round(max(self.linger_s, default=0.0), 2),
            "found": self.found,
        }


class Place:
    """A folder for one command, with a folder for temporary files of its own, and a mark on all its processes."""

    def __init__(self, folder: Path) -> None:
        self.out, self.tmp = folder / "out", folder / "tmp"
        self.tmp.mkdir(parents=True)
        self._mark = uuid.uuid4().hex
        self._env = {**os.environ, "TMPDIR": str(self.tmp), _MARK: self._mark, "TF_CPP_MIN_LOG_LEVEL": "3"}

    def run(self, arguments: list[str]) -> "subprocess.CompletedProcess[str]":
        """The command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "edgekit", *arguments],
            capture_output=True, text=True, env=self._env, timeout=LIMIT_S, check=False,
        )  # fmt: skip

    def killed(self, arguments: list[str], after_s: float) -> bool:
        """Whether SIGKILL came before the command ended by itself; its children are not killed with it."""
        process = subprocess.Popen(
            [sys.executable, "-m", "edgekit", *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self._env, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        return False

    def linger_s(self) -> float | None:
        """Seconds until no process of the command is left; None when one stays longer than `LINGER_S`."""
        start = time.monotonic()
        while self._alive():
            if time.monotonic() - start > LINGER_S:
                return None
            time.sleep(0.02)
        return time.monotonic() - start

    def _alive(self) -> bool:
        mark = f"{_MARK}={self._mark}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    return True
            except OSError:  # it ended meanwhile, or is another user's
                continue
        return False

    def left(self) -> list[str]:
        """What is there that no finished or waiting run has."""
        hidden = [p.name for p in self.out.iterdir() if p.name.startswith(".")] if self.out.exists() else []
        return sorted(hidden + [p.name for p in self.tmp.iterdir() if p.name.startswith("edgekit-")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A command that is killed. ``partial`` tells what in its folder is not whole; ``mended`` runs it to its end."""

    name: str
    arguments: Callable[[Place, int], list[str]]
    partial: Callable[[Path], Iterator[str]]
    mended: Callable[[Place, list[str], Any], Iterator[str]]
    reference: Callable[[Place, list[str]], Any]


def kill(verb: Verb, kills: int, seed: int, folder: Path, *, kinds: tuple[int, ...] = (0, 1)) -> Report:
    """Kill ``verb`` so many times, at moments drawn over its whole length, and see what is left each time.

    ``kinds`` of its command lines are taken in turns.
    """
    rng = random.Random(f"{seed} {verb.name}")  # noqa: S311
    references: dict[int, tuple[float, Any]] = {}
    report = Report(verb=verb.name, seed=seed, whole_s=0.0)
    for number in range(kills):
        kind = kinds[number % len(kinds)]
        if kind not in references:
            place = Place(folder / f"reference{kind}")
            start = time.monotonic()
            value = verb.reference(place, verb.arguments(place, kind))
            references[kind] = (time.monotonic() - start, value)
            report.whole_s = max(report.whole_s, references[kind][0])
        place = Place(folder / f"trial{number}")
        arguments = verb.arguments(place, kind)
        while not place.killed(arguments, after_s := rng.uniform(0, references[kind][0])):
            # A machine that is busy now and idle then needs less time: it is drawn anew from what was needed last.
            report.ended_before += 1
            references[kind] = (after_s * 0.9, references[kind][1])
            place = Place(folder / f"trial{number}-{report.ended_before}")
            arguments = verb.arguments(place, kind)
        report.before_s.append(after_s)
        report.killed += 1
        lingered = place.linger_s()
        where = f"{verb.name} {number}, killed after {after_s:.2f} s"
        if lingered is None:
            report.found.append(f"{where}: a child lives on after {LINGER_S} s")
        else:
            report.linger_s.append(lingered)
        report.had_left_staging += any(STAGING_PREFIX in name for name in place.left())
        report.found += [f"{where}: {what}" for what in verb.partial(place.out)]
        report.found += [f"{where}: {what}" for what in verb.mended(place, arguments, references[kind][1])]
        report.found += [f"{where}: still there after the next run: {left}" for left in place.left()]
    return report


# train


def _train(place: Place, kind: int) -> list[str]:
    model = ["mlp", "--epochs", "8"] if kind == 0 else ["cnn", "--epochs", "2", "--batch-size", "512"]
    return ["train", *model, "--data", "digits", "--seed", "3", "-o", str(place.out)]


def _train_partial(out: Path) -> Iterator[str]:
    from edgekit.errors import EdgekitError
    from edgekit.models.checkpoint import read_checkpoint

    for path in _visible(out):
        try:
            match path.name:
                case "checkpoint.npz":
                    read_checkpoint(path)
                case "settings.json" | "history.json":
                    json.loads(path.read_bytes())
                case "model.keras":
                    _whole(path)
                case _:
                    yield f"{path.name} does not belong there"
        except (EdgekitError, ValueError) as error:
            yield f"{path.name} is partial: {error}"


def _train_mended(place: Place, arguments: list[str], expected: Any) -> Iterator[str]:
    done = place.run(arguments)
    finished = f"edgekit: {place.out / 'model.keras'} exists; use --force to replace it or -o to write elsewhere.\n"
    if done.returncode and done.stderr != finished:
        yield f"the next run ended with {done.returncode}: {done.stderr}"
    elif sorted(p.name for p in _visible(place.out)) != ["history.json", "model.keras", "settings.json"]:
        yield f"the next run left {[p.name for p in _visible(place.out)]}"
    elif _curve(place.out) != expected:
        yield "the loss curve or the weights differ from those of an uninterrupted training"


def _train_reference(place: Place, arguments: list[str]) -> Any:
    done = place.run(arguments)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return _curve(place.out)


def _curve(out: Path) -> tuple[list[dict[str, float]], dict[str, bytes]]:
    """The figures of every epoch but for its duration, and all weights, bit by bit."""
    import h5py

    history = json.loads((out / "history.json").read_bytes())
    figures = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in history["epochs"]]
    weights: dict[str, bytes] = {}
    with zipfile.ZipFile(out / "model.keras") as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r") as file:
        file.visititems(
            lambda name, item: weights.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
        )
    return figures, weights


# convert


def _convert(place: Place, kind: int) -> list[str]:
    data = place.tmp.parent / "data.npz"
    if not data.exists():
        np.savez(data, x=np.random.default_rng(0).random((64, 6, 4, 3), np.float32))
    source = GOLDEN / "models" / "convnet.keras" if kind == 0 else CORPUS / "onnx" / "card.onnx"
    recipes = ["-p", "fp32", "-p", "int8"] if kind == 0 else ["-p", "fp16", "-p", "dynamic"]
    return ["convert", str(source), *recipes, "--calibration", str(data), "-o", str(place.out)]


def _convert_partial(out: Path) -> Iterator[str]:
    from edgekit.converters.manifest import load_manifest
    from edgekit.errors import EdgekitError

    for path in _visible(out):
        try:
            if path.name.endswith(".manifest.json"):
                load_manifest(path)
            elif path.suffix in (".tflite", ".onnx"):
                _whole(path)
            else:
                yield f"{path.name} does not belong there"
        except (EdgekitError, ValueError) as error:
            yield f"{path.name} is partial: {error}"


def _convert_mended(place: Place, arguments: list[str], expected: Any) -> Iterator[str]:
    done = place.run(arguments)
    if done.returncode == 2 and "exists; use --force" in done.stderr:
        done = place.run([*arguments, "--force"])  # killed between two of the renames, or after the last
    if done.returncode:
        yield f"the next run ended with {done.returncode}: {done.stderr}"
    elif sorted(p.name for p in _visible(place.out)) != expected:
        yield f"the next run left {[p.name for p in _visible(place.out)]}"


def _convert_reference(place: Place, arguments: list[str]) -> Any:
    done = place.run(arguments)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return sorted(p.name for p in _visible(place.out))


def _visible(out: Path) -> list[Path]:
    return [p for p in out.iterdir() if not p.name.startswith(STAGING_PREFIX)] if out.exists() else []


def _whole(path: Path) -> None:
    from edgekit.artifact import open_artifact
    from edgekit.formats.keras import require_readable_weights
    from edgekit.runtimes.probe import probe

    if open_artifact(path).foreign:
        raise ValueError("it has no card")
    if path.suffix == ".keras":
        require_readable_weights(path)
    else:
        probe(path)


VERBS: Mapping[str, Verb] = {
    "train": Verb(
        name="train",
        arguments=_train,
        partial=_train_partial,
        mended=_train_mended,
        reference=_train_reference,
    ),
    "convert": Verb(
        name="convert",
        arguments=_convert,
        partial=_convert_partial,
        mended=_convert_mended,
        reference=_convert_reference,
    ),
}


def main() -> int:
    """Run, save and tell; 1 when anything was found."""
    from benchmarks.saving import Figure, save

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verb", action="append", choices=list(VERBS))
    given = parser.parse_args()
    reports = []
    for name in given.verb or list(VERBS):
        with tempfile.TemporaryDirectory() as folder:
            reports.append(kill(VERBS[name], given.kills, given.seed, Path(folder)))
    figures = [
        Figure(
            what=f"`edgekit {r.verb}` killed at work {r.killed} times: partial files, or another result afterwards",
            value=f"{len(r.found)}",
            limit="0",
            held=not r.found,
        )
        for r in reports
    ]
    path = save("kills", [r.to_json() for r in reports], figures)
    for r in reports:
        print(
            f"{r.verb}: {len(r.before_s)} kills, {r.killed} of them at work; children gone after "
            f"{max(r.linger_s, default=0.0):.2f} s at most; {len(r.found)} findings"
        )
        for what in r.found:
            print(f"  {what}")
    print(f"Wrote {path}.")
    return 1 if any(r.found for r in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
