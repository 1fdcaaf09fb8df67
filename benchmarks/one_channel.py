"""Claim: an int8 TFLite file is faster, and about as small, with its layers of one channel kept in float.

    python benchmarks/one_channel.py RUNS [--data-dir DIR] [--models NAME ...]

RUNS is what `edgekit train --all` left. Each of its models whose conversion tells of such layers is converted to fp32,
to int8, and to int8 with these layers kept; the three are timed in one run, in turns, on one thread. Exits with 1 where
keeping them gains no time, by the whole 95 % interval, or makes the file more than 3 % larger.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from saving import Figure, save

from edgekit.artifact import Format
from edgekit.codec import to_jsonable
from edgekit.converters import Request, convert
from edgekit.measure.benchmark import benchmark
from edgekit.measure.settings import BenchmarkSettings
from edgekit.measure.stats import Ratio, median_ratio
from edgekit.recipe import Precision, Recipe

_TOLD = re.compile(r"--keep-float '([^']+)'")
SETTINGS = BenchmarkSettings(threads=(1,), runs=200, min_duration_s=2.0)
MOST_GROWTH = 1.03  # of bytes: the weights of one such layer in float


def files_of(source: Path, folder: Path, data_dir: Path | None) -> tuple[str, list[Path]]:
    """What is to be kept in float, and the files fp32, int8, int8 with it kept; nothing where none is told of."""

    def made(name: str, **how: Any) -> Any:
        recipe = Recipe(**how)
        request = Request(
            source=source, recipes=(recipe,), formats=(Format.TFLITE,), output_dir=folder / name, data_dir=data_dir
        )
        return max(convert(request).artifacts, key=lambda file: file.path.stat().st_size)  # a tower, not its head

    int8 = made("int8", precision=Precision.INT8)
    if (told := _TOLD.search(" ".join(int8.notes))) is None:
        return "", []
    kept = made("kept", precision=Precision.INT8, keep_float=(told[1],))
    return told[1], [made("fp32", precision=Precision.FP32).path, int8.path, kept.path]


def rows(runs: Path, names: Collection[str], data_dir: Path | None) -> Iterator[dict[str, Any]]:
    """What the files of each model are like: bytes, medians in ms, and their ratios to fp32 and to all of int8."""
    for source in sorted(runs.glob("*/model.keras")):
        if names and source.parent.name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            pattern, files = files_of(source, Path(folder), data_dir)
            if not pattern:
                continue
            results = benchmark(files, SETTINGS).results
            fp32, int8, kept = (result.timing.rounds_ms for result in results)
            yield {
                "model": source.parent.name,
                "keep_float": pattern,
                "bytes": [path.stat().st_size for path in files],
                "p50_ms": [result.latency_ms.p50 for result in results],
                "flags": sorted({flag for result in results for flag in result.flags}),
                "int8_to_fp32": median_ratio(int8, fp32, seed=0),
                "kept_to_fp32": median_ratio(kept, fp32, seed=0),
                "kept_to_int8": median_ratio(kept, int8, seed=0),
            }


def figure(row: dict[str, Any]) -> Figure:
    """The claim of one model."""
    ratio: Ratio = row["kept_to_int8"]
    growth = row["bytes"][2] / row["bytes"][1]
    return Figure(
        what=f"{row['model']}: time with {row['keep_float']} in float to all of int8, and size",
        value=f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f}), {growth:.3f}",
        limit=f"below 1, {MOST_GROWTH}",
        held=ratio.high < 1 and growth <= MOST_GROWTH,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--models", nargs="+", default=())
    given = parser.parse_args()
    found = []
    for row in rows(given.runs, given.models, given.data_dir):
        found.append(row)
        sizes, medians = (" / ".join(f"{value:,.4g}" for value in row[key]) for key in ("bytes", "p50_ms"))
        shares = (f"{row[key].value:.2f} ({row[key].low:.2f}-{row[key].high:.2f})" for key in row if "_to_" in key)
        print(row["model"], row["keep_float"], sizes, medians, *shares, *row["flags"], sep=" | ", flush=True)
    figures = [figure(row) for row in found]
    save("one_channel", to_jsonable(found), figures)
    sys.exit(0 if found and all(each.held for each in figures) else 1)


if __name__ == "__main__":
    main()
