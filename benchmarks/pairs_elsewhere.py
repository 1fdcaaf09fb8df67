"""Models that compare pictures, on another CPU: the tower embeds each there, and the head compares all pairs there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from aarch64.places import Place, run
from alike import real
from elsewhere import Found

from edgekit.artifact import Artifact, open_artifact
from edgekit.tasks.verification import FIRST, SECOND
from edgekit.two_files import second_file

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFiles:
    """The model whose tower is ``artifact``, asked about its ``inputs``, (pictures, ...) of each by name."""

    artifact: Artifact
    inputs: dict[str, Array]

    def run(self, place: Place) -> Found:
        """What the files give on ``place``, and which of all pairs of pictures they take for the same there."""
        how = self.artifact.card.verification
        head = second_file(self.artifact.path, self.artifact.card)
        assert how is not None  # noqa: S101 - the card of a tower that was trained
        assert how.threshold is not None  # noqa: S101
        assert head is not None  # noqa: S101
        outputs = run(place, self.artifact.path, self.inputs).outputs
        (embeddings,) = real(self.artifact, outputs).values()
        first, second = np.triu_indices(len(embeddings), 1)
        compared = run(place, head, {FIRST: embeddings[first], SECOND: embeddings[second]}).outputs
        (measured,) = real(open_artifact(head), compared).values()
        likeness = np.array([how.likeness(float(value)) for value in measured.reshape(-1)])
        return Found(outputs=outputs, decisions=likeness >= how.likeness(how.threshold))
