"""What the tests of sweeps share."""

from pathlib import Path

from edgekit.measure.settings import BenchmarkSettings
from edgekit.sweep import SWEEP

QUICK = BenchmarkSettings(threads=(1, 2), runs=6, warmup=1, min_duration_s=0, rounds=3)
WORDS = ("--runs", "6", "--warmup", "1", "--min-secs", "0")


def times(folder: Path) -> dict[str, int]:
    """When each file of results was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json") if path.name != SWEEP}
