"""What entries of detectors share. Their "small" presets all learn scenes of handwritten digits."""

from edgekit.models.box_augmentation import BoxAugmentation
from edgekit.models.spec import Argument, Optimizer, Schedule, TrainingPreset, Value

WIDTH = Argument(name="alpha", default=1.0, low=0.1, high=4)
MOMENTUM = Argument(name="momentum", default=0.99, low=0, high=1)


def scenes(*, epochs: int, learning_rate: float, batch_size: int = 32, **arguments: Value) -> TrainingPreset:
    """Scenes of digits in minutes on two cores; they are drawn turned, shaded and blurred already."""
    return TrainingPreset(
        data="digit_scenes",
        epochs=epochs,
        batch_size=batch_size,
        optimizer=Optimizer.ADAM,
        learning_rate=learning_rate,
        schedule=Schedule.COSINE,
        boxes=BoxAugmentation(colour=0.3, crop=0.4, expand=1.3),
        validation_fraction=0.04,
        arguments={"momentum": 0.9, "classes": 10, **arguments},
    )
