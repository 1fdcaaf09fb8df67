"""Claim: the zoo's files hold built-in operators alone, run where their engine is all there is, and decide the same on
an ARM CPU: on a class, a token, objects, an anomaly, whether two pictures show the same. What decides nothing, as
forecasts, pictures and ratings, keeps within its recipe's limits.

    python benchmarks/zoo_everywhere.py RUNS [--data-dir DIR] [--items N]

RUNS is what `edgekit train --all` left. Each file runs on N held-out items here, in an environment that has one engine,
and on an emulated Cortex-A72, the core of a Raspberry Pi 4; `RUNS/everywhere.json` gets a row for each, and what it has
of the very same files stays. Detectors that look at regions are asked about so many items as have 300 regions,
generators for pictures of drawn noise, and files of one pass for the first. Needs `make aarch64`.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import alike
import numpy as np
from aarch64.places import Place, arm, here, run
from alone import alone
from elsewhere import Found
from material import held_out_inputs
from pairs_elsewhere import PairFiles
from regions_elsewhere import RegionFiles, most_images

from edgekit.artifact import Artifact, Format, open_artifact
from edgekit.data import Dataset, Part, open_data
from edgekit.detection import Head
from edgekit.errors import EdgekitError
from edgekit.files import write_atomic
from edgekit.measure.host import host_facts
from edgekit.measure.inspect import inspect
from edgekit.measure.same_objects import objects_in, share_of_same_objects
from edgekit.models.everywhere_words import ARM, files_of
from edgekit.results import envelope
from edgekit.tasks.detection import is_detector
from edgekit.train_all import RESULTS
from edgekit.two_files import second_file

EVERYWHERE = "everywhere.json"
EXTRAS = {Format.TFLITE: "litert", Format.ONNX: "onnx"}


def asked(path: Path, paths: list[Path], data: Dataset, items: int) -> Callable[[Place], Found]:
    """What runs the file at ``path``, with the one that belongs to it, on held-out items."""
    artifact = open_artifact(path)
    detection = artifact.card.detection
    if detection is not None and detection.head is Head.REGIONS:
        return RegionFiles.of(path, paths, data, items).run
    inputs = held_out_inputs(path, paths, data, items)
    if artifact.card.verification is not None:
        return PairFiles(artifact=artifact, inputs=inputs).run

    def answers(place: Place) -> Found:
        outputs = run(place, path, inputs).outputs
        return Found(outputs=outputs, objects=objects_in(artifact, outputs) if is_detector(artifact) else None)

    return answers


def row(path: Path, places: list[Place], answers: Callable[[Place], Found]) -> dict[str, Any]:
    """What `EVERYWHERE` says of one file, or of the two that make a detector."""
    artifact, reference = open_artifact(path), answers(here())
    elsewhere = {}
    for place in places:
        there = answers(place)
        same, metrics = alike.sameness(artifact, reference.outputs, there.outputs)
        count = same.count
        if reference.objects is not None and there.objects is not None:
            metrics["agreement"] = share_of_same_objects(reference.objects, there.objects)
            metrics["objects"] = sum(len(found) for found in reference.objects)
        if reference.decisions is not None and there.decisions is not None:
            count = len(reference.decisions)
            metrics["agreement"] = float(np.mean(reference.decisions == there.decisions))
        items = len(next(iter(reference.outputs.values())))
        elsewhere[place.name] = {"n": count, "items": items, "metrics": metrics}
    second = second_file(path, artifact.card)
    files = [path] if second is None else [path, second]
    return {
        "artifact": path.name,
        "sha256": artifact.sha256,
        "custom_operators": sorted({name for file in files for name in inspect(file).custom_operators}),
        "elsewhere": elsewhere,
    }


def holds(found: dict[str, Any]) -> bool:
    """Whether the claim is true of one row; two runs of a detector that find nothing prove nothing."""
    runs = [elsewhere["metrics"] for elsewhere in found["elsewhere"].values()]
    seen = all(metrics["objects"] > 0 for metrics in runs if "objects" in metrics)
    return all(map(alike.holds, runs)) and seen and not found["custom_operators"]


def known(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Rows of an earlier run, by the digest of their file and the number of items that it was asked about."""
    if not path.is_file():
        return {}
    rows = json.loads(path.read_bytes())["results"]
    return {(found["sha256"], e.get("items", e["n"])): found for found in rows for e in found["elsewhere"].values()}


def items_for(artifact: Artifact, items: int) -> int:
    """About how many of ``items`` a file is asked."""
    detection = artifact.card.detection
    return min(items, most_images(detection)) if detection is not None and detection.head is Head.REGIONS else items


def main() -> None:
    """Run every file everywhere; 1 where the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--items", type=int, default=100)
    given = parser.parse_args()
    entries = json.loads((given.runs / RESULTS).read_bytes())["results"]
    pi, before, found = arm(ARM), known(given.runs / EVERYWHERE), []
    with contextlib.ExitStack() as stack:
        devices = {fmt: stack.enter_context(alone(extra)) for fmt, extra in EXTRAS.items()}
        for entry in entries:
            data = open_data(entry["data"], part=Part.EVALUATION, data_dir=given.data_dir)
            paths = [given.runs / entry["name"] / file["artifact"] for file in files_of(entry)]
            for path in paths:
                artifact = open_artifact(path)
                places = [devices[artifact.format], pi]
                count = items_for(artifact, given.items)
                earlier = before.get((artifact.sha256, count))
                found.append(earlier or row(path, places, asked(path, paths, data, count)))
                told = {name: alike.told(e["metrics"]) for name, e in found[-1]["elsewhere"].items()}
                print(f"{path.name}: {'holds' if holds(found[-1]) else 'FAILS'} {told}", flush=True)
                text = json.dumps(envelope("benchmarks/zoo_everywhere", found, host=host_facts()), indent=2) + "\n"
                write_atomic(given.runs / EVERYWHERE, text.encode())
    failing = [entry["artifact"] for entry in found if not holds(entry)]
    print(f"{len(found)} files, {given.items} items each; the claim fails for {len(failing)}: {', '.join(failing)}")
    sys.exit(1 if failing else 0)


if __name__ == "__main__":
    try:
        main()
    except EdgekitError as error:
        sys.exit(str(error))
