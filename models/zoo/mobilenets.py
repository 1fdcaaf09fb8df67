"""The MobileNets."""

from dataclasses import replace

from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset
from edgekit.preprocessing import Resize

_ARGUMENTS = (
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

_BOOK = TrainingPreset(
    data=None,
    epochs=100,
    batch_size=96,
    optimizer=Optimizer.RMSPROP,
    learning_rate=0.045,
    schedule=Schedule.EXPONENTIAL,
    decay_per_epoch=0.98,
    flip=True,
    patience=20,
)

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="mobilenet_v1",
        title="MobileNetV1, depthwise separable convolutions",
        task="classification",
        builder="edgekit.models.mobilenet_v1:build",
        channels=3,
        arguments=(*_ARGUMENTS, Argument(name="dropout", default=0.001, low=0, high=0.95)),
        preprocess="tf",
        resize=Resize.CROP,
        presets={
            "small": _DIGITS,
            "book": _BOOK,
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
        arguments=(*_ARGUMENTS, Argument(name="dropout", default=0.2, low=0, high=0.95)),
        preprocess="tf",
        resize=Resize.CROP,
        presets={
            "small": _DIGITS,
            "book": replace(_BOOK, weight_decay=4e-5),
        },
        source="Sandler et al. 2018, MobileNetV2, arXiv:1801.04381, table 2; training: section 6.1",
        published=Published(parameters=3_400_000, macs=300_000_000, top1=0.720, top1_data="ImageNet", tolerance=0.035),
    ),
)
