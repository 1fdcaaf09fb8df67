"""Does the smaller precision pay on this machine? What a benchmark may say, and what it may not."""

from collections import Counter
from collections.abc import Sequence

from edgekit.measure.file_names import distinct_names
from edgekit.measure.settings import BenchmarkResult, BenchmarkSettings
from edgekit.measure.stats import Ratio, median_ratio
from edgekit.recipe import Precision


def verdicts(results: Sequence[BenchmarkResult], settings: BenchmarkSettings) -> tuple[str, ...]:
    """One sentence for each result that has a float32 sibling.

    Siblings come from one source model, have one format and ran in one engine on one device with the same number of
    threads. Those of a throttled or emulated machine say nothing. Files of one recipe are told apart by their names.
    """
    results = [r for r in results if r.comparable]
    names, alike = distinct_names(r.timing.artifact.path for r in results), Counter(map(_kind, results))
    floats = {
        _family(r): r for r in results if r.timing.artifact.recipe == Precision.FP32.value and _source(r) is not None
    }
    return tuple(
        sentence(r, floats[_family(r)], settings, file=names[r.timing.artifact.path] if alike[_kind(r)] > 1 else "")
        for r in results
        if _family(r) in floats and r.timing.artifact.recipe not in (Precision.FP32.value, "unknown")
    )


def sentence(
    result: BenchmarkResult, reference: BenchmarkResult, settings: BenchmarkSettings, *, file: str = ""
) -> str:
    """What may be said of ``result`` against its float32 sibling; nothing is claimed where the interval contains 1.

    It begins with the recipe, and the ``file`` where one is given.
    """
    ratio = median_ratio(result.timing.rounds_ms, reference.timing.rounds_ms, seed=settings.seed)
    recipe, other = result.timing.artifact.recipe, reference.timing.artifact.recipe
    name = f"{recipe} ({file})" if file else recipe
    plural = "s" if result.timing.threads > 1 else ""
    timing = result.timing
    where = (
        f"in {timing.artifact.format} by {timing.runtime_name} on {timing.device} with {timing.threads} thread{plural}"
    )
    words = f"{name} {_speed(ratio, other)} {where} {_interval(ratio)}: {_advice(result, reference, ratio)}."
    if result.valid and reference.valid:
        return words
    return f"{words} The run is flagged; repeat it on a quiet machine before relying on this."


def _speed(ratio: Ratio, other: str) -> str:
    if not ratio.decided:
        return f"and {other} cannot be told apart in speed"
    return (
        f"is {ratio.value:.2f} × slower than {other}"
        if ratio.value > 1
        else f"is {1 / ratio.value:.2f} × faster than {other}"
    )


def _interval(ratio: Ratio) -> str:
    low, high = (ratio.low, ratio.high) if not ratio.decided or ratio.value > 1 else (1 / ratio.high, 1 / ratio.low)
    kind = "times " if not ratio.decided else ""
    return f"({kind}95 % interval {low:.2f} to {high:.2f})"


def _advice(result: BenchmarkResult, reference: BenchmarkResult, ratio: Ratio) -> str:
    factor = reference.timing.artifact.model_bytes / result.timing.artifact.model_bytes
    smaller = factor > 1
    size = f"the file is {factor:.1f} × smaller" if smaller else f"the file is {1 / factor:.1f} × larger"
    if ratio.decided and ratio.value < 1:
        return f"it pays on this CPU, and {size}"
    return f"ship it for size, not speed ({size})" if smaller else f"it does not pay on this CPU ({size})"


def _source(result: BenchmarkResult) -> str | None:
    return result.timing.artifact.card.provenance.source_sha256


def _kind(result: BenchmarkResult) -> tuple[object, ...]:
    return (*_family(result), result.timing.artifact.recipe)


def _family(result: BenchmarkResult) -> tuple[object, ...]:
    timing = result.timing
    return (_source(result), timing.artifact.format, timing.runtime_name, timing.device, timing.threads)
