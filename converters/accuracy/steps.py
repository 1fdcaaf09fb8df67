"""The accuracy steps one after the other, each kept only where the quantized network comes nearer to the float one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgekit.artifact import Format
from edgekit.card import ChannelCopy, StepRecord
from edgekit.converters.accuracy.choose_ranges import extreme_ranges, least_error_ranges
from edgekit.converters.accuracy.correct_bias import shift_of_weights
from edgekit.converters.accuracy.equalize import equalized, find_scales, rescaled
from edgekit.converters.accuracy.in_sequence import correct
from edgekit.converters.accuracy.kernel_scales import WeightBits, output_scales, rounded_kernels
from edgekit.converters.accuracy.network import Kind, Network, Weights, origin
from edgekit.converters.accuracy.observe import Observed
from edgekit.converters.accuracy.scene import Scene
from edgekit.converters.accuracy.split_channels import split_channels
from edgekit.converters.ranges import Ends
from edgekit.recipe import AccuracyStep
from edgekit.workers import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the steps must know of the file to be made. The weights of ``float_ops`` are not quantized. A ``portable``
    one has wider ranges around additions and means.
    """

    format: Format
    per_channel: bool
    steps: tuple[AccuracyStep, ...]
    float_ops: frozenset[str] = frozenset()
    portable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A network that computes in float what the source does, and how it is to be quantized."""

    network: Network
    observed: Mapping[str, Observed]
    choose: Callable[[Network, Mapping[str, Observed]], Ends]
    bits: WeightBits
    ranges: Ends
    kernels: Mapping[str, Weights]
    channel_scales: Mapping[str, Weights] = field(default_factory=dict)
    channel_copies: Mapping[str, tuple[ChannelCopy, ...]] = field(default_factory=dict)
    adapted: bool = False
    note: str = ""

    def changed(self, setup: Setup, **fields: Any) -> "Candidate":
        """Another candidate, with the ranges and rounded kernels that follow from it."""
        other = replace(self, **fields)
        return replace(
            other,
            ranges=other.choose(other.network, other.observed),
            kernels=rounded_kernels(other.network, other.bits, setup.per_channel, setup.float_ops),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The network to quantize, its ranges, how its channels differ from the source's, the scales of weights that are
    fixed, and the steps.
    """

    network: Network
    channel_scales: Mapping[str, Weights]
    channel_copies: Mapping[str, tuple[ChannelCopy, ...]]
    bits: WeightBits
    ranges: Ends
    scales: Mapping[str, Weights]
    records: tuple[StepRecord, ...]


def prepare(scene: Scene, fixed: Mapping[str, str], setup: Setup, progress: Progress) -> Prepared:
    """The best candidate that the steps of ``setup`` make in turn; the weights of ``fixed`` stay as they are."""
    best = Candidate(
        network=replace(scene.network, fixed={**scene.network.fixed, **fixed}),
        observed=scene.observed(progress),
        choose=extreme_ranges,
        bits=WeightBits.SEVEN if setup.format is Format.ONNX else WeightBits.EIGHT,
        ranges={},
        kernels={},
    ).changed(setup)
    best_db = _judge(best, scene)
    mended = bool({AccuracyStep.BIAS, AccuracyStep.ROUND} & set(setup.steps))
    folded = sum(len(op.members[1:]) for op in best.network.ops)
    records = [StepRecord(step="fold", sqnr_db=best_db, note=f"{folded} layers merged into those before them")]
    for done, (step, make) in enumerate(_STEPS.items()):
        if step not in setup.steps or (step is AccuracyStep.PAIRS and setup.format is not Format.ONNX):
            continue
        progress(f"{setup.format.value}: {step}", done, len(_STEPS))
        found = make(best, scene, setup)
        if isinstance(found, str):
            records.append(StepRecord(step=step.value, sqnr_db=best_db, note=f"left out: {found}"))
            continue
        # Split makes activations finer, which the errors of weights that are still to be mended would hide.
        exact = step is AccuracyStep.SPLIT and mended
        after = _judge(found, scene, exact=exact)
        before = _judge(best, scene, exact=True) if exact else best_db
        gain = f"{after:.2f} dB instead of {before:.2f} dB{' with exact weights' if exact else ''}"
        if after > before:
            best, best_db = found, _judge(found, scene) if exact else after
            note = f"{found.note}; {gain}" if exact else found.note
        else:
            note = f"left out: {gain}" if f"{after:.2f}" != f"{before:.2f}" else "left out: no gain"
        records.append(StepRecord(step=step.value, sqnr_db=best_db, note=note))
    return Prepared(
        network=best.network.with_kernels(_free(best)) if best.adapted else best.network,
        channel_scales=best.channel_scales,
        channel_copies=best.channel_copies,
        bits=best.bits,
        ranges=best.ranges,
        scales=output_scales(best.network, best.bits) if best.adapted else {},
        records=tuple(records),
    )


