"""What is to be said of figures that so few items decide that their intervals say nothing of others."""

FEW = 10
"""Of fewer items of a kind resamples are all much alike: of two that are told apart every one is."""


def few_of_kinds(anomalies: int, count: int, *, what: str = "items") -> tuple[str, ...]:
    """A sentence where ``count`` items have few ``anomalies``, or few others; none where all are of one kind."""
    normal = count - anomalies
    if not 0 < min(anomalies, normal) < FEW:
        return ()
    return (
        f"Of {count:,} {what} {anomalies:,} {'is an anomaly' if anomalies == 1 else 'are anomalies'} and {normal:,} "
        f"normal: with fewer than {FEW} of a kind figures and intervals say little of others.",
    )


def few_people(people: int, *, what: str = "The pictures") -> tuple[str, ...]:
    """A sentence where ``what`` shows few ``people``."""
    if people >= FEW:
        return ()
    return (f"{what} show {people} people: with fewer than {FEW} figures and intervals say little of others.",)
