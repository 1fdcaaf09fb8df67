"""Rests between rounds, so that a model is not timed on a machine that another has heated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.workers import Progress, silent

if TYPE_CHECKING:
    from edgekit.measure.interleave import Machine, State

WARMER_C = 2.0
"""A machine is cool again when it is no warmer than so many degrees above what it was before the first run."""
LOOK_S = 2.0
"""How often a resting machine is asked: looking costs it a little heat, too."""

Sleep = Callable[[float], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Rests of up to ``most_s`` seconds on ``machine``, which was at ``start`` before anything ran."""

    machine: "Machine"
    start: "State"
    most_s: float
    sleep: Sleep

    def before(self, number: int, *, progress: Progress = silent) -> float:
        """Rest before the round ``number``, counted from 0; how many seconds it took.

        It ends as soon as the machine is as cool as it was. One without a thermometer rests ``most_s`` seconds before
        the first round.
        """
        if not self.most_s:
            return 0.0
        at_start = self.start.conditions.top_temperature_c
        if at_start is None:
            if number:
                return 0.0
            progress("cooling down", 0, 0)
            self.sleep(self.most_s)
            return self.most_s
        begin = now = self.machine.state()
        while (gone_s := now.clock_s - begin.clock_s) < self.most_s and not _cool(now, at_start):
            progress("cooling down", 0, 0)
            self.sleep(min(LOOK_S, self.most_s - gone_s))
            now = self.machine.state()
        return now.clock_s - begin.clock_s


def _cool(now: "State", at_start_c: float) -> bool:
    """Whether the machine is as cool as it was; where it does not tell any more, it is not known to be."""
    top = now.conditions.top_temperature_c
    return top is not None and top <= at_start_c + WARMER_C
