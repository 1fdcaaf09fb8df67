"""What learns in place of a single Keras model, where several networks or other variables take part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """Has what a training needs of a Keras model, with ``inputs`` and ``variables`` of its own kind.

    ``kept`` is the network that is trained in the end.
    """

    kept: Any

    @property
    def name(self) -> str:
        """The name of the network."""
        return str(self.kept.name)

    @property
    def layers(self) -> Sequence[Any]:
        """None: no layer is ever frozen."""
        return ()
