"""A siamese network on people that it was not trained on: ORL's 40 in four folds, 10 people out in each.

    python benchmarks/unseen_people.py --data-dir DATA -o FOLDER [--loss triplet|contrastive|logistic] [--epochs N]

The book's own test is another one, which `edgekit train siamese` and `edgekit evaluate` do: it asks for people whose
other pictures were learned from. Here each fold trains from the start on all pictures of 30 people, and all pictures of
the 10 others are its test: error rates of their pairs, and 4- and 9-way trials, beside the nearest pixels.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from edgekit.data import Part, open_data
from edgekit.files import write_atomic
from edgekit.measure.evaluate_verification import evaluate_verification
from edgekit.measure.host import host_facts
from edgekit.models.registry import find_spec
from edgekit.models.train import TrainRequest, train

FOLDS = 4
SHOWN = ("eer", "auc", "one_shot_4", "one_shot_9", "pixels_4", "pixels_9")


def main() -> None:
    """Train and measure each fold, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--loss")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    arguments = {} if given.loss is None else {"loss": given.loss}
    rows = []
    for fold, path in enumerate(write_folds(given.output, given.data_dir, given.seed)):
        run = given.output / f"fold_{fold}"
        request = TrainRequest(
            spec=find_spec("siamese"), data=str(path), epochs=given.epochs, seed=given.seed, arguments=arguments
        )
        model = train(request, run)
        report = evaluate_verification([model], str(path), seed=given.seed)
        rows.append({"fold": fold, "n": report.count, "people": report.people, **report.entries[0].metrics()})
        print(told(str(fold), rows[-1]), flush=True)
    means = {name: float(np.mean([row[name] for row in rows])) for name in SHOWN}
    print(told("mean", means))
    result = {"seed": given.seed, "loss": given.loss, "folds": rows, "mean": means, "host": host_facts()}
    write_atomic(given.output / "unseen_people.json", (json.dumps(result, indent=2) + "\n").encode())


def write_folds(folder: Path, data_dir: Path | None, seed: int) -> list[Path]:
    """For each fold an .npz in ``folder``: its training part has 30 people, its test part the 10 others.

    People are numbered anew in each part.
    """
    parts = [open_data("orl_faces", part=part, data_dir=data_dir) for part in (Part.TRAIN, Part.EVALUATION)]
    pictures = np.stack([np.asarray(item) for part in parts for item in part])
    people = np.concatenate([part.labels for part in parts if part.labels is not None])
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for fold, out in enumerate(np.array_split(np.random.default_rng(seed).permutation(np.unique(people)), FOLDS)):
        held = np.isin(people, out)
        numbers = [np.unique(people[chosen], return_inverse=True)[1] for chosen in (~held, held)]
        path = folder / f"fold_{fold}.npz"
        np.savez(path, x_train=pictures[~held], y_train=numbers[0], x_test=pictures[held], y_test=numbers[1])
        found.append(path)
    return found


def told(name: str, row: dict[str, float]) -> str:
    """A line for people, in percent."""
    return f"{name:>5}  " + "  ".join(f"{figure} {100 * row[figure]:.2f}" for figure in SHOWN)


if __name__ == "__main__":
    main()
