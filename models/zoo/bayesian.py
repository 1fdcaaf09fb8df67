"""Classifiers that know when they do not know: networks whose weights, or whose dropped units, are random."""

from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset, Value
from edgekit.preprocessing import Resize

_BOOK = "Y. Liu and S. Mehta, Hands-On Deep Learning Architectures with Python, Packt 2019, chapter 8"
_BLUNDELL = "Blundell et al. 2015, arXiv:1505.05424"
_KINGMA = "Kingma, Salimans and Welling 2015, arXiv:1506.02557"
_COUNTED = "the source prints no number of parameters; this one, of the mean network, follows from its layers"
_CLASSES = Argument(name="classes", default=10, low=2)
_FILTERS = Argument(name="filters", default=16)


def _small(*, epochs: int, **arguments: Value) -> TrainingPreset:
    return TrainingPreset(
        data="mnist",
        epochs=epochs,
        batch_size=128,
        optimizer=Optimizer.ADAM,
        learning_rate=2e-3,
        schedule=Schedule.COSINE,
        validation_fraction=0.05,
        ood="notmnist",
        arguments=arguments,
    )


def _book(*, epochs: int) -> TrainingPreset:
    return TrainingPreset(
        data="mnist", epochs=epochs, batch_size=128, optimizer=Optimizer.ADAM, learning_rate=1e-3,
        validation_fraction=0.05, ood="notmnist",
    )  # fmt: skip


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="bayes_dense",
        title="Classifier of dense layers with random weights",
        task="classification",
        builder="edgekit.models.bayesian:dense",
        sampler="edgekit.models.bayesian:dense_pass",
        channels=1,
        arguments=(Argument(name="size", default=28), _CLASSES, Argument(name="units", default=0, low=0)),
        preprocess="unit",
        resize=Resize.STRETCH,
        presets={"small": _small(epochs=20, units=400), "book": _book(epochs=20)},
        source=f"{_BOOK}; {_BLUNDELL}; {_KINGMA}",
        published=Published(parameters=7_850, top1=0.91, top1_data="mnist", notes=(_COUNTED,)),
    ),
    ModelSpec(
        name="bayes_conv",
        title="Convolutional network with random weights",
        task="classification",
        builder="edgekit.models.bayesian:conv",
        sampler="edgekit.models.bayesian:conv_pass",
        channels=1,
        arguments=(
            Argument(name="size", default=28, low=16), _CLASSES, _FILTERS, Argument(name="units", default=128),
        ),
        preprocess="unit",
        resize=Resize.STRETCH,
        presets={"small": _small(epochs=12), "book": _book(epochs=40)},
        source=f"{_BLUNDELL}; {_KINGMA}",
        published=Published(parameters=80_202, notes=(_COUNTED,)),
    ),
    ModelSpec(
        name="mc_dropout",
        title="Convolutional network whose dropout stays on, MC dropout",
        task="classification",
        builder="edgekit.models.bayesian:dropout",
        sampler="edgekit.models.bayesian:dropout_pass",
        channels=1,
        arguments=(
            Argument(name="size", default=28, low=16),
            _CLASSES,
            _FILTERS,
            Argument(name="units", default=128),
            Argument(name="dropout", default=0.5, low=0, high=0.95),
        ),
        preprocess="unit",
        resize=Resize.STRETCH,
        presets={"small": _small(epochs=12), "book": _book(epochs=40)},
        source="Gal and Ghahramani 2016, arXiv:1506.02142; of convolutions the same 2015, arXiv:1506.02158",
        published=Published(parameters=80_202, notes=(_COUNTED,)),
    ),
)  # fmt: skip
