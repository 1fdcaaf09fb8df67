"""What needs no network to tell anomalies: python benchmarks/anomaly_baselines.py [fraud] [mammography] [thyroid] ...

An isolation forest (Liu, Ting and Zhou 2008) of scikit-learn's settings on the normal items of the same training part
that the autoencoders learn from, and two scores without any training: how far a row is from the mean, in deviations of
each column, and of images their mean brightness. All are judged on the same test part.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from saving import save
from sklearn.ensemble import IsolationForest

from edgekit.data import Part, open_data
from edgekit.tasks.anomalies import evaluate_anomalies, normal_items, require_binary

Floats = npt.NDArray[np.float64]
Scorer = Callable[[Floats, Floats], Floats]
"""From normal rows to learn from, and others, to scores of these."""


def forest(normal: Floats, others: Floats) -> Floats:
    """By how few cuts a row is alone, seed 0."""
    scores: Floats = -IsolationForest(random_state=0).fit(normal).score_samples(others)
    return scores


def distance(normal: Floats, others: Floats) -> Floats:
    """The mean of the squared deviations from the mean: the error of an autoencoder that always says the mean."""
    scale = normal.std(axis=0)
    deviations = (others - normal.mean(axis=0)) / np.where(scale > 0, scale, 1)
    return np.square(deviations).mean(axis=1)


def brightness(_normal: Floats, others: Floats) -> Floats:
    """The mean of an image."""
    return others.mean(axis=1)


OF_ROWS: Mapping[str, Scorer] = {"isolation forest": forest, "distance from the mean": distance}
OF_IMAGES: Mapping[str, Scorer] = {**OF_ROWS, "brightness": brightness}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", default=["fraud", "mammography", "thyroid", "shuttle", "digits_or_letters"])
    rows = [row for name in parser.parse_args().data for row in baselines(name)]
    for row in rows:
        area = f"PR-AUC {row['pr_auc']:.4f} ({row['pr_auc_low']:.4f} to {row['pr_auc_high']:.4f})"
        print(f"{row['data']}, {row['score']}: {area}, ROC-AUC {row['roc_auc']:.4f}, {row['n']:,} items")
    print(f"Wrote {save('anomaly_baselines', rows)}.")


def baselines(name: str, data_dir: Path | None = None) -> list[dict[str, Any]]:
    """The figures of each score on the data set ``name``; there is no threshold to judge one by."""
    train, test = (open_data(name, part=part, data_dir=data_dir) for part in (Part.TRAIN, Part.EVALUATION))
    normal, others = (
        np.stack([np.asarray(item, np.float64).ravel() for item in data]) for data in (normal_items(train), test)
    )
    images, rows = np.asarray(test.items[0]).ndim > 1, []
    for score, scorer in (OF_IMAGES if images else OF_ROWS).items():
        start = time.perf_counter()
        scores = scorer(normal, others)
        seconds = round(time.perf_counter() - start, 1)
        found = evaluate_anomalies(scores, require_binary(test) == 1, threshold=float(np.median(scores))).metrics()
        figures = {key: value for key, value in found.items() if "auc" in key}
        rows.append({"data": name, "score": score, "n": len(test), "seconds": seconds, **figures})
    return rows


if __name__ == "__main__":
    main()
