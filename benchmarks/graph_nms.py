"""Claim: the boxes of 3,000 anchors and 90 classes are decoded and chosen in at most 2 ms, by numpy on the device.

    python benchmarks/graph_nms.py

And what it costs in the graph (``convert --nms graph``). The network is a multiplication by one half, so that nearly
all that is timed is what comes after a network. Its outputs are made up after those of SSD-MobileNetV1 on photos: of
the pairs of an anchor and a class a quarter has a score above 0.01, one in 250 above 0.1, and there are eight objects
that a dozen anchors each are sure of. Device and graph take turns, in a shuffled order, on the same 20 scenes. Times
are those of the one thread on the CPU, so that nothing else that the machine does is in them; ratios of medians come
with their 95 % intervals. It exits with 1 where the median of decoding is beyond the limit.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from saving import Figure, save

from edgekit.artifact import attach_card, open_artifact
from edgekit.codec import to_jsonable
from edgekit.converters import Request, convert
from edgekit.detection import AnchorLevel, Detection, Head, Scores
from edgekit.measure.detectors import without_batch
from edgekit.measure.stats import median_ratio, summarize
from edgekit.measure.timing import collector_off
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.recipe import Nms, Precision, Recipe
from edgekit.runtimes import open_runtime
from edgekit.tasks.anchors import anchor_boxes, encode
from edgekit.tasks.boxes import corners, iou
from edgekit.tasks.detection import make_decoder

SHAPES = ((0.2, 0.2), (0.28, 0.14), (0.14, 0.28), (0.35, 0.12), (0.12, 0.35), (0.26, 0.26))
LEVELS = tuple(AnchorLevel(rows=n, columns=n, shapes=SHAPES) for n in (19, 10, 5, 3, 2, 1))
CLASSES, SCENES, OBJECTS, SURE, ROUNDS = 90, 20, 8, 12, 30
LIMIT_MS = 2.0
WHOLE = Preprocessing(size_hw=(300, 300), resize=Resize.STRETCH)
# Mean and deviation of the logits of classes that are not there; the logit of the background is 0, or counts for none.
ABSENT = {Scores.SIGMOID: (-5.4, 1.2), Scores.SOFTMAX: (-6.5, 1.2)}


def scenes(kind: Scores) -> list[dict[str, Any]]:
    """Inputs of the file: twice the offsets and scores that a network would give for each scene."""
    random, anchors = np.random.default_rng(0), anchor_boxes(LEVELS)
    found = []
    for _ in range(SCENES):
        offsets = random.normal(0, 0.5, anchors.shape)
        scores = random.normal(*ABSENT[kind], (len(anchors), CLASSES + 1))
        scores[:, 0] = 0
        for _ in range(OBJECTS):
            box = np.array([*random.uniform(0.2, 0.8, 2), *random.uniform(0.1, 0.4, 2)])
            near = np.argsort(-iou(corners(anchors), corners(box[None]))[:, 0])[:SURE]
            boxes = box * random.normal(1, 0.03, (SURE, 4))
            offsets[near] = encode(boxes, anchors[near], Detection(head=Head.SSD, anchors=LEVELS).variances)
            scores[near, 1 + random.integers(CLASSES)] = random.uniform(-2, 5, SURE)
        found.append({n: np.float32(2 * v)[None] for n, v in (("offsets", offsets), ("scores", scores))})
    return found


def source(folder: Path, spec: Detection) -> Path:
    """The Keras model that halves its inputs."""
    import keras

    count = len(anchor_boxes(LEVELS))
    inputs = [keras.Input((count, 4), name="offsets"), keras.Input((count, CLASSES + 1), name="scores")]
    halves = [keras.layers.Rescaling(0.5, name=f"{given.name}_out")(given) for given in inputs]
    path = folder / "heads.keras"
    keras.Model(inputs, halves, name="heads").save(path)
    attach_card(path, replace(open_artifact(path).card, task="detection", detection=spec))
    return path


def files(kind: Scores, folder: Path) -> dict[tuple[str, Nms], Path]:
    """By format, and by where the boxes are chosen."""
    folder.mkdir()
    spec = Detection(head=Head.SSD, anchors=LEVELS, scores=kind)
    model, found = source(folder, spec), {}
    for nms in Nms:
        recipe = Recipe(precision=Precision.FP32, nms=nms)
        report = convert(Request(source=model, recipes=(recipe,), output_dir=folder / nms))
        found |= {(row.format.value, nms): row.path for row in report.artifacts}
    return found


def detecting(path: Path) -> tuple[Callable[[dict[str, Any]], Mapping[str, Any]], Callable[..., Any]]:
    """What runs the file on a scene, and what makes boxes of its outputs."""
    artifact = open_artifact(path)
    runtime = open_runtime(path, threads=1)
    if artifact.card.detection is None:
        raise SystemExit(f"{path} has no detection in its card.")
    decoder = make_decoder(artifact, artifact.card.detection, WHOLE)
    return lambda scene: runtime.run(scene, as_float=True), lambda out, **how: decoder(
        without_batch(out), (1, 1), **how
    )


def measure(fmt: str, kind: Scores, made: Mapping[tuple[str, Nms], Path]) -> dict[str, Any]:
    """Times in ms of the whole on the device and in the graph, and of the device's decoding alone."""
    runs = {nms: detecting(made[fmt, nms]) for nms in Nms}
    inputs, order = scenes(kind), np.random.default_rng(0)
    bare, decode = runs[Nms.DEVICE]
    outputs = [bare(scene) for scene in inputs]
    calls: dict[str, Callable[[int], Any]] = {
        "device": lambda i: decode(bare(inputs[i])),
        "graph": lambda i: runs[Nms.GRAPH][1](runs[Nms.GRAPH][0](inputs[i])),
        "network": lambda i: bare(inputs[i]),
        "decode": lambda i: decode(outputs[i]),
    }
    counts = {name: sum(len(calls[name](i)) for i in range(SCENES)) for name in ("device", "graph")}
    rounds: dict[str, list[list[float]]] = {name: [] for name in calls}
    with collector_off():
        for _ in range(ROUNDS):
            for name in order.permutation(list(calls)):
                rounds[name].append([])
                for i in range(SCENES):
                    start = time.thread_time_ns()
                    calls[name](i)
                    rounds[name][-1].append((time.thread_time_ns() - start) / 1e6)
    figures = {n: to_jsonable(summarize(np.concatenate(t).tolist(), first_ms=t[0][0])) for n, t in rounds.items()}
    ratio = median_ratio(rounds["graph"], rounds["device"], seed=0)
    found = {"artifact": made[fmt, Nms.GRAPH].name, "format": fmt, "scores": kind.value, "objects": counts}
    told = ", ".join(f"{name} {figures[name]['p50']:.2f} ms" for name in calls)
    print(f"{fmt}, {kind}: {told}; graph / device {ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f}); {counts}")
    return {**found, "latency_ms": figures, "ratio": to_jsonable(ratio), "within": figures["decode"]["p50"] <= LIMIT_MS}


