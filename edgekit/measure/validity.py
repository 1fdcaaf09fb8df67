"""Reasons not to believe a timing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.measure.conditions import Conditions
from edgekit.measure.settings import Timing

LEAST_RUNS = 30
"""Below this many runs a 90th percentile rests on fewer than four of them."""
MOST_DRIFT = 0.10
MOST_FREQUENCY_CHANGE = 0.10
CPUS_TO_SPARE = 0.25
"""What the system itself and rounding take, when every CPU is in use."""
_WITH_HELPERS = frozenset({"openvino", "keras"})


def reasons_for_doubt(
    timing: Timing, conditions: Sequence[Conditions], host: Mapping[str, Any], *, others_cpus: float | None
) -> tuple[str, ...]:
    """Why ``timing`` should not be relied on, each reason in words; empty when nothing speaks against it.

    ``conditions`` are those before, after each round, and after the last. ``others_cpus`` tells whether other work ran
    meanwhile; only where it is None does the load before count, which also remembers what ended a minute ago.
    """
    found = (
        _emulated(host),
        _crowded(others_cpus, timing.threads, host["cores"])
        if others_cpus is not None and host["cores"] is not None
        else _loaded(conditions[0], host["allowed_cpus"]),
        _oversubscribed(timing.threads, host["allowed_cpus"]),
        _other_threads(timing),
        _throttled(conditions),
        _frequency_changed(conditions),
        _drifted(timing.rounds_ms),
        _too_few(timing.runs),
        _without_xnnpack(timing),
    )
    return tuple(reason for reason in found if reason is not None)


def incomparable(conditions: Sequence[Conditions], host: Mapping[str, Any]) -> bool:
    """Whether figures say nothing of the machine in its usual state, so that they must not be ranked."""
    return _emulated(host) is not None or _throttled(conditions) is not None


def _emulated(host: Mapping[str, Any]) -> str | None:
    return "emulated: these times say nothing about the machine imitated" if host["emulated"] else None


def _crowded(others_cpus: float, threads: int, cores: int) -> str | None:
    if others_cpus + threads <= cores + CPUS_TO_SPARE:
        return None
    return f"load: other work took {others_cpus:.1f} of {cores} CPUs during the run"


def _loaded(before: Conditions, cpus: int) -> str | None:
    if before.load_1min is None or before.load_1min <= cpus:
        return None
    return f"load: {before.load_1min:.1f} on {cpus} CPUs before the run"


def _oversubscribed(threads: int, cpus: int) -> str | None:
    return f"threads: {threads} on {cpus} CPUs" if threads > cpus else None


def _other_threads(timing: Timing) -> str | None:
    """OpenVINO and TensorFlow keep threads that only help, so that more than asked for say nothing of them."""
    found = timing.threads_actual
    if found is None or found == timing.threads or (found > timing.threads and timing.runtime_name in _WITH_HELPERS):
        return None
    return f"threads: {found} at work, {timing.threads} asked for"


def _throttled(conditions: Sequence[Conditions]) -> str | None:
    """What slowed the machine whenever it was looked at, or in between, which the firmware remembers."""
    seen = {reason for state in conditions for reason in state.throttled}
    seen |= set(conditions[-1].throttled_since_start) - set(conditions[0].throttled_since_start)
    return f"throttled: {', '.join(sorted(seen))}" if seen else None


def _frequency_changed(conditions: Sequence[Conditions]) -> str | None:
    under_load = [c.top_frequency_mhz for c in conditions[1:] if c.top_frequency_mhz is not None]
    if not under_load or min(under_load) >= (1 - MOST_FREQUENCY_CHANGE) * max(under_load):
        return None
    return f"frequency: between {min(under_load):.0f} and {max(under_load):.0f} MHz during the run"


def _drifted(rounds_ms: Sequence[Sequence[float]]) -> str | None:
    quarter = len(rounds_ms) // 4
    if quarter == 0:
        return None
    first = float(np.median(np.concatenate([np.asarray(r) for r in rounds_ms[:quarter]])))
    last = float(np.median(np.concatenate([np.asarray(r) for r in rounds_ms[-quarter:]])))
    if abs(last - first) <= MOST_DRIFT * first:
        return None
    return f"drift: median {first:.3g} ms in the first quarter, {last:.3g} ms in the last"


def _too_few(runs: int) -> str | None:
    return f"runs: {runs}; expected {LEAST_RUNS} or more" if runs < LEAST_RUNS else None


def _without_xnnpack(timing: Timing) -> str | None:
    """A file that XNNPACK takes nothing of is one thing; a machine on which it does not run is another."""
    if timing.delegation is None or timing.delegation.operators or timing.delegation.works:
        return None
    return "xnnpack: it does not run on this machine, and LiteRT used its slower kernels"
