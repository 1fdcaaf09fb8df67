"""The whole state of a training in one file, so that a killed run goes on as if it had not been."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.codec import from_jsonable, to_jsonable
from edgekit.data import npy
from edgekit.errors import InputError
from edgekit.files import write_atomic

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """Figures of one epoch; losses are means. Those that begin with ``val_`` are of the validation images as they are,
    the others of the images learned from, as the epoch changed them.
    """

    epoch: int
    loss: float
    val_loss: float
    metrics: Mapping[str, float]
    seconds: float

    def figures(self) -> dict[str, float]:
        """Losses and metrics by their names, those of validation last."""
        every = {"loss": self.loss, "val_loss": self.val_loss, **self.metrics}
        return dict(sorted(every.items(), key=lambda item: item[0].startswith("val_")))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    history: tuple[EpochRecord, ...]
    best_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """State after the last epoch of ``history``. ``model`` and ``optimizer`` hold every variable's value, random states
    included; ``best`` is ``model`` after ``best_epoch``, mostly the one of the lowest validation loss (0: none yet).
    """

    history: tuple[EpochRecord, ...] = ()
    best_epoch: int = 0
    model: tuple[Array, ...] = field(default=())
    optimizer: tuple[Array, ...] = field(default=())
    best: tuple[Array, ...] = field(default=())

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def epochs_without_progress(self) -> int:
        """Epochs since the best one."""
        return self.epoch - self.best_epoch

    def after(
        self, record: EpochRecord, model: tuple[Array, ...], optimizer: tuple[Array, ...], *, last: bool = False
    ) -> "Checkpoint":
        """The state after one more epoch, which is the best one if its loss is lower, or if the ``last`` always is."""
        better = last or self.best_epoch == 0 or record.val_loss < self.history[self.best_epoch - 1].val_loss
        return Checkpoint(
            history=(*self.history, record),
            best_epoch=record.epoch if better else self.best_epoch,
            model=model,
            optimizer=optimizer,
            best=model if better else self.best,
        )


def write_checkpoint(path: Path, state: Checkpoint) -> None:
    """Replace ``path`` by ``state`` in one step: a kill leaves the old one or the new one."""
    facts = json.dumps(to_jsonable(_Facts(history=state.history, best_epoch=state.best_epoch)))
    arrays = {"facts": np.frombuffer(facts.encode(), np.uint8)}
    for group in ("model", "optimizer", "best"):
        arrays |= {f"{group}/{i:05d}": a for i, a in enumerate(getattr(state, group))}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # the stub takes the keywords for its own flag
    write_atomic(path, buffer.getvalue())


def read_checkpoint(path: Path) -> Checkpoint:
    """The state in ``path``; `InputError` when it is not one that `write_checkpoint` made."""
    try:
        archive = npy.read_npz(path)
        facts = from_jsonable(_Facts, json.loads(archive["facts"].tobytes()), where=str(path))
    except (*npy.BROKEN, RecursionError) as error:
        raise InputError(f"{path} is no checkpoint ({npy.reason(error)}); use --force to start again.") from None
    groups = {
        group: tuple(archive[n] for n in sorted(archive) if n.startswith(f"{group}/"))
        for group in ("model", "optimizer", "best")
    }
    return Checkpoint(history=facts.history, best_epoch=facts.best_epoch, **groups)


def values(variables: Sequence[Any]) -> tuple[Array, ...]:
    """The present values of Keras ``variables``, copied."""
    return tuple(np.array(v.numpy()) for v in variables)


def assign(variables: Sequence[Any], arrays: Sequence[Array]) -> None:
    """Put ``arrays`` into Keras ``variables``, one by one."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
