"""What a model file says of itself. Stored inside the file as JSON; see `edgekit.artifact`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.anomaly import Anomaly
from edgekit.codec import from_jsonable, to_jsonable
from edgekit.detection import Detection
from edgekit.errors import CardError
from edgekit.generation import Generator
from edgekit.identities import Verification
from edgekit.preprocessing import Preprocessing
from edgekit.ratings import Ratings
from edgekit.recipe import Recipe
from edgekit.sequences import ANSWERS, FORECASTING, TEXT_GENERATION, Sequences
from edgekit.tabular import Tabular
from edgekit.uncertainty import Uncertainty

SCHEMA_VERSION = 1
BACKGROUND = "background"
MAIN_SIGNATURE = "serving_default"
"""The signature of a TFLite file that gives all its outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output. A dimension of ``None`` is free.

    ``scale`` and ``zero_point`` hold one value (per-tensor: real = (q - zero_point) * scale) or none (not quantized).
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()

    @property
    def quantized(self) -> bool:
        """Whether integers in this tensor stand for real numbers."""
        return bool(self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRef:
    """Which items of which data were used. ``items`` holds a short digest per item, by which it is recognised again.

    ``digest`` is the sha256 over the item digests in the order of use. What was cut out of images is followed in
    ``items`` by these.
    """

    name: str
    digest: str
    count: int
    seed: int | None = None
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """An accuracy step of a conversion: the simulated SQNR of the quantized outputs once it is done, and a remark."""

    step: str
    sqnr_db: float
    note: str = ""


_MOST_CHANNELS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCopy:
    """A channel of an activation that carries another: ``slot`` is ``source`` plus ``offset``, and was ``idle`` always.

    ``source`` itself is less by the offsets of all its copies, so that the mean of them is what it was. Real values of
    the file, before channel scales are undone.
    """

    slot: int
    source: int
    offset: float
    idle: float

    def __post_init__(self) -> None:
        if not (0 <= self.slot < _MOST_CHANNELS and 0 <= self.source < _MOST_CHANNELS):
            raise CardError(f"A copied channel has a number outside 0 to {_MOST_CHANNELS - 1}.")
        if self.slot == self.source:
            raise CardError(f"Channel {self.slot} cannot be a copy of itself.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the file comes from: enough to make it again.

    ``channel_scales`` are the factors by which its activations' channels differ from the source's, by layer, as
    `edgekit.channel_scales` packs them; empty where none does. ``channel_copies`` are the channels that carry others,
    by layer. ``rnn`` is what each recurrent layer became: ``fused``, ``loop`` or ``unrolled``.
    """

    source_sha256: str | None = None
    source_format: str | None = None
    architecture: str | None = None
    arguments: Mapping[str, int | float | str | bool | None] = field(default_factory=dict)
    recipe: Recipe | None = None
    steps: tuple[StepRecord, ...] = ()
    channel_scales: str = ""
    channel_copies: Mapping[str, tuple[ChannelCopy, ...]] = field(default_factory=dict)
    rnn: Mapping[str, str] = field(default_factory=dict)
    calibration: DataRef | None = None
    training: DataRef | None = None
    training_settings: Mapping[str, int | float | str | bool | None] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for layer, copies in self.channel_copies.items():
            slots = {copy.slot for copy in copies}
            if len(slots) < len(copies) or slots & {copy.source for copy in copies}:
                raise CardError(f"The copied channels of {layer!r} overwrite each other.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A measured figure of this file: a fraction or number, on ``count`` items of ``data``, with its 95 % interval."""

    name: str
    value: float
    data: str
    count: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a model file says of itself. ``None`` means unknown, never a default.

    ``detection`` is for detectors only, ``sequences`` for what takes texts or series, ``generator`` for what makes
    pictures, ``tabular`` for what takes rows of a table, ``anomaly`` for what tells anomalies, ``ratings`` for
    recommenders, ``uncertainty`` for Bayesian classifiers, ``verification`` for what compares pictures. ``signatures``
    are uses of the file by name, each with the
    outputs that it gives; a TFLite file has them as signatures too. ``keep_float`` are regular expressions on the names
    of layers that stay in float in every conversion, since what the model is for would be lost in them.
    ``independent_scores`` of a classifier, from 0 to 1, tell of each class for itself: they are neither probabilities,
    which sum to 1, nor logits of some.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    task: str | None = None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] | None = None
    detection: Detection | None = None
    sequences: Sequences | None = None
    generator: Generator | None = None
    tabular: Tabular | None = None
    anomaly: Anomaly | None = None
    ratings: Ratings | None = None
    uncertainty: Uncertainty | None = None
    verification: Verification | None = None
    signatures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keep_float: tuple[str, ...] = ()
    independent_scores: bool = False
    provenance: Provenance = field(default_factory=Provenance)
    metrics: tuple[Metric, ...] = ()

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise CardError(
                f"The card has schema version {self.schema_version}; this edgekit reads {SCHEMA_VERSION}: "
                "use the edgekit that wrote it, or a newer one."
            )
        known = {spec.name for spec in self.outputs}
        for name, outputs in self.signatures.items():
            if not name.isidentifier() or name == MAIN_SIGNATURE:
                raise CardError(f"A signature is called {name!r}; expected a plain name that is not {MAIN_SIGNATURE}.")
            if not outputs or not known.issuperset(outputs) or len(set(outputs)) != len(outputs):
                raise CardError(
                    f"The signature {name} gives {list(outputs)}; expected different ones of the outputs "
                    f"{sorted(known)}."
                )

    def unknown(self) -> tuple[str, ...]:
        """Names of the parts that nobody has stated yet, of those that a model of its kind needs.

        What takes no pictures needs no preprocessing, and what chooses no classes no labels.
        """
        bare = any(part is not None for part in (self.generator, self.tabular, self.ratings))
        pictures = not bare and self.sequences is None
        compared = self.anomaly is not None or self.verification is not None
        classes = not bare and not compared and self.task not in (TEXT_GENERATION, ANSWERS, FORECASTING)
        told = ("task", *(["preprocessing"] if pictures else []), *(["labels"] if classes else []))
        return tuple(n for n in told if getattr(self, n) is None)


def takes_steps(card: ModelCard) -> bool:
    """Whether a run of the file is one time step, and it takes a sequence run by run."""
    return card.sequences is not None and bool(card.sequences.states)


def dump_card(card: ModelCard) -> str:
    """The card as JSON text, the same bytes for the same card."""
    return json.dumps(to_jsonable(card), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def load_card(text: str | bytes, *, where: str = "card") -> ModelCard:
    """The card in JSON ``text``; `CardError` says what does not fit. ``where`` begins the message."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CardError(f"{where} is not JSON: {error}.") from None
    return from_jsonable(ModelCard, data, where=where)
