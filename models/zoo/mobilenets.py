"""The MobileNets."""

from dataclasses import replace

from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset, Variant
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

# The head learns alone, then all layers gently, as few photos would soon be learned by heart.
_TRANSFER = TrainingPreset(
    data=None,
    epochs=10,
    batch_size=32,
    optimizer=Optimizer.ADAM,
    learning_rate=1e-3,
    schedule=Schedule.COSINE,
    flip=True,
    shift_pixels=8,
    zoom=0.2,
    brightness=0.2,
    balanced=True,
    frozen_epochs=5,
    fine_tuning_rate=1e-4,
)

_CHECKPOINTS = "widths and sizes: the page of TF-slim's checkpoints"


def _variants(*rows: tuple[float, int, int, float]) -> tuple[Variant, ...]:
    """From (alpha, size, millions of multiply-accumulates, top-1 in percent)."""
    return tuple(
        Variant(alpha=alpha, size=size, macs=millions * 1_000_000, top1=percent / 100)
        for alpha, size, millions, percent in rows
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
            "transfer": _TRANSFER,
        },
        source=f"Howard et al. 2017, MobileNets, arXiv:1704.04861, table 1; {_CHECKPOINTS}",
        published=Published(
            parameters=4_200_000,
            macs=569_000_000,
            top1=0.706,
            top1_data="ImageNet",
            tolerance=0.015,
            variants=_variants(
                (1.0, 224, 569, 70.9),
                (1.0, 192, 418, 70.0),
                (1.0, 160, 291, 68.0),
                (1.0, 128, 186, 65.2),
                (0.75, 224, 317, 68.4),
                (0.75, 192, 233, 67.2),
                (0.75, 160, 162, 65.3),
                (0.75, 128, 104, 62.1),
                (0.5, 224, 150, 63.3),
                (0.5, 192, 110, 61.7),
                (0.5, 160, 77, 59.1),
                (0.5, 128, 49, 56.3),
                (0.25, 224, 41, 49.8),
                (0.25, 192, 34, 47.7),
                (0.25, 160, 21, 45.5),
                (0.25, 128, 14, 41.5),
            ),
            widest={112: 64, 56: 128, 28: 256, 14: 512, 7: 1024},  # Sandler et al. 2018, table 3
            notes=("the paper on MobileNetV2 prints 575 million multiply-accumulates for it, its own paper 569.",),
        ),
        inner=r"conv1|conv_dw_\d+",
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
            "transfer": _TRANSFER,
        },
        source=f"Sandler et al. 2018, MobileNetV2, arXiv:1801.04381, table 2; training: section 6.1; {_CHECKPOINTS}",
        published=Published(
            parameters=3_400_000,
            macs=300_000_000,
            top1=0.720,
            top1_data="ImageNet",
            tolerance=0.035,
            variants=_variants(
                (1.4, 224, 582, 75.0),
                (1.3, 224, 509, 74.4),
                (1.0, 224, 300, 71.8),
                (1.0, 192, 221, 70.7),
                (1.0, 160, 154, 68.8),
                (1.0, 128, 99, 65.3),
                (1.0, 96, 56, 60.3),
                (0.75, 224, 209, 69.8),
                (0.75, 192, 153, 68.7),
                (0.75, 160, 107, 66.4),
                (0.75, 128, 69, 63.2),
                (0.75, 96, 39, 58.8),
                (0.5, 224, 97, 65.4),
                (0.5, 192, 71, 63.9),
                (0.5, 160, 50, 61.0),
                (0.5, 128, 32, 57.7),
                (0.5, 96, 18, 51.2),
                (0.35, 224, 59, 60.3),
                (0.35, 192, 43, 58.2),
                (0.35, 160, 30, 55.7),
                (0.35, 128, 20, 50.8),
                (0.35, 96, 11, 45.5),
            ),
            widest={112: 16, 56: 32, 28: 64, 14: 160, 7: 320},  # table 3
            notes=(
                "the page of checkpoints prints 3.47 million parameters, which are ours without the scales and offsets "
                "of batch normalisation; the paper prints 3.4.",
                "table 3 of the paper has for 56, 28 and 14 pixels the channels that its table 2 has one resolution "
                "further down; the largest memory is the same.",
            ),
        ),
        inner=r"stem|block_\d+_(expand|depthwise)|head",
    ),
)
