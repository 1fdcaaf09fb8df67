"""From a measurement to a baseline, and what both say of the machine."""

import datetime
from collections.abc import Sequence

from edgekit import __version__
from edgekit.check.baseline import Baseline, Change, Summary
from edgekit.check.observe import Observation


def recorded(seen: Observation, reason: str, history: Sequence[Change] = ()) -> Baseline:
    """What was ``seen`` as a baseline; ``reason`` is why, and becomes the last entry of ``history``."""
    change = Change(
        when=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        reason=" ".join(reason.split()),
        versions={"edgekit": __version__, "python": str(seen.host["python"]), **seen.host["packages"]},
        models={
            file: Summary(sha256=record.sha256, model_bytes=record.model_bytes, metric=record.metric.value)
            for file, record in seen.models.items()
        },
    )
    return Baseline(
        metric=seen.metric,
        machine=machine(seen),
        device=seen.device,
        reference_sha256=seen.reference_sha256,
        data=seen.data,
        models=seen.models,
        history=(*history, change),
    )


def machine(seen: Observation) -> str:
    """The CPU on which something was ``seen``."""
    return f"{seen.host['cpu'] or seen.host['machine']}, {seen.host['cores']} cores"


def doubts(seen: Observation) -> tuple[str, ...]:
    """Sentences on what was wrong with the machine while latencies were measured."""
    return tuple(f"Latencies were measured under difficulties: {doubt}." for doubt in seen.doubts)
