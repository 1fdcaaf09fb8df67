"""Networks that tell whether two pictures show the same."""

from edgekit.models.spec import VERIFICATION, Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset
from edgekit.models.zoo.scene_preset import MOMENTUM, WIDTH
from edgekit.preprocessing import Resize

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="siamese",
        title="Siamese network for one-shot recognition",
        task=VERIFICATION,
        builder="edgekit.models.siamese:build",
        channels=1,
        arguments=(
            Argument(name="size", default=105, low=32),
            Argument(name="channels", default=1, high=3),
            WIDTH,
            Argument(name="kernels", default="large", choices=("large", "small")),
            Argument(name="norm", default="none", choices=("none", "batch")),
            MOMENTUM,
            Argument(name="units", default=4096),
            Argument(name="loss", default="logistic", choices=("logistic", "contrastive", "triplet")),
        ),
        preprocess="tf",
        resize=Resize.STRETCH,
        presets={
            "small": TrainingPreset(
                data="orl_faces",
                epochs=30,
                batch_size=64,
                epoch_steps=20,
                optimizer=Optimizer.ADAM,
                learning_rate=1e-3,
                schedule=Schedule.COSINE,
                shift_pixels=3,
                flip=True,
                zoom=0.1,
                brightness=0.2,
                validation_fraction=1 / 3,
                arguments={
                    "size": 48,
                    "alpha": 0.5,
                    "kernels": "small",
                    "norm": "batch",
                    "momentum": 0.9,
                    "units": 128,
                    "loss": "triplet",
                },
            ),
            "book": TrainingPreset(
                data="orl_faces",
                epochs=100,
                batch_size=64,
                epoch_steps=20,
                optimizer=Optimizer.ADAM,
                learning_rate=1e-4,
                validation_fraction=1 / 3,
            ),
        },
        source=(
            "Koch, Zemel and Salakhutdinov 2015, Siamese Neural Networks for One-shot Image Recognition, figure 4; "
            "losses: Hadsell, Chopra and LeCun 2006, and Schroff, Kalenichenko and Philbin 2015, arXiv:1503.03832"
        ),
        published=Published(
            parameters=38_951_745,
            notes=(
                "the paper prints no number of parameters; this one follows from the layers of its figure 4",
                "the paper's network learned 964 people's letters of Omniglot; this one learns faces",
            ),
        ),
    ),
)
