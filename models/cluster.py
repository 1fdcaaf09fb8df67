"""Training on several machines at once: the cluster that the environment variable ``TF_CONFIG`` describes.

Each worker runs the same command. `tf.distribute.MultiWorkerMirroredStrategy` keeps the weights of all equal: every
batch is divided among them, and the gradients are summed.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.errors import InputError
from edgekit.models.batches import Share
from edgekit.models.framework import load_keras

VARIABLE = "TF_CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """This process's place among ``workers``, addresses as host:port; the first, the chief, writes the files."""

    workers: tuple[str, ...] = ("",)
    index: int = 0

    @property
    def share(self) -> Share:
        """The part of every batch that this worker takes."""
        return Share(index=self.index, count=len(self.workers))

    @property
    def shared(self) -> bool:
        """Whether there are other processes."""
        return len(self.workers) > 1

    @property
    def chief(self) -> bool:
        """Whether this process writes the files."""
        return self.index == 0


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """The cluster of ``TF_CONFIG``, or a single process without it; `InputError` for what cannot be trained on."""
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return Cluster()
    try:
        config = json.loads(text)
        roles, task = config["cluster"], config["task"]
        role, index = str(task["type"]), int(task["index"])
        addresses = {str(name): [str(address) for address in listed] for name, listed in roles.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{VARIABLE} cannot be read ({type(error).__name__}: {error}); expected JSON such as "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}.'
        ) from None
    for name in (*addresses, role):
        if name not in ("worker", "chief"):
            raise InputError(f"{VARIABLE} has the role {name!r}; training takes only workers and a chief among them.")
    workers = [*addresses.get("chief", ()), *addresses.get("worker", ())]
    place = index + (len(addresses.get("chief", ())) if role == "worker" else 0)
    if role not in addresses or not 0 <= index < len(addresses[role]):
        raise InputError(f"{VARIABLE} has no {role} {index} in its cluster; expected one that it lists.")
    return Cluster(workers=tuple(workers), index=place)


@dataclass(frozen=True, slots=True)
class Together:
    """The workers of a cluster at work, or a single process where ``strategy`` is none."""

    strategy: Any = None

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Inside it variables are made, which are then the same for all workers."""
        return self.strategy.scope() if self.strategy is not None else contextlib.nullcontext()

    def summed(self, step: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
        """``step`` run by every worker on its part, and its results summed over them."""
        if self.strategy is None:
            return step

        def together(*arguments: Any) -> tuple[Any, ...]:
            found = self.strategy.run(step, args=arguments)
            return tuple(self.strategy.reduce("SUM", value, axis=None) for value in found)

        return together

    def agree(self, value: int) -> bool:
        """Whether all workers give the same ``value`` below 2 ** 24; each waits here for the others."""
        if self.strategy is None:
            return True
        import tensorflow as tf

        mine = self.strategy.run(lambda: tf.constant([value, value**2], tf.float64))
        mean, mean_of_squares = self.strategy.reduce("MEAN", mine, axis=None).numpy()
        return bool(mean_of_squares == mean**2)  # the variance is zero, exactly: squares have 48 bits

    def twin(self, model: Any) -> Any:
        """A model like ``model`` for this process alone, or itself where there is no other process.

        Reading some variables of a shared model waits for all workers.
        """
        return model if self.strategy is None else load_keras().models.clone_model(model)


@contextlib.contextmanager
def working_together(cluster: Cluster, goes_on: str) -> Iterator[None]:
    """What happens when another worker goes becomes an `InputError` that ends with ``goes_on``."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError):
        if not cluster.shared:
            raise
        raise InputError(
            f"A worker of the {len(cluster.workers)} in {VARIABLE} has gone or cannot be reached; {goes_on}."
        ) from None


def start(cluster: Cluster) -> Together:
    """Join the other workers, which waits for them; nothing for a single process."""
    if not cluster.shared:
        return Together()
    load_keras()  # quietly, which TensorFlow by itself is not
    import tensorflow as tf

    return Together(tf.distribute.MultiWorkerMirroredStrategy())
