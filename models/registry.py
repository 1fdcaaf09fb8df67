"""The zoo: one frozen entry per architecture. Importing this module loads no framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edgekit.errors import InputError, suggest
from edgekit.preprocessing import Colour, Preprocessing, Resize, preset

Value = int | float | str


class Optimizer(StrEnum):
    """Rules by which weights follow their gradients."""

    ADAM = "adam"
    RMSPROP = "rmsprop"


class Schedule(StrEnum):
    """How the learning rate goes on from its first value."""

    CONSTANT = "constant"
    COSINE = "cosine"  # half a cosine down to zero at the last step (Loshchilov and Hutter 2017, without restarts)
    EXPONENTIAL = "exponential"  # times `decay_per_epoch` after each epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument of a builder: its default, and either its range or its choices."""

    name: str
    default: Value
    low: float = 1
    high: float = float("inf")
    choices: tuple[str, ...] = ()

    def checked(self, value: Value, *, model: str) -> Value:
        """``value`` in the type of the default, or `InputError` saying what is allowed."""
        if self.choices:
            if value not in self.choices:
                raise InputError(f"{model} has no {self.name} {value!r}; {suggest(str(value), self.choices)}")
            return value
        number = float(value)
        if not self.low <= number <= self.high:
            upper = f" to {self.high:g}" if self.high != float("inf") else " or more"
            raise InputError(f"{model} takes {self.name} {self.low:g}{upper}; got {value}.")
        return int(value) if isinstance(self.default, int) else number


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPreset:
    """Settings of one training. ``data`` of ``None`` means that the user must name a data set.

    ``arguments`` override the builder's defaults. ``shift_pixels`` is the largest random shift of a training image in
    each direction, ``flip`` mirrors it left to right with probability 1/2. Training stops after ``patience`` epochs
    without a better validation loss (0: never), and the best epoch's weights are kept.
    """

    data: str | None
    epochs: int
    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule = Schedule.CONSTANT
    decay_per_epoch: float = 1.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    shift_pixels: int = 0
    flip: bool = False
    patience: int = 0
    validation_fraction: float = 0.1
    resize: Resize | None = None
    arguments: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Figures that the source prints for the default arguments, and how closely ours must equal them.

    ``macs`` are multiply-accumulate operations of one image. ``tolerance`` is relative; 0 means exactly.
    """

    parameters: int
    macs: int | None = None
    top1: float | None = None
    top1_data: str | None = None
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One architecture: ``builder`` is "module:function", called with every one of ``arguments`` by keyword.

    The model takes (batch, size, size, channels) float32 and gives "logits", (batch, classes) float32, without softmax.
    """

    name: str
    title: str
    task: str
    builder: str
    channels: int
    arguments: tuple[Argument, ...]
    preprocess: str
    resize: Resize
    presets: Mapping[str, TrainingPreset]
    source: str
    published: Published

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
                raise InputError(f"{self.name} takes no {name!r}; {suggest(name, known)}")
        return {
            **self.defaults,
            **{name: known[name].checked(value, model=self.name) for name, value in overrides.items()},
        }

    def preprocessing(self, size: int, *, affine: str | None = None, resize: Resize | None = None) -> Preprocessing:
        """What turns an image into this model's input of ``size`` x ``size``; the defaults are the source's."""
        spec = preset(affine or self.preprocess, size_hw=(size, size), channels=self.channels)
        rule = resize or self.resize
        if rule is Resize.CROP:
            return spec
        colour = Colour.GRAY if self.channels == 1 else Colour.RGB
        return Preprocessing(size_hw=(size, size), resize=rule, colour=colour, scale=spec.scale, offset=spec.offset)

    def preset(self, name: str) -> TrainingPreset:
        """The training settings called ``name``."""
        if name not in self.presets:
            raise InputError(f"{self.name} has no preset {name!r}; {suggest(name, self.presets)}")
        return self.presets[name]


DEFAULT_PRESET = "small"

_CLASSES = Argument(name="classes", default=10, low=2)
_SIZE_28 = Argument(name="size", default=28, low=1)
_ATIENZA = "R. Atienza, Advanced Deep Learning with TensorFlow 2 and Keras, 2nd ed., Packt 2020, chapter 1"
_MOBILENET_ARGUMENTS = (
    Argument(name="alpha", default=1.0, low=0.1, high=4),
    Argument(name="size", default=224, low=32),
    Argument(name="classes", default=1000, low=2),
    Argument(name="padding", default="same", choices=("same", "torch")),
    Argument(name="epsilon", default=1e-3, low=1e-7, high=1e-1),
    Argument(name="momentum", default=0.99, low=0, high=1),
)
# Batch statistics move quickly, because a small data set gives few steps an epoch.
_DIGITS = TrainingPreset(
    data="digits",
    epochs=20,
    batch_size=48,
    optimizer=Optimizer.ADAM,
    learning_rate=4e-3,
    schedule=Schedule.COSINE,
    label_smoothing=0.05,
    shift_pixels=6,
    validation_fraction=0.1,
    resize=Resize.STRETCH,
    arguments={"alpha": 0.35, "size": 48, "classes": 10, "momentum": 0.9},
)

