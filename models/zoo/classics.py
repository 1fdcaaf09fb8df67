"""The classic classifiers from LeNet to ResNet. Their "small" presets all learn CIFAR-10, to be compared on it."""

from dataclasses import replace

from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset, Value
from edgekit.preprocessing import Resize

_ALPHA = Argument(name="alpha", default=1.0, low=0.05, high=4)
_SHAPE = (
    _ALPHA,
    Argument(name="size", default=224, low=32),
    Argument(name="classes", default=1000, low=2),
)
_STEM = Argument(name="stem", default="imagenet", choices=("imagenet", "small"))
_NORM = Argument(name="norm", default="none", choices=("none", "batch"))
_MOMENTUM = Argument(name="momentum", default=0.99, low=0, high=1)
_UNITS = Argument(name="units", default=4096)
_HALF_DROPOUT = Argument(name="dropout", default=0.5, low=0, high=0.95)

_RESNETS = "He, Zhang, Ren and Sun 2015, Deep residual learning, arXiv:1512.03385"
_VGGS = "Simonyan and Zisserman 2014, Very deep convolutional networks, arXiv:1409.1556"


def _small(*, epochs: int, learning_rate: float = 0.05, **arguments: Value) -> TrainingPreset:
    """CIFAR-10 in minutes on two cores."""
    return TrainingPreset(
        data="cifar10",
        epochs=epochs,
        batch_size=64,
        optimizer=Optimizer.SGD,
        learning_rate=learning_rate,
        schedule=Schedule.COSINE,
        weight_decay=5e-4,
        flip=True,
        shift_pixels=4,
        resize=Resize.STRETCH,
        arguments={**arguments, "size": 32, "classes": 10},
    )


def _paper(
    *, epochs: int, batch_size: int, learning_rate: float, weight_decay: float, decay_per_step: float = 0.1
) -> TrainingPreset:
    """Momentum and three drops of the rate; the paper waits for a plateau. Shifts replace crops out of 256 pixels."""
    return TrainingPreset(
        data=None,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=Optimizer.SGD,
        learning_rate=learning_rate,
        schedule=Schedule.STEP,
        decay_per_step=decay_per_step,
        weight_decay=weight_decay,
        flip=True,
        shift_pixels=16,
    )


def _vgg(depth: int, *, small: TrainingPreset, published: Published) -> ModelSpec:
    return ModelSpec(
        name=f"vgg{depth}",
        title=f"VGG-{depth}, five blocks of 3 x 3 convolutions",
        task="classification",
        builder=f"edgekit.models.vgg:vgg{depth}",
        channels=3,
        arguments=(*_SHAPE, _NORM, _MOMENTUM, _UNITS, _HALF_DROPOUT),
        preprocess="torch",
        resize=Resize.CROP,
        # Section 3.1: 74 epochs, the rate divided by ten three times
        presets={"small": small, "book": _paper(epochs=74, batch_size=256, learning_rate=1e-2, weight_decay=5e-4)},
        source=(
            f"{_VGGS}, table 1; top-1 of table 3 with sides of 256; multiplications of the convolutions: {_RESNETS}, "
            "section 4.1"
        ),
        published=published,
    )


