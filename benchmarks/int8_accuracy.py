"""Claim: int8 files of `edgekit convert` are nearer to the float model than the stock converters', and no larger.

    python benchmarks/int8_accuracy.py [MODEL DATA] [--data-dir DIR] [--preprocess HOW] [--labels FILE]

200 items of DATA calibrate all of them (seed 0), others are evaluated, up to 2,000: `TFLiteConverter`, litert-quantizer
and ONNX Runtime's quantizer as `stock.py` calls them, and edgekit's default. Differences come with their 95 % intervals
(paired bootstrap over the items). It exits with 1 where a stock file is better for sure, or smaller.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from material import Trained, trained
from saving import Figure, save

from edgekit.artifact import attach_card, open_artifact
from edgekit.converters import Request, convert
from edgekit.converters.calibration import write_calibration
from edgekit.data import Part, open_data
from edgekit.measure.evaluate import evaluate
from edgekit.measure.held_out import HeldOut
from edgekit.measure.metrics import agreement, sqnr_db
from edgekit.measure.subjects import open_subjects, run_subjects
from edgekit.recipe import Precision, Recipe
from edgekit.runtimes import open_runtime
from edgekit.workers import silent

STOCK = {
    "TFLiteConverter": ("int8", "tflite"),
    "litert-quantizer": ("int8-litert", "tflite"),
    "ONNX Runtime": ("int8", "onnx"),
}
ITEMS = 2000
RESAMPLES = 2000

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What one file says of the evaluated items, (items, outputs)."""

    name: str
    path: Path
    values: Array


def made_files(model: Trained, folder: Path) -> dict[str, Path]:
    """The int8 files by maker, all with a card that tells the items they were calibrated on."""
    recipe = Recipe(precision=Precision.INT8)
    request = Request(
        source=model.path,
        recipes=(recipe,),
        calibration=model.data,
        data_dir=model.data_dir,
        preprocess=model.preprocess,
        labels=model.labels,
        output_dir=folder / "edgekit",
    )
    files = {f"edgekit {row.format}": row.path for row in convert(request).artifacts}
    card = open_artifact(files["edgekit tflite"]).card
    training = card.provenance.training
    items = write_calibration(
        open_data(model.data, part=Part.CALIBRATION, data_dir=model.data_dir),
        tuple(replace(spec, dtype="float32") for spec in card.inputs),
        card.preprocessing,
        count=recipe.calibration_samples,
        seed=recipe.seed,
        folder=folder / "samples",
        progress=silent,
        learned=training.items if training is not None else (),
    )
    if card.provenance.calibration is None or items.ref is None or items.ref.items != card.provenance.calibration.items:
        raise SystemExit(f"{model.name}: the stock converters would be calibrated on other items than edgekit.")
    for name, (kind, fmt) in STOCK.items():
        path = folder / f"{name}.{fmt}"
        script = Path(__file__).with_name("stock.py")
        command = [sys.executable, script, model.path, kind, fmt, items.samples.folder / "0.npy", path]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        own = open_runtime(path)
        files[name] = attach_card(path, replace(card, inputs=own.inputs, outputs=own.outputs)).path
    return files


def answers(model: Trained, files: dict[str, Path]) -> list[Outputs]:
    """The outputs of the float model and of ``files`` on the same items, none of which calibrated a file."""
    subjects = open_subjects([model.path, *files.values()], preprocess=model.preprocess, labels=model.labels, threads=2)
    data = open_data(model.data, part=Part.EVALUATION, data_dir=model.data_dir)
    items = HeldOut(data, [subject.artifact for subject in subjects], samples=ITEMS, seed=0)
    found: list[list[Array]] = [[] for _ in subjects]
    for outputs in run_subjects(subjects, items):
        for own, kept in zip(outputs, found, strict=True):
            kept.extend(next(iter(item.values())) for item in own)
    names = ["float", *files]
    paths = [model.path, *files.values()]
    return [
        Outputs(name=name, path=path, values=np.stack(kept).reshape(len(kept), -1))
        for name, path, kept in zip(names, paths, found, strict=True)
    ]


