"""The state of a training: which epoch was the best, and whole on disk or refused."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.models.checkpoint import Checkpoint, EpochRecord, read_checkpoint, write_checkpoint


def test_early_stopping_keeps_the_best_epoch() -> None:
    state = Checkpoint()
    for epoch, loss in enumerate((3.0, 1.0, 2.0, 1.0), 1):
        record = EpochRecord(epoch=epoch, loss=0, val_loss=loss, metrics={}, seconds=0)
        state = state.after(record, (np.array([epoch]),), ())
    assert (state.best_epoch, state.epochs_without_progress) == (2, 2)
    assert state.best[0].tolist() == [2]


def test_a_checkpoint_comes_back_whole_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    record = EpochRecord(epoch=1, loss=0.1, val_loss=0.3, metrics={"accuracy": 0.2, "val_accuracy": 0.4}, seconds=5.0)
    state = Checkpoint().after(record, (np.arange(3.0), np.array(7, np.uint32)), (np.ones((2, 2), np.float32),))
    write_checkpoint(path, state)
    back = read_checkpoint(path)
    assert (back.history, back.best_epoch) == (state.history, 1)
    for group in ("model", "optimizer", "best"):
        for a, b in zip(getattr(state, group), getattr(back, group), strict=True):
            assert (a.dtype, a.tolist()) == (b.dtype, b.tolist())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=rf"^{path} is no checkpoint \(.*\); use --force to start again\.$"):
        read_checkpoint(path)