def _judge(candidate: Candidate, scene: Scene, *, exact: bool = False) -> float:
    """How near the candidate comes to the float network, in dB; ``exact`` weights are not rounded."""
    return scene.sqnr_db(candidate.network, {} if exact else candidate.kernels, candidate.ranges)


def _free(candidate: Candidate) -> dict[str, Weights]:
    """The rounded kernels that may be put in place of the others."""
    return {name: kernel for name, kernel in candidate.kernels.items() if name not in candidate.network.fixed}


def _pairs(best: Candidate, _scene: Scene, setup: Setup) -> Candidate:
    return best.changed(setup, bits=WeightBits.PAIRS, note="")


def _equalize(best: Candidate, _scene: Scene, setup: Setup) -> Candidate:
    found = find_scales(best.network, best.observed)
    weighted = sum(op.weighted for op in best.network.ops)
    note = f"{weighted - len(found.skipped)} of {weighted} layers"
    if found.skipped:
        name, reason = next(iter(found.skipped.items()))
        more = f" and {len(found.skipped) - 1} more" if len(found.skipped) > 1 else ""
        note += f"; not {name}{more}, since {reason}"
    return best.changed(
        setup,
        network=equalized(best.network, found.scales),
        observed=rescaled(best.network, best.observed, found.scales),
        channel_scales=found.scales,
        note=note,
    )


def _ranges(best: Candidate, _scene: Scene, setup: Setup) -> Candidate:
    return best.changed(setup, choose=least_error_ranges, note="")


def _split(best: Candidate, _scene: Scene, setup: Setup) -> Candidate | str:
    widened = _widened(best.network) if setup.portable else ()
    split = split_channels(best.network, best.observed, best.ranges, setup.float_ops, widened)
    if not split.copies:
        return "no idle channel that could carry a copy"
    slots = sum(len(copies) for copies in split.copies.values())
    return replace(
        best,
        network=split.network,
        observed=split.observed,
        kernels=rounded_kernels(split.network, best.bits, setup.per_channel, setup.float_ops),
        channel_copies=split.copies,
        note=f"copies: {slots}, layers: {len(split.copies)}",
    )


def _widened(network: Network) -> set[str]:
    """The operators around additions, means and the like, whose ranges in a portable file may be wider than chosen."""
    names = {
        name for op in network.ops if op.kind in (Kind.ADD, Kind.AVERAGE, Kind.OTHER) for name in (op.name, *op.inputs)
    }
    return {op.name for op in network.ops if {op.name, origin(op.name, network.by_name)} & names} | {
        origin(name, network.by_name) for name in names
    }


def _bias(best: Candidate, _scene: Scene, _setup: Setup) -> Candidate:
    biases = shift_of_weights(best.network, _free(best), best.observed)
    return replace(best, network=best.network.with_biases(biases), note="")


def _round(best: Candidate, scene: Scene, setup: Setup) -> Candidate:
    adapt = best.bits if setup.per_channel and best.bits is not WeightBits.SEVEN else None
    done = correct(best.network, best.kernels, best.ranges, best.observed, scene.for_correction(), adapt=adapt)
    note = "" if adapt is not None else "biases only"
    return replace(
        best,
        network=best.network.with_biases(done.biases),
        kernels=done.kernels,
        adapted=adapt is not None,
        note=note,
    )


# Each gives a candidate, or the reason why there is none.
_STEPS: dict[AccuracyStep, Callable[[Candidate, Scene, Setup], Candidate | str]] = {
    AccuracyStep.PAIRS: _pairs,
    AccuracyStep.EQUALIZE: _equalize,
    AccuracyStep.RANGES: _ranges,
    AccuracyStep.SPLIT: _split,
    AccuracyStep.BIAS: _bias,
    AccuracyStep.ROUND: _round,
}
