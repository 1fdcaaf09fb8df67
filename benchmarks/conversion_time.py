"""Claim: nine files of MobileNetV2 in one call take at most half the time of nine stock conversions, proof included.

    python benchmarks/conversion_time.py [MODEL.keras DATA] [--rounds N]

All recipes in both formats, 100 calibration items: `edgekit convert` with accuracy steps and with `--plain`, beside the
stock tools as `stock.py` calls them, each conversion in a process of its own with its items ready in an array. They
take turns, and the ratios are of the sums over the rounds. Then int8 alone with the default of 200 items, and the
largest process with 50 and with 600 items. It exits with 1 where a limit is exceeded.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from material import Trained, mobilenet_v2
from saving import Figure, save
from stock import RECIPES

from edgekit.artifact import open_artifact
from edgekit.converters.calibration import write_calibration
from edgekit.data import Part, open_data
from edgekit.recipe import Precision
from edgekit.workers import silent

ITEMS = 100
FULL_LIMIT, PLAIN_LIMIT = 0.5, 0.35
INT8_LIMIT_S = 45.0
LIMIT_GB, GROWTH_LIMIT_GB = 1.9, 0.1

_MEASURED = """
import resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run([sys.executable, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9)
"""


def measured(*arguments: object) -> tuple[float, float]:
    """Seconds of a Python process, and GB of resident memory of the largest among it and its children."""
    command = [sys.executable, "-c", _MEASURED, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"python {' '.join(map(str, arguments))} failed: {done.stderr[-2000:]}")
    seconds, gb = map(float, done.stdout.split())
    return seconds, gb


class Conversions:
    """What is measured, with files in ``folder``."""

    def __init__(self, model: Trained, folder: Path) -> None:
        self._model = model
        self._folder = folder
        self._items = folder / "items.npy"
        card = open_artifact(model.path).card
        data = open_data(model.data, part=Part.CALIBRATION, data_dir=model.data_dir)
        samples = write_calibration(
            data, card.inputs, card.preprocessing, count=ITEMS, seed=0, folder=folder / "samples", progress=silent
        ).samples
        np.save(self._items, samples.arrays()[samples.names[0]])

    def edgekit(self, precisions: Sequence[Precision], items: int, *options: str) -> tuple[float, float]:
        """One call of `edgekit convert`."""
        recipes = [part for precision in precisions for part in ("-p", precision.value)]
        given = ["--calibration", self._model.data, "--samples", items, "-o", self._folder / "edgekit", "--force"]
        return measured("-m", "edgekit", "convert", self._model.path, *recipes, *given, *options)

    def stock(self) -> tuple[float, float]:
        """All nine stock conversions, each in a process of its own: their sum, and the largest."""
        script, found = Path(__file__).with_name("stock.py"), []
        for fmt, recipes in RECIPES.items():
            for recipe in recipes:
                path = self._folder / f"stock.{recipe}.{fmt}"
                found.append(measured(script, self._model.path, recipe, fmt, self._items, path))
        return sum(seconds for seconds, _ in found), max(gb for _, gb in found)


def figures(name: str, rows: Sequence[dict[str, Any]]) -> list[Figure]:
    """The lines of the table."""

    def of(what: str, unit: str) -> list[float]:
        return [row[unit] for row in rows if row["what"] == what]

    stock_s, found = sum(of("nine stock", "seconds")), []
    for what, limit in (("nine", FULL_LIMIT), ("nine plain", PLAIN_LIMIT)):
        own_s = sum(of(what, "seconds"))
        rounds = len(of(what, "seconds"))
        found.append(
            Figure(
                what=f"{what} files of {name} in one call / nine stock conversions, rounds: {rounds}",
                value=f"{own_s / stock_s:.2f} ({own_s / rounds:.0f} s / {stock_s / rounds:.0f} s)",
                limit=f"{limit}",
                held=own_s / stock_s <= limit,
            )
        )
    int8_s = of("int8", "seconds")
    found.append(
        Figure(
            what=f"int8 of {name} in both formats with all steps, 200 items, median",
            value=f"{np.median(int8_s):.0f} s ({min(int8_s):.0f} to {max(int8_s):.0f} s)",
            limit=f"{INT8_LIMIT_S:.0f} s",
            held=bool(np.median(int8_s) <= INT8_LIMIT_S),
        )
    )
    peak = max(row["gb"] for row in rows if row["what"] != "nine stock")
    found.append(
        Figure(
            what="largest process of a conversion",
            value=f"{peak:.2f} GB (stock {max(of('nine stock', 'gb')):.2f} GB)",
            limit=f"{LIMIT_GB} GB",
            held=peak <= LIMIT_GB,
        )
    )
    few, many = max(of("int8, 50 items", "gb")), max(of("int8, 600 items", "gb"))
    found.append(
        Figure(
            what="the same with 600 calibration items, beside 50",
            value=f"{1000 * (many - few):+.0f} MB ({many:.2f} and {few:.2f} GB)",
            limit=f"{1000 * GROWTH_LIMIT_GB:.0f} MB",
            held=many - few <= GROWTH_LIMIT_GB,
        )
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    if given.model is not None and given.data is None:
        parser.error("name the DATA that calibrate MODEL")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        if given.model is not None:
            model: Trained | None = Trained(name=given.model.stem, path=given.model, data=given.data)
        else:
            model = mobilenet_v2(Path(folder))
        if model is None:
            sys.exit("Nothing was measured: set EDGEKIT_DATA, or name MODEL.keras and DATA.")
        work = Conversions(model, Path(folder))
        int8 = (Precision.INT8,)
        turns = {
            "nine stock": work.stock,
            "nine": lambda: work.edgekit(tuple(Precision), ITEMS),
            "nine plain": lambda: work.edgekit(tuple(Precision), ITEMS, "--plain"),
            "int8": lambda: work.edgekit(int8, 200),
            "int8, 50 items": lambda: work.edgekit(int8, 50),
            "int8, 600 items": lambda: work.edgekit(int8, 600),
        }
        for number in range(given.rounds):
            for what in np.random.default_rng(number).permutation(list(turns)):
                seconds, gb = turns[what]()
                rows.append({"round": number, "what": str(what), "seconds": seconds, "gb": gb})
                print(f"{what:16} {seconds:6.1f} s, largest process {gb:.2f} GB", flush=True)
    found = figures(model.name, rows)
    print(*(f"{f.what}: {f.value}, limit {f.limit}" for f in found), sep="\n")
    print(f"Saved {save('conversion_time', rows, found)}.")
    sys.exit(0 if all(f.held for f in found) else 1)


if __name__ == "__main__":
    main()
