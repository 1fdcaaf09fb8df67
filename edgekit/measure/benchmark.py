"""How fast model files run, how much memory they take, and whether to believe it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit.artifact import Artifact, Format, open_artifact
from edgekit.card import takes_steps
from edgekit.codec import to_jsonable
from edgekit.devices import open_device
from edgekit.devices.engines import require_runnable
from edgekit.errors import ArtifactError, DeviceError, InputError
from edgekit.formats.keras import require_readable_weights
from edgekit.measure.answers import Desk, beyond
from edgekit.measure.profile import Profile, profile
from edgekit.measure.settings import (
    BenchmarkReport,
    BenchmarkResult,
    BenchmarkSettings,
    DeviceRun,
    Job,
)
from edgekit.measure.stats import median_ratio, summarize
from edgekit.measure.together import measure_together
from edgekit.measure.validity import incomparable, reasons_for_doubt
from edgekit.measure.verdict import verdicts
from edgekit.results import envelope
from edgekit.runtimes import assign_engines
from edgekit.workers import Progress, silent


def benchmark(
    paths: Sequence[Path],
    settings: BenchmarkSettings | None = None,
    *,
    devices: Sequence[str] = ("local",),
    engines: Sequence[str] = (),
    with_profile: bool = False,
    progress: Progress = silent,
) -> BenchmarkReport:
    """Time the model files together on each of ``devices``; with a profile, also each file's time by operator, here.

    Each file runs in those of ``engines`` that take its format, or where none is named in the format's own. Every file
    in every engine at every number of threads has a process of its own, all in turns. What is timed is one run on
    prepared inputs. Devices work at the same time, and their answers are compared with this machine's. Errors:
    `ArtifactError` for a file that cannot be read or run, `InputError` for settings. Where one of several devices
    fails, the report has what the others gave.
    """
    settings = settings or BenchmarkSettings()
    opened = [open_device(uri) for uri in once(devices, "device")]
    artifacts = open_artifacts(paths)
    jobs = plan(artifacts, engines)
    for uri in devices:
        require_runnable(uri, artifacts, engines)
    if with_profile:
        _refuse_unprofiled(artifacts, devices, engines)
    runs, failed = measure_together(opened, jobs, settings, progress=progress)
    profiles, notes = _profiles(artifacts, settings, progress) if with_profile else ({}, ())
    notes = (*notes, *_parts_of_answers(artifacts))
    return reported(runs, settings, profiles=profiles, notes=notes, failed=failed)


def _parts_of_answers(artifacts: Sequence[Artifact]) -> Iterator[str]:
    """What the times of files leave out, a run of which is only a part of an answer."""
    for artifact in artifacts:
        stated = artifact.card.uncertainty
        if stated is not None and stated.passes > 1:
            yield (
                f"{artifact.path.name} is timed for one pass; an answer takes {stated.passes}, each with noise drawn "
                "anew: edgekit demo uncertain times the whole."
            )
        detection = artifact.card.detection
        if detection is not None and detection.search is not None:
            yield (
                f"{artifact.path.name} is timed for one region; an image has up to {detection.search.count}, and the "
                "search for them: edgekit demo detect times the whole."
            )
        elif detection is not None and detection.proposals is not None:
            last = "" if detection.proposals.heads is None else f" {detection.proposals.heads.name}"
            yield (
                f"{artifact.path.name} is timed by itself; for an image its second file{last} runs on up to "
                f"{detection.proposals.count} regions too: edgekit demo detect times the whole."
            )


def open_artifacts(paths: Sequence[Path]) -> list[Artifact]:
    """The model files to be timed; `InputError` for none, for one twice, and for times of different things."""
    if not paths:
        raise InputError("No model file was given; expected at least one .tflite, .onnx or .keras file.")
    once([str(path) for path in paths], "file")
    artifacts = [open_artifact(path) for path in paths]
    for artifact in artifacts:
        if artifact.format is Format.KERAS:
            require_readable_weights(artifact.path)
    steps = [artifact for artifact in artifacts if takes_steps(artifact.card)]
    whole = [artifact for artifact in artifacts if not takes_steps(artifact.card)]
    if steps and whole:
        raise InputError(
            f"A run of {steps[0].path} is one time step and one of {whole[0].path} a whole sequence, so that their "
            "times cannot be compared: time them apart."
        )
    return artifacts


def once(values: Sequence[str], what: str) -> Sequence[str]:
    """``values``, or `InputError` when one is named twice; ``what`` says what they are."""
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"The {what} {value} is named twice; name it once.")
    return values


def plan(artifacts: Sequence[Artifact], engines: Sequence[str]) -> list[Job]:
    """Each file in those of ``engines`` that run it; where none is named, in what a device runs such files with."""
    if not engines:
        return [Job(artifact=artifact) for artifact in artifacts]
    found = assign_engines([(str(a.path), a.format) for a in artifacts], engines)
    return [Job(artifact=a, engine=engine) for a, names in zip(artifacts, found, strict=True) for engine in names]


def reported(
    runs: Mapping[str, DeviceRun],
    settings: BenchmarkSettings,
    *,
    profiles: Mapping[tuple[str, int], Profile] | None = None,
    notes: Sequence[str] = (),
    failed: Mapping[str, str] | None = None,
) -> BenchmarkReport:
    """The report of what each device gave."""
    desk = Desk(seed=settings.seed)
    results = tuple(result for run in runs.values() for result in judge(run, settings, desk))
    return BenchmarkReport(
        results=results,
        verdicts=verdicts(results, settings),
        hosts={uri: run.host for uri, run in runs.items()},
        profiles=profiles or {},
        notes=(*notes, *(note for run in runs.values() for note in run.notes), *_undelegated(results)),
        failed=failed or {},
    )


def require_all_devices(report: BenchmarkReport) -> None:
    """`DeviceError` with what was wrong with those that gave nothing."""
    if report.failed:
        told = " ".join(text if uri in text else f"On {uri}: {text}" for uri, text in report.failed.items())
        raise DeviceError(f"{len(report.failed)} of {len(report.failed) + len(report.hosts)} devices failed: {told}")


def judge(run: DeviceRun, settings: BenchmarkSettings, desk: Desk | None = None) -> tuple[BenchmarkResult, ...]:
    """The figures of a device's timings, each with its ratio to the first and the reasons to doubt it.

    With the ``desk`` its answers are compared with this machine's.
    """
    results = []
    for timing in run.timings:
        answers = None if desk is None else desk.compared(timing)
        differing = beyond(answers)
        flags = (
            *reasons_for_doubt(timing, run.conditions, run.host, others_cpus=run.others_cpus),
            *([] if differing is None else [differing]),
        )
        results.append(
            BenchmarkResult(
                timing=timing,
                latency_ms=summarize(timing.samples_ms, first_ms=timing.first_ms),
                ratio_to_first=median_ratio(timing.rounds_ms, run.timings[0].rounds_ms, seed=settings.seed),
                valid=not flags,
                flags=flags,
                conditions=run.conditions,
                others_cpus=run.others_cpus,
                settings=settings,
                comparable=not incomparable(run.conditions, run.host),
                answers=answers,
                cooled_s=run.cooled_s,
            )
        )
    return tuple(results)


def to_json(report: BenchmarkReport) -> dict[str, Any]:
    """The report as the JSON of ``edgekit benchmark``; ``host`` is the first device's, ``hosts`` are all of them."""
    results = [_result_json(result, report.profiles) for result in report.results]
    data = envelope("benchmark", results, host=dict(next(iter(report.hosts.values()))))
    return {
        **data,
        "hosts": to_jsonable(report.hosts),
        "verdicts": list(report.verdicts),
        "notes": list(report.notes),
        "failed": dict(report.failed),
    }


