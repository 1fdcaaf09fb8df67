"""Whether a device answers as this machine does: the same file, the same seeded inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.artifact import Artifact, Format
from edgekit.bundle.limits import limits_of
from edgekit.card import TensorSpec
from edgekit.detection import POSTPROCESS_OP, Head
from edgekit.errors import ArtifactError, CheckFailedError, DataError, MissingExtraError
from edgekit.formats import onnx, tflite
from edgekit.formats.graph import Graph
from edgekit.measure.choices import agreed_in_words, agreement
from edgekit.measure.same import exceeded, same_answers
from edgekit.measure.sample_inputs import sample_feeds
from edgekit.measure.settings import SAMPLES, Answers, BenchmarkReport, BenchmarkResult, Timing
from edgekit.runtimes import ENGINES, Array, open_checked_runtime
from edgekit.runtimes.base import by_name

Key = tuple[str, str | None, int]
"""A file, the engine that ran it and its threads."""
Runs = Sequence[Mapping[str, Array]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What this machine's ``engine`` gives for the sample inputs; ``outputs`` are those of the file."""

    engine: str
    outputs: tuple[TensorSpec, ...]
    runs: Runs


class Desk:
    """This machine, which answers to the sample inputs of a file once, however many devices are compared with it."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._known: dict[Key, Given] = {}

    def compared(self, timing: Timing) -> Answers | None:
        """What the device of ``timing`` answered beside this machine; None where it answered nothing.

        In the engine of the device where it is here too, else in that of the format.
        """
        if timing.answers is None:
            return None
        try:
            here = self._given(timing)
        except (MissingExtraError, ArtifactError) as error:
            return _without_figures(timing.runtime_name, within=None, why=f"this machine cannot answer: {error}")
        return compare_answers(timing.artifact, here, timing.answers)

    def _given(self, timing: Timing) -> Given:
        artifact, name = timing.artifact, timing.runtime_name
        engine = name if name in ENGINES and ENGINES[name].installed else None
        key = (str(artifact.path), engine, timing.threads)
        if key not in self._known:
            runtime = open_checked_runtime(artifact.path, threads=timing.threads, engine=engine)
            feeds = sample_feeds(artifact.card, samples=SAMPLES, seed=self._seed)
            self._known[key] = Given(
                engine=f"{runtime.name} {runtime.version}",
                outputs=runtime.outputs,
                runs=[runtime.run(feed) for feed in feeds],
            )
        return self._known[key]


def compare_answers(artifact: Artifact, here: Given, there: Runs) -> Answers:
    """The answers of two machines to the same inputs, judged by the limits of the file's recipe.

    A file that chooses boxes itself cannot be judged so: of two with almost the same score one takes the place of the
    other.
    """
    engine = here.engine
    shapes, others = (
        [{name: values.shape for name, values in sorted(run.items())} for run in runs] for runs in (here.runs, there)
    )
    if any(shape != shapes[0] for shape in shapes):
        return _without_figures(engine, within=None, why="its outputs have another shape for each input")
    if shapes != others:
        why = f"got outputs of the shapes {others[0]}, here they are {shapes[0]}"
        return _without_figures(engine, within=False, why=why)
    found = [_stacked(runs) for runs in (here.runs, there)]
    meant = [by_name([run[o.name] for o in here.outputs], here.outputs, as_float=True) for run in found]
    try:
        same, real = same_answers(*found), same_answers(*meant)
    except DataError as error:  # something is not finite
        alike = all(values.tobytes() == found[1][name].tobytes() for name, values in found[0].items())
        return _without_figures(engine, within=None if alike else False, why=str(error))
    graph = (tflite if artifact.format is Format.TFLITE else onnx).read_graph(artifact.path)
    beyond_limits = None if same.identical else exceeded(limits_of(artifact, graph), *meant)
    within: bool | None = beyond_limits is None
    if not same.identical and _chooses_boxes(artifact, graph):
        within, beyond_limits = None, "the file chooses its boxes, which evaluate --device compares"
    return Answers(
        engine=engine,
        count=same.count,
        identical=same.identical,
        max_abs=real.totals.max_abs,
        sqnr_db=real.totals.sqnr_db,
        agreement=agreement(artifact.card, same, *meant),
        within_limits=within,
        why=beyond_limits,
    )


def beyond(answers: Answers | None) -> str | None:
    """Why answers are a reason not to believe the row; None where they are not."""
    if answers is None or answers.within_limits is not False:
        return None
    figures = "" if answers.sqnr_db is None else f"SQNR {answers.sqnr_db:.1f} dB to this machine's, "
    return f"answers: {figures}{answers.why}"


def sentences(results: Sequence[BenchmarkResult]) -> list[str]:
    """One line for each file on each device that was compared."""
    told = [(r.timing, r.answers) for r in results if r.answers is not None]
    return list(dict.fromkeys(_sentence(timing, answers) for timing, answers in told))


def require_same_answers(report: BenchmarkReport) -> None:
    """`CheckFailedError` that names the files whose answers are beyond their limits on a device."""
    found = [
        f"{r.timing.artifact.path.name} on {r.timing.device}"
        for r in report.results
        if r.answers is not None and r.answers.within_limits is False
    ]
    if found:
        raise CheckFailedError(f"Answers are not those of this machine: {', '.join(dict.fromkeys(found))}.")


def _sentence(timing: Timing, answers: Answers) -> str:
    head = f"{timing.artifact.path.name} by {timing.runtime_name} on {timing.device}"
    if answers.max_abs is None or answers.sqnr_db is None:
        return f"{head}: answers are {'not compared' if answers.within_limits is None else 'others'}, {answers.why}."
    if answers.identical:
        return f"{head}: {answers.count} answers are those of {answers.engine} here, bit for bit."
    agreed = agreed_in_words(timing.artifact.card, answers.agreement)
    judged = {True: "within the limits", False: f"beyond the limits, {answers.why}", None: f"{answers.why}"}
    return (
        f"{head}: {answers.count} answers differ from those of {answers.engine} here by at most {answers.max_abs:.3g}"
        f"{agreed}, SQNR {answers.sqnr_db:.1f} dB: {judged[answers.within_limits]}."
    )


def _stacked(runs: Runs) -> dict[str, Array]:
    """One array (count, ...) of each output, without a batch axis of 1."""
    return {
        name: np.concatenate([run[name] for run in runs])
        if runs[0][name].shape[:1] == (1,)
        else np.stack([run[name] for run in runs])
        for name in runs[0]
    }


def _chooses_boxes(artifact: Artifact, graph: Graph) -> bool:
    stated = artifact.card.detection
    return any(node.op == POSTPROCESS_OP for node in graph.nodes) or (
        stated is not None and stated.head is Head.SSD_POSTPROCESS
    )


def _without_figures(engine: str, *, within: bool | None, why: str) -> Answers:
    return Answers(
        engine=engine,
        count=SAMPLES,
        identical=False,
        max_abs=None,
        sqnr_db=None,
        agreement=None,
        within_limits=within,
        why=why.removesuffix("."),
    )
