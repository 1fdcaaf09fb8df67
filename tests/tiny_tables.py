"""Tiny ONNX detectors of anomalies, whose scores are known, and tables for them."""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper
from tiny_sequences import save, value

from edgekit.anomaly import Anomaly
from edgekit.data import Dataset
from edgekit.data.arrays import ArrayItems
from edgekit.preprocessing import Colour, Preprocessing, Resize
from edgekit.tabular import Column, Tabular

NAMES = ("heat", "noise", "speed")
PLAIN = Tabular(columns=tuple(Column(name=name, mean=0.0, scale=1.0) for name in NAMES))


def detector(path: Path, keep: Any, *, tabular: Tabular | None = PLAIN, threshold: float = 1.0, **card: Any) -> Path:
    """Makes each column again times its number in ``keep``; the score is the mean of the squared differences."""
    factors = np.asarray(keep, np.float32)
    nodes = [
        helper.make_node("Mul", ["features", "keep"], ["reconstruction"]),
        helper.make_node("Sub", ["features", "reconstruction"], ["difference"]),
        helper.make_node("Mul", ["difference", "difference"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["score"], axes=[1], keepdims=1),
    ]
    fields = {
        "task": "anomaly-detection",
        "tabular": tabular,
        "anomaly": Anomaly(threshold=threshold, chosen="best F1 on the validation part"),
    } | card
    outputs = [value("reconstruction", len(factors)), value("score", 1)]
    return save(path, nodes, [value("features", len(factors))], outputs, {"keep": factors}, **fields)


def picture_detector(path: Path, **card: Any) -> Path:
    """Takes gray pictures of 8 x 8, from 0 to 1; the score is their mean, an anomaly above a half."""
    node = helper.make_node("ReduceMean", ["image"], ["score"], axes=[1, 2, 3], keepdims=0)
    unit = Preprocessing(size_hw=(8, 8), resize=Resize.STRETCH, colour=Colour.GRAY, scale=(1 / 255,))
    fields = {"task": "anomaly-detection", "anomaly": Anomaly(threshold=0.5, chosen="best F1"), "preprocessing": unit}
    return save(path, [node], [value("image", 8, 8, 1)], [value("score")], {}, **(fields | card))


def rows(count: int = 60, *, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rows (count, 3) near 0, a fifth of them with much heat, and their labels (count,)."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 5 == 0).astype(np.int64)
    values = random.normal(0, 1, (count, 3))
    values[:, 0] += 6 * labels
    return values.astype(np.float32), labels


def table(count: int = 60, *, seed: int = 0, columns: tuple[str, ...] = NAMES) -> Dataset:
    """`rows` as a data set."""
    values, labels = rows(count, seed=seed)
    return Dataset(name="machines", items=ArrayItems(values), labels=labels, columns=columns)


def write_csv(path: Path, *, count: int = 60, seed: int = 0, labelled: bool = True, order: Any = (0, 1, 2)) -> Path:
    """`rows` as a file with the columns in this ``order``."""
    values, labels = rows(count, seed=seed)
    head = [*(NAMES[j] for j in order), *(["label"] if labelled else [])]
    lines = [
        ",".join([*(f"{row[j]:.6g}" for j in order), *([str(label)] if labelled else [])])
        for row, label in zip(values, labels, strict=True)
    ]
    path.write_text("\n".join([",".join(head), *lines]) + "\n")
    return path
