"""``baseline.json``: what was measured when all was well, item by item, so that a later measurement can be paired."""

import json
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.check.budgets import require_schema
from edgekit.codec import from_jsonable, to_jsonable
from edgekit.devices.engines import LOCAL
from edgekit.errors import InputError
from edgekit.files import write_atomic
from edgekit.measure.stats import Ratio
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.trials import Pairs

SCHEMA_VERSION = 1
FIRST_ITEMS = 8
"""Of so many items what is fed, and what comes out, is kept."""
MOST_SCORES = 100
"""So many scores of an item are kept, the largest."""
_MOST_BYTES = 256 << 20
_MOST_COUNT = 1 << 53  # floats, in which shares are worked out, have all whole numbers up to here
_MOST_SCORE = 1e100  # squares of larger ones, in sums, have no end, beside which nothing gets worse

Found = tuple[float, float, float, float, float, float]
"""An object: class id of the data, score, left, top, right, bottom in fractions of the image."""


class Metric(StrEnum):
    """What is watched of models, by the names that `edgekit.measure` gives these figures."""

    TOP1 = "top1"
    MAP = "map"
    PR_AUC = "pr_auc"
    MSE = "mse"
    EER = "eer"
    NATS = "nats_per_token"
    MSE_RATIO = "mse_ratio"
    EXACT = "exact"

    def text(self, value: float) -> str:
        """``value`` for people."""
        return f"{100 * value:.2f} %" if self in _SHARES else f"{value:.5g}"


