"""Networks that tell whether two pictures show the same."""

from edgekit.models.spec import VERIFICATION, Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset
from edgekit.models.zoo.scene_preset import MOMENTUM, WIDTH
from edgekit.preprocessing import Resize

_BOOK = "Y. Liu and S. Mehta, Hands-On Deep Learning Architectures with Python, Packt 2019, chapter 8"

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
            "losses: Hadsell, Chopra and LeCun 2006, and Schroff, Kalenichenko and Philbin 2015, arXiv:1503.03832; "
            f"faces: {_BOOK}"
        ),
        published=Published(
            parameters=38_951_745,
            figures={
                **{"one_shot_4": 0.963, "one_shot_9": 0.931, "one_shot_16": 0.845},
                **{"one_shot_25": 0.767, "one_shot_36": 0.679, "one_shot_40": 0.659},
                **{"pixels_4": 0.876, "pixels_9": 0.752, "pixels_16": 0.663},
                **{"pixels_25": 0.550, "pixels_36": 0.497, "pixels_40": 0.478},
            },
            figures_data="ORL in the book",
            notes=(
                "the paper prints no number of parameters; this one follows from the layers of its figure 4",
                "the paper's network learned 964 people's letters of Omniglot; this one learns faces",
                "all 40 people are known, from other pictures; the book does not tell which pictures its trials are "
                "drawn from, of which its nearest pixels know fewer than ours",
            ),
        ),
    ),
)
