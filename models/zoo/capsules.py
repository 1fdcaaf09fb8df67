"""Networks of capsules."""

from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset
from edgekit.preprocessing import Resize

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="capsnet",
        title="Capsule network with dynamic routing",
        task="classification",
        builder="edgekit.models.capsnet:build",
        opponent="edgekit.models.capsnet:decoder",
        channels=1,
        arguments=(
            Argument(name="size", default=28, low=18),
            Argument(name="classes", default=10, low=2),
            Argument(name="filters", default=256),
            Argument(name="types", default=32),
            Argument(name="primary", default=8),
            Argument(name="digit", default=16),
            Argument(name="routings", default=3, high=10),
        ),
        preprocess="unit",
        resize=Resize.STRETCH,
        # Squares, roots and quotients span more than 8 bits tell apart, and engines have no int8 forms of some.
        keep_float=("primary_", "votes", "routing_", "lengths"),
        independent_scores=True,
        presets={
            "small": TrainingPreset(
                data="mnist",
                epochs=6,
                batch_size=64,
                optimizer=Optimizer.ADAM,
                learning_rate=2e-3,
                schedule=Schedule.COSINE,
                shift_pixels=2,
                validation_fraction=0.05,
                arguments={"filters": 32, "types": 4},
            ),
            "book": TrainingPreset(
                data="mnist",
                epochs=50,
                batch_size=128,
                optimizer=Optimizer.ADAM,
                learning_rate=1e-3,
                schedule=Schedule.EXPONENTIAL,
                decay_per_epoch=0.9,
                shift_pixels=2,
            ),
        },
        source="Sabour, Frosst and Hinton 2017, Dynamic Routing Between Capsules, arXiv:1710.09829, sections 2 to 5",
        published=Published(
            parameters=6_800_000,
            top1=0.9975,
            top1_data="mnist",
            tolerance=0.001,
            notes=(
                "the paper counts 8.2 million with the 1,411,344 of the decoder, which learns beside and is in no file",
                "outputs are lengths of capsules from 0 to 1, one for each class; they are no probabilities, and have "
                "no calibration error, negative log-likelihood or entropy",
                "all capsules stay in float in every conversion: the convolutions before them become int8",
            ),
        ),
    ),
)
