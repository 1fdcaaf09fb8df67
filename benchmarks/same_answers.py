"""Claim: a file gives the same answers on x86 and ARM: int8 TFLite and `--portable` ONNX files bit for bit.

    python benchmarks/same_answers.py [MODEL.keras DATA] [--data-dir DIR] [--items N] [--cpu NAME ...]

MODEL becomes an int8 TFLite file, an int8 ONNX file and a portable one. Each runs on this CPU and on emulated ones, on
the same N held-out items, and is compared with itself; and with MODEL, on all held-out items, for what portability
costs in accuracy; and the two ONNX files are timed in turns. Needs `make aarch64`. Without arguments: MobileNetV2
1.0-224 with the ImageNet weights, and the photos, in EDGEKIT_DATA.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from aarch64.places import Place, arm, here, old_x86, run
from material import held_out_inputs, mobilenet_v2
from saving import Figure, save

from edgekit.artifact import Format
from edgekit.codec import to_jsonable
from edgekit.converters import Request, convert
from edgekit.data import Dataset, Part, open_data
from edgekit.errors import EdgekitError
from edgekit.measure.benchmark import benchmark
from edgekit.measure.compare import compare
from edgekit.measure.same import same_answers
from edgekit.measure.settings import BenchmarkSettings
from edgekit.measure.stats import Ratio, median_ratio
from edgekit.recipe import Precision, Recipe

PLACES = {"cortex-a72": arm, "cortex-a76": arm, "nehalem": lambda _: old_x86()}
LEAST_AGREEMENT = 0.97
"""Of the ordinary int8 ONNX file, whose rounding depends on the CPU's instructions."""


def forms(model: Path, data: str, data_dir: Path | None, folder: Path) -> dict[str, Path]:
    """The three files of ``model`` by what they are, in ``folder``."""
    made: dict[str, Path] = {}
    for portable, formats in ((False, (Format.TFLITE, Format.ONNX)), (True, (Format.ONNX,))):
        recipe = Recipe(precision=Precision.INT8, portable=portable)
        request = Request(
            source=model,
            recipes=(recipe,),
            formats=formats,
            calibration=data,
            data_dir=data_dir,
            output_dir=folder / ("portable" if portable else "default"),
        )
        for row in convert(request).artifacts:
            made[f"{row.format} int8{' portable' if portable else ''}"] = row.path
    return made


def speed(files: Mapping[str, Path]) -> Ratio:
    """How much longer the portable ONNX file takes than the ordinary one on this CPU."""
    settings = BenchmarkSettings()
    report = benchmark([files["onnx int8 portable"], files["onnx int8"]], settings=settings)
    rounds = [result.timing.rounds_ms for result in report.results]
    return median_ratio(rounds[0], rounds[1], seed=settings.seed)


def measured(files: Mapping[str, Path], places: list[Place], data: Dataset, items: int) -> dict[str, dict[str, Any]]:
    """For each file, for each place, how its answers differ from those here, and what ran it."""
    found: dict[str, dict[str, Any]] = {}
    for name, path in files.items():
        given = held_out_inputs(path, list(files.values()), data, items)
        reference = run(here(), path, given)
        found[name] = {}
        for place in places:
            other = run(place, path, given)
            sameness = same_answers(reference.outputs, other.outputs)
            found[name][place.name] = {"metrics": sameness.metrics(), "n": sameness.count, "facts": dict(other.facts)}
            print(
                f"{name:19} on {place.name:10} {'identical' if sameness.identical else 'DIFFERS':9} "
                f"{sameness.differing} of {sameness.count} items differ, max {sameness.totals.max_abs:.3g}, "
                f"agreement {sameness.agreement:.3f}",
                flush=True,
            )
    return found


def line(row: dict[str, Any], place: str) -> Figure:
    """The line of the table for one file in one place."""
    there = row["elsewhere"][place]
    metrics, exact = there["metrics"], row["name"] != "onnx int8"
    limit = "identical" if exact else f"agreement {LEAST_AGREEMENT}"
    same = metrics["differing"] == 0
    return Figure(
        what=f"{row['name']} here and on {place}, {there['n']} items",
        value=f"{metrics['differing']} items differ, agreement {metrics['agreement']:.3f}",
        limit=limit,
        held=same if exact else metrics["agreement"] >= LEAST_AGREEMENT,
    )


def main() -> None:
    """Convert, run everywhere, compare; the figures go to the results folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--cpu", choices=PLACES, nargs="+", default=list(PLACES))
    given = parser.parse_args()
    places = [PLACES[name](name) for name in given.cpu]
    with tempfile.TemporaryDirectory() as made:
        model, data_name, data_dir = given.model, given.data, given.data_dir
        if data_name is None:
            default = mobilenet_v2(Path(made))
            if default is None:
                return
            model, data_name = default.path, default.data
        files = forms(model, data_name, data_dir, Path(made))
        data = open_data(data_name, part=Part.EVALUATION, data_dir=data_dir)
        found = measured(files, places, data, given.items)
        outputs = compare(model, list(files.values()), data_name, data_dir=data_dir)
        results = []
        for (name, path), row in zip(files.items(), outputs.results(), strict=True):
            results.append({"name": name, "model_bytes": path.stat().st_size, **row, "elsewhere": found[name]})
            print(
                f"{name:19} with the Keras model on {row['n']} items: agreement {row['metrics']['agreement']:.4f}, "
                f"SQNR {row['metrics']['sqnr_db']:.2f} dB"
            )
        ratio = speed(files)
        results[-1]["time_ratio"] = to_jsonable(ratio)
        print(f"time of the portable ONNX file / the other: {ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})")
    figures = [line(row, place.name) for row in results for place in places]
    print(f"Saved {save('same_answers', results, figures)}.")
    sys.exit(0 if all(f.held for f in figures) else 1)


if __name__ == "__main__":
    try:
        main()
    except EdgekitError as error:
        sys.exit(str(error))
