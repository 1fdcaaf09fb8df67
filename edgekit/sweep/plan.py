"""What a sweep does: conversions, one evaluation, and cells, each with all that its results depend on."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.artifact import Artifact, Format
from edgekit.codec import to_jsonable
from edgekit.errors import InputError
from edgekit.files import sha256_file
from edgekit.measure.benchmark import once, plan
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.preprocessing import PRESETS
from edgekit.recipe import Recipe

if TYPE_CHECKING:
    from edgekit.converters import Request

MODELS = "models"
"""The folder of converted files."""
_SOURCES = (".keras", ".h5", "")
"""What recipes are for; a folder has no suffix. TFLite and ONNX files are measured as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What is asked of a sweep.

    With ``recipes``, the Keras models, SavedModel and run folders among ``files`` are converted first, by the data
    ``calibration``. Every file runs in those of ``engines`` that take it, at each of ``settings.threads``, on each of
    ``devices``; with ``data`` its accuracy is measured too, here, on ``samples`` items or all.
    """

    files: tuple[Path, ...]
    devices: tuple[str, ...] = ("local",)
    engines: tuple[str, ...] = ()
    settings: BenchmarkSettings = field(default_factory=BenchmarkSettings)
    recipes: tuple[Recipe, ...] = ()
    formats: tuple[Format, ...] = ()
    calibration: str | None = None
    data: str | None = None
    samples: int | None = None
    data_dir: Path | None = None
    preprocess: str | None = None
    labels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.files:
            raise InputError("No model file was given; expected at least one to sweep over.")
        once([str(path.resolve()) for path in self.files], "file")
        once(self.devices, "device")
        if self.recipes and not self.sources:
            raise InputError(
                "-p converts Keras models, SavedModel and run folders, and none of the files is one; leave it out."
            )
        for option, value in (("-f", self.formats), ("--calibration", self.calibration)):
            if value and not self.recipes:
                raise InputError(f"{option} is for conversions, which -p asks for; add -p, or leave {option} out.")
        given = {"--preprocess": self.preprocess, "--labels": self.labels, "--data-dir": self.data_dir}
        for option, chosen in given.items():
            if chosen is not None and self.data is None and not self.recipes:
                raise InputError(
                    f"{option} is for accuracies and conversions, which --data and -p ask for; add one of them, "
                    f"or leave {option} out."
                )
        if self.samples is not None and self.data is None:
            raise InputError("--samples draws from the data of --data; add it, or leave --samples out.")

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files that are converted first."""
        return tuple(p for p in self.files if p.is_dir() or p.suffix.lower() in _SOURCES) if self.recipes else ()

    @property
    def finished(self) -> tuple[Path, ...]:
        """The files that are measured as they are."""
        return tuple(p for p in self.files if p not in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A source, what is asked for, the file that keeps the results, and what they depend on."""

    request: "Request"
    name: str
    kept: str
    asked: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One file in one engine (None: what the device runs such files with) at one number of threads on one device."""

    artifact: Artifact
    engine: str | None
    device: str
    settings: BenchmarkSettings

    @property
    def threads(self) -> int:
        """The one number of threads."""
        return self.settings.threads[0]

    @property
    def job(self) -> Job:
        """What the device is to do."""
        return Job(artifact=self.artifact, engine=self.engine)

    @property
    def kept(self) -> str:
        """The name of the file that keeps its results: another for every file, engine, number of threads and device."""
        engine = self.engine or "default"
        place = (str(self.artifact.path.resolve()), engine, str(self.threads), self.device)
        return _file_name(self.artifact.path.name, engine, f"{self.threads}t", self.device, place=place)

    @property
    def asked(self) -> dict[str, Any]:
        """All that its results depend on."""
        return {
            "sha256": self.artifact.sha256,
            "engine": self.engine,
            "device": self.device,
            "settings": to_jsonable(self.settings),
        }

    def __str__(self) -> str:
        engine = f"{self.engine}, " if self.engine else ""
        return f"{self.artifact.path.name} ({engine}{self.threads} thread{'s' if self.threads > 1 else ''})"


def conversions(asked: Sweep, folder: Path) -> tuple[Conversion, ...]:
    """What is to be converted into ``folder``; `InputError` where two sources would give files of one name."""
    if not asked.recipes:
        return ()
    from edgekit.converters import Request
    from edgekit.converters.source import open_source

    found = []
    for path in asked.sources:
        source = open_source(path)
        request = Request(
            source=path,
            recipes=asked.recipes,
            formats=asked.formats,
            calibration=asked.calibration,
            data_dir=asked.data_dir,
            preprocess=asked.preprocess,
            labels=asked.labels,
            output_dir=folder / MODELS,
            force=True,  # what a killed run published and did not keep the results of
        )
        depends = {name: to_jsonable(getattr(asked, name)) for name in ("recipes", "formats", "labels")}
        depends |= {"sha256": source.sha256, "calibration": asked.calibration, "preprocess": stated(asked.preprocess)}
        name = _file_name(source.name, "convert", place=(str(path.resolve()),))
        found.append(Conversion(request=request, name=source.name, kept=name, asked=depends))
    names = [conversion.name for conversion in found]
    for conversion in found:
        if names.count(conversion.name) > 1:
            raise InputError(
                f"Two of the models are called {conversion.name}, and so would be their files; rename one of them."
            )
    return tuple(found)


def stated(preprocess: str | None) -> str | None:
    """What results depend on of ``--preprocess``: the name of a preset, or what is in the file now."""
    path = None if preprocess is None or preprocess in PRESETS else Path(preprocess)
    return sha256_file(path) if path is not None and path.is_file() else preprocess


def cells(asked: Sweep, artifacts: Sequence[Artifact]) -> tuple[Cell, ...]:
    """Every cell of ``artifacts``, device by device; `InputError` for an engine that none of the files is for."""
    return tuple(
        Cell(
            artifact=job.artifact,
            engine=job.engine,
            device=device,
            settings=replace(asked.settings, threads=(threads,)),
        )
        for device in asked.devices
        for job in plan(artifacts, asked.engines)
        for threads in asked.settings.threads
    )


def _file_name(*words: str, place: Sequence[str]) -> str:
    """A name that people can read and that no other ``place`` has."""
    digest = hashlib.sha256(json.dumps(list(place)).encode()).hexdigest()[:8]
    readable = "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", word).strip("_.") for word in words)
    return f"{readable[:100]}-{digest}.json"