def interval(reference: Array, ours: Array, stock: Array) -> dict[str, tuple[float, float]]:
    """The 95 % intervals of ours - stock in SQNR (dB) and in agreement with ``reference``."""
    random, count = np.random.default_rng(0), len(reference)
    noise = [np.square(reference.astype(np.float64) - other).sum(axis=1) for other in (ours, stock)]
    same = [(reference.argmax(axis=1) == other.argmax(axis=1)).astype(np.float64) for other in (ours, stock)]
    drawn = random.integers(0, count, (RESAMPLES, count))
    power = [np.maximum(n[drawn].sum(axis=1), 1e-30) for n in noise]
    # The signal is the same for both, so that the difference in SQNR is the ratio of the noises.
    decibels = 10 * np.log10(power[1] / power[0])
    share = same[0][drawn].mean(axis=1) - same[1][drawn].mean(axis=1)
    return {
        name: (float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975)))
        for name, values in (("sqnr_db", decibels), ("agreement", share))
    }


def measured(model: Trained) -> Iterator[tuple[dict[str, Any], list[Figure]]]:
    """A result for each file, and the figures of those of edgekit."""
    with tempfile.TemporaryDirectory() as folder:
        files = made_files(model, Path(folder))
        reference, *others = answers(model, files)
        by_name = {other.name: other for other in others}
        top1 = evaluate(
            [model.path, *files.values()], model.data, data_dir=model.data_dir, samples=ITEMS,
            preprocess=model.preprocess, labels=model.labels, threads=2,
        ).results()  # fmt: skip
        scores = {name: row["metrics"]["top1"] for name, row in zip(["float", *files], top1, strict=True)}
        for other in others:
            result: dict[str, Any] = {
                "model": model.name,
                "name": other.name,
                "data": model.data,
                "n": len(reference.values),
                "model_bytes": other.path.stat().st_size,
                "metrics": {
                    "sqnr_db": sqnr_db(reference.values, other.values),
                    "agreement": agreement(reference.values, other.values),
                    "top1": scores[other.name],
                    "top1_float": scores["float"],
                },
            }
            figures = []
            if other.name.startswith("edgekit"):
                rivals = [n for n, (_, fmt) in STOCK.items() if other.name.endswith(fmt)]
                beside = {n: interval(reference.values, other.values, by_name[n].values) for n in rivals}
                result["minus_stock"] = beside
                figures = [figure(model, result, by_name, rivals)]
            yield result, figures


def figure(model: Trained, result: dict[str, Any], files: dict[str, Outputs], rivals: list[str]) -> Figure:
    """One line of the table: this file beside the stock files of its format."""
    own, beside = result["metrics"], result["minus_stock"]
    least = min(files[name].path.stat().st_size for name in rivals)
    better = ", ".join(
        f"{interval['sqnr_db'][0]:+.1f} to {interval['sqnr_db'][1]:+.1f} dB and "
        f"{100 * interval['agreement'][0]:+.1f} to {100 * interval['agreement'][1]:+.1f} points beside {name}"
        for name, interval in beside.items()
    )
    return Figure(
        what=f"{model.name} {result['name']}, {result['n']} items of {model.data}",
        value=f"SQNR {own['sqnr_db']:.2f} dB, agreement {own['agreement']:.4f} ({better}); top-1 {own['top1']:.4f}, "
        f"float {own['top1_float']:.4f}; {result['model_bytes']:,} bytes, stock {least:,}",
        limit="no stock file better for sure, or smaller",
        held=result["model_bytes"] <= least and all(high >= 0 for each in beside.values() for _, high in each.values()),
    )


def main() -> None:
    """Convert, evaluate and compare; the figures go to the results folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--preprocess")
    parser.add_argument("--labels", type=Path)
    given = parser.parse_args()
    results: list[dict[str, Any]] = []
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        models: Iterator[Trained] | list[Trained] = trained(Path(folder))
        if given.model is not None:
            labels = tuple(given.labels.read_text().splitlines()) if given.labels is not None else None
            models = [
                Trained(
                    name=given.model.stem, path=given.model, data=given.data, data_dir=given.data_dir,
                    preprocess=given.preprocess, labels=labels,
                )
            ]  # fmt: skip
        for model in models:
            for result, found in measured(model):
                own = result["metrics"]
                print(
                    f"{model.name:14} {result['name']:17} SQNR {own['sqnr_db']:6.2f} dB, agreement "
                    f"{own['agreement']:.4f}, top-1 {own['top1']:.4f} of {own['top1_float']:.4f}, "
                    f"{result['model_bytes']:,} bytes",
                    flush=True,
                )
                results.append(result)
                figures += found
    print(f"Saved {save('int8_accuracy', results, figures)}.")
    sys.exit(0 if all(f.held for f in figures) else 1)


if __name__ == "__main__":
    main()
