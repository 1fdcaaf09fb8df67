"""Which rows the figures of anomalies are of, and what the seed decides."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_tables import detector, rows, table, write_csv

from edgekit.card import DataRef, Provenance
from edgekit.data import Part, item_digest, open_data
from edgekit.demos.anomaly import find
from edgekit.measure.evaluate_by_task import evaluate_by_task
from edgekit.tasks.anomalies import evaluate_anomalies


def seen(path: Path, data: Path, count: int, **options: Any) -> Path:
    """A detector by heat that has learned from the first ``count`` rows of ``data``."""
    items = [item_digest(item) for item in open_data(str(data), part=Part.EVALUATION, data_dir=None)][:count]
    used = DataRef(name="t", digest="0" * 64, count=count, items=tuple(items))
    return detector(path, [0, 1, 1], provenance=Provenance(training=used), **options)


def test_the_demo_leaves_out_what_was_learned_and_tells_of_the_right_rows(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "t.csv")
    values, labels = rows()
    found = find(seen(tmp_path / "d.onnx", data, 21, threshold=3.0), str(data), top=5)
    (row,) = found.results()
    scores = values[21:, 0].astype(np.float64) ** 2 / 3
    order = np.argsort(-scores)[:5] + 21
    assert (row["left_out"], row["n"]) == (21, 39)
    assert [top["item"] for top in row["top"]] == [int(place) + 1 for place in order]
    assert [top["label"] for top in row["top"]] == labels[order].tolist() == [1] * 5
    heats = [top["columns"][0]["value"] for top in row["top"]]
    assert heats == pytest.approx(values[order, 0].tolist(), rel=1e-4)
    assert row["metrics"]["anomalies"] == labels[21:].sum()
    told = scores > 3
    assert row["metrics"]["precision"] == pytest.approx(labels[21:][told].mean())
    assert row["metrics"]["threshold"] == 3
    (panel,) = found.panels()
    assert panel.lines[0].values.max() == 100


def test_the_seed_draws_the_intervals_and_the_table_tells_both_areas(tmp_path: Path) -> None:
    data = table(60)
    noisy = replace(data, labels=np.roll(data.labels, 1) | data.labels)
    path = detector(tmp_path / "d.onnx", [0, 1, 1])
    reports = [evaluate_by_task([path], noisy, seed=seed) for seed in (0, 1)]
    first, second = (report.entries[0].metrics() for report in reports)
    assert first["pr_auc_low"] != second["pr_auc_low"]
    cells = reports[0].table()[2][0]
    assert (cells[3], cells[5]) == (f"{first['pr_auc']:.4f}", f"{first['roc_auc']:.4f}")
    assert cells[3] != cells[5]


def test_the_seed_decides_the_resamples() -> None:
    random = np.random.default_rng(0)
    scores, anomalous = random.normal(size=80), random.random(80) < 0.3
    first, again, other = (evaluate_anomalies(scores, anomalous, threshold=0, seed=s).pr_auc_low for s in (0, 0, 1))
    assert first == again != other
    assert first == pytest.approx(0.2538752859, abs=1e-9)
