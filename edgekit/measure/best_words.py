"""A choice of the fastest file in words and as JSON."""

from typing import Any

from edgekit.codec import to_jsonable
from edgekit.errors import CheckFailedError
from edgekit.measure.best import Candidate, Choice
from edgekit.measure.losses import Losses
from edgekit.measure.stats import Ratio

_MEANS = {
    "top1": "of top-1",
    "agreement": "of the answers",
    "pr_auc": "of PR-AUC",
    "eer": "of the equal error rate",
    "exact": "of right answers",
    "mse": "of the reference's MSE",
    "nats_per_token": "of the reference's nats per token",
}
"""What a point is a hundredth of, by the metric."""


def sentences(choice: Choice) -> list[str]:
    """What was chosen, what is as fast, what was faster and why it was not taken, and what was not looked at."""
    said = [_accuracy(choice)]
    if choice.pick is None:
        if choice.losses is not None:
            said += [f"{name(candidate)}: {_loss(candidate, choice)}." for candidate in choice.candidates]
        return said
    pick = choice.pick
    said.append(
        f"Best here: {name(pick)}, {pick.result.settings.figure} {pick.result.figure_ms:.3g} ms"
        + (f", {_loss(pick, choice)}." if choice.losses else ".")
    )
    if pick.loss is not None and pick.loss.high > choice.max_loss_points:
        said.append(f"That interval reaches beyond {_points(choice.max_loss_points)}; more items would tell.")
    said += [f"Not to be told apart from it in speed: {name(c)} ({_times(c.ratio)})." for c in choice.ties if c.ratio]
    for candidate in choice.candidates:
        if candidate.result.figure_ms < pick.result.figure_ms:
            why = _loss(candidate, choice) if not candidate.within else "its run is not valid"
            said.append(f"Faster, and not taken: {name(candidate)}; {why}.")
    return said


def require_pick(choice: Choice) -> None:
    """`CheckFailedError` when nothing could be picked."""
    if choice.pick is not None:
        return
    if any(c.within for c in choice.candidates):
        raise CheckFailedError("Nothing was picked: no run within the loss is valid; repeat it on a quiet machine.")
    raise CheckFailedError(
        f"Nothing was picked: every file loses more than {_points(choice.max_loss_points)}; allow more by --max-loss."
    )


def to_json(choice: Choice) -> dict[str, Any]:
    """The ``best`` of ``edgekit benchmark --best --json``."""
    return {
        "pick": None if choice.pick is None else _candidate(choice.pick),
        "ties": [_candidate(c) for c in choice.ties],
        "candidates": [_candidate(c) for c in choice.candidates],
        "max_loss_points": choice.max_loss_points,
        "accuracy": None if choice.losses is None else _losses(choice.losses),
        "left_out": list(choice.left_out),
    }


def name(candidate: Candidate) -> str:
    """The file, its recipe, its engine and its threads."""
    timing = candidate.result.timing
    plural = "s" if timing.threads > 1 else ""
    file = f"{timing.artifact.path} ({timing.artifact.recipe})"
    return f"{file} in {timing.runtime_name} with {timing.threads} thread{plural}"


def _accuracy(choice: Choice) -> str:
    if choice.losses is None:
        return "Accuracy was not looked at, so that latency alone ranks; give --data to weigh it."
    losses = choice.losses
    file, engine = losses.reference
    return (
        f"Losses {_MEANS[losses.metric]} are against {file} in {engine} on {losses.count} items of {losses.data}; "
        f"{_points(choice.max_loss_points)} may be lost."
    )


def _loss(candidate: Candidate, choice: Choice) -> str:
    loss, losses = candidate.loss, choice.losses
    if loss is None or losses is None:
        return "its loss is unknown"
    if losses.reference == (str(candidate.result.timing.artifact.path), candidate.result.timing.runtime_name):
        return "the reference itself"
    return f"it loses {_points(loss.points)} {_MEANS[losses.metric]} (95 % interval {loss.low:.2f} to {loss.high:.2f})"


def _points(points: float) -> str:
    return f"{points:.4g} point" + ("" if points == 1 else "s")


def _times(ratio: Ratio) -> str:
    return f"{ratio.value:.3g} × its time, 95 % interval {ratio.low:.3g} to {ratio.high:.3g}"


def _losses(losses: Losses) -> dict[str, Any]:
    file, engine = losses.reference
    return {
        "metric": losses.metric,
        "reference": {"artifact": file, "engine": engine},
        "data": losses.data,
        "n": losses.count,
        "left_out": losses.left_out,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    timing = candidate.result.timing
    return {
        "artifact": str(timing.artifact.path),
        "sha256": timing.artifact.sha256,
        "recipe": timing.artifact.recipe,
        "engine": timing.runtime_name,
        "threads": timing.threads,
        "p50_ms": candidate.result.latency_ms.p50,
        "valid": candidate.result.valid,
        "loss_points": to_jsonable(candidate.loss),
        "within": candidate.within,
        "ratio_to_pick": to_jsonable(candidate.ratio),
    }
