"""The accuracy steps one after the other, each kept only where the quantized network comes nearer to the float one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from edgekit.artifact import Format
from edgekit.card import StepRecord
from edgekit.converters.accuracy.choose_ranges import extreme_ranges, least_error_ranges
from edgekit.converters.accuracy.correct_bias import shift_in_sequence, shift_of_weights
from edgekit.converters.accuracy.equalize import equalized, find_scales, rescaled
from edgekit.converters.accuracy.kernel_scales import WeightBits, rounded_kernels
from edgekit.converters.accuracy.network import Network, Weights
from edgekit.converters.accuracy.observe import Observed
from edgekit.converters.accuracy.scene import Scene
from edgekit.converters.ranges import Ends
from edgekit.recipe import AccuracyStep
from edgekit.workers import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the steps must know of the file to be made. The weights of ``float_ops`` are not quantized."""

    format: Format
    per_channel: bool
    steps: tuple[AccuracyStep, ...]
    float_ops: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A network that computes in float what the source does, and how it is to be quantized."""

    network: Network
    observed: Mapping[str, Observed]
    choose: Callable[[Network, Mapping[str, Observed]], Ends]
    bits: WeightBits
    channel_scales: Mapping[str, Weights] = field(default_factory=dict)
    note: str = ""

    @property
    def ranges(self) -> Ends:
        """The range of every activation."""
        return self.choose(self.network, self.observed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The candidate that was chosen, its ranges, the scales of its channels, and what every step brought."""

    network: Network
    channel_scales: Mapping[str, Weights]
    bits: WeightBits
    ranges: Ends
    records: tuple[StepRecord, ...]


def prepare(scene: Scene, fixed: Mapping[str, str], setup: Setup, progress: Progress) -> Prepared:
    """The best candidate that the steps of ``setup`` make in turn; the weights of ``fixed`` stay as they are."""
    best = Candidate(
        network=replace(scene.network, fixed={**scene.network.fixed, **fixed}),
        observed=scene.observed(progress),
        choose=extreme_ranges,
        bits=WeightBits.SEVEN if setup.format is Format.ONNX else WeightBits.EIGHT,
    )
    best_db = _judge(best, scene, setup)
    folded = sum(len(op.members) - 1 for op in best.network.ops)
    records = [StepRecord(step="fold", sqnr_db=best_db, note=f"{folded} layers merged into those before them")]
    for done, (step, make) in enumerate(_STEPS.items()):
        if step not in setup.steps or (step is AccuracyStep.PAIRS and setup.format is not Format.ONNX):
            continue
        progress(f"{setup.format.value}: {step}", done, len(_STEPS))
        tried = [(_judge(candidate, scene, setup), candidate) for candidate in make(best, scene, setup)]
        found_db, found = max(tried, key=lambda pair: pair[0])
        if found_db > best_db:
            best, best_db = found, found_db
            records.append(StepRecord(step=step.value, sqnr_db=found_db, note=found.note))
        else:
            note = f"left out: {found_db:.2f} dB instead of {best_db:.2f} dB"
            records.append(StepRecord(step=step.value, sqnr_db=best_db, note=note))
    return Prepared(
        network=best.network,
        channel_scales=best.channel_scales,
        bits=best.bits,
        ranges=best.ranges,
        records=tuple(records),
    )


def _judge(candidate: Candidate, scene: Scene, setup: Setup) -> float:
    return scene.sqnr_db(candidate.network, _kernels(candidate, setup), candidate.ranges)


def _kernels(candidate: Candidate, setup: Setup) -> dict[str, Weights]:
    return rounded_kernels(candidate.network, candidate.bits, setup.per_channel, setup.float_ops)


def _pairs(best: Candidate, _scene: Scene, _setup: Setup) -> list[Candidate]:
    return [replace(best, bits=WeightBits.PAIRS, note="")]


def _equalize(best: Candidate, _scene: Scene, _setup: Setup) -> list[Candidate]:
    found = find_scales(best.network, best.observed)
    weighted = sum(op.weighted for op in best.network.ops)
    note = f"{weighted - len(found.skipped)} of {weighted} layers"
    if found.skipped:
        name, reason = next(iter(found.skipped.items()))
        note += f"; not {name}, since {reason}"
    return [
        replace(
            best,
            network=equalized(best.network, found.scales),
            observed=rescaled(best.network, best.observed, found.scales),
            channel_scales=found.scales,
            note=note,
        )
    ]


def _ranges(best: Candidate, _scene: Scene, _setup: Setup) -> list[Candidate]:
    return [replace(best, choose=least_error_ranges, note="")]


def _bias(best: Candidate, scene: Scene, setup: Setup) -> list[Candidate]:
    """Two ways: for the rounding of weights alone, and for all rounding in sequence."""
    kernels = {n: k for n, k in _kernels(best, setup).items() if n not in best.network.fixed}
    weights = shift_of_weights(best.network, kernels, best.observed)
    sequence = shift_in_sequence(best.network, kernels, best.ranges, scene.for_biases())
    return [
        replace(best, network=best.network.with_biases(weights), note="for the rounding of weights"),
        replace(best, network=best.network.with_biases(sequence), note="for all rounding, in sequence"),
    ]


_STEPS: dict[AccuracyStep, Callable[[Candidate, Scene, Setup], list[Candidate]]] = {
    AccuracyStep.PAIRS: _pairs,
    AccuracyStep.EQUALIZE: _equalize,
    AccuracyStep.RANGES: _ranges,
    AccuracyStep.BIAS: _bias,
}
