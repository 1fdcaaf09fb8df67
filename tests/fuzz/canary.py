"""Fuzzing with readers that crash and that hang, to see that both are noticed: arguments as those of `fuzz.fuzzing`."""

import contextlib
import os
import sys
import time
from pathlib import Path

from fuzz import fuzzing
from fuzz.readers import TARGETS, Target


def _crash(_path: Path) -> None:
    os.abort()


def _hang(_path: Path) -> None:
    while True:
        with contextlib.suppress(BaseException):  # as C code does, which hears no alarm
            time.sleep(60)


SEEDS = TARGETS["recipe"].seeds
TARGETS["crash"] = Target(read=_crash, suffix=".json", seeds=SEEDS)
TARGETS["hang"] = Target(read=_hang, suffix=".json", seeds=SEEDS)

if __name__ == "__main__":
    fuzzing.TIME_S = 0.5
    sys.exit(fuzzing.main())
