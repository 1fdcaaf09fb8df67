"""Autoencoders, which learn what is normal and tell anomalies by the error of what they make again."""

from dataclasses import replace

from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset, Value
from edgekit.preprocessing import Resize

TASK = "anomaly-detection"
_BOOK = "Y. Liu and S. Mehta, Hands-On Deep Learning Architectures with Python, Packt 2019, chapter 3"
_COUNTED = "the source prints no number of parameters; this one follows from the layers of its program"
_OURS = "the source prints none; the number is ours"
_FEATURES = Argument(name="features", default=29)
_HIDDEN = Argument(name="hidden", default=80)
_CODE = Argument(name="code", default=40)
_USES = {"encode": ("code",), "reconstruct": ("reconstruction",), "score": ("score",)}
_SCORE = ("^score",)
"""The layers of the score: 8 bits would clip what is far outside of the ranges of normal items, the anomalies."""


_FRAUD = (
    "the book has all 284,807 payments, of which 0.17 % are frauds, and puts the frauds of the training part into its "
    "test; our test has 4.7 % frauds, 189 of 4,031 payments, with which precision is easier: the figures are no rivals"
)
_ALL = "all 284,807 payments"


def _book(epochs: int, rate: float) -> TrainingPreset:
    return TrainingPreset(
        data="fraud",
        epochs=epochs,
        batch_size=64,
        optimizer=Optimizer.ADAM,
        learning_rate=rate,
        validation_fraction=0.2,
    )


def _small(**arguments: Value) -> TrainingPreset:
    """Seconds on two cores: a fiftieth of the book's payments, so at a higher rate."""
    return replace(_book(40, 1e-3), schedule=Schedule.COSINE, arguments=arguments)


def _entry(
    name: str,
    title: str,
    arguments: tuple[Argument, ...],
    presets: dict[str, TrainingPreset],
    source: str,
    published: Published,
) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=title,
        task=TASK,
        builder=f"edgekit.models.autoencoders:{name}",
        arguments=arguments,
        presets=presets,
        source=source,
        published=published,
        signatures=_USES,
        keep_float=_SCORE,
    )


SPECS: tuple[ModelSpec, ...] = (
    _entry(
        "ae_vanilla",
        "Autoencoder of one hidden layer",
        (_FEATURES, _CODE),
        {"small": _small(), "book": _book(30, 1e-4)},
        _BOOK,
        Published(parameters=2389, figures={"pr_auc": 0.82}, figures_data=_ALL, notes=(_COUNTED, _FRAUD)),
    ),
    _entry(
        "ae_deep",
        "Autoencoder of three hidden layers",
        (_FEATURES, _HIDDEN, _CODE),
        {"small": _small(), "book": _book(50, 5e-5)},
        _BOOK,
        Published(parameters=11_269, figures={"pr_auc": 0.83}, figures_data=_ALL, notes=(_COUNTED, _FRAUD)),
    ),
    _entry(
        "ae_sparse",
        "Autoencoder of three hidden layers with a sparse code",
        (_FEATURES, _HIDDEN, _CODE, Argument(name="sparsity", default=3e-5, low=0)),
        {"small": _small(), "book": _book(30, 8e-4)},
        _BOOK,
        Published(
            parameters=11_269,
            figures={"pr_auc": 0.70},
            figures_data="a twentieth of the payments",
            notes=(
                _COUNTED,
                "the L1 norm is that of the code; the program of the source has it on the layer before",
                _FRAUD,
            ),
        ),
    ),
    _entry(
        "ae_denoising",
        "Autoencoder that mends damaged rows",
        (
            _FEATURES,
            _CODE,
            Argument(name="corruption", default="zero", choices=("zero", "gaussian")),
            Argument(name="share", default=0.4, low=0, high=0.95),
        ),
        {"small": _small(), "book": _book(30, 1e-4)},
        f"{_BOOK}; Vincent et al. 2008, Extracting and Composing Robust Features with Denoising Autoencoders, ICML",
        Published(parameters=2389, notes=(_OURS,)),
    ),
    _entry(
        "ae_contractive",
        "Autoencoder with a code that changes little",
        (_FEATURES, _CODE, Argument(name="contraction", default=1e-5, low=0)),
        {"small": _small(), "book": _book(30, 3e-4)},
        f"{_BOOK}; Rifai et al. 2011, Contractive Auto-Encoders, ICML",
        Published(
            parameters=2389,
            figures={"pr_auc": 0.83},
            figures_data=_ALL,
            notes=(
                _COUNTED,
                "the norm is that of the Jacobian itself; the program of the source takes the slope of a sigmoid for "
                "its rectifiers, and weights as constants, which nothing learns from",
                _FRAUD,
            ),
        ),
    ),
    replace(
        _entry(
            "ae_conv",
            "Convolutional autoencoder of images",
            (
                Argument(name="size", default=28, low=8),
                Argument(name="channels", default=1),
                Argument(name="filters", default=16),
                replace(_CODE, default=32),
            ),
            {
                "small": replace(_small(filters=8), data="digits_or_letters", epochs=6, batch_size=128),
                "book": replace(_book(20, 1e-3), data="digits_or_letters", batch_size=128),
            },
            "Masci et al. 2011, Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction, ICANN, of the "
            "idea; the layers are ours",
            Published(parameters=111_521, notes=(_OURS,)),
        ),
        channels=1,
        preprocess="unit",
        resize=Resize.STRETCH,
    ),
    _entry(
        "vae",
        "Variational autoencoder",
        (_FEATURES, _HIDDEN, replace(_CODE, default=10), Argument(name="beta", default=1.0, low=0)),
        {"small": _small(), "book": _book(30, 1e-3)},
        "Kingma and Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114",
        Published(parameters=6439, notes=(_OURS,)),
    ),
)
