"""Damaged model files through the real verbs: no crash, no hang, no traceback, one sentence, nothing left behind.

Run from the project's folder: PYTHONPATH=tests python -m fuzz.campaign [--share 0.05] [--verb NAME ...] [--seed N]
The result goes to benchmarks/results/damaged_files.json with the facts of the machine; the exit code is 1 when anything
was found. Every command runs as real code in `fuzz.host`; one in `SAMPLED` is run again as a process of its own, and
must end in the same way.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import open_artifact
from fuzz.damage import FOR_MODELS, OPERATORS, in_member
from fuzz.host import MEMORY_BYTES, Host, Outcome
from fuzz.readers import CORPUS, GOLDEN

LIMIT_S = 300.0
"""What takes longer hangs. edgekit's own limits for a child that runs a file are lower."""
SAMPLED = 25
MODELS = GOLDEN / "models"
SOURCES: dict[str, tuple[Path, ...]] = {
    "tflite": (
        MODELS / "convnet.tflite",
        MODELS / "convnet_any_batch.tflite",
        CORPUS / "tflite" / "card.tflite",
        MODELS / "convnet_int8.tflite",
        MODELS / "lstm.tflite",
    ),
    "onnx": (
        MODELS / "convnet.onnx",
        CORPUS / "onnx" / "card.onnx",
        GOLDEN / "tiny.onnx",
        MODELS / "quantized_interface.onnx",
    ),
    "keras": (MODELS / "convnet.keras", CORPUS / "keras" / "card.keras"),
}
CANNOT = {
    "evaluate": ("lstm.tflite",),  # a sequence, and no classes
    "convert": ("convnet_int8.tflite", "quantized_interface.onnx", "lstm.tflite"),  # two are int8, one has no int8 form
}
"""Sources that a verb refuses when they are whole."""