def _resnet(depth: int, *, small: TrainingPreset, published: Published) -> ModelSpec:
    return ModelSpec(
        name=f"resnet{depth}",
        title=f"ResNet-{depth}, residual connections",
        task="classification",
        builder=f"edgekit.models.resnet:resnet{depth}",
        channels=3,
        arguments=(*_SHAPE, _STEM, _MOMENTUM),
        preprocess="torch",
        resize=Resize.CROP,
        # Section 3.4: 600,000 steps of 256 images; figure 4 has the drops at about a quarter, a half and three quarters
        presets={"small": small, "book": _paper(epochs=120, batch_size=256, learning_rate=0.1, weight_decay=1e-4)},
        source=(
            f"{_RESNETS}, table 1, shortcuts B; top-1 of ten crops, of ResNet-18 with shortcuts A; "
            "parameters: torchvision"
        ),
        published=published,
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
            "small": _small(epochs=26, learning_rate=0.02, alpha=0.5, momentum=0.9, dropout=0.2),
            "book": TrainingPreset(
                data="cifar10", epochs=50, batch_size=128, optimizer=Optimizer.ADAM, learning_rate=1e-3
            ),
        },
        source=(
            "Convolutions of 64-128-128-256-512 filters and dense layers of 1024-512-256; where it pools, and so the "
            "count, is edgekit's choice; "
            "data: Krizhevsky 2009, Learning multiple layers of features from tiny images"
        ),
        published=Published(parameters=4_456_522),
    ),
    ModelSpec(
        name="alexnet",
        title="AlexNet with one tower, large kernels and large dense layers",
        task="classification",
        builder="edgekit.models.alexnet:build",
        channels=3,
        arguments=(*_SHAPE, _STEM, _NORM, _MOMENTUM, _UNITS, _HALF_DROPOUT),
        preprocess="torch",
        resize=Resize.CROP,
        presets={
            "small": _small(
                epochs=25,
                learning_rate=0.02,
                alpha=0.375,
                stem="small",
                norm="batch",
                momentum=0.9,
                units=256,
                dropout=0.2,
            ),
            # Section 5
            "book": _paper(
                epochs=90, batch_size=128, learning_rate=1e-2, weight_decay=5e-4, decay_per_step=250 ** (-1 / 3)
            ),
        },
        source=(
            "Krizhevsky 2014, One weird trick, arXiv:1404.5997, section 5, with the 64-192-384-256-256 filters of its "
            "published code, which fit the text's 0.2 % over two towers; no response normalisation; top-1 of one GPU; "
            "counts: torchvision"
        ),
        published=Published(
            parameters=61_100_840, macs=710_000_000, top1=0.5767, top1_data="ImageNet", macs_tolerance=0.01
        ),
    ),
    _vgg(
        16,
        small=_small(epochs=30, learning_rate=0.02, alpha=0.25, norm="batch", momentum=0.9, units=256, dropout=0.2),
        published=Published(
            parameters=138_357_544, macs=15_300_000_000, top1=0.730, top1_data="ImageNet", macs_tolerance=0.015
        ),
    ),
    _vgg(
        19,
        small=_small(epochs=26, learning_rate=0.02, alpha=0.25, norm="batch", momentum=0.9, units=256, dropout=0.2),
        published=Published(parameters=143_667_240, macs=19_600_000_000, top1=0.727, top1_data="ImageNet"),
    ),
    ModelSpec(
        name="inception_v1",
        title="Inception V1 (GoogLeNet), kernels of several sizes side by side",
        task="classification",
        builder="edgekit.models.inception_v1:build",
        channels=3,
        arguments=(*_SHAPE, _STEM, _NORM, _MOMENTUM, Argument(name="dropout", default=0.4, low=0, high=0.95)),
        preprocess="torch",
        resize=Resize.CROP,
        presets={
            "small": _small(epochs=13, alpha=0.25, stem="small", norm="batch", momentum=0.9, dropout=0.2),
            # Section 6 has the fall of the rate, 4 % in 8 epochs, and the momentum; the rest is BVLC GoogLeNet's.
            "book": TrainingPreset(
                data=None,
                epochs=60,
                batch_size=32,
                optimizer=Optimizer.SGD,
                learning_rate=1e-2,
                schedule=Schedule.EXPONENTIAL,
                decay_per_epoch=0.96 ** (1 / 8),
                weight_decay=2e-4,
                flip=True,
                shift_pixels=16,
            ),
        },
        source=(
            "Szegedy et al. 2014, Going deeper with convolutions, arXiv:1409.4842, table 1, whose columns sum to 6,798 "
            "times 1,024 weights and 1,502 million multiplications; it has 34 million for the first convolution, whose "
            "7 x 7 x 3 x 64 weights at 112 x 112 make 118; no response normalisation"
        ),
        published=Published(parameters=6_960_000, macs=1_502_000_000, tolerance=0.006, macs_tolerance=0.06),
    ),
    _resnet(
        18,
        small=_small(epochs=18, alpha=0.25, stem="small", momentum=0.9),
        published=Published(
            parameters=11_689_512, macs=1_800_000_000, top1=0.7212, top1_data="ImageNet", macs_tolerance=0.02
        ),
    ),
    _resnet(
        34,
        small=_small(epochs=14, alpha=0.25, stem="small", momentum=0.9),
        published=Published(
            parameters=21_797_672, macs=3_600_000_000, top1=0.7548, top1_data="ImageNet", macs_tolerance=0.02
        ),
    ),
    _resnet(
        50,
        small=_small(epochs=14, learning_rate=0.02, alpha=0.25, stem="small", momentum=0.9),
        published=Published(
            parameters=25_557_032, macs=3_800_000_000, top1=0.7715, top1_data="ImageNet", macs_tolerance=0.02
        ),
    ),
)
