"""Capsules and convolutions on digits in poses that they never saw: affine_mnist, as the paper on capsules tests.

    python benchmarks/affine_poses.py --data-dir DATA -o FOLDER [--epochs N] [capsnet cnn ...]

Both learn digits that are only moved about 40 x 40 pixels; the test turns, slants and stretches others (Sabour et al.
2017, section 5.2, where capsules reached 79 % and a convolutional network of as many parameters 66 %). Beside it the
same digits of the test are only moved: how much is lost by the pose alone.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from edgekit.data import KNOWN, Part, open_data
from edgekit.data.affine_digits import SIDE, Posed
from edgekit.files import write_atomic
from edgekit.measure.evaluate import evaluate
from edgekit.measure.host import host_facts
from edgekit.models.registry import find_spec
from edgekit.models.train import TrainRequest, train

DATA = "affine_mnist"


def main() -> None:
    """Train each network, and print its accuracy on both tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["capsnet", "cnn"])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    test = open_data(DATA, part=Part.EVALUATION, data_dir=given.data_dir)
    plain = open_data(str(KNOWN[DATA].digits), part=Part.EVALUATION, data_dir=given.data_dir)
    only_moved = replace(plain, name=f"{DATA}, only moved", items=Posed(plain, 1, False))
    rows = []
    for name in given.names:
        request = TrainRequest(
            spec=find_spec(name),
            data=DATA,
            data_dir=given.data_dir,
            epochs=given.epochs,
            seed=given.seed,
            arguments={"size": SIDE},
        )
        model = train(request, given.output / name, on_epoch=lambda record, _: print(record.figures(), flush=True))
        for data in (only_moved, test):
            report = evaluate([model], data)
            rows.append({"name": name, "data": data.name, "n": report.count, **report.entries[0].metrics()})
            print(f"{name} on {data.name}: {rows[-1]['top1']:.2%} of {report.count:,}", flush=True)
    result = {"seed": given.seed, "epochs": given.epochs, "rows": rows, "host": host_facts()}
    write_atomic(given.output / "affine_poses.json", (json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
