"""What the outputs of a model mean: decoding and metrics, the same for every format and engine."""

from edgekit.tasks.classification import ClassificationResult, evaluate_classification
from edgekit.tasks.labels import LabelMap, match_labels, read_labels

__all__ = ["ClassificationResult", "LabelMap", "evaluate_classification", "match_labels", "read_labels"]
