"""Restricted Boltzmann machines, which learn by contrastive divergence."""

from dataclasses import replace

from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset
from edgekit.preprocessing import Resize

_BOOK = "Y. Liu and S. Mehta, Hands-On Deep Learning Architectures with Python, Packt 2019, chapter 3"

_RATINGS = TrainingPreset(
    data="movielens",
    epochs=60,
    batch_size=16,
    optimizer=Optimizer.SGD,
    learning_rate=0.05,
    schedule=Schedule.COSINE,
    weight_decay=0.03,
)

_DIGITS = TrainingPreset(
    data="digits",
    epochs=100,
    batch_size=32,
    optimizer=Optimizer.ADAM,
    learning_rate=3e-3,
    schedule=Schedule.COSINE,
    weight_decay=0.1,
)

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="rbm",
        title="Restricted Boltzmann machine that recommends by ratings",
        task="recommendation",
        builder="edgekit.models.boltzmann:rbm",
        arguments=(
            Argument(name="items", default=1000),
            Argument(name="hidden", default=100),
            Argument(name="steps", default=1, high=100),
            Argument(name="chains", default="data", choices=("data", "persistent")),
            Argument(name="least", default=10),
        ),
        signatures={"encode": ("hidden",), "reconstruct": ("reconstruction",), "score": ("score",)},
        keep_float=("^score",),  # an error is a difference of numbers that are much alike
        presets={
            "small": _RATINGS,
            "book": replace(_RATINGS, epochs=200, learning_rate=0.02, arguments={"steps": 3}),
        },
        source=f"{_BOOK}; Hinton 2002, Neural Computation 14(8); Salakhutdinov, Mnih and Hinton 2007, ICML",
        published=Published(
            parameters=201_100,
            figures={"mse": 0.038},
            figures_data="MovieLens 1M",
            notes=(
                "the source prints no number of parameters; this one counts the weights twice, as a file holds them: "
                "once from ratings to hidden units, and once back",
                "the source has MovieLens 1M, with ten times as many users as ours",
                "ratings are normal units about the items' means, where the second paper has a softmax of the stars, "
                "which learned less from these few ratings: on validation users an MSE of 0.040 beside 0.033",
            ),
        ),
    ),
    ModelSpec(
        name="dbn",
        title="Deep belief network, a stack of Boltzmann machines that becomes a classifier",
        task="classification",
        builder="edgekit.models.boltzmann:dbn",
        channels=1,
        arguments=(
            Argument(name="size", default=8),
            Argument(name="classes", default=10, low=2),
            Argument(name="units", default=256),
            Argument(name="depth", default=2, high=20),
            Argument(name="pretraining", default=30),
            Argument(name="rate", default=0.5, low=1e-9, high=10),
            Argument(name="steps", default=1, high=100),
            Argument(name="tuned", default="all", choices=("all", "logits")),
        ),
        preprocess="unit",
        resize=Resize.STRETCH,
        presets={"small": _DIGITS, "book": replace(_DIGITS, epochs=160)},
        source=f"{_BOOK}; Hinton, Osindero and Teh 2006, Neural Computation 18(7)",
        published=Published(
            parameters=85_002,
            top1=0.978,
            top1_data="digits",
            notes=("the source prints no number of parameters; this one follows from the layers of its program",),
        ),
    ),
)