# verb: damaged files of each kind. A Keras file that looks whole starts TensorFlow, which takes ten seconds or more.
MIX: dict[str, dict[str, int]] = {
    "inspect": {"tflite": 400, "onnx": 400, "keras": 200},
    "benchmark": {"tflite": 130, "onnx": 130, "keras": 40},
    "evaluate": {"tflite": 130, "onnx": 130, "keras": 40},
    "convert": {"tflite": 130, "onnx": 130, "keras": 40},
}
RECIPES = ("int8", "dynamic", "fp16", "fp32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Damaged file ``number`` of a kind for a verb; ``operator`` none is the whole file."""

    verb: str
    source: Path
    operator: str | None
    number: int
    seed: int

    def content(self) -> bytes:
        """The damaged bytes; of Keras' zips every second is damaged in a member and has right checksums."""
        data = self.source.read_bytes()
        if self.operator is None:
            return data
        rng = random.Random(f"{self.seed} {self.verb} {self.source.name} {self.number}")  # noqa: S311
        if self.source.suffix == ".keras" and self.number % 2:
            return in_member(data, rng, (self.operator,))
        return OPERATORS[self.operator](data, rng)

    def arguments(self, file: Path, data: Path) -> list[str]:
        """The command."""
        out = str(file.parent / "result.json")
        match self.verb:
            case "inspect":
                return ["inspect", str(file), "--json", out]
            case "benchmark":
                return ["benchmark", str(file), "--runs", "2", "--warmup", "1", "--min-secs", "0", "--json", out]
            case "evaluate":
                return ["evaluate", str(file), "--data", str(data), "--json", out]
            case "convert":
                recipe = RECIPES[self.number // len(FOR_MODELS) % len(RECIPES)]
                where = ["-o", str(file.parent / "out"), "--json", out]
                return ["convert", str(file), "-p", recipe, "--calibration", str(data), *where]
        return ["canary", self.verb, str(file)]

    def label(self) -> str:
        """What finds the case again."""
        return f"{self.verb} {self.source.name} {self.operator} number {self.number} seed {self.seed}"


def cases(verb: str, seed: int, share: float) -> Iterator[Case]:
    """Whole files first, which must pass; then ``share`` of the damaged ones, the operators in turns."""
    for kind, count in MIX[verb].items():
        sources = [s for s in SOURCES[kind] if s.name not in CANNOT.get(verb, ())]
        for source in sources:
            yield Case(verb=verb, source=source, operator=None, number=0, seed=seed)
        for number in range(round(count * share)):
            operator = FOR_MODELS[number % len(FOR_MODELS)]
            source = sources[number // len(FOR_MODELS) % len(sources)]
            yield Case(verb=verb, source=source, operator=operator, number=number, seed=seed)


def verdict(case: Case, outcome: Outcome, folder: Path) -> str | None:
    """What is wrong with the outcome, beginning with its kind; None when all is as it should be."""
    if outcome.how:
        return outcome.how
    if "Traceback (most recent call last)" in outcome.stderr:
        return f"traceback: {outcome.stderr}"
    if outcome.code not in (0, 1, 2):
        return f"crash: the exit code is {outcome.code}: {outcome.stderr}"
    if case.operator is None and outcome.code != 0:
        return f"control: the whole file was refused: {outcome.stderr}"
    lines = outcome.stderr.splitlines()
    spoken = [line for line in lines if line.startswith("edgekit: ")]
    if outcome.code and (len(spoken) != 1 or lines[-1:] != spoken):
        return f"untidy: exit code {outcome.code} with {outcome.stderr!r}"
    left = {p.name for p in folder.rglob("*")} - {f"damaged{case.source.suffix}"}
    if any(name.startswith(".") for name in left) or (outcome.code and left - {"result.json"}):
        return f"left: {sorted(left)}"
    if "result.json" in left:
        try:
            json.loads((folder / "result.json").read_bytes(), parse_constant=_no_json)
        except ValueError as error:
            return f"untidy: the JSON result is none: {error}"
    return None


def _no_json(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _data(source: Path, path: Path) -> Path:
    """Labelled items for the model ``source``, by input name."""
    rng = np.random.default_rng(0)
    arrays = {
        s.name: rng.random((16, *(d or 1 for d in s.shape[1:])), np.float32) for s in open_artifact(source).card.inputs
    }
    np.savez(path, **arrays, y=np.arange(16) % 3)
    return path


def run(
    verbs: Sequence[str], *, seed: int, share: float, sampled: int = SAMPLED, limit_s: float = LIMIT_S
) -> list[dict[str, Any]]:
    """One result for each verb: how many files, how they ended, and everything that was found."""
    results = []
    with tempfile.TemporaryDirectory() as text, Host(limit_s=limit_s) as host:
        top = Path(text)
        for verb in verbs:
            start = time.monotonic()
            codes: Counter[str] = Counter()
            kinds: Counter[str] = Counter()
            seconds: list[float] = []
            found, again, damaged = [], 0, 0
            for case in cases(verb, seed, share):
                outcome, wrong = _try(case, host, top)
                codes[str(outcome.code)] += 1
                kinds[case.source.suffix[1:]] += case.operator is not None
                damaged += case.operator is not None
                seconds.append(outcome.seconds)
                if wrong is None and case.operator is not None and damaged % sampled == 0:
                    again += 1
                    wrong = _again(case, outcome, top)
                if wrong is not None:
                    found.append({"case": case.label(), "wrong": wrong})
                    sys.stderr.write(f"{case.label()}: {wrong}\n")
            kinds_found = Counter(f["wrong"].partition(":")[0] for f in found)
            results.append(
                {
                    "verb": verb,
                    "n": damaged,
                    "by_format": dict(kinds),
                    "seed": seed,
                    "crashes": kinds_found["crash"],
                    "hangs": kinds_found["hang"],
                    "tracebacks": kinds_found["traceback"],
                    "others": len(found) - sum(kinds_found[k] for k in ("crash", "hang", "traceback")),
                    "exit_codes": dict(codes),
                    "run_again_as_processes": again,
                    "slowest_s": round(max(seconds), 1),
                    "seconds": round(time.monotonic() - start, 1),
                    "found": found,
                }
            )
            sys.stderr.write(f"{verb}: {damaged} files, {len(found)} findings, {results[-1]['seconds']} s\n")
    return results


def _try(case: Case, host: Host, top: Path) -> tuple[Outcome, str | None]:
    with _prepared(case, top) as (folder, file, data):
        outcome = host.run(case.arguments(file, data))
        return outcome, verdict(case, outcome, folder)


def _again(case: Case, before: Outcome, top: Path) -> str | None:
    """The same case as a process of its own; what differs, or None."""
    with _prepared(case, top) as (folder, file, data):
        done = subprocess.run(
            [sys.executable, "-m", "edgekit", *case.arguments(file, data)], capture_output=True, text=True, check=False,
            timeout=LIMIT_S,
        )  # fmt: skip
        outcome = Outcome(code=done.returncode, stderr=done.stderr, seconds=0.0)
        wrong = verdict(case, outcome, folder)
    same = (done.returncode, done.stderr.splitlines()[-1:]) == (before.code, before.stderr.splitlines()[-1:])
    if wrong is None and not same:
        return f"differs as a process: {done.returncode} {done.stderr!r}, before {before.code} {before.stderr!r}"
    return wrong


class _prepared:
    """The damaged file alone in a folder, and the data beside that folder."""

    def __init__(self, case: Case, top: Path) -> None:
        self._case, self._folder = case, top / "work"
        self._data = top / f"{case.source.name}.npz"

    def __enter__(self) -> tuple[Path, Path, Path]:
        self._folder.mkdir()
        file = self._folder / f"damaged{self._case.source.suffix}"
        file.write_bytes(self._case.content())
        if not self._data.exists():
            _data(self._case.source, self._data)
        return self._folder, file, self._data

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)


def main() -> int:
    """Run, save and tell; 1 when anything was found."""
    from benchmarks.saving import Figure, save

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="part of the files of each verb and kind")
    parser.add_argument("--verb", action="append", choices=list(MIX))
    given = parser.parse_args()
    results = run(given.verb or list(MIX), seed=given.seed, share=given.share)
    settings = {"limit_s": LIMIT_S, "memory_bytes": MEMORY_BYTES, "operators": FOR_MODELS, "share": given.share}
    figures = [
        Figure(
            what=f"{r['n']:,} damaged model files through `edgekit {r['verb']}`: crashes, hangs, tracebacks",
            value=f"{r['crashes']}, {r['hangs']}, {r['tracebacks']}",
            limit="0, 0, 0",
            held=not r["found"],
        )
        for r in results
    ]
    path = save("damaged_files", [{**r, "settings": settings} for r in results], figures)
    for r in results:
        print(
            f"{r['verb']}: {r['n']} damaged files, {r['crashes']} crashes, {r['hangs']} hangs, "
            f"{r['tracebacks']} tracebacks, {r['others']} others, {r['seconds']} s"
        )
    print(f"Wrote {path}.")
    return 1 if any(r["found"] for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
