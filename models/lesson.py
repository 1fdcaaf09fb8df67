"""What a model learns and how that is judged: the part of a training that its task decides."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric, ModelCard
from edgekit.detection import Detection
from edgekit.models.batches import Share
from edgekit.models.cluster import Together
from edgekit.models.parts import Parts
from edgekit.models.passes import Sampled
from edgekit.models.phases import Phase
from edgekit.models.spec import TrainingPreset, Value
from edgekit.preprocessing import Preprocessing
from edgekit.workers import Progress

Array = npt.NDArray[Any]


class Lesson(Protocol):
    """All that decides the result of a training, but for the model's first weights."""

    @property
    def preset(self) -> TrainingPreset:
        """Its settings."""

    @property
    def share(self) -> Share:
        """The part of every batch that this process takes."""

    @property
    def steps(self) -> int:
        """Batches of one epoch."""

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """The process's part of every batch of ``epoch``: inputs, what goes with them, and the number that it is of.

        That number, a float, is the same for all processes: the sum of all losses divided by it is the mean.
        """

    def targets(self, model: Any, /) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """Shape and dtype of each array of a batch beside the inputs of ``model``."""

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """The loss of ``model`` on the validation images, and other figures by their names."""


class Graded(Lesson, Protocol):
    """A lesson that is learned along the gradient of one loss."""

    @property
    def counted(self) -> str:
        """The name of the share of what `loss` counts as right."""

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """The sum of the losses of a batch, and how much of it is right, as TensorFlow's scalars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """How a model learns in a phase: ``step`` takes a batch and gives the sums of the loss and of each of ``figures``.

    ``variables`` are what its rules remember from step to step.
    """

    step: Callable[..., tuple[Any, ...]]
    figures: tuple[str, ...]
    variables: Sequence[Any]


Teacher = Callable[[Any, Any, Phase, Together], Teaching]
"""Makes the `Teaching` of a model that takes a lesson, of the kind that this teacher knows, in a phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What decides a lesson beside its data: ``arguments`` are those of the model's builder.

    ``judge`` is a trained classifier that sees in the test what a generator makes; it decides nothing.
    """

    preset: TrainingPreset
    arguments: Mapping[str, Value]
    preprocessing: Preprocessing | None
    seed: int
    share: Share
    progress: Progress
    judge: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a lesson on images is made from: the ``parts`` of the data, seen as ``preprocessing`` says."""

    parts: Parts
    preprocessing: Preprocessing
    preset: TrainingPreset
    detection: Detection | None
    seed: int
    share: Share
    progress: Progress


def itself(model: Any) -> Any:
    """``model``."""
    return model


def unchanged(_model: Any, card: ModelCard) -> ModelCard:
    """``card``."""
    return card


def nothing(*_: object) -> None:
    """What most courses show of an epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A lesson, the digests of the items ``learned`` from or validated on, and the ``test`` of the trained model.

    ``learner`` gives the network that takes the lesson, which shares its weights with the model; ``finish`` changes the
    model when the lesson is over, and ``stated`` adds to its card what only the trained model tells. ``teacher`` is
    none where the lesson is `Graded`. ``show`` writes to the run's folder what is to be seen of the learner after an
    epoch. Where no loss tells which epoch is best, the last one is kept, and ``last_kept`` says in the card what that
    is. ``sampled`` gives the second network of a Bayesian model. ``remarks`` are sentences on what is learned from.
    """

    lesson: Lesson
    learned: tuple[str, ...]
    test: Callable[[Any], tuple[Metric, ...]]
    learner: Callable[[Any], Any] = itself
    finish: Callable[[Any], Any] = itself
    stated: Callable[[Any, ModelCard], ModelCard] = unchanged
    teacher: Teacher | None = None
    show: Callable[[Any, int, Path], None] = nothing
    last_kept: str = ""
    sampled: Callable[[Any], Sampled] | None = None
    remarks: tuple[str, ...] = ()


class Material(Protocol):
    """The data of a training, read, and what they decide. One class for each kind of data."""

    @property
    def arguments(self) -> Mapping[str, Value]:
        """The builder's arguments that the data decide, such as the number of classes."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes; none where there are none."""

    @property
    def keeps_items(self) -> bool:
        """Whether the card must tell which items were learned from, since the data have no test part of their own."""

    def course(self, terms: Terms) -> Course:
        """What is learned and tested."""

    def completed(self, card: ModelCard) -> ModelCard:
        """``card`` with what the data say of inputs and outputs."""
