"""Layer names in lowered files, and weights that quantize better: the steps between lowering and quantizing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgekit.artifact import Format
from edgekit.card import ChannelCopy, StepRecord
from edgekit.converters.engines import Engine, choose_engine
from edgekit.converters.float_ops import refuse_loops, refuse_onnx_loops
from edgekit.converters.lower import Lowered, read_lowered
from edgekit.converters.plan import Job, refuse_unmatched
from edgekit.converters.samples import Samples
from edgekit.converters.source import Source, SourceKind
from edgekit.converters.workshop import Workshop
from edgekit.errors import InputError
from edgekit.recipe import Granularity, Precision, Recipe

Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The source as a graph of layers: its probe, and the layers that each operator stands for.

    ``reason`` says why there is none; all else is empty then.
    """

    reason: str = ""
    probe: Path | None = None
    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A lowered file whose tensors are called after the layers.

    ``weights`` gives the tensor of the operator that holds each layer's weights, ``missing`` why there is none.
    """

    lowered: Lowered
    weights: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The float file to quantize, known ranges by tensor, how weights are scaled, and what was done.

    ``pairs`` says whether weights of ONNX files use eight bits; ``scales`` are those of weights that are rounded
    already, by layer; ``channel_scales`` are those of equalization, packed for the card, and ``channel_copies`` the
    channels that carry others, by layer.
    """

    lowered: Lowered
    ranges: Ranges = field(default_factory=dict)
    pairs: bool
    scales: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    records: tuple[StepRecord, ...] = ()
    channel_scales: str = ""
    channel_copies: Mapping[str, tuple[ChannelCopy, ...]] = field(default_factory=dict)
    note: str = ""


def outline(source: Source, samples: Samples, shop: Workshop) -> Outline:
    """The layers of ``source``."""
    if source.kind not in (SourceKind.KERAS, SourceKind.H5):
        return Outline(reason=f"{source.kind.words} has no Keras layers")
    path = shop.folder / "outline.npz"
    answer = shop.tensorflow("outline", {"samples": str(samples.folder), "path": str(path)})
    if answer["reason"]:
        return Outline(reason=answer["reason"])
    return Outline(probe=path, layers={name: tuple(members) for name, members in answer["layers"].items()})


def observe(outlined: Outline, recipe: Recipe, samples: Samples, shop: Workshop) -> Ranges:
    """Smallest to largest value of every activation, by layer; TensorFlow looks once, however often it is asked."""
    if outlined.probe is None:
        return {}
    observed = shop.tensorflow("observe", {"samples": str(samples.folder), "seed": recipe.seed})
    return _ends(observed["ranges"])


def name_layers(fmt: Format, lowered: Lowered, outlined: Outline, shop: Workshop) -> Named:
    """The lowered file with the names of the layers, found by comparing values.

    It is as it was where the source is not a graph of Keras layers.
    """
    if outlined.probe is None:
        return Named(lowered=lowered)
    answer = shop.engine(fmt, "name", {"path": str(lowered.path), "probe": str(outlined.probe)})
    renamed = replace(read_lowered(lowered.path, fmt, outlined.layers), forms=lowered.forms)
    return Named(lowered=renamed, weights=answer["weights"], missing=answer["missing"])


def prepare(job: Job, named: Named, outlined: Outline, samples: Samples, shop: Workshop) -> Prepared:
    """What ``job`` is quantized from: for int8 with accuracy steps the prepared file, else the lowered one."""
    recipe = job.recipe
    _require_excluded(recipe, outlined)
    if job.format is Format.TFLITE:
        refuse_loops(named.lowered.graph, recipe)
    else:
        refuse_onnx_loops(named.lowered.graph, recipe)
    plain = Prepared(lowered=named.lowered, pairs=bool(recipe.steps))
    if not recipe.needs_calibration:
        return plain
    if reason := _unprepared(job, named.lowered, outlined):
        note = f"accuracy steps on weights were left out, since {reason}"
        plain = replace(plain, note=note if recipe.steps and recipe.precision is Precision.INT8 else "")
    if outlined.probe is None:
        return plain
    if reason or recipe.precision is not Precision.INT8 or not recipe.steps:
        return replace(plain, ranges=observe(outlined, recipe, samples, shop))
    probe, path = shop.folder / f"{job.file_name}.npz", shop.folder / f"prepared.{job.file_name}"
    answer = shop.tensorflow("prepare", _request(job.format, recipe, named, samples, probe))
    install = {
        "source": str(named.lowered.path),
        "path": str(path),
        "probe": str(probe),
        "weights": dict(named.weights),
    }
    shop.engine(job.format, "install", install)
    return Prepared(
        lowered=replace(named.lowered, path=path),
        ranges=_ends(answer["ranges"]),
        pairs=answer["pairs"],
        scales={layer: tuple(scales) for layer, scales in answer["scales"].items()},
        records=tuple(StepRecord(**record) for record in answer["records"]),
        channel_scales=answer["channel_scales"],
        channel_copies={
            layer: tuple(ChannelCopy(**copy) for copy in copies) for layer, copies in answer["channel_copies"].items()
        },
    )


def _unprepared(job: Job, lowered: Lowered, outlined: Outline) -> str:
    """Why the weights of a job cannot be prepared; empty when they can."""
    if outlined.probe is None:
        return outlined.reason
    choice = choose_engine(lowered, job.recipe) if job.format is Format.TFLITE else None
    if choice is not None and choice.engine is Engine.TFLITE_CONVERTER:
        return f"TFLiteConverter, which has ways of its own, does better with {', '.join(choice.operators)}"
    return ""


def _require_excluded(recipe: Recipe, outlined: Outline) -> None:
    for pattern in recipe.exclude:
        if not any(re.search(pattern, name) for op, members in outlined.layers.items() for name in (op, *members)):
            if outlined.reason:
                raise InputError(f"--exclude {pattern!r} has no layer to name, since {outlined.reason}; leave it out.")
            refuse_unmatched("--exclude", pattern, outlined.layers)


def _ends(ranges: Mapping[str, Sequence[float]]) -> Ranges:
    return {name: (low, high) for name, (low, high) in ranges.items()}


def _request(fmt: Format, recipe: Recipe, named: Named, samples: Samples, probe: Path) -> dict[str, object]:
    return {
        "format": fmt.value,
        "per_channel": recipe.granularity is Granularity.PER_CHANNEL,
        "steps": [step.value for step in recipe.steps],
        "keep_float": list(recipe.keep_float),
        "exclude": list(recipe.exclude),
        "portable": recipe.portable,
        "fixed": dict(named.missing),
        "samples": str(samples.folder),
        "seed": recipe.seed,
        "path": str(probe),
    }
