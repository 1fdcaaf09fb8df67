"""The command line of a bundle: ``verify``, ``bench``, ``predict``, ``detect``."""

import argparse
import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.bundle.runner.answers import from_image, real
from edgekit.bundle.runner.bench import bench
from edgekit.bundle.runner.contents import Contents
from edgekit.bundle.runner.detector import Detector, open_detector
from edgekit.bundle.runner.engines import load
from edgekit.bundle.runner.manifest import Entry
from edgekit.bundle.runner.pictures import frames, read_photo, require_pillow
from edgekit.bundle.runner.verify import verify
from edgekit.errors import EdgekitError, InputError, MissingExtraError
from edgekit.measure.host import host_facts
from edgekit.tasks.classification import as_probabilities, class_scores, guessed_by

TOP = 5
MOST_THREADS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a verb did, as JSON objects; whether all was well; and a sentence on models that did not run, if any."""

    results: list[dict[str, Any]]
    passed: bool = True
    left_out: str = ""


def main(place: str, arguments: "Sequence[str] | None" = None) -> int:
    """Run one verb of the bundle at ``place``: 0 done, 1 verify said no, 2 wrong usage, bad input or no engine."""
    options = _parser().parse_args(arguments)
    try:
        contents = Contents(place)
        done = _VERBS[options.verb](contents, options)
        if options.json is not None:
            _write_json(options.json, options.verb, done.results)
    except EdgekitError as error:
        sys.stderr.write(f"bundle: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        sys.stderr.write(f"bundle: {error.filename or 'A file'} cannot be used: {error.strerror}; try another place.\n")
        return 2
    if done.left_out:
        sys.stderr.write(f"bundle: {done.left_out}\n")
    if not done.passed:
        return 1
    return 2 if done.left_out else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bundle", description="Prove, time and use the models of this bundle.")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--model", action="append", default=[], metavar="NAME", help="this model only; may be repeated")
    shared.add_argument("--threads", type=_threads, default=1, metavar="N", help="threads of the engine (1)")
    shared.add_argument("--json", metavar="FILE", help="write the results as JSON; - is standard output")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verify|bench|predict|detect")
    verbs.add_parser("verify", parents=[shared], help="compare this device with the desk; exit 1 where it differs")
    timed = verbs.add_parser("bench", parents=[shared], help="time every model")
    timed.add_argument("--runs", type=_count, default=50, metavar="N", help="timed runs, at least (50)")
    timed.add_argument("--warmup", type=_count, default=5, metavar="N", help="untimed runs before them (5)")
    timed.add_argument("--min-secs", type=_seconds, default=1.0, metavar="S", help="seconds to go on for, at least (1)")
    guess = verbs.add_parser("predict", parents=[shared], help="classify photos")
    guess.add_argument("images", nargs="+", metavar="IMAGE")
    seen = verbs.add_parser("detect", parents=[shared], help="find objects in a photo, clip, stream or camera")
    seen.add_argument("source", nargs="?", default="0", metavar="SOURCE", help="photo, clip, address or camera (0)")
    seen.add_argument("--frames", type=_count, metavar="N", help="stop after N images (when the source ends)")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more; got {number}")
    return number


def _threads(text: str) -> int:
    number = _count(text)
    if number > MOST_THREADS:
        raise argparse.ArgumentTypeError(f"expected {MOST_THREADS} at most; got {number}")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"expected 0 or more seconds, a finite number; got {number:g}")
    return number


def _verify(contents: Contents, options: argparse.Namespace) -> Result:
    for name in contents.names:
        contents.read(name)
    manifest = contents.manifest
    told = f"{len(contents.names)} files are those that were bundled; golden data: {manifest.data}"
    _say(options, told)
    lines = []

    def prove(entry: Entry) -> None:
        for line in verify(contents, entry, threads=options.threads):
            lines.append(line)
            _say(options, f"{'ok' if line.passed else 'NO':<3} {line.model}: {line.what}: {line.told}")

    left_out = _for_each(contents.chosen(tuple(options.model)), options, prove)
    passed = all(line.passed for line in lines)
    fine = "verified, but for the models that did not run" if left_out else "verified"
    _say(options, fine if passed else "NOT verified: this device does not do what the desk did")
    results = [
        {"artifact": line.model, "check": line.what, "passed": line.passed, "told": line.told, "metrics": line.metrics}
        for line in lines
    ]
    return Result(results=results, passed=passed, left_out=left_out)


def _bench(contents: Contents, options: argparse.Namespace) -> Result:
    results = []

    def time_runs(entry: Entry) -> None:
        given = {"runs": options.runs, "warmup": options.warmup, "min_secs": options.min_secs}
        result = bench(contents, entry, threads=options.threads, **given)
        results.append(result)
        times, by = result["latency_ms"], f"{result['engine']} {result['kernels']}".rstrip()
        told = f"median {times['p50']:.3g}, p90 {times['p90']:.3g}, min {times['min']:.3g}"
        _say(options, f"{entry.name}: {told} ms; {result['runs']} runs, {options.threads} thread(s), {by}")

    left_out = _for_each(contents.chosen(tuple(options.model)), options, time_runs)
    return Result(results=results, left_out=left_out)


def _for_each(entries: Sequence[Entry], options: argparse.Namespace, work: Callable[[Entry], None]) -> str:
    """Do ``work`` for each model whose engine is here; a sentence on the others, '' where there are none.

    `MissingExtraError` where no model has an engine.
    """
    missing: dict[str, MissingExtraError] = {}
    for entry in entries:
        try:
            work(entry)
        except MissingExtraError as error:
            missing[entry.name] = error
    others = [entry.name for entry in entries if entry.name not in missing]
    if missing and not others:
        raise next(iter(missing.values()))
    for name, reason in missing.items():
        _say(options, f"--  {name}: not run: {reason}")
    if not missing:
        return ""
    chosen = " ".join(f"--model {shlex.quote(name)}" for name in others)
    return f"{', '.join(missing)} did not run for want of an engine; install it, or run the others alone: {chosen}"


def _predict(contents: Contents, options: argparse.Namespace) -> Result:
    chosen = contents.chosen(tuple(options.model))
    entries = [entry for entry in chosen if entry.classifies]
    for entry in chosen if options.model else ():
        if entry not in entries:
            raise InputError(f"{entry.name} is no classifier of an image alone; use detect, or choose another model.")
    if not entries:
        raise InputError("The bundle holds no classifier of images; see its manifest.json.")
    require_pillow()
    results = []

    def classify(entry: Entry) -> None:
        loaded = load(entry, contents.read(entry.file), threads=options.threads)
        for path in options.images:
            answer = loaded.run([from_image(read_photo(path), entry)])
            outputs = real({spec.name: v for spec, v in zip(entry.card.outputs, answer, strict=True)}, entry)
            top, by = _top(entry, outputs), guessed_by(entry.card.independent_scores)
            results.append({"artifact": entry.name, "input": path, "top": top})
            told = ", ".join(f"{each['label'] or each['class_id']} {each[by]:.3f}" for each in top)
            _say(options, f"{entry.name}: {path}: {told}")

    return Result(results=results, left_out=_for_each(entries, options, classify))


def _top(entry: Entry, outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    scores = class_scores({name: values[0] for name, values in outputs.items()}, model=entry.name)
    independent = entry.card.independent_scores
    figures = scores if independent else as_probabilities(scores[None])[0]
    labels = entry.card.labels
    best = (-figures).argsort(kind="stable")[:TOP]
    return [
        {
            "class_id": int(i),
            "label": labels[i] if labels is not None and i < len(labels) else None,
            guessed_by(independent): float(figures[i]),
        }
        for i in best
    ]


def _detect(contents: Contents, options: argparse.Namespace) -> Result:
    entries = [e for e in contents.chosen(tuple(options.model)) if options.model or e.card.detection is not None]
    if not entries:
        raise InputError("The bundle holds no detector; use predict.")
    detector = open_detector(contents, entries[0], threads=options.threads)
    results: list[dict[str, Any]] = []
    for number, image in enumerate(frames(options.source)):
        start = time.perf_counter()
        found = detector.detect(image)
        milliseconds = (time.perf_counter() - start) * 1e3
        objects = [_object(detector, row) for row in found.tolist()]
        told = "; ".join(f"{o['label']} {o['score']:.2f} at {_pixels(o['box'], image.shape)}" for o in objects)
        _say(options, f"{options.source} {number}: {milliseconds:.1f} ms: {told or 'nothing'}")
        if options.json is not None:  # a camera has no end, and memory has
            seen = {"artifact": detector.entry.name, "input": options.source, "frame": number, "ms": milliseconds}
            results.append({**seen, "detections": objects})
        if number + 1 == options.frames:
            break
    return Result(results=results)


def _object(detector: Detector, row: Sequence[float]) -> dict[str, Any]:
    return {"class_id": int(row[5]), "label": detector.label(int(row[5])), "score": row[4], "box": list(row[:4])}


def _pixels(box: Sequence[float], shape: Sequence[int]) -> str:
    height, width = shape[0], shape[1]
    return "(" + ", ".join(f"{v * side:.0f}" for v, side in zip(box, (width, height) * 2, strict=True)) + ")"


def _say(options: argparse.Namespace, line: str) -> None:
    """A line for people: on standard output, unless JSON goes there."""
    stream = sys.stderr if options.json == "-" else sys.stdout
    stream.write(line + "\n")
    stream.flush()


def _write_json(target: str, verb: str, results: Sequence[Mapping[str, Any]]) -> None:
    data = {"schema_version": 1, "command": verb, "results": list(results), "host": host_facts()}
    text = json.dumps(data, indent=2) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    with open(target, "w", encoding="utf-8") as stream:
        stream.write(text)


_VERBS: Mapping[str, Callable[[Contents, argparse.Namespace], Result]] = {
    "verify": _verify,
    "bench": _bench,
    "predict": _predict,
    "detect": _detect,
}
