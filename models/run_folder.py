"""The folder of one training: what is in it, and whether a run in it may go on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekit.codec import to_jsonable
from edgekit.errors import InputError
from edgekit.files import refuse_existing, write_atomic
from edgekit.models.checkpoint import Checkpoint
from edgekit.models.spec import TrainingPreset, Value

MODEL = "model.keras"
CHECKPOINT = "checkpoint.npz"  # there only while the training is unfinished
SETTINGS = "settings.json"
HISTORY = "history.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Everything that decides a training's result. ``data_digest`` is that of the images learned from."""

    model: str
    preset: str
    training: TrainingPreset
    arguments: Mapping[str, Value]
    seed: int
    data_digest: str
    weights_sha256: str | None = field(default=None)

    def flat(self) -> dict[str, int | float | str | bool | None]:
        """One value a key, without nesting."""
        data = to_jsonable(self)
        arguments, training = data.pop("arguments"), data.pop("training")
        del training["arguments"]  # overrides, of which `arguments` is the outcome
        training |= {f"boxes_{name}": value for name, value in (training.pop("boxes") or {}).items()}
        return {**data, **training, **arguments}


def open_run(run_dir: Path, settings: RunSettings, *, force: bool) -> bool:
    """Make ``run_dir`` ready for a training with ``settings``; whether the very same one is finished there already.

    It is new, or goes on where the same one stopped. `InputError` where the folder holds a training with other
    settings, which with ``force`` gives way.
    """
    stored = run_dir / SETTINGS
    if force:
        (run_dir / CHECKPOINT).unlink(missing_ok=True)
    elif _holds_a_training(run_dir):
        _refuse_difference(run_dir, settings.flat(), leave_out=("data",))  # the digest tells whether it is the same
        return not (run_dir / CHECKPOINT).exists()
    write_atomic(stored, _as_json(settings.flat()))
    return False


def refuse_other_run(run_dir: Path, settings: RunSettings) -> None:
    """The `InputError` of `open_run`, before the data are read: ``settings`` without their digest."""
    if _holds_a_training(run_dir):
        _refuse_difference(run_dir, settings.flat(), leave_out=("data", "data_digest"))


def _holds_a_training(run_dir: Path) -> bool:
    return (run_dir / CHECKPOINT).exists() or (run_dir / MODEL).exists()


def write_history(run_dir: Path, state: Checkpoint) -> None:
    """The figures of every epoch, and which was the best one."""
    data = {
        "best_epoch": state.best_epoch,
        "epochs": [{"epoch": r.epoch, **r.figures(), "seconds": r.seconds} for r in state.history],
    }
    write_atomic(run_dir / HISTORY, _as_json(data))


def _refuse_difference(run_dir: Path, new: Mapping[str, Any], *, leave_out: Sequence[str] = ()) -> None:
    if not (run_dir / SETTINGS).exists():
        refuse_existing([run_dir / MODEL], force=False)
    old = _read_settings(run_dir / SETTINGS)
    differences = [f"{k} {old.get(k, 'unset')}, now {v}" for k, v in new.items() if k not in old or old[k] != v]
    differences += [f"{k} {v}, now unset" for k, v in old.items() if k not in new]
    differences = [text for text in differences if text.partition(" ")[0] not in leave_out]
    if differences:
        raise InputError(
            f"{run_dir} holds a training with other settings ({'; '.join(differences)}): "
            "use --force to start again or -o to write elsewhere."
        )


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}); use --force to start again.") from None


def _as_json(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=2) + "\n").encode()
