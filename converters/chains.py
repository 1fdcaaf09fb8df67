"""The steps after loading, as many at a time as wait for nothing: one chain for each format, beside the source's own.

TensorFlow lowers the source to one format after the other, which is work of Python on one CPU; meanwhile the source
runs on the data. Each lowered file goes its own way from there.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.artifact import Format
from edgekit.card import ModelCard
from edgekit.companion import Companion
from edgekit.converters import finish
from edgekit.converters.calibration import Calibration
from edgekit.converters.graph_nms import choose_in_graph
from edgekit.converters.lower import Lowered, lower, reference
from edgekit.converters.plan import Job, Plan
from edgekit.converters.prepare import Outline, name_layers, observe, outline, prepare
from edgekit.converters.quantize import quantize
from edgekit.converters.report import Converted
from edgekit.converters.rnn_forms import Chosen, Form
from edgekit.converters.samples import Samples
from edgekit.converters.source import Source
from edgekit.converters.steps import Steps
from edgekit.converters.workshop import Workshop
from edgekit.recipe import Batch, Nms
from edgekit.two_files import linked

Kind = tuple[Format, tuple[Form, ...]]
"""What files share that are made from one lowered file."""
Lowering = Mapping[Kind, Future[Lowered]]


def start_lowering(source: Source, todo: Plan, chosen: Chosen, batch: Batch, steps: Steps, shop: Workshop) -> Lowering:
    """The lowered file of each format of ``todo`` and forms of recurrent layers, when it is there."""
    started: dict[Kind, Future[Lowered]] = {}
    previous: Future[Lowered] | None = None
    kinds = dict.fromkeys((job.format, chosen[job.file_name].forms) for job in todo.jobs)
    for kind in sorted(kinds, key=lambda kind: kind[0], reverse=True):  # TFLite first, which is lowered in less time
        fmt, forms = kind
        previous = shop.after(previous, steps.run, f"lower {_title(kind)}", lower, source, fmt, batch, shop, forms)
        started[kind] = previous
    return started


def _title(kind: Kind) -> str:
    """As its steps are called: by the format, and by the forms of recurrent layers where there are any."""
    return ", ".join([kind[0].value, *dict.fromkeys(kind[1])])


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What the source computes, when it is known: its layers, that they were observed, and its outputs."""

    outlined: Future[Outline]
    observed: Future[None]
    expected: Future[Samples]


def start_looking(source: Source, todo: Plan, samples: Samples, steps: Steps, shop: Workshop) -> Looks:
    """Run ``source`` on ``samples``; what the first file waits for comes first."""
    calibrated = [job.recipe for job in todo.jobs if job.recipe.needs_calibration]

    def look() -> None:
        if calibrated:
            steps.run("observe", observe, outlined.result(), calibrated[0], samples, shop)

    def compute() -> Samples:
        return steps.run("reference", reference, source, samples, todo.jobs[0].recipe.batch, shop)

    outlined = shop.beside(steps.run, "outline", outline, source, samples, shop)
    if len(calibrated) == len(todo.jobs):
        observed = shop.after(outlined, look)
        return Looks(outlined=outlined, observed=observed, expected=shop.after(observed, compute))
    expected = shop.after(outlined, compute)
    return Looks(outlined=outlined, observed=shop.after(expected, look), expected=expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What all files of a conversion share. They are written to ``staged``, and published in ``target`` later.

    ``companions`` are the files that some of them need beside them, by their names.
    """

    source: Source
    todo: Plan
    base: ModelCard
    items: Calibration
    tools: Mapping[str, str]
    staged: Path
    target: Path
    companions: Mapping[str, Companion]
    chosen: Chosen

    def card_of(self, job: Job) -> ModelCard:
        """The shared card, which names the companion of the file of ``job`` and the forms of recurrent layers."""
        card = linked(self.base, self.companions[job.file_name]) if job.file_name in self.companions else self.base
        if not (by_layer := self.chosen[job.file_name].by_layer):
            return card
        return replace(card, provenance=replace(card.provenance, rnn=dict(by_layer)))


def make_all(making: Making, lowering: Lowering, looks: Looks, steps: Steps, shop: Workshop) -> list[Converted]:
    """The rows of the report, in the order of the plan, for files that were verified."""
    made: dict[str, Converted] = {}
    for chain in as_completed([shop.beside(_chain, making, kind, lowering, looks, steps, shop) for kind in lowering]):
        made |= chain.result()
    return [made[job.file_name] for job in making.todo.jobs]


def _chain(
    making: Making, kind: Kind, lowering: Lowering, looks: Looks, steps: Steps, shop: Workshop
) -> dict[str, Converted]:
    lowered, outlined = lowering[kind].result(), looks.outlined.result()
    named = steps.run(f"name layers {_title(kind)}", name_layers, kind[0], lowered, outlined, shop)
    samples = making.items.samples

    def make(job: Job) -> Converted:
        if job.recipe.needs_calibration:
            looks.observed.result()
        started, name = time.perf_counter(), job.file_name
        prepared = steps.run(f"prepare {name}", prepare, job, named, outlined, samples, shop)
        draft = steps.run(f"quantize {name}", quantize, job, prepared, making.source, samples, shop)
        draft = replace(draft, notes=(*making.chosen[name].notes, *draft.notes))
        if making.base.signatures and job.format is Format.TFLITE:
            uses = {name: list(outputs) for name, outputs in making.base.signatures.items()}
            shop.engine(Format.TFLITE, "use", {"path": str(draft.path), "signatures": uses})
        done = steps.run(
            f"embed card {name}",
            finish.embed_card,
            job, draft, named.lowered, making.card_of(job), making.source, making.items.ref, making.tools,
            making.staged,
        )  # fmt: skip
        waiting = time.perf_counter()
        expected, synthetic = looks.expected.result(), making.items.synthetic
        started += time.perf_counter() - waiting
        parity = steps.run(f"verify {name}", finish.verify, done, samples, expected, shop, synthetic=synthetic)
        if job.recipe.nms is Nms.GRAPH:
            done = steps.run(f"choose boxes {name}", choose_in_graph, done, samples, shop)
        return finish.converted(done, parity, making.target, started)

    jobs = (job for job in making.todo.jobs if (job.format, making.chosen[job.file_name].forms) == kind)
    return {job.file_name: make(job) for job in jobs}
