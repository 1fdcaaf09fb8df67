"""Claim: VGG-16 and ResNet-50 as their papers have them convert to fp32 and int8 in both formats, proof included.

    python benchmarks/full_size.py [NAME ...]

Networks of the zoo with random weights, for images of 224 pixels and 1,000 classes, calibrated on the photos in
EDGEKIT_DATA: the seconds and the largest process of `edgekit convert`, and of each file its size and how near it is to
the Keras model. A file outside its recipe's tolerance ends the conversion, and the script with 1.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from conversion_time import measured
from saving import save

NAMES = ("vgg16", "resnet50")
DATA, ITEMS = "imagenet_mini", 50


def converted(name: str, folder: Path) -> dict[str, Any]:
    """What the conversion of one network took, and its files."""
    source, told = folder / f"{name}.keras", folder / f"{name}.json"
    measured("-m", "edgekit", "zoo", "build", name, "-o", source)
    recipes = ("-p", "fp32", "-p", "int8", "--calibration", DATA, "--samples", ITEMS)
    seconds, gb = measured("-m", "edgekit", "convert", source, *recipes, "-o", folder / name, "--json", told)
    rows = json.loads(told.read_bytes())["results"]
    return {
        "name": name,
        "source_bytes": source.stat().st_size,
        "seconds": seconds,
        "gb": gb,
        "files": [
            {key: row[key] for key in ("format", "recipe", "model_bytes", "ratio", "metrics", "n", "float_ops")}
            for row in rows
        ],
    }


def line(row: dict[str, Any]) -> str:
    """What is told of one network."""
    files = ", ".join(
        f"{f['format']} {f['recipe']} {f['model_bytes'] / 1e6:.1f} MB {f['metrics']['sqnr_db']:.0f} dB"
        for f in row["files"]
    )
    took = f"{row['seconds']:.0f} s, largest process {row['gb']:.2f} GB"
    return f"{row['name']}, Keras {row['source_bytes'] / 1e6:.1f} MB: {took}; {files}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names:
            rows.append(converted(name, Path(folder)))
            print(line(rows[-1]), flush=True)
    print(f"Saved {save('full_size', rows)}.")


if __name__ == "__main__":
    main()
