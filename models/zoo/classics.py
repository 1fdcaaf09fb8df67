"""The classic classifiers of 32 x 32 pixels. Their "small" presets all learn CIFAR-10, to be compared on it."""

from dataclasses import replace

from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset, Value
from edgekit.preprocessing import Resize

_ALPHA = Argument(name="alpha", default=1.0, low=0.05, high=4)
_MOMENTUM = Argument(name="momentum", default=0.99, low=0, high=1)
_HALF_DROPOUT = Argument(name="dropout", default=0.5, low=0, high=0.95)


def _small(*, epochs: int, **arguments: Value) -> TrainingPreset:
    """CIFAR-10 in minutes on two cores."""
    return TrainingPreset(
        data="cifar10",
        epochs=epochs,
        batch_size=64,
        optimizer=Optimizer.SGD,
        learning_rate=0.05,
        schedule=Schedule.COSINE,
        weight_decay=5e-4,
        flip=True,
        shift_pixels=4,
        resize=Resize.STRETCH,
        arguments={**arguments, "size": 32, "classes": 10},
    )


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="lenet5",
        title="LeNet-5, two convolutions and three dense layers for digits",
        task="classification",
        builder="edgekit.models.lenet5:build",
        channels=1,
        arguments=(
            Argument(name="size", default=32, low=16),
            Argument(name="classes", default=10, low=2),
            Argument(name="channels", default=1, low=1, high=3),
        ),
        preprocess="tf",
        resize=Resize.STRETCH,
        presets={
            "small": replace(
                _small(epochs=60, channels=3), optimizer=Optimizer.ADAM, learning_rate=2e-3, weight_decay=0.0
            ),
            # Section 3: 20 passes with a falling rate; its steps are scaled by the diagonal of the Hessian.
            "book": TrainingPreset(
                data="mnist",
                epochs=20,
                batch_size=16,
                optimizer=Optimizer.SGD,
                learning_rate=1e-2,
                schedule=Schedule.EXPONENTIAL,
                decay_per_epoch=0.8,
            ),
        },
        source=(
            "LeCun et al. 1998, Gradient-based learning applied to document recognition, figure 2; "
            "1,706 parameters more: C3 sees every map, pooling has none, the output layer is learned"
        ),
        published=Published(parameters=60_000, top1=0.9905, top1_data="mnist", tolerance=0.03),
    ),
    ModelSpec(
        name="cifar_cnn",
        title="Five normalised convolutions and three dense layers for CIFAR-10",
        task="classification",
        builder="edgekit.models.cifar_cnn:build",
        channels=3,
        arguments=(
            _ALPHA,
            Argument(name="size", default=32, low=16),
            Argument(name="classes", default=10, low=2),
            _MOMENTUM,
            _HALF_DROPOUT,
        ),
        preprocess="tf",
        resize=Resize.STRETCH,
        presets={
            "small": _small(epochs=20, alpha=0.5, momentum=0.9, dropout=0.3),
            "book": TrainingPreset(
                data="cifar10", epochs=50, batch_size=128, optimizer=Optimizer.ADAM, learning_rate=1e-3
            ),
        },
        source=(
            "Convolutions of 64-128-128-256-512 filters and dense layers of 1024-512-256; "
            "data: Krizhevsky 2009, Learning multiple layers of features from tiny images"
        ),
        published=Published(parameters=4_456_522),
    ),
)
