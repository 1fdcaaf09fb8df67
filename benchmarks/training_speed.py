"""Claim: training with augmentation takes in at least 0.95 of the images a second of a bare `model.fit` on arrays.

    python benchmarks/training_speed.py [NAME ...] [--images N] [--rounds N]

`edgekit.models.fitting.fit` draws, augments and normalises its batches from uint8 pixels while the model learns;
`model.fit` gets normalised float32 arrays that are in memory. Same network, batch size and optimizer, synthetic images,
epochs in turns; the first of each, which traces, does not count.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from saving import Figure, save

from edgekit.measure.stats import median_ratio
from edgekit.models.build import build
from edgekit.models.classification_lesson import ClassificationLesson
from edgekit.models.cluster import Together
from edgekit.models.fitting import ahead, training_step
from edgekit.models.framework import load_keras
from edgekit.models.images import Images
from edgekit.models.phases import optimizer_for, phases
from edgekit.models.registry import find_spec
from edgekit.preprocessing import normalize

LIMIT = 0.95
NAMES = ("lenet5", "cifar_cnn")


def epochs_of(name: str, count: int) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """One epoch of edgekit's own loop, and one of `model.fit`, on ``count`` images, by number."""
    spec = find_spec(name)
    preset = replace(spec.presets["small"], epochs=1000)
    preprocessing = spec.preprocessing(preset.arguments, resize=preset.resize)
    random = np.random.default_rng(0)
    shape = (count, *preprocessing.size_hw, preprocessing.channels)
    pixels, labels = random.integers(0, 256, shape).astype(np.uint8), random.integers(0, 10, count)
    images = Images(pixels=pixels, places=np.arange(count), labels=labels, digests=("",) * count)
    plan = ClassificationLesson(
        training=images, validation=images, preprocessing=preprocessing, classes=10, preset=preset, seed=0
    )
    own, bare = (build(spec, seed=0, **preset.arguments) for _ in range(2))
    (phase,) = phases(preset)
    optimizers = [optimizer_for(preset, phase, plan.batches.steps) for _ in range(2)]
    optimizers[0].build(own.trainable_variables)
    step = training_step(own, optimizers[0], preset.label_smoothing, Together())

    def learn(epoch: int) -> None:
        for batch in ahead(plan.batches, epoch, own):
            loss, right = step(*batch)
            float(loss), int(right)

    keras = load_keras()
    bare.compile(optimizers[1], keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    inputs = normalize(pixels, preprocessing)

    def fit(_epoch: int) -> None:
        bare.fit(inputs, labels, batch_size=preset.batch_size, epochs=1, verbose=0)

    return learn, fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    figures = []
    for name in given.names:
        ways = epochs_of(name, given.images)
        seconds: tuple[list[float], list[float]] = ([], [])
        for number in range(given.rounds + 1):
            for way in np.random.default_rng(number).permutation(2):
                start = time.perf_counter()
                ways[way](number + 1)
                if number:
                    seconds[way].append(time.perf_counter() - start)
        ratio = median_ratio([[s] for s in seconds[1]], [[s] for s in seconds[0]], seed=0)
        rows.append({"name": name, "images": given.images, "edgekit_s": seconds[0], "fit_s": seconds[1]})
        figures.append(
            Figure(
                what=f"images/s of training {name} with augmentation / bare `model.fit`, {given.images} images",
                value=f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})",
                limit=f"{LIMIT}",
                held=ratio.value >= LIMIT,
            )
        )
        print(f"{figures[-1].what}: {figures[-1].value}, limit {LIMIT}", flush=True)
    print(f"Saved {save('training_speed', rows, figures)}.")
    sys.exit(0 if all(f.held for f in figures) else 1)


if __name__ == "__main__":
    main()