_SHARES = (Metric.TOP1, Metric.MAP, Metric.EER, Metric.EXACT)
_SCORES = {Metric.PR_AUC: 2, Metric.MSE: 6, Metric.EER: 1, Metric.NATS: 2, Metric.MSE_RATIO: 2}  # of each item or pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the card says that a file was calibrated on."""

    name: str
    count: int
    digest: str

    def __post_init__(self) -> None:
        if not 0 <= self.count <= _MOST_COUNT:
            raise InputError(f"The calibration on {self.name} has no number of items that can be; make it anew.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The scores of one item, ``values``, of the classes whose outputs are at ``places``."""

    places: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.places or len(self.places) != len(self.values) or min(self.places) < 0:
            raise InputError("The baseline's outputs and their places do not belong together; make it anew.")

    def largest(self, count: int) -> "Scores":
        """The ``count`` largest of them, in the order of their places."""
        chosen = sorted(sorted(range(len(self.values)), key=lambda i: -self.values[i])[:count])
        return Scores(places=tuple(self.places[i] for i in chosen), values=tuple(self.values[i] for i in chosen))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """All that was measured of a model file.

    Of a classifier ``classes`` are the answers by item, class ids of the data, and ``correct`` has a 1 for each right
    one, as it has of models that answer texts; of a detector ``contributions`` are those of each image to its mAP, and
    ``objects`` what it found with half of ``sure``, the score from which it shows objects, or more. Where each item or
    pair gets scores, ``scores`` are its columns (see `edgekit.check.scored`), and ``classes`` of a detector of
    anomalies a 1 for each one. ``inputs`` are digests of what was fed for the first items, ``outputs`` what a
    classifier gave for each of them. ``latency`` is a ratio to the reference's.
    """

    sha256: str
    model_bytes: int
    format: str
    recipe: str
    engine: str
    metric: Figure
    classes: tuple[int, ...] = ()
    correct: str = ""
    contributions: tuple[float, ...] = ()
    objects: tuple[tuple[Found, ...], ...] = ()
    sure: float | None = None
    scores: tuple[tuple[float, ...], ...] = ()
    preprocessing: Preprocessing | None
    inputs: tuple[str, ...]
    outputs: tuple[Scores, ...] = ()
    labels: tuple[str, ...] | None = None
    calibration: Calibration | None = None
    latency: Ratio | None = None

    def __post_init__(self) -> None:
        timed = self.latency is None or self.latency.value > 0
        if not 1 <= self.model_bytes <= _MOST_COUNT or not timed:
            raise InputError("The baseline has a model without a size or without a latency; make it anew.")
        if any(abs(value) > _MOST_SCORE for column in self.scores for value in column):
            raise InputError(f"The baseline has a score beyond {_MOST_SCORE:g}, which no model gives; make it anew.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsRecord:
    """Items, by their places, that are compared, ``first`` with ``second``, and by number whom each item shows."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    people: tuple[int, ...]

    def __post_init__(self) -> None:
        places = {*self.first, *self.second}
        paired = bool(places) and len(self.first) == len(self.second)
        known = all(abs(person) <= _MOST_COUNT for person in self.people)
        if not paired or not known or not 0 <= min(places) <= max(places) < len(self.people):
            raise InputError("The baseline's pairs are not two of its items each; make it anew.")

    def pairs(self) -> Pairs:
        """The same as arrays."""
        first, second, people = (np.array(values, np.int64) for values in (self.first, self.second, self.people))
        return Pairs(first=first, second=second, people=people, whole=2 * len(first) == len(people) * (len(people) - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecord:
    """Which items of which data: ``digests`` of the decoded ones at ``indices``, and one of what is ``truth`` of them.

    ``total`` is how many items the data has; ``source``, ``samples`` and ``seed`` are as ``edgekit.toml`` had them.
    ``pairs`` of the items are there where these are compared with each other. Of a long text or a series the items are
    windows of ``window`` steps, else it is 0.
    """

    source: str
    name: str
    total: int
    samples: int | None
    seed: int
    indices: tuple[int, ...]
    digests: tuple[str, ...]
    truth: str
    pairs: PairsRecord | None = None
    window: int = 0

    @property
    def judged(self) -> int:
        """How many items, or pairs of them, get answers."""
        return len(self.indices) if self.pairs is None else len(self.pairs.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a baseline's history keeps of a model file."""

    sha256: str
    model_bytes: int
    metric: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """When a baseline was recorded, why, with which versions, and what the files were."""

    when: str
    reason: str
    versions: Mapping[str, str]
    models: Mapping[str, Summary]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The models' records by file as ``edgekit.toml`` names them; ``history`` tells of all baselines, newest last.

    All was measured on ``device``, whose CPU is ``machine``.
    """

    schema_version: int = SCHEMA_VERSION
    metric: Metric
    machine: str
    device: str = LOCAL
    reference_sha256: str | None
    data: DataRecord
    models: Mapping[str, ModelRecord]
    history: tuple[Change, ...] = field(default=())

    def __post_init__(self) -> None:
        count = len(self.data.indices)
        if not count or len(self.data.digests) != count:
            raise InputError("The baseline's items and their digests do not belong together; make it anew.")
        if any(not 0 <= index < self.data.total for index in self.data.indices):
            raise InputError("The baseline names items that its data does not have; make it anew.")
        if not 0 <= self.data.window <= _MOST_COUNT or (self.metric is Metric.MSE_RATIO and not self.data.window):
            raise InputError("The baseline has windows without steps; make it anew.")
        pairs = self.data.pairs
        if (pairs is not None) is not (self.metric is Metric.EER) or (pairs and len(pairs.people) != count):
            raise InputError("The baseline's pairs are not two of its items each; make it anew.")
        for file, record in self.models.items():
            by_item = _by_item(self.metric, record)
            first = min(count, FIRST_ITEMS)
            answered = bool(by_item) and all(len(values) == self.data.judged for values in by_item)
            complete = answered and not set(record.correct) - {"0", "1"}
            if not complete or len(record.inputs) != first or len(record.outputs) not in (0, first):
                raise InputError(f"The baseline's answers of {file} are not one for each of its items; make it anew.")


def _by_item(metric: Metric, record: ModelRecord) -> tuple[Sized, ...]:
    """What ``record`` must have of each item."""
    match metric:
        case Metric.TOP1:
            return record.classes, record.correct
        case Metric.MAP:
            return record.contributions, record.objects
        case Metric.PR_AUC:
            return (record.classes, *record.scores) if len(record.scores) == _SCORES[metric] else ()
        case Metric.EXACT:
            return (record.correct,)
        case Metric.MSE | Metric.EER | Metric.NATS | Metric.MSE_RATIO:
            return record.scores if len(record.scores) == _SCORES[metric] else ()


def read_baseline(path: Path) -> Baseline:
    """The baseline in the file at ``path``; `InputError` in one sentence for what is missing, damaged or unknown."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} is larger than {_MOST_BYTES >> 20} MB; expected a baseline of edgekit check.")
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"There is no baseline {path}; make one with: edgekit check init --force.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is damaged, it is not JSON: {error}; restore it, or make it anew with: edgekit check init --force."
        ) from None
    require_schema(data, str(path), SCHEMA_VERSION)
    return from_jsonable(Baseline, data, where=str(path))


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write ``baseline`` to ``path``, whole or not at all."""
    write_atomic(path, dump(baseline))


def dump(baseline: Baseline) -> bytes:
    """``baseline`` as JSON, a line for each list of numbers, so that it stays readable, and so do its changes.

    Of the scores of an item `MOST_SCORES` are kept.
    """
    models = {
        file: replace(record, outputs=tuple(scores.largest(MOST_SCORES) for scores in record.outputs))
        for file, record in baseline.models.items()
    }
    return (_pretty(to_jsonable(replace(baseline, models=models))) + "\n").encode()


def _pretty(value: Any, indent: str = "") -> str:
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        inner = ",\n".join(f"{deeper}{json.dumps(key)}: {_pretty(item, deeper)}" for key, item in value.items())
        return f"{{\n{inner}\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        inner = ",\n".join(f"{deeper}{_pretty(item, deeper)}" for item in value)
        return f"[\n{inner}\n{indent}]"
    return json.dumps(value)
