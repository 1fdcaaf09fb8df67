"""The results in a folder: JSON files written with ``--json``, joined by the sha256 of the model file."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgekit.errors import InputError
from edgekit.measure.metrics import wilson_interval
from edgekit.report.generation import Generation, read_generation
from edgekit.report.task_figures import TASK_FIGURES, TaskFigures, task_of
from edgekit.results import SCHEMA_VERSION
from edgekit.tasks import classification

READ = ("train", "convert", "evaluate", "compare", "benchmark", "sweep")
"""Commands whose results make a report; of ``compare``, those with layers; of ``sweep``, its words on all timings."""

_TRAINED = "model.keras"
_COUNTED = ("top1", "exact")
"""Figures that are counted of items, so that their interval is known where it is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """The first figure of ``task`` of ``count`` items of the data set ``data``, with its 95 % interval where known.

    ``further`` are other figures of the task by their JSON names.
    """

    value: float
    count: int
    data: str
    task: str = classification.TASK
    low: float | None = None
    high: float | None = None
    further: Mapping[str, float] = field(default_factory=dict)

    @property
    def told(self) -> TaskFigures:
        """How figures of the task are told."""
        return TASK_FIGURES[self.task]

    @property
    def metric(self) -> str:
        """What ``value`` is."""
        return self.told.metric

    @property
    def interval(self) -> str:
        """The ends of the interval for people; nothing where it is not known."""
        if self.low is None or self.high is None:
            return ""
        return f"{self.told.written(self.low)}–{self.told.written(self.high)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long one item takes in ``engine`` with ``threads`` threads on ``device``, and whether to believe it.

    It is not ``comparable`` where the device was throttled or emulated.
    """

    device: str
    engine: str | None
    threads: int
    p50_ms: float
    p90_ms: float
    rss_bytes: int | None
    valid: bool
    flags: tuple[str, ...]
    comparable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer's SQNR in dB and its share of the output error; ``None`` where it is not known."""

    name: str
    sqnr_db: float | None
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All that is known of one model file; ``None`` and empty where it was not measured."""

    artifact: str
    sha256: str
    format: str
    recipe: str
    model_bytes: int | None = None
    ratio: float | None = None
    sqnr_db: float | None = None
    agreement: float | None = None
    accuracies: tuple[Accuracy, ...] = ()
    timings: tuple[Timing, ...] = ()
    layers: tuple[Layer, ...] = ()
    generation: Generation | None = None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without its folders, on any system; a training's file keeps the folder, which names it."""
        *folders, name = self.artifact.replace("\\", "/").rstrip("/").split("/")
        return f"{folders[-1]}/{name}" if name == _TRAINED and folders else name

    @property
    def model(self) -> str:
        """What the files of one training have in common: the name without format and recipe."""
        folder, _, name = self.name.rpartition("/")
        return folder or (name.rpartition(".")[0] or name).removesuffix(f".{self.recipe}")

    @property
    def accuracy(self) -> Accuracy | None:
        """The accuracy on the first data set."""
        return self.accuracies[0] if self.accuracies else None

    @property
    def timing(self) -> Timing | None:
        """The timing that is compared: the fewest threads on the first device that can be compared."""
        return min((t for t in self.timings if t.comparable), key=lambda t: t.threads, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a report draws. ``commands`` repeat it; ``host`` is where it was measured."""

    rows: tuple[Row, ...]
    commands: tuple[str, ...]
    verdicts: tuple[str, ...]
    host: Mapping[str, Any] | None


def read_results(directory: Path) -> Results:
    """The results of all ``*.json`` in ``directory`` that edgekit wrote; other JSON files are passed over.

    `InputError` when there are none, or when one has a value that cannot be.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not a folder; expected one with JSON files written by edgekit --json.")
    rows: dict[str, Row] = {}
    commands, verdicts, host = [], [], None
    for command, path, data in sorted(_envelopes(directory), key=lambda e: (READ.index(e[0]), e[1])):
        for entry in data["results"]:
            fields = Fields(entry, path)
            if command == "sweep" or (command == "compare" and not fields.has("layers")):
                continue  # a sweep keeps each of its timings as a result of benchmark beside it
            sha256 = fields.text("sha256")
            row = rows.get(sha256) or Row(
                artifact=fields.text("artifact"),
                sha256=sha256,
                format=fields.text("format"),
                recipe=fields.text("recipe"),
            )
            rows[sha256] = _ADD[command](row, fields)
        if "arguments" in data:
            commands.append("edgekit " + shlex.join(str(a) for a in data["arguments"]))
        verdicts += [str(v) for v in data["verdicts"]] if "verdicts" in data else []
        host = data["host"] if isinstance(data.get("host"), dict) else host
    if not rows:
        raise InputError(
            f"There are no results in {directory}; "
            f"expected JSON files written with --json by edgekit {', '.join(READ)}."
        )
    return Results(rows=tuple(rows.values()), commands=tuple(commands), verdicts=tuple(verdicts), host=host)


@dataclass(frozen=True, slots=True)
class Fields:
    """An entry of a results file, read with checks: it may come from anywhere."""

    entry: Any
    path: Path

    def __post_init__(self) -> None:
        if not isinstance(self.entry, Mapping):
            raise InputError(f"{self.path} has a result that is no object; write it again with edgekit --json.")

    def has(self, key: str) -> bool:
        """Whether there is a value under ``key``."""
        return key in self.entry and self.entry[key] is not None

    def text(self, key: str) -> str:
        """The string under ``key``."""
        value = self._value(key)
        if not isinstance(value, str):
            raise self._wrong(key, value, "text")
        return value

    def number(self, key: str) -> float:
        """The finite number under ``key``, zero or above unless it is a level in dB, a change or a likeness."""
        value = self._value(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(key, value, "a finite number")
        if value < 0 and not key.endswith(("_db", "_change", "ssim")):
            raise self._wrong(key, value, "a number of 0 or more")
        return value

    def flag(self, key: str) -> bool:
        """The truth value under ``key``."""
        value = self._value(key)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of strings under ``key``."""
        value = self._value(key)
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        return tuple(str(v) for v in value)

    def inner(self, key: str) -> "Fields":
        """The object under ``key``."""
        value = self._value(key)
        if not isinstance(value, Mapping):
            raise self._wrong(key, value, "an object")
        return Fields(value, self.path)

    def objects(self, key: str) -> "tuple[Fields, ...]":
        """The list of objects under ``key``."""
        value = self._value(key)
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        return tuple(Fields(entry, self.path) for entry in value)

    def _value(self, key: str) -> Any:
        if key not in self.entry:
            raise InputError(f"{self.path} has a result without {key!r}; write it again with edgekit --json.")
        return self.entry[key]

    def _wrong(self, key: str, value: Any, expected: str) -> InputError:
        return InputError(f"{self.path} has {key} = {str(value)[:40]!r}; expected {expected}.")


def _envelopes(directory: Path) -> Sequence[tuple[str, Path, dict[str, Any]]]:
    found = []
    for path in sorted(directory.glob("*.json")):
        try:
            data = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} is not JSON: {error}; remove it or write it again.") from None
        except OSError as error:
            raise InputError(f"Cannot read {path}: {error.strerror}.") from None
        if not isinstance(data, dict) or not {"schema_version", "command", "results"} <= data.keys():
            continue
        if data["schema_version"] != SCHEMA_VERSION:
            raise InputError(
                f"{path} has schema version {data['schema_version']}; this edgekit reads {SCHEMA_VERSION}: "
                "use the edgekit that wrote it, or a newer one."
            )
        if data["command"] in READ and isinstance(data["results"], list):
            found.append((data["command"], path, data))
    return found


def _add_training(row: Row, fields: Fields) -> Row:
    return replace(_add_evaluation(row, fields), model_bytes=int(fields.number("model_bytes")))


def _add_conversion(row: Row, fields: Fields) -> Row:
    metrics = fields.inner("metrics")
    return replace(
        row,
        model_bytes=int(fields.number("model_bytes")),
        ratio=fields.number("ratio"),
        sqnr_db=metrics.number("sqnr_db"),
        agreement=metrics.number("agreement") if metrics.has("agreement") else None,
        notes=(*row.notes, *fields.texts("notes")),
    )


def _add_evaluation(row: Row, fields: Fields) -> Row:
    if not fields.has("metrics"):
        return row
    metrics, count = fields.inner("metrics"), int(fields.number("n"))
    if metrics.has("frechet"):
        return replace(row, generation=read_generation(fields))
    task = task_of(metrics.entry)
    if task is None:
        return row
    told = TASK_FIGURES[task]
    name = told.of_files[0]
    value = metrics.number(name)
    bounded = told.fractions or not told.lower_is_better
    if (bounded and value > 1) or count < 1:
        raise InputError(
            f"{fields.path} has {name} = {value:g} of {count} items; "
            f"expected {'a fraction' if bounded else 'a figure'} of 1 or more items."
        )
    low, high = wilson_interval(round(value * count), count) if name in _COUNTED else (None, None)
    if metrics.has(f"{name}_low"):
        low, high = metrics.number(f"{name}_low"), metrics.number(f"{name}_high")
    data, device = fields.text("data"), fields.text("device") if fields.has("device") else "local"
    found = Accuracy(
        value=value,
        low=low,
        high=high,
        count=count,
        data=data if device == "local" else f"{data} on {device}",
        task=task,
        further={name: metrics.number(name) for name in told.further if metrics.has(name)},
    )
    return replace(row, accuracies=(*(a for a in row.accuracies if a.data != found.data), found))


def _add_comparison(row: Row, fields: Fields) -> Row:
    layers = tuple(
        Layer(
            name=layer.text("name"),
            sqnr_db=layer.number("activation_sqnr_db") if layer.has("activation_sqnr_db") else None,
            share=layer.number("share") if layer.has("share") else None,
        )
        for layer in fields.objects("layers")
    )
    return replace(row, layers=layers, notes=(*row.notes, fields.text("advice")))


def _add_benchmark(row: Row, fields: Fields) -> Row:
    latency = fields.inner("latency_ms")
    timing = Timing(
        device=fields.text("device"),
        engine=fields.inner("runtime").text("name") if fields.has("runtime") else None,
        threads=int(fields.number("threads")),
        p50_ms=latency.number("p50"),
        p90_ms=latency.number("p90"),
        rss_bytes=int(fields.number("peak_rss_bytes")) if fields.has("peak_rss_bytes") else None,
        valid=fields.flag("valid"),
        flags=fields.texts("flags"),
        comparable=fields.flag("comparable") if fields.has("comparable") else True,
    )
    size = int(fields.number("model_bytes")) if fields.has("model_bytes") else row.model_bytes
    return replace(row, timings=(*row.timings, timing), model_bytes=size)


_ADD = {
    "train": _add_training,
    "convert": _add_conversion,
    "evaluate": _add_evaluation,
    "compare": _add_comparison,
    "benchmark": _add_benchmark,
}
