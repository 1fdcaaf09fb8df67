"""A sweep from the models to the table: conversions, then accuracies, then latencies, each kept when it is finished."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgekit.artifact import Artifact
from edgekit.claims import sole_use
from edgekit.codec import to_jsonable
from edgekit.devices.engines import require_runnable
from edgekit.errors import CheckFailedError, EdgekitError, InputError
from edgekit.files import sha256_file, write_atomic
from edgekit.measure.benchmark import open_artifacts, reported
from edgekit.measure.benchmark import to_json as benchmark_json
from edgekit.measure.host import host_facts
from edgekit.measure.settings import DeviceRun
from edgekit.measure.turns import Turns, machine_of
from edgekit.results import envelope
from edgekit.sweep.kept import Kept, files_of
from edgekit.sweep.lanes import measured
from edgekit.sweep.plan import MODELS, Cell, Sweep, cells, conversions, stated
from edgekit.sweep.ranking import answers_otherwise, rows, verdicts
from edgekit.sweep.site import Here, Site
from edgekit.two_files import second_file
from edgekit.workers import Progress, silent

SWEEP = "sweep.json"
"""The file with a row for each cell."""
ACCURACY = "accuracy.json"

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """What came of a sweep: rows by device and rank, sentences about them, and what failed and why, of how many."""

    rows: tuple[dict[str, Any], ...]
    verdicts: tuple[str, ...]
    notes: tuple[str, ...]
    failures: tuple[str, ...]
    host: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``edgekit sweep``."""
        data = envelope("sweep", self.rows, host=dict(self.host))
        return {**data, **{name: list(getattr(self, name)) for name in ("verdicts", "notes", "failures")}}

    def require_success(self) -> None:
        """`CheckFailedError` that names what failed, or the files whose answers on a device are beyond limits."""
        if self.failures:
            raise CheckFailedError(
                f"{len(self.failures)} of the sweep's pieces failed, which the same command tries again: "
                + "; ".join(self.failures)
            )
        differing = dict.fromkeys(
            f"{Path(row['artifact']).name} on {row['device']}" for row in self.rows if answers_otherwise(row)
        )
        if differing:
            raise CheckFailedError(f"Answers are not those of this machine: {', '.join(differing)}.")


def sweep(
    asked: Sweep,
    folder: Path,
    *,
    site: Site | None = None,
    announce: Announce = lambda _: None,
    progress: Progress = silent,
) -> SweepReport:
    """Do what is not done yet of ``asked`` in ``folder``, and rank it; one piece's failure stops no other.

    ``folder`` gets converted models, a JSON file for every piece as soon as it is finished, and `SWEEP`; all of them
    are what `edgekit report` draws. Latency is measured when all conversions are over. `InputError` for what the user
    can mend before anything is done.
    """
    site = site or Here()
    for uri in asked.devices:
        site.open(uri)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}; choose another folder with -o.") from None
    with sole_use(folder):
        report = _Run(asked, Kept(folder), site, announce, progress).all()
        write_atomic(folder / SWEEP, (json.dumps(report.to_json(), indent=2) + "\n").encode())
    return report


