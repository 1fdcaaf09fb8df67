"""What an entry of the zoo says of an architecture. Importing this module loads no framework."""

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from edgekit.detection import Detection
from edgekit.errors import InputError, closest, suggest
from edgekit.generation import Condition, Drawn, Generator
from edgekit.identities import Measure, Verification
from edgekit.models.box_augmentation import BoxAugmentation
from edgekit.preprocessing import Colour, Preprocessing, Resize, preset

Value = int | float | str
DEFAULT_PRESET = "small"
GENERATION = "image-generation"
"""The task of generators of pictures."""
VERIFICATION = "verification"
"""The task of what tells whether two pictures show the same."""
TRANSFER_PRESET = "transfer"
"""The preset of a training that starts from weights learned on other data."""


class Optimizer(StrEnum):
    """Rules by which weights follow their gradients."""

    ADAM = "adam"
    RMSPROP = "rmsprop"
    SGD = "sgd"  # stochastic gradient descent with momentum 0.9


class Schedule(StrEnum):
    """How the learning rate goes on from its first value."""

    CONSTANT = "constant"
    COSINE = "cosine"  # half a cosine down to zero at the last step (Loshchilov and Hutter 2017, without restarts)
    EXPONENTIAL = "exponential"  # times `decay_per_epoch` after each epoch
    STEP = "step"  # times `decay_per_step` when a quarter, half and three quarters of the steps are done


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument of a builder: its default, and either its range or its choices.

    Data that decide its value, as texts do that of "tokens", decide it up to this one where it is a ``limit``.
    """

    name: str
    default: Value
    low: float = 1
    high: float = float("inf")
    choices: tuple[str, ...] = ()
    limit: bool = False

    @property
    def takes(self) -> str:
        """Its range or its choices in words."""
        if self.choices:
            return ", ".join(self.choices)
        return f"{self.low:g} to {self.high:g}" if self.high != float("inf") else f"{self.low:g} or more"

    def checked(self, value: Value, *, model: str) -> Value:
        """``value``, which may be written out, in the type of the default, or `InputError` saying what is allowed."""
        if self.choices:
            if value not in self.choices:
                raise InputError(f"{model} has no {self.name} {value!r}; {suggest(str(value), self.choices)}")
            return value
        number = _number(value)
        got = repr(value) if math.isnan(number) else value
        if not self.low <= number <= self.high or math.isinf(number):
            raise InputError(f"{model} takes {self.name} {self.takes}; got {got}.")
        if not isinstance(self.default, int):
            return number
        if not number.is_integer():
            raise InputError(f"{model} takes {self.name} {self.takes}, a whole number; got {got}.")
        return int(number)


def _number(value: Value) -> float:
    """``value``, which may be written out, as a number, NaN where it is a word."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPreset:
    """Settings of one training. ``data`` of ``None`` means that the user must name a data set. ``ood`` is one of
    another kind, which a Bayesian classifier should be unsure of.

    ``arguments`` override the builder's defaults. ``shift_pixels`` is the largest random shift of a training image in
    each direction, ``flip`` mirrors it left to right with probability 1/2, ``zoom`` and ``brightness`` are the largest
    relative changes of its scale and of its pixels' values. Training stops after ``patience`` epochs without a better
    validation loss (0: never), and the best epoch's weights are kept. ``weight_decay`` times the weight is part of the
    gradient for `Optimizer.SGD`, as in the papers; the others shrink the weights beside it.

    Weights that are distributions are to be near to a normal one of mean 0 and ``prior_deviation``.

    ``clip`` is the largest norm of all gradients together (0: any). ``epoch_steps`` are the batches of an epoch of a
    long text or of pairs, where that is not as many as show all once.

    ``boxes`` are the random changes of a detector's training images, in place of those named before.
    In the first ``frozen_epochs`` only the layer "logits" learns; after them all layers do from the rate
    ``fine_tuning_rate`` on, but for batch normalisation, which keeps the statistics and scales it came with. With
    ``balanced`` the images of every class weigh as much together as those of any other.
    """

    data: str | None
    epochs: int
    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule = Schedule.CONSTANT
    decay_per_epoch: float = 1.0
    decay_per_step: float = 1.0
    weight_decay: float = 0.0
    prior_deviation: float = 1.0
    label_smoothing: float = 0.0
    shift_pixels: int = 0
    flip: bool = False
    zoom: float = 0.0
    brightness: float = 0.0
    balanced: bool = False
    clip: float = 0.0
    epoch_steps: int = 0
    frozen_epochs: int = 0
    fine_tuning_rate: float = 0.0
    boxes: BoxAugmentation | None = None
    patience: int = 0
    validation_fraction: float = 0.1
    ood: str | None = None
    resize: Resize | None = None
    arguments: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Figures printed for a width and an image size: multiply-accumulates of an image, and ImageNet top-1."""

    alpha: float
    size: int
    macs: int
    top1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Figures that the source prints for the default arguments, and how closely ours must equal them.

    ``macs`` are multiply-accumulate operations of one image. The tolerances, ``tolerance`` of the parameters, are
    relative; 0 means exactly. `ModelSpec.source` tells the reason of wide ones. ``widest`` is the largest number of
    channels between blocks by side of the activation in pixels. ``figures`` are measured ones by their names in JSON,
    on ``figures_data``. ``notes`` say why ours differ.
    """

    parameters: int
    macs: int | None = None
    top1: float | None = None
    top1_data: str | None = None
    map: float | None = None
    map_data: str | None = None
    tolerance: float = 0.0
    macs_tolerance: float = 0.005
    variants: tuple[Variant, ...] = ()
    widest: Mapping[int, int] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    figures_data: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One architecture: ``builder`` is "module:function", called with every one of ``arguments`` by keyword.

    A model of images takes (batch, size, size, channels) float32 and gives "logits", (batch, classes) float32, without
    softmax, or for a detector the outputs that ``anchors``, "module:function", tells of its arguments. One whose
    regions are proposed is two networks side by side, of which the second takes "pooled" and gives "scores" and
    "offsets". Others have neither ``channels`` nor ``preprocess`` nor ``resize``; their builders say what they take.
    A generator of pictures takes "noise", where it has "classes" or "categories" also "condition", with "codes" also
    "code", and learns against ``opponent``, which is built from the same arguments; capsules learn with theirs. One
    for verification is two networks side by side: "image" to "embedding", and "first" and "second" to what its ``loss``
    says.
    An argument "channels" overrides ``channels``. ``inner`` is a pattern of the names of layers inside blocks, whose
    outputs need not be in memory as a whole. ``backbone`` is the entry whose weights a detector can start from, and
    ``head`` a pattern of the layers that start anew for other classes. ``signatures``, ``keep_float`` and
    ``independent_scores`` are those of the card. A Bayesian classifier's network is that of the mean weights;
    ``sampler`` builds the one of a pass with noise from the same arguments.
    """

    name: str
    title: str
    task: str
    builder: str
    channels: int = 0
    arguments: tuple[Argument, ...]
    preprocess: str | None = None
    resize: Resize | None = None
    presets: Mapping[str, TrainingPreset]
    source: str
    published: Published
    inner: str = ""
    anchors: str = ""
    backbone: str = ""
    head: str = "logits"
    opponent: str = ""
    signatures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keep_float: tuple[str, ...] = ()
    independent_scores: bool = False
    sampler: str = ""

    @property
    def default_data(self) -> str | None:
        """The data set of the preset that is used when none is named."""
        return self.presets[DEFAULT_PRESET].data

    @property
    def defaults(self) -> dict[str, Value]:
        """Every argument with its default."""
        return {a.name: a.default for a in self.arguments}

    def resolved(self, overrides: Mapping[str, Value]) -> dict[str, Value]:
        """All arguments, with checked ``overrides``; `InputError` for a name or value that this model does not take."""
        known = {a.name: a for a in self.arguments}
        for name in overrides:
            if name not in known:
                near = closest(name, known)
                meant = "" if near is None else f" (did you mean {near}?)"
                raise InputError(f"{self.name} takes no {name!r}{meant}; choose one of: {', '.join(known)}.")
        return {
            **self.defaults,
            **{name: known[name].checked(value, model=self.name) for name, value in overrides.items()},
        }

    def set_to(self, arguments: Mapping[str, Value]) -> "ModelSpec":
        """This entry with ``arguments`` as its defaults."""
        defaults = self.resolved(arguments)
        return replace(self, arguments=tuple(replace(a, default=defaults[a.name]) for a in self.arguments))

    def preprocessing(
        self,
        arguments: Mapping[str, Value],
        *,
        affine: str | None = None,
        like: Preprocessing | None = None,
        resize: Resize | None = None,
    ) -> Preprocessing | None:
        """What turns an image into the input of the model that ``arguments`` give; the defaults are the source's.

        None for a model that takes no images.

        Values become what the preset ``affine`` makes of them, or what they become in ``like``, whose resize rule is
        taken too, but not by detectors, which look at whole images; ``resize`` wins over both.
        """
        if self.preprocess is None:
            return None
        known = {"channels": self.channels, **self.resolved(arguments)}
        side, channels = int(known["size"]), int(known["channels"])
        spec = preset(affine or self.preprocess, size_hw=(side, side), channels=channels)
        if like is not None:
            spec = replace(spec, scale=like.scale, offset=like.offset)
        rule = resize or (like.resize if like is not None and not self.anchors else self.resize)
        if rule is None or rule is Resize.CROP:
            return spec
        colour = Colour.GRAY if channels == 1 else Colour.RGB
        return Preprocessing(size_hw=(side, side), resize=rule, colour=colour, scale=spec.scale, offset=spec.offset)

    def detection(self, arguments: Mapping[str, Value]) -> Detection | None:
        """How the outputs of the model that ``arguments`` give become boxes, none for another task."""
        if not self.anchors:
            return None
        module, function = self.anchors.split(":")
        found: Detection = getattr(importlib.import_module(module), function)(self.resolved(arguments))
        return found

    def generator(self, arguments: Mapping[str, Value]) -> Generator | None:
        """The inputs of the generator that ``arguments`` give, none for another task."""
        if self.task != GENERATION:
            return None
        known = self.resolved(arguments)
        conditions = [
            Condition(name="condition", classes=int(known[name]), asked=name == "classes")
            for name in ("classes", "categories")
            if name in known
        ]
        return Generator(
            noise=Drawn(name="noise", size=int(known["noise"])),
            condition=conditions[0] if conditions else None,
            code=Drawn(name="code", size=int(known["codes"])) if "codes" in known else None,
        )

    def verification(self, arguments: Mapping[str, Value]) -> Verification | None:
        """What the second file of the model that ``arguments`` give measures, none for another task."""
        if self.task != VERIFICATION:
            return None
        logits = self.resolved(arguments)["loss"] == "logistic"
        return Verification(measure=Measure.LOGIT if logits else Measure.DISTANCE)

    def has_data(self, preset: str) -> bool:
        """Whether there is such a preset, and data that it learns."""
        return preset in self.presets and self.presets[preset].data is not None

    def preset(self, name: str) -> TrainingPreset:
        """The training settings called ``name``."""
        if name not in self.presets:
            raise InputError(f"{self.name} has no preset {name!r}; {suggest(name, self.presets)}")
        return self.presets[name]
