"""The judge of generated pictures: a trained classifier of the same data, and the features that its last layer takes.

The judge is a Keras file, as training writes it: its features are inside, where no file for a device shows them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import Artifact, Format, open_artifact
from edgekit.card import TensorSpec
from edgekit.errors import InputError
from edgekit.feeding import Feeder
from edgekit.formats.keras import require_readable_weights
from edgekit.tasks.classification import TASK

Array = npt.NDArray[Any]

_BATCH = 256
_PASSING = frozenset({"Activation", "Softmax"})  # what may stand between the last layer and the output


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the judge saw: ``features`` (count, features) float32 and ``classes`` (count,) int64 of its outputs."""

    features: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureJudge:
    """A classifier that is open. ``given`` is its path as the user wrote it; ``model`` gives features and scores.

    ``classes`` is how many it tells apart.
    """

    given: Path
    artifact: Artifact
    classes: int
    feeder: Feeder
    model: Any

    def look(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Seen:
        """What it sees in ``pictures``, each (height, width, channels) uint8, of any count."""
        features, classes = [], []
        for part in _parts(pictures):
            (name,) = (spec.name for spec in self.feeder.inputs)
            found, scores = self.model(np.stack([self.feeder.feed(picture)[name] for picture in part]))
            features.append(found.numpy().reshape(len(part), -1))
            classes.append(scores.numpy().reshape(len(part), -1).argmax(axis=1))
        return Seen(features=np.concatenate(features), classes=np.concatenate(classes).astype(np.int64))


def open_judge(path: Path) -> PictureJudge:
    """The trained classifier at ``path``, a ``.keras`` file or the folder of a training.

    `InputError` for other files, and where what its last layer takes cannot be told.
    """
    artifact = open_artifact(path)
    card = artifact.card
    if artifact.format is not Format.KERAS:
        raise InputError(
            f"The judge {path} is of the format {artifact.format.value}, which does not show its features; name the "
            ".keras file or the folder of its training."
        )
    if card.task != TASK or card.preprocessing is None or len(card.inputs) != 1:
        raise InputError(
            f"The judge {path} is no classifier of pictures by its card; train one with edgekit train cnn --data mnist "
            "-o judge."
        )
    require_readable_weights(artifact.path)
    from edgekit.runtimes.keras import load_framework, load_model

    tensorflow, keras = load_framework()
    model = load_model(keras, artifact.path)
    last = model.outputs[0]._keras_history.operation
    while type(last).__name__ in _PASSING and isinstance(last, keras.Layer):
        last = last.input._keras_history.operation
    if not isinstance(last, keras.layers.Dense) or len(model.outputs) != 1:
        raise InputError(
            f"The last layer of the judge {path} is {type(last).__name__}; expected a Dense layer that gives the "
            "classes: train one with edgekit train cnn --data mnist -o judge."
        )
    both = keras.Model(model.inputs, [last.input, model.outputs[0]])
    inputs = tuple(TensorSpec(name=t.name, shape=tuple(t.shape), dtype=str(t.dtype)) for t in model.inputs)
    traced = tensorflow.function(lambda x: both(x, training=False), reduce_retracing=True)
    return PictureJudge(
        given=path,
        artifact=artifact,
        classes=int(last.units),
        feeder=Feeder(inputs, card.preprocessing),
        model=traced,
    )


def _parts(pictures: Sequence[npt.NDArray[np.uint8]]) -> Iterator[Sequence[npt.NDArray[np.uint8]]]:
    for start in range(0, len(pictures), _BATCH):
        yield pictures[start : start + _BATCH]
