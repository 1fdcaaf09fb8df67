"""Generators of handwritten digits, which learn against a network that tells them from real ones."""

from dataclasses import replace

from edgekit.models.spec import GENERATION, Argument, ModelSpec, Optimizer, Published, TrainingPreset, Value

_BOOK = "Y. Liu and S. Mehta, Hands-On Deep Learning Architectures with Python, Packt 2019, chapter 7"
_COUNTED = "the source prints no number of parameters; this one follows from the layers of its program"
_SMALLER = (
    "pictures have 28 pixels a side, where the source makes 32 by adding a gray rim: the first transposed convolution "
    "goes from 4 to 7 pixels instead of 8, with the same weights"
)
_NOISE = Argument(name="noise", default=100)
_CLASSES = Argument(name="classes", default=10, low=2)
_UNITS = Argument(name="units", default=256)
_DROPOUT = Argument(name="dropout", default=0.0, low=0, high=0.95)
"""Of the discriminator, which without it may soon tell all pictures apart; the generator learns nothing more then."""
_FILTERS = Argument(name="filters", default=64)
_MOMENTUM = Argument(name="momentum", default=0.9, low=0, high=1)


def _book(epochs: int) -> TrainingPreset:
    return TrainingPreset(
        data="mnist",
        epochs=epochs,
        batch_size=128,
        optimizer=Optimizer.ADAM,
        learning_rate=2e-4,
        validation_fraction=0.05,
    )


def _small(*, epochs: int, **arguments: Value) -> TrainingPreset:
    """Minutes on two cores: narrower networks, and twice the steps an epoch."""
    return replace(_book(epochs), batch_size=64, arguments=arguments)


def _smooth(*, epochs: int, **arguments: Value) -> TrainingPreset:
    """As `_small`, for dense layers: real pictures count as real by nine tenths (Salimans et al. 2016, section 3.4)."""
    return replace(_small(epochs=epochs, **arguments), label_smoothing=0.1)


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="gan",
        title="Generator of dense layers, the first GAN",
        task=GENERATION,
        builder="edgekit.models.generators:gan",
        opponent="edgekit.models.discriminators:gan",
        arguments=(_NOISE, _UNITS, _DROPOUT),
        presets={"small": _smooth(epochs=30, units=128, dropout=0.5), "book": _book(100)},
        source=f"{_BOOK}; Goodfellow et al. 2014, arXiv:1406.2661",
        published=Published(parameters=1_486_352, notes=(_COUNTED,)),
    ),
    ModelSpec(
        name="dcgan",
        title="Generator of transposed convolutions, DCGAN",
        task=GENERATION,
        builder="edgekit.models.generators:dcgan",
        opponent="edgekit.models.discriminators:dcgan",
        arguments=(_NOISE, _FILTERS, _MOMENTUM),
        presets={"small": _small(epochs=15, filters=16), "book": _book(50)},
        source=f"{_BOOK}; Radford, Metz and Chintala 2015, arXiv:1511.06434",
        published=Published(parameters=1_439_873, notes=(_COUNTED, _SMALLER)),
    ),
    ModelSpec(
        name="cgan",
        title="Generator of dense layers that is asked for a class, CGAN",
        task=GENERATION,
        builder="edgekit.models.generators:cgan",
        opponent="edgekit.models.discriminators:cgan",
        arguments=(
            _NOISE,
            _CLASSES,
            _UNITS,
            _DROPOUT,
            Argument(name="match", default="beside", choices=("beside", "projection")),
        ),
        presets={"small": _smooth(epochs=30, units=128, dropout=0.5, match="projection"), "book": _book(100)},
        source=f"{_BOOK}; Mirza and Osindero 2014, arXiv:1411.1784",
        published=Published(parameters=1_488_912, notes=(_COUNTED,)),
    ),
    ModelSpec(
        name="infogan",
        title="Generator of transposed convolutions that finds classes itself, InfoGAN",
        task=GENERATION,
        builder="edgekit.models.generators:infogan",
        opponent="edgekit.models.discriminators:infogan",
        arguments=(
            _NOISE,
            Argument(name="categories", default=10, low=2),
            Argument(name="codes", default=1),
            _FILTERS,
            _MOMENTUM,
        ),
        presets={"small": _small(epochs=15, filters=16, codes=2), "book": _book(50)},
        source=f"{_BOOK}; Chen et al. 2016, arXiv:1606.03657",
        published=Published(
            parameters=1_484_929,
            notes=(
                _COUNTED,
                _SMALLER,
                "the number is drawn evenly between -1 and 1, as in the paper, and its guess is to come near it; the "
                "source draws it from a normal distribution, and keeps its guess near 0",
            ),
        ),
    ),
)
