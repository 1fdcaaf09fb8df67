"""How a tower and a head learn together: each picture of a batch is embedded once, and compared with every other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from edgekit.models.lesson import Teaching
from edgekit.models.pair_losses import PAIR_LOSSES
from edgekit.models.phases import Phase, optimizer_for
from edgekit.models.stages import HEAD, split


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """The ``tower`` and the ``head`` of ``model``, with what else a training needs of a Keras model."""

    model: Any
    tower: Any
    head: Any

    @classmethod
    def of(cls, model: Any) -> Self:
        """Both networks of ``model``, whose layers they share."""
        tower, head = split(model, HEAD)
        return cls(model=model, tower=tower, head=head)

    @property
    def name(self) -> str:
        """The name of the model."""
        return str(self.model.name)

    @property
    def layers(self) -> Sequence[Any]:
        """Those of both."""
        return list(self.model.layers)

    @property
    def inputs(self) -> Sequence[Any]:
        """Pictures."""
        return list(self.tower.inputs)

    @property
    def variables(self) -> Sequence[Any]:
        """Those of both."""
        return list(self.model.variables)


def all_pairs(head: Any, embeddings: Any) -> Any:
    """What ``head`` tells of each of ``embeddings`` (count, size) beside each, (count, count)."""
    import tensorflow as tf

    count = tf.shape(embeddings)[0]
    told = head([tf.repeat(embeddings, count, axis=0), tf.tile(embeddings, [count, 1])])
    return tf.reshape(told, [count, count])


def kinds_of(people: Any) -> tuple[Any, Any]:
    """Which pairs of pictures of ``people`` (count,) show the same, and which do not, (count, count) of 0 and 1."""
    import tensorflow as tf

    equal = tf.cast(people[:, None] == people[None], tf.float32)
    return equal - tf.eye(tf.shape(people)[0]), 1 - equal


def pair_up(twins: Twins, lesson: Any, phase: Phase, _together: Any) -> Teaching:
    """The teaching of both networks by the loss of all pairs of a batch."""
    optimizer = optimizer_for(lesson.preset, phase, lesson.steps)
    optimizer.build(twins.model.trainable_variables)
    return Teaching(step=_step(twins, optimizer, lesson.loss_name), figures=(), variables=optimizer.variables)


def _step(twins: Twins, optimizer: Any, loss_name: str) -> Callable[..., Any]:
    import tensorflow as tf

    loss_of, variables = PAIR_LOSSES[loss_name], twins.model.trainable_variables

    def own(images: Any, people: Any, size: Any) -> tuple[Any]:
        with tf.GradientTape() as tape:
            loss = loss_of(all_pairs(twins.head, twins.tower(images, training=True)), *kinds_of(people))
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return (size * loss,)

    compiled: Callable[..., Any] = tf.function(own, autograph=False)
    return compiled
