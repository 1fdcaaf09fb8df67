"""What is told of zoo entries and built models, as JSON and as table rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.artifact import Artifact, open_artifact
from edgekit.card import ModelCard
from edgekit.codec import from_jsonable, to_jsonable
from edgekit.models.checkpoint import EpochRecord
from edgekit.models.spec import ModelSpec, TrainingPreset, Value
from edgekit.preprocessing import Preprocessing, describe
from edgekit.two_files import second_file

Json = dict[str, Any]

_ACCURACIES = {"classification": ("top-1", "top1"), "detection": ("mAP", "map")}
"""What sources print of a task, and the field of `Published` that holds it."""
_AREAS = ("pr_auc", "roc_auc", "threshold", "reconstruction_error")
_NUMBERS = ("nats_per_token", "perplexity", "mse", "mae", "mse_ratio", "frechet", "nll", *_AREAS)
"""Metrics that are no fractions."""
_COUNTED = {"recommendation": "ratings"}
"""What the figures of a task are of, where that is no item."""
_NAMED = 12
"""Columns of a table that are told by name."""


def list_entry(spec: ModelSpec) -> Json:
    """A zoo entry for ``zoo list``."""
    return {
        "name": spec.name,
        "title": spec.title,
        "task": spec.task,
        "data": spec.default_data,
        "arguments": spec.defaults,
        "presets": list(spec.presets),
        "source": spec.source,
    }


def show_entry(spec: ModelSpec, overrides: Mapping[str, Value]) -> Json:
    """A zoo entry with the figures of the model that ``overrides`` give; builds it."""
    from edgekit.models.build import build
    from edgekit.models.complexity import complexity

    arguments = spec.resolved(overrides)
    figures = complexity(build(spec, seed=0, **arguments))
    return {
        **list_entry(spec),
        "arguments": arguments,
        "takes": {argument.name: argument.takes for argument in spec.arguments},
        "metrics": {
            **to_jsonable(figures),
            "activation_bytes_fp32": figures.activation_bytes_fp32,
            "activation_bytes_int8": figures.activation_bytes_int8,
        },
        "published": {**to_jsonable(spec.published), "arguments": spec.defaults},
    }


def figure_rows(entry: Json) -> list[list[str]]:
    """Rows (figure, here, published, takes) of a `show_entry`; published figures are the source's arguments'.

    What an argument ``takes`` is its range or its choices.
    """
    here, published = entry["metrics"], entry["published"]
    same = entry["arguments"] == published["arguments"]
    arguments = [
        [name, f"{value}", f"{published['arguments'][name]}", entry["takes"][name]]
        for name, value in entry["arguments"].items()
    ]
    figures = [
        ["parameters (trained)", f"{here['parameters']:,}", _published(published["parameters"], same)],
        ["batch norm statistics", f"{here['statistics']:,}", ""],
        ["multiply-accumulates", f"{here['macs']:,}", _published(published["macs"], same)],
        ["activation memory, fp32, bytes", f"{here['activation_bytes_fp32']:,}", ""],
        ["activation memory, int8, bytes", f"{here['activation_bytes_int8']:,}", ""],
    ]
    if entry["task"] in _ACCURACIES:
        name, key = _ACCURACIES[entry["task"]]
        told = f"{published[key]:.1%} on {published[f'{key}_data']}" if published[key] else ""
        figures.append([name, "", told])
    return [*arguments, *([*row, ""] for row in figures)]


def _published(value: int | None, same: bool) -> str:
    return "" if value is None else f"{value:,}" if same else f"{value:,} for its arguments"


def build_entry(artifact: Artifact) -> Json:
    """A written model for JSON."""
    card = artifact.card
    return {
        "artifact": str(artifact.path),
        "sha256": artifact.sha256,
        "format": artifact.format.value,
        "recipe": artifact.recipe,
        "model_bytes": artifact.model_bytes,
        "card": to_jsonable(card),
    }


def build_rows(entry: Json) -> list[list[str]]:
    """Rows (what, value) of a `build_entry`."""
    card = entry["card"]
    labels, classes = card["labels"], card["task"] in ("classification", "detection", "text-classification")
    return [
        ["architecture", card["provenance"]["architecture"]],
        ["arguments", ", ".join(f"{k} {v}" for k, v in card["provenance"]["arguments"].items())],
        *_input_rows(card),
        *column_rows(card),
        *([["labels", f"{len(labels)}" if labels else "unknown; give them with --labels"]] if classes else []),
        *(["note", note] for note in card["provenance"]["notes"]),
        ["bytes", f"{entry['model_bytes']:,}"],
    ]


def _input_rows(card: Json) -> list[list[str]]:
    """What becomes the input, as far as the card says."""
    if card["preprocessing"] is not None:
        return [["preprocessing", describe(from_jsonable(Preprocessing, card["preprocessing"]))]]
    return [["inputs", ", ".join(f"{i['name']} {i['shape']} {i['dtype']}" for i in card["inputs"])]]


def written(model: Path) -> str:
    """The files of a ``model`` in words: its own, and that of the second network where it has one."""
    beside = _beside(open_artifact(model))
    return str(model) if beside is None else f"{model} and {beside}"


def _beside(artifact: Artifact) -> Path | None:
    if artifact.card.uncertainty is None:
        return second_file(artifact.path, artifact.card)
    from edgekit.models.passes import sample_path

    beside = sample_path(artifact.path)
    return beside if beside.is_file() else None


def column_rows(card: Json) -> list[list[str]]:
    """The columns of a table that were learned, the first of many."""
    if card["tabular"] is None:
        return []
    names = [column["name"] for column in card["tabular"]["columns"]]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return [["columns", ", ".join(names[:_NAMED]) + more]]


def train_entry(model: Path) -> Json:
    """A trained model for JSON: its test metrics, on how many items they were measured, and those of its ``second``.

    The second file of a Bayesian classifier was tested in ``passes`` passes, that of other models by itself never.
    """
    artifact = open_artifact(model)
    metrics, beside = artifact.card.metrics, _beside(artifact)
    return {
        **build_entry(artifact),
        **_measured(artifact.card),
        "n": metrics[0].count,
        "data": metrics[0].data,
        "second": None if beside is None else _second_entry(open_artifact(beside)),
    }


def _second_entry(artifact: Artifact) -> Json:
    stated = artifact.card.uncertainty
    passes = {} if stated is None else {"passes": stated.passes}
    return {"artifact": str(artifact.path), "sha256": artifact.sha256, **passes, **_measured(artifact.card)}


def _measured(card: ModelCard) -> Json:
    return {
        "metrics": {m.name: m.value for m in card.metrics},
        "intervals": {m.name: [m.low, m.high] for m in card.metrics},
        "measured_on": {m.name: {"data": m.data, "n": m.count} for m in card.metrics},
    }


def train_rows(entry: Json) -> list[list[str]]:
    """Rows (what, value) of a `train_entry`."""
    second, counted = entry["second"], _COUNTED.get(entry["card"]["task"], "items")
    if second is None or not second["metrics"]:
        return [*_measured_rows(entry, counted), *build_rows(entry)]
    passes = f", in {second['passes']} passes with noise"
    tested = _measured_rows(entry, counted, ", without noise") + _measured_rows(second, counted, passes)
    return [*tested, *build_rows(entry)]


def _measured_rows(measured: Json, counted: str, how: str = "") -> list[list[str]]:
    rows = []
    for (name, value), (low, high) in zip(measured["metrics"].items(), measured["intervals"].values(), strict=True):
        sure = "" if low is None else f"95 % interval {_figure(name, low)} to {_figure(name, high)}, "
        on = measured["measured_on"][name]
        rows.append([f"{name} on {on['data']}{how}", f"{_figure(name, value)} ({sure}{on['n']:,} {counted})"])
    return rows


def _figure(name: str, value: float) -> str:
    return f"{value:.4g}" if name in _NUMBERS or name.endswith(("_loss", "_mse")) else f"{value:.2%}"


def phase_words(preset: TrainingPreset) -> list[str]:
    """Which epochs teach the last layer alone and which all; nothing where all epochs are alike."""
    if not preset.frozen_epochs:
        return []
    if preset.epochs <= preset.frozen_epochs:
        more = preset.frozen_epochs + 1
        return [
            f"All {preset.epochs} epochs teach the last layer alone; give --epochs {more} or more to teach the others."
        ]
    first = preset.frozen_epochs
    return [f"Epochs 1 to {first} teach the last layer alone, {first + 1} to {preset.epochs} all layers."]


def epoch_line(record: EpochRecord, epochs: int) -> str:
    """One epoch's figures in a line."""
    told: dict[bool, list[str]] = {False: [], True: []}
    for name, value in record.figures().items():
        figure = f"{value:.4f}" if value == 0 or value >= 0.01 else f"{value:.2e}"  # errors of a series are tiny
        told[name.startswith("val_")].append(f"{name.removeprefix('val_').replace('_', ' ')} {figure}")
    seconds = f"{record.seconds:.1f} s"
    return f"epoch {record.epoch}/{epochs}: {', '.join(told[False])}; validation {', '.join(told[True])}; {seconds}"
