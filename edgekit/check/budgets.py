"""How much worse a model may become, and the file ``edgekit.toml`` that says so."""

import tomllib
from collections.abc import Container
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edgekit.codec import from_jsonable
from edgekit.data import KNOWN
from edgekit.errors import InputError
from edgekit.measure.settings import BenchmarkSettings
from edgekit.preprocessing import PRESETS

CONFIG = "edgekit.toml"
SCHEMA_VERSION = 1
_MOST_BYTES = 1 << 20

_FRACTIONS = ("max_drop", "min_agreement", "min_calibration_share")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """The limits of one model, or of all. What is ``None`` is not limited, and not looked at.

    ``max_drop`` is of top-1, mAP, exact answers or, which rises, the equal error rate, a fraction;
    ``max_relative_loss`` of other metrics, a fraction of the baseline's; ``min_agreement`` the share of the baseline's
    answers that stay the same; ``min_sqnr_db`` of the outputs against the baseline's; ``max_size_growth`` a fraction of
    the baseline's bytes; ``min_calibration_share`` of the baseline's calibration items; ``max_p50_ratio`` to the
    reference model's p50.
    """

    max_drop: float | None = None
    max_relative_loss: float | None = None
    min_agreement: float | None = None
    min_sqnr_db: float | None = None
    max_size_growth: float | None = None
    min_calibration_share: float | None = None
    max_p50_ratio: float | None = None

    def __post_init__(self) -> None:
        for name in _FRACTIONS:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"The budget {name} is {value:g}; expected a fraction, such as 0.01 for a hundredth.")
        for name in ("max_relative_loss", "max_size_growth"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InputError(f"The budget {name} is {value:g}; expected 0 or more.")
        if self.max_p50_ratio is not None and self.max_p50_ratio <= 0:
            raise InputError(f"The budget max_p50_ratio is {self.max_p50_ratio:g}; expected more than 0.")

    def over(self, common: "Budgets") -> "Budgets":
        """These limits, and those of ``common`` where these are silent."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(common, **{name: value for name, value in named.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """The data, how many items are drawn, and what the model files do not say themselves."""

    source: str
    samples: int | None = None
    seed: int = 0
    preprocess: str | None = None
    labels: str | None = None
    decoder: str | None = None

    def __post_init__(self) -> None:
        if self.samples is not None and self.samples < 1:
            raise InputError(f"The samples of the data are {self.samples}; expected 1 or more, or none to take all.")
        if self.seed < 0:
            raise InputError(f"The seed of the data is {self.seed}; expected 0 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySettings:
    """What is timed against the file ``reference``, and for how long."""

    reference: str
    threads: int = 1
    runs: int = 50
    min_secs: float = 1.0

    def __post_init__(self) -> None:
        self.benchmark(seed=0)

    def benchmark(self, *, seed: int) -> BenchmarkSettings:
        """The same as a benchmark has it; `InputError` for what it does not take."""
        return BenchmarkSettings(threads=(self.threads,), runs=self.runs, min_duration_s=self.min_secs, seed=seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model file, and the limits that are its own."""

    file: str
    budgets: Budgets = field(default_factory=Budgets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What ``edgekit.toml`` says. Paths are relative to its folder; ``baseline`` is a file beside it."""

    schema_version: int = SCHEMA_VERSION
    baseline: str = "baseline.json"
    data: DataSettings
    latency: LatencySettings | None = None
    budgets: Budgets = field(default_factory=Budgets)
    models: tuple[ModelEntry, ...]

    def __post_init__(self) -> None:
        names = [model.file for model in self.models]
        if not names:
            raise InputError("There is no model to check; expected [[models]] with a file.")
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"The model {name} is named twice; name it once.")
        if self.baseline in ("", ".", "..") or Path(self.baseline).name != self.baseline or "\\" in self.baseline:
            raise InputError(f"The baseline is {self.baseline!r}; expected the name of a file beside {CONFIG}.")
        for model in self.models:
            if self.latency is None and self.limits(model.file).max_p50_ratio is not None:
                raise InputError(
                    f"{model.file} has a max_p50_ratio and nothing to be timed against; "
                    "name a reference in [latency], or leave the ratio out."
                )

    def limits(self, file: str) -> Budgets:
        """The limits of the model ``file``."""
        (entry,) = (model for model in self.models if model.file == file)
        return entry.budgets.over(self.budgets)

    def timed(self, file: str) -> bool:
        """Whether the latency of the model ``file`` is limited; the reference is what others are timed against."""
        return (
            self.latency is not None
            and Path(file) != Path(self.latency.reference)
            and self.limits(file).max_p50_ratio is not None
        )


def read_config(path: Path) -> Config:
    """What the file at ``path`` says; `InputError` in one sentence for what is missing, unknown or cannot be."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} is larger than {_MOST_BYTES >> 20} MB; expected a few lines of TOML.")
        data = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise InputError(
            f"There is no {path}; make one with: edgekit check init FILE... --data DATA, or name it with --config."
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}.") from None
    require_schema(data, str(path), SCHEMA_VERSION)
    return from_jsonable(Config, data, where=str(path))


def require_schema(data: Any, where: str, known: int) -> None:
    """`InputError` where ``data``, which ``where`` holds, states another ``schema_version`` than ``known``."""
    if isinstance(data, dict) and "schema_version" in data and data["schema_version"] != known:
        raise InputError(
            f"{where} has schema version {data['schema_version']!r}; this edgekit reads {known}: "
            "use the edgekit that wrote it, or make it anew with: edgekit check init --force."
        )


def data_source(settings: DataSettings, folder: Path) -> str:
    """The data set as `edgekit.data.open_data` takes it."""
    return settings.source if settings.source in KNOWN else as_path(folder / settings.source, KNOWN)


def preprocess_option(settings: DataSettings, folder: Path) -> str | None:
    """``--preprocess`` as the verbs take it."""
    named = settings.preprocess
    return named if named is None or named in PRESETS else as_path(folder / named, PRESETS)


def as_path(path: Path, names: Container[str]) -> str:
    """``path`` for an option that takes ``names`` as well, so that it is not taken for one of them.

    >>> as_path(Path("digits"), ("digits",)), as_path(Path("data/digits"), ("digits",))
    ('./digits', 'data/digits')
    """
    text = path.as_posix()
    return f"./{text}" if text in names else text