def _result_json(result: BenchmarkResult, profiles: Mapping[tuple[str, int], Profile]) -> dict[str, Any]:
    timing, artifact = result.timing, result.timing.artifact
    data = {
        "artifact": str(artifact.path),
        "sha256": artifact.sha256,
        "format": artifact.format.value,
        "recipe": artifact.recipe,
        "model_bytes": artifact.model_bytes,
        "device": timing.device,
        "threads": timing.threads,
        "threads_actual": timing.threads_actual,
        "runtime": {"name": timing.runtime_name, "version": timing.runtime_version},
        "delegation": to_jsonable(timing.delegation),
        "latency_ms": to_jsonable(result.latency_ms),
        "figure": {"name": result.settings.figure, "ms": result.figure_ms},
        "samples_ms": list(timing.samples_ms),
        "n": len(timing.samples_ms),
        "runs": timing.runs,
        "init_ms": timing.init_ms,
        "peak_rss_bytes": timing.peak_rss_bytes,
        "base_rss_bytes": timing.base_rss_bytes,
        "ratio_to_first": to_jsonable(result.ratio_to_first) if result.comparable else None,
        "valid": result.valid,
        "comparable": result.comparable,
        "flags": list(result.flags),
        "answers": to_jsonable(result.answers),
        "timed": timing.timed,
        "settings": to_jsonable(result.settings),
        "conditions": {
            "before": to_jsonable(result.conditions[0]),
            "during": to_jsonable(result.conditions[1:-1]),
            "after": to_jsonable(result.conditions[-1]),
            "others_cpus": result.others_cpus,
            "cooled_s": list(result.cooled_s),
        },
    }
    if timing.figures:
        data |= {"rounds": to_jsonable(timing.figures), "footprint_bytes": timing.footprint_bytes}
    found = profiles.get((str(artifact.path), timing.threads))
    return data if found is None else {**data, **found.to_json()}


