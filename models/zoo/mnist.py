"""Networks for MNIST and for Fashion-MNIST, which has its form."""

from dataclasses import replace

from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset
from edgekit.preprocessing import Resize

_CLASSES = Argument(name="classes", default=10, low=2)
_SIZE_28 = Argument(name="size", default=28, low=1)
_ATIENZA = "R. Atienza, Advanced Deep Learning with TensorFlow 2 and Keras, 2nd ed., Packt 2020, chapter 1"

_BOOK = TrainingPreset(data="mnist", epochs=20, batch_size=128, optimizer=Optimizer.ADAM, learning_rate=1e-3)

SPECS: tuple[ModelSpec, ...] = (
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
            "book": _BOOK,
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
            "book": replace(_BOOK, epochs=10),
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
            "book": replace(_BOOK, data="fashion_mnist"),
        },
        source="A fully connected 784-256-128-10 network; data: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747",
        published=Published(parameters=235_146),
    ),
)
