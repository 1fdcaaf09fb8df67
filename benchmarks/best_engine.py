"""Claim: what `edgekit benchmark --best` picks is at least as fast as every file in every engine within the loss.

    python benchmarks/best_engine.py [FILE ... --data DATA] [--max-loss POINTS] [--attempts N]

`--best` chooses in one interleaved run, and a second one, whose times had no part in the choice, compares: fp32 and
int8 of one network in LiteRT, ONNX Runtime and OpenVINO. It exits with 1 where one of them that loses no more is faster
than the pick with its whole 95 % interval, or where no run was valid in any of the attempts.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from material import made
from saving import Figure, save

from edgekit.codec import to_jsonable
from edgekit.devices import open_device
from edgekit.measure.benchmark import judge
from edgekit.measure.best import Choice, best
from edgekit.measure.best_words import name, sentences, to_json
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.measure.stats import median_ratio
from edgekit.workers import silent

SETTINGS = BenchmarkSettings(runs=100, min_duration_s=2.0)


def picked(files: Sequence[Path], data: str | None, max_loss: float, attempts: int) -> Choice:
    """The first choice with a pick, else the last."""
    for left in reversed(range(attempts)):
        _, choice = best(files, SETTINGS, data=data, max_loss_points=max_loss)
        if choice.pick is not None or not left:
            return choice
    raise ValueError(f"There were {attempts} attempts; expected 1 or more.")


def confirmed(files: Sequence[Path], data: str | None, max_loss: float, attempts: int, what: str) -> dict[str, Any]:
    """The choice, and each candidate's time to the pick's in a run of its own."""
    choice = picked(files, data, max_loss, attempts)
    print(*sentences(choice), *choice.left_out, sep="\n")
    result: dict[str, Any] = {"name": what, "best": to_json(choice)}
    if choice.pick is None:
        print(f"{what}: nothing was picked; repeat it on a quiet machine.")
        return {**result, "within": False}
    jobs = [Job(artifact=c.result.timing.artifact, engine=c.result.timing.runtime_name) for c in choice.candidates]
    again = judge(open_device("local").measure(jobs, SETTINGS, progress=silent), SETTINGS)
    mine = again[choice.candidates.index(choice.pick)]
    compared, within = [], True
    for candidate, other in zip(choice.candidates, again, strict=True):
        ratio = median_ratio(other.timing.rounds_ms, mine.timing.rounds_ms, seed=0)
        within = within and not (candidate.within and ratio.high < 1)
        words = "" if candidate.within else ", which loses more than is allowed"
        print(f"{name(candidate)}: {ratio.value:.3f} × the pick's time ({ratio.low:.3f} to {ratio.high:.3f}){words}")
        compared.append(
            {
                "artifact": candidate.result.timing.artifact.path.name,
                "engine": other.timing.runtime_name,
                "p50_ms": other.latency_ms.p50,
                "ratio_to_pick": to_jsonable(ratio),
                "within_loss": candidate.within,
                "flags": list(other.flags),
            }
        )
    return {**result, "confirmed": compared, "within": within}


def line(result: dict[str, Any]) -> Figure:
    """The line of the table for one network."""
    others = [c["ratio_to_pick"]["value"] for c in result.get("confirmed", ()) if c["within_loss"]]
    flags = sorted({flag for c in result.get("confirmed", ()) for flag in c["flags"]})
    noted = f"; flagged: {', '.join(flags)}" if flags else ""
    return Figure(
        what=f"every file in every engine within the loss / the pick of `--best`: {result['name']}",
        value=", ".join(f"{ratio:.2f}" for ratio in sorted(others)) + noted if others else "nothing was picked",
        limit="1, by the interval",
        held=result["within"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--max-loss", type=float, default=1.0)
    parser.add_argument("--attempts", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.files:
            work = [(given.files[0].name.partition(".")[0], given.files, given.data)]
        else:
            work = [(m.name, list(m.files), m.data) for m in made(Path(folder))]
        results = [confirmed(files, data, given.max_loss, given.attempts, what) for what, files, data in work]
    print(f"Saved {save('best_engine', results, [line(result) for result in results])}.")
    sys.exit(0 if all(r["within"] for r in results) else 1)


if __name__ == "__main__":
    main()