ZOO: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="mlp",
        title="Multilayer perceptron for MNIST",
        task="classification",
        builder="edgekit.models.mlp:build",
        channels=1,
        arguments=(
            _SIZE_28,
            _CLASSES,
            Argument(name="units", default=256),
            Argument(name="dropout", default=0.45, low=0, high=0.95),
        ),
        preprocess="unit",
        resize=Resize.STRETCH,
        presets={
            "small": TrainingPreset(
                data="mnist",
                epochs=30,
                batch_size=128,
                optimizer=Optimizer.ADAM,
                learning_rate=1e-3,
                schedule=Schedule.COSINE,
                shift_pixels=1,
                validation_fraction=0.05,
            ),
            "book": TrainingPreset(
                data="mnist", epochs=20, batch_size=128, optimizer=Optimizer.ADAM, learning_rate=1e-3
            ),
        },
        source=f"{_ATIENZA}, section 3",
        published=Published(parameters=269_322, top1=0.983, top1_data="mnist"),
    ),
    ModelSpec(
        name="cnn",
        title="Convolutional network for MNIST",
        task="classification",
        builder="edgekit.models.cnn:build",
        channels=1,
        arguments=(
            Argument(name="size", default=28, low=18),
            _CLASSES,
            Argument(name="filters", default=64),
            Argument(name="dropout", default=0.2, low=0, high=0.95),
        ),
        preprocess="unit",
        resize=Resize.STRETCH,
        presets={
            "small": TrainingPreset(
                data="mnist",
                epochs=8,
                batch_size=128,
                optimizer=Optimizer.ADAM,
                learning_rate=2e-3,
                schedule=Schedule.COSINE,
                shift_pixels=2,
                validation_fraction=0.05,
            ),
            "book": TrainingPreset(
                data="mnist", epochs=10, batch_size=128, optimizer=Optimizer.ADAM, learning_rate=1e-3
            ),
        },
        source=f"{_ATIENZA}, section 4",
        published=Published(parameters=80_266, top1=0.994, top1_data="mnist"),
    ),
    ModelSpec(
        name="dfn",
        title="Deep feed-forward network for Fashion-MNIST",
        task="classification",
        builder="edgekit.models.dfn:build",
        channels=1,
        arguments=(_SIZE_28, _CLASSES, Argument(name="dropout", default=0.2, low=0, high=0.95)),
        preprocess="unit",
        resize=Resize.STRETCH,
        presets={
            "small": TrainingPreset(
                data="fashion_mnist",
                epochs=60,
                batch_size=128,
                optimizer=Optimizer.ADAM,
                learning_rate=1e-3,
                schedule=Schedule.COSINE,
                label_smoothing=0.05,
                flip=True,
                shift_pixels=1,
                validation_fraction=0.05,
            ),
            "book": TrainingPreset(
                data="fashion_mnist", epochs=20, batch_size=128, optimizer=Optimizer.ADAM, learning_rate=1e-3
            ),
        },
        source="A fully connected 784-256-128-10 network; data: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747",
        published=Published(parameters=235_146),
    ),
    ModelSpec(
        name="mobilenet_v1",
        title="MobileNetV1, depthwise separable convolutions",
        task="classification",
        builder="edgekit.models.mobilenet_v1:build",
        channels=3,
        arguments=(*_MOBILENET_ARGUMENTS, Argument(name="dropout", default=0.001, low=0, high=0.95)),
        preprocess="tf",
        resize=Resize.CROP,
        presets={
            "small": _DIGITS,
            "book": TrainingPreset(
                data=None,
                epochs=100,
                batch_size=96,
                optimizer=Optimizer.RMSPROP,
                learning_rate=0.045,
                schedule=Schedule.EXPONENTIAL,
                decay_per_epoch=0.98,
                flip=True,
                patience=20,
            ),
        },
        source="Howard et al. 2017, MobileNets, arXiv:1704.04861, table 1",
        published=Published(parameters=4_200_000, macs=569_000_000, top1=0.706, top1_data="ImageNet", tolerance=0.015),
    ),
    ModelSpec(
        name="mobilenet_v2",
        title="MobileNetV2, inverted residuals and linear bottlenecks",
        task="classification",
        builder="edgekit.models.mobilenet_v2:build",
        channels=3,
        arguments=(*_MOBILENET_ARGUMENTS, Argument(name="dropout", default=0.2, low=0, high=0.95)),
        preprocess="tf",
        resize=Resize.CROP,
        presets={
            "small": _DIGITS,
            "book": TrainingPreset(
                data=None,
                epochs=100,
                batch_size=96,
                optimizer=Optimizer.RMSPROP,
                learning_rate=0.045,
                schedule=Schedule.EXPONENTIAL,
                decay_per_epoch=0.98,
                weight_decay=4e-5,
                flip=True,
                patience=20,
            ),
        },
        source="Sandler et al. 2018, MobileNetV2, arXiv:1801.04381, table 2; training: section 6.1",
        published=Published(parameters=3_400_000, macs=300_000_000, top1=0.720, top1_data="ImageNet", tolerance=0.035),
    ),
)


def _by_name(zoo: tuple[ModelSpec, ...]) -> dict[str, ModelSpec]:
    table: dict[str, ModelSpec] = {}
    for spec in zoo:
        if spec.name in table:
            raise ValueError(f"The zoo has two models called {spec.name!r}; give one of them another name.")
        table[spec.name] = spec
    return table


_TABLE = _by_name(ZOO)


def find_spec(name: str) -> ModelSpec:
    """The entry called ``name``; `InputError` offers the closest when there is none."""
    if name not in _TABLE:
        raise InputError(f"There is no model {name!r} in the zoo; {suggest(name, _TABLE)}")
    return _TABLE[name]
