"""How long model files take beside a reference, timed in turns with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.check.budgets import LatencySettings
from edgekit.devices import open_device
from edgekit.measure.benchmark import judge, open_artifacts
from edgekit.measure.settings import Job
from edgekit.measure.stats import Ratio
from edgekit.workers import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """The p50 of each file to the reference's, and reasons not to rely on them: other work, heat, a changing clock.

    They are not ``comparable`` where the device was throttled or emulated.
    """

    by_file: Mapping[str, Ratio]
    doubts: tuple[str, ...]
    comparable: bool = True


def time_against(
    reference: Path,
    files: Mapping[str, Path],
    settings: LatencySettings,
    *,
    limits: Mapping[str, float],
    device: str,
    progress: Progress,
) -> Ratios:
    """The ratios of ``files`` to the file ``reference``, all timed in turns on ``device``.

    One whose whole interval is above its limit is timed a second time, in new processes and another order of the turns,
    and the smaller ratio counts: processes differ a little in speed for as long as they live, which their intervals do
    not tell, and no slow model is fast once.
    """
    first = _timed(reference, files, settings, device=device, seed=0, progress=progress)
    slow = {file: path for file, path in files.items() if file in limits and first.by_file[file].low > limits[file]}
    if not slow or not first.comparable:
        return first
    again = _timed(reference, slow, settings, device=device, seed=1, progress=progress)
    lower = {file: min(first.by_file[file], ratio, key=lambda r: r.low) for file, ratio in again.by_file.items()}
    return Ratios(
        by_file={**first.by_file, **lower},
        doubts=tuple(dict.fromkeys((*first.doubts, *again.doubts))),
        comparable=again.comparable,
    )


def _timed(
    reference: Path,
    files: Mapping[str, Path],
    settings: LatencySettings,
    *,
    device: str,
    seed: int,
    progress: Progress,
) -> Ratios:
    how = settings.benchmark(seed=seed)
    jobs = [Job(artifact=artifact) for artifact in open_artifacts([reference, *files.values()])]
    with open_device(device) as where:
        results = judge(where.measure(jobs, how, progress=progress), how)
    return Ratios(
        by_file={file: result.ratio_to_first for file, result in zip(files, results[1:], strict=True)},
        doubts=tuple(dict.fromkeys(flag for result in results for flag in result.flags)),
        comparable=all(result.comparable for result in results),
    )
