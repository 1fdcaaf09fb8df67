"""Questions about numbers with their answers, drawn once and for all, so that they need no file."""

import numpy as np

from edgekit.data.base import Dataset, Part

SUMS_TRAIN, SUMS_TEST = 60_000, 2000
NAMES_TEST = 1000
_SEED = 0
_MOST = 1000
"""Terms of a sum are lower, and numbers with names lower than ten times this."""
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def sums(part: Part, name: str) -> Dataset:
    """Sums of two terms of one to three digits, "12+345", with their values: 60,000 to train and 2,000 to test.

    No two are of the same two terms, in whatever order. Terms of one, two and three digits are equally likely as long
    as there are some.
    """
    random = np.random.default_rng(_SEED)
    wanted, found = SUMS_TRAIN + SUMS_TEST, dict[tuple[int, int], tuple[int, int]]()
    while len(found) < wanted:
        terms = random.integers(0, 10 ** random.integers(1, 4, (wanted, 2)))
        for a, b in terms.tolist():
            found.setdefault((min(a, b), max(a, b)), (a, b))
    drawn = list(found.values())
    pairs = [drawn[i] for i in random.permutation(len(drawn))[:wanted]]
    pairs = pairs[:SUMS_TEST] if part is Part.EVALUATION else pairs[SUMS_TEST:]
    return Dataset(name=name, items=[f"{a}+{b}" for a, b in pairs], answers=tuple(str(a + b) for a, b in pairs))


def number_names(part: Part, name: str) -> Dataset:
    """The numbers "0" to "9999" with their names, 9,000 to train and 1,000 to test."""
    order = np.random.default_rng(_SEED).permutation(10 * _MOST).tolist()
    chosen = order[:NAMES_TEST] if part is Part.EVALUATION else order[NAMES_TEST:]
    return Dataset(name=name, items=[str(n) for n in chosen], answers=tuple(spelt(n) for n in chosen))


def spelt(number: int) -> str:
    """The name of a number below 10,000.

    >>> spelt(305), spelt(7042)
    ('three hundred five', 'seven thousand forty two')
    """
    words = []
    for size, called in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            words += [_ONES[number // size], called]
            number %= size
    if number >= 20:
        words.append(_TENS[number // 10 - 2])
        number %= 10
    if number or not words:
        words.append(_ONES[number])
    return " ".join(words)