def _undelegated(results: Sequence[BenchmarkResult]) -> tuple[str, ...]:
    """A sentence for each file that XNNPACK takes nothing of, though it works: slow for a reason in the file."""
    found = [(r.timing.artifact.path, r.timing.delegation) for r in results]
    told = [
        f"XNNPACK takes none of the {d.total} operators of {path}; LiteRT's slower kernels ran them."
        for path, d in found
        if d is not None and d.works and not d.operators
    ]
    return tuple(dict.fromkeys(told))


def _refuse_unprofiled(artifacts: Sequence[Artifact], devices: Sequence[str], engines: Sequence[str]) -> None:
    if "openvino" in engines:
        raise InputError("A time by operator is measured in litert and onnxruntime; leave out --profile or openvino.")
    for artifact in artifacts:
        if artifact.format is Format.KERAS:
            raise InputError(
                f"{artifact.path} is a Keras model, which has no time by operator; leave out --profile or convert."
            )
    if list(devices) != ["local"]:
        raise InputError(f"A time by operator is measured on this machine only; got the devices {', '.join(devices)}.")


def _profiles(
    artifacts: Sequence[Artifact], settings: BenchmarkSettings, progress: Progress
) -> tuple[dict[tuple[str, int], Profile], tuple[str, ...]]:
    """Profiles by file and threads, and one sentence for each file that its engine's profiler does not take."""
    found: dict[tuple[str, int], Profile] = {}
    refused: dict[Path, str] = {}
    for artifact in artifacts:
        for threads in settings.threads:
            progress("profiling", len(found), len(artifacts) * len(settings.threads))
            try:
                found[str(artifact.path), threads] = profile(
                    artifact, threads=threads, runs=settings.runs, seed=settings.seed
                )
            except ArtifactError as error:  # it ran a moment ago: the times stand without the profile
                refused[artifact.path] = str(error)
    return found, tuple(refused.values())