def lines(result: dict[str, Any]) -> Iterator[Figure]:
    """The lines of the table for one file."""
    times, ratio = result["latency_ms"], result["ratio"]
    of = f"{result['format']}, {result['scores']}, {len(anchor_boxes(LEVELS)):,} anchors x {CLASSES} classes"
    yield Figure(
        what=f"decoding and choosing boxes by numpy: {of}",
        value=f"{times['decode']['p50']:.2f} ms (p99 {times['decode']['p99']:.2f} ms)",
        limit=f"{LIMIT_MS:g} ms",
        held=result["within"],
    )
    own = {name: times[name]["p50"] - times["network"]["p50"] for name in ("device", "graph")}
    yield Figure(
        what=f"boxes chosen in the graph (`--nms graph`) / on the device: {of}",
        value=f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}); "
        f"{own['graph']:.2f} ms and {own['device']:.2f} ms after the network",
        limit="none, a choice",
        held=True,
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for kind in ABSENT:
            made = files(kind, Path(folder) / kind)
            results += [measure(fmt, kind, made) for fmt in ("tflite", "onnx")]
    figures = [figure for result in results for figure in lines(result)]
    print(f"Saved {save('graph_nms', results, figures)}.")
    sys.exit(0 if all(result["within"] for result in results) else 1)


if __name__ == "__main__":
    main()
