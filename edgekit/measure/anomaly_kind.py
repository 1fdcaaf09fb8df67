"""What is measured of detectors of anomalies."""

from collections.abc import Mapping

from edgekit.anomaly import SCORE, Anomaly
from edgekit.data.base import Dataset
from edgekit.errors import DataError
from edgekit.measure.kind import Array, Floats, Kind, shape_of
from edgekit.tasks import anomalies
from edgekit.tasks.anomalies import AnomalyResult


def score_of(outputs: Mapping[str, Array]) -> float:
    """The score among the ``outputs`` for one item; `DataError` where there is none."""
    if SCORE not in outputs:
        raise DataError(f"A detector of anomalies has the output {SCORE!r}; got {', '.join(outputs) or 'none'}.")
    score = outputs[SCORE]
    if score.size != 1:
        raise DataError(f"The output {SCORE!r} is {shape_of(score)} for one item; expected one number.")
    return float(score.reshape(-1)[0])


def _score(outputs: Mapping[str, Array], data: Dataset, place: int, _how: Anomaly) -> tuple[float, ...]:
    (label,) = anomalies.require_binary(data.subset([place]))
    return score_of(outputs), float(label)


def _result(scores: Floats, how: Anomaly, seed: int) -> AnomalyResult:
    return anomalies.evaluate_anomalies(scores[:, 0], scores[:, 1] > 0, threshold=how.threshold, seed=seed)


def _difference(first: AnomalyResult, second: AnomalyResult, _how: Anomaly, _seed: int) -> dict[str, float]:
    low, high = anomalies.difference_interval(first, second)
    return {
        "pr_auc_difference": second.pr_auc - first.pr_auc,
        "pr_auc_difference_low": low,
        "pr_auc_difference_high": high,
    }


ANOMALY_KIND = Kind(
    task=anomalies.TASK,
    wanted="items with the labels 0, normal, and 1, anomaly: a known name, a .csv with a column label, or an .npz",
    missing="does not say which scores are those of anomalies",
    fits=lambda data: data.labels is not None and data.boxes is None,
    tells=False,
    how=lambda card: card.anomaly,
    score=_score,
    result=_result,
    difference=_difference,
    columns=["PR-AUC", "95 %", "ROC-AUC", "precision %", "recall %", "F1 %"],
    cells=lambda m: [
        f"{m['pr_auc']:.4f}",
        f"{m['pr_auc_low']:.4f}-{m['pr_auc_high']:.4f}",
        f"{m['roc_auc']:.4f}",
        *(f"{100 * m[name]:.1f}" for name in ("precision", "recall", "f1")),
    ],
    difference_columns=["difference, PR-AUC", "95 %"],
    difference_cells=lambda d: [
        f"{d['pr_auc_difference']:+.4f}",
        f"{d['pr_auc_difference_low']:+.4f} to {d['pr_auc_difference_high']:+.4f}",
    ],
)
