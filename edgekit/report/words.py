"""Figures as words for people, the same all over a report."""

import math

NOTHING = "–"


def kilobytes(size: float) -> str:
    """A number of bytes for people, in decimal units.

    >>> kilobytes(845), kilobytes(84_512), kilobytes(3_900_000)
    ('845 B', '84.5 kB', '3.90 MB')
    """
    for unit, one, decimals in (("GB", 1e9, 2), ("MB", 1e6, 2), ("kB", 1e3, 1)):
        if size >= one:
            return f"{size / one:.{decimals}f} {unit}"
    return f"{size:.0f} B"


def milliseconds(value: float) -> str:
    """A time with three figures.

    >>> milliseconds(0.045), milliseconds(6.123), milliseconds(253.2)
    ('0.0450', '6.12', '253')
    """
    decimals = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{max(0, decimals)}f}"


def percent(fraction: float) -> str:
    """A fraction as percent with two decimals, without the sign."""
    return f"{100 * fraction:.2f}"