class _Run:
    """One call of `sweep`."""

    def __init__(self, asked: Sweep, kept: Kept, site: Site, announce: Announce, progress: Progress) -> None:
        self._asked, self._kept, self._site = asked, kept, site
        self._announce, self._progress = announce, progress
        self._notes: list[str] = []
        self._failures: list[str] = []
        self._host, self._turns = host_facts(), Turns()

    def all(self) -> SweepReport:
        finished = open_artifacts(self._asked.finished) if self._asked.finished else []
        for uri in self._asked.devices:
            require_runnable(uri, finished, self._asked.engines)
        dataset = self._open_data(finished)
        artifacts = [*self._convert(), *finished]
        accuracies = self._evaluate(artifacts, dataset) if dataset is not None and artifacts else []
        told = rows(self._measure(cells(self._asked, artifacts)) if artifacts else [], accuracies)
        return SweepReport(
            rows=tuple(told),
            verdicts=verdicts(told),
            notes=tuple(dict.fromkeys(self._notes)),
            failures=tuple(self._failures),
            host=self._host,
        )

    def _convert(self) -> list[Artifact]:
        wanted, home = conversions(self._asked, self._kept.folder), self._kept.folder / MODELS
        found = {c.kept: self._kept.find_files(c.kept, c.asked, home) for c in wanted}
        missing = [c for c in wanted if found[c.kept] is None]
        self._tell_skipped(len(wanted) - len(missing), len(wanted), "conversions")
        by_source = {c.request.source: c for c in missing}
        for request, outcome in self._site.convert([c.request for c in missing], progress=self._progress):
            conversion = by_source[request.source]
            if isinstance(outcome, EdgekitError):
                self._fail(f"converting {conversion.name}", outcome)
                continue
            told = envelope("convert", [row.to_result() for row in outcome.artifacts]) | {"notes": list(outcome.notes)}
            found[conversion.kept] = self._kept.keep(conversion.kept, conversion.asked, told)
            self._announce(f"converted {conversion.name}")
        records = [data for data in found.values() if data is not None]
        self._notes += [note for data in records for note in data["notes"]]
        paths = [path for data in records for _, path in files_of(data, home)]
        return open_artifacts(paths) if paths else []

    def _open_data(self, finished: Sequence[Artifact]) -> Any:
        if self._asked.data is None:
            return None
        from edgekit.measure.data_for import data_of
        from edgekit.measure.evaluate_by_task import require_truth

        cards = [artifact.card for artifact in finished]
        if self._asked.sources:
            from edgekit.converters.source import open_source

            cards += [card for path in self._asked.sources if (card := open_source(path).card) is not None]
        dataset = data_of(cards, self._asked.data, data_dir=self._asked.data_dir)
        require_truth(dataset)
        return dataset

    def _evaluate(self, artifacts: Sequence[Artifact], dataset: Any) -> Sequence[Mapping[str, Any]]:
        """The results of one evaluation of all files: only on the same items may they be compared."""
        request = self._asked
        try:
            depends = {
                "data": request.data,
                "items": len(dataset),
                "samples": request.samples,
                "seed": request.settings.seed,
                "preprocess": stated(request.preprocess),
                "labels": to_jsonable(request.labels),
                "engines": list(request.engines),
                "files": [digest for artifact in artifacts for digest in _digests(artifact)],
            }
            data = self._kept.find(ACCURACY, depends)
            self._tell_skipped(int(data is not None), 1, "evaluations")
            if data is None:
                found = self._accuracies([artifact.path for artifact in artifacts], dataset)
                data = self._kept.keep(ACCURACY, depends, envelope("evaluate", found, host=self._host))
        except EdgekitError as error:
            self._fail("evaluating", error)
            return []
        results: list[dict[str, Any]] = data["results"]
        count, seen = results[0]["n"], results[0]["left_out"]
        without = f", without {seen:,} that calibrated or trained one of the files" if seen else ""
        self._notes.append(f"Accuracies are those of {count:,} items of {results[0]['data']}{without}.")
        return results

    def _accuracies(self, paths: Sequence[Path], dataset: Any) -> list[dict[str, Any]]:
        from edgekit.measure.evaluate_by_task import evaluate_by_task

        return evaluate_by_task(
            paths,
            dataset,
            preprocess=self._asked.preprocess,
            labels=self._asked.labels,
            samples=self._asked.samples,
            engines=self._asked.engines,
            seed=self._asked.settings.seed,
            progress=self._progress,
        ).results()

    def _measure(self, wanted: Sequence[Cell]) -> list[tuple[Cell, Mapping[str, Any]]]:
        found = {cell.kept: self._kept.find(cell.kept, cell.asked) for cell in wanted}
        missing = [cell for cell in wanted if found[cell.kept] is None]
        self._tell_skipped(len(wanted) - len(missing), len(wanted), "cells")
        done = len(wanted) - len(missing)
        with contextlib.closing(measured(missing, self._site, self._turns, progress=self._progress)) as outcomes:
            for cell, outcome in outcomes:
                done += 1
                self._progress("cells", done, len(wanted))
                try:
                    found[cell.kept] = self._kept.keep(cell.kept, cell.asked, self._told(cell, outcome))
                except EdgekitError as error:
                    self._fail(f"{cell} on {cell.device}", error)
                else:
                    self._announce(f"{done}/{len(wanted)} {cell} on {cell.device}")
        pairs = [(cell, data) for cell in wanted if (data := found[cell.kept]) is not None]
        self._notes += [note for _, data in pairs for note in data["notes"]]
        return [(cell, data["results"][0]) for cell, data in pairs]

    def _told(self, cell: Cell, outcome: DeviceRun | EdgekitError) -> dict[str, Any]:
        """The JSON of ``edgekit benchmark`` for what a device gave, with the file as it is called here."""
        if isinstance(outcome, EdgekitError):
            raise outcome
        timings = tuple(replace(timing, artifact=cell.artifact) for timing in outcome.timings)
        with self._turns.on(machine_of(self._host, "local")):  # which runs the file too, to compare answers
            return benchmark_json(reported({cell.device: replace(outcome, timings=timings)}, cell.settings))

    def _fail(self, what: str, error: EdgekitError) -> None:
        self._failures.append(f"{what}: {error}")
        self._announce(f"failed: {self._failures[-1]}")

    def _tell_skipped(self, done: int, total: int, what: str) -> None:
        if done:
            self._announce(f"{done} of {total} {what} done before")


def _digests(artifact: Artifact) -> Iterator[str]:
    """Of all that is run for an item; `InputError` where the second file of a model is gone or another one."""
    yield artifact.sha256
    if (second := second_file(artifact.path, artifact.card)) is not None:
        yield sha256_file(second)
