"""What TensorFlow's ``benchmark_model`` prints, read by its keys.

Two generations, as its source (``benchmark_model.cc``, ``benchmark_tflite_model.cc``, ``stats_calculator.h``) and
published logs have them: that of 2021, and newer ones, which begin lines with ``INFO:`` and add percentiles.
"""

import itertools
import re
from dataclasses import dataclass

from edgekit.devices.android.client import last_line
from edgekit.errors import DeviceError
from edgekit.measure.settings import RoundFigures

_NUMBER = r"(\d{1,18}(?:\.\d{1,12})?(?:e\+?\d{1,2})?)(?![\w.])"
_PAIR = re.compile(rf"\b(\w+)={_NUMBER}")
_TIMING = re.compile(rf"\b(Init|First inference|Inference \(avg\)): {_NUMBER}")
_FOOTPRINT = re.compile(rf"Memory footprint delta .*\boverall={_NUMBER}|Peak memory footprint .*\boverall={_NUMBER}")
_APPLIED = re.compile(r"XNNPACK delegate.* the model graph will (not )?be ?(completely|partially)?")
_REPLACED = re.compile(r"Replacing (\d{1,7}) out of (\d{1,7}) node\(s\) with delegate \(TfLiteXNNPackDelegate\)")
_PROBLEM = re.compile(r"\b(error|fail(ed|ure)?|unsupported|unresolved|invalid)\b", re.IGNORECASE)
_LIKENESS = 0.01
"""By how much two tellings of one mean may differ: one of them is rounded to six digits."""
_ROUNDED = 1e-5
"""What rounding to six digits may add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one run of the tool told.

    ``delegated`` are the operators that XNNPACK runs and those of the file as the engine counts them, where it tells;
    ``applied`` is ``completely``, ``partially``, ``not``, or None where nothing is said of XNNPACK.
    """

    init_ms: float
    first_ms: float
    runs: RoundFigures
    footprint_bytes: int | None
    applied: str | None
    delegated: tuple[int, int] | None


def read_told(text: str, *, device: str) -> Told:
    """The figures in ``text``; `DeviceError` where one is missing, is no number, or contradicts another."""
    timings = {key: float(number) / 1e3 for key, number in _TIMING.findall(text)}
    counted = [dict(_PAIR.findall(line)) for line in text.splitlines() if re.search(r"\bcount=", line)]
    missing = [key for key in ("Init", "First inference", "Inference (avg)") if key not in timings]
    last = counted[-1] if len(counted) > 1 else {}  # those before are of the warm-up
    missing += [key for key in ("count", "curr") if key not in last]
    if missing:
        raise DeviceError(
            f"benchmark_model on {device} did not tell {', '.join(missing)} as a number; expected lines such as "
            "'Inference (avg): 266473' and 'count=50 curr=266': take another build of it."
        )
    runs = _figures(last)
    mean = timings["Inference (avg)"]
    if runs.runs < 1 or abs(mean - runs.mean_ms) > _LIKENESS * mean + 1e-3:
        raise DeviceError(
            f"benchmark_model on {device} contradicts itself: {runs.runs} runs of {runs.mean_ms:g} ms on average, "
            f"and of {mean:g} ms; take another build of it."
        )
    _require_rising(runs, device)
    footprint = _FOOTPRINT.search(text)
    return Told(
        init_ms=timings["Init"],
        first_ms=timings["First inference"],
        runs=runs,
        footprint_bytes=round(float(footprint[1] or footprint[2]) * (1 << 20)) if footprint else None,
        applied=_applied(text),
        delegated=_delegated(text),
    )


def problem(text: str) -> str:
    """The line that tells why the tool failed: the first that speaks of a failure, which those after it follow from."""
    lines = [line for line in text.splitlines() if "Benchmarking failed" not in line]
    found = next((line for line in lines if _PROBLEM.search(line)), None)
    return last_line(re.sub(r"^\s*ERROR:\s*", "", found) if found is not None else "\n".join(lines))


def _figures(pairs: dict[str, str]) -> RoundFigures:
    """The runs of a round; where all took the same time, the tool tells it once."""
    ms = {key: float(number) / 1e3 for key, number in pairs.items()}
    same = ms["curr"]
    return RoundFigures(
        runs=int(float(pairs["count"])),
        mean_ms=ms.get("avg", same),
        min_ms=ms.get("min", same),
        max_ms=ms.get("max", same),
        stdev_ms=ms.get("std"),
        p5_ms=ms.get("p5"),
        p50_ms=ms.get("median"),
        p95_ms=ms.get("p95"),
    )


def _require_rising(runs: RoundFigures, device: str) -> None:
    """Refuse figures that cannot be of the same runs; those of equal runs may differ in their last digit."""
    told = {"min": runs.min_ms, "p5": runs.p5_ms, "median": runs.p50_ms, "p95": runs.p95_ms, "max": runs.max_ms}
    spread = {name: ms for name, ms in told.items() if ms is not None}
    for rising in (tuple(spread.values()), (runs.min_ms, runs.mean_ms, runs.max_ms)):
        if any(low > high * (1 + _ROUNDED) for low, high in itertools.pairwise(rising)):
            words = ", ".join(f"{name} {ms:g}" for name, ms in {**spread, "avg": runs.mean_ms}.items())
            raise DeviceError(
                f"benchmark_model on {device} contradicts itself: of the same runs it tells {words} ms; take another "
                "build of it."
            )


def _applied(text: str) -> str | None:
    match = _APPLIED.search(text)
    if match is None:
        return None
    return "not" if match[1] else match[2]


def _delegated(text: str) -> tuple[int, int] | None:
    found = [(int(taken), int(total)) for taken, total in _REPLACED.findall(text)]
    if not found or any(taken > total for taken, total in found):
        return None
    return found[0] if len(found) == 1 else (sum(t for t, _ in found), sum(t for _, t in found))
