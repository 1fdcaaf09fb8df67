"""Conversion of a recurrent model to one of a single time step, calibrated on its states as they are in use."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.card import ModelCard, TensorSpec
from edgekit.converters import calibration as calibrating
from edgekit.converters.one_cell import CELL_STATES
from edgekit.converters.report import ConversionReport
from edgekit.converters.request import Request
from edgekit.converters.source import Source, SourceKind, open_source
from edgekit.data.base import Dataset, Item, item_digest
from edgekit.errors import DataError, InputError, require_installed
from edgekit.files import scratch_folder
from edgekit.formats import keras
from edgekit.recipe import Precision, Recipe, Rnn
from edgekit.sequences import Scaling, Sequences, State
from edgekit.tasks.series import encode_window
from edgekit.tasks.texts import encode_ids, token_ids
from edgekit.workers import Progress, Worker

Array = npt.NDArray[Any]

STEPS = 500
"""Steps of a sequence that calibrates: states go on changing long after the windows of a training have ended."""
MOMENTS = 8
"""Steps of such a sequence whose states calibrate."""
_FLOAT_CELLS_NOTE = (
    "The cell states of LSTM layers stay in float, as int8 loses most of its accuracy there; --plain and --portable "
    "have them in int8 too."
)
_TF_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}


class ConvertOne(Protocol):
    """A conversion of one file."""

    def __call__(self, request: Request, source: Source, *, asked: Request) -> ConversionReport:
        """The report of ``request``, whose manifest repeats what was ``asked``."""


def asks_for_steps(request: Request, source: Source) -> bool:
    """Whether ``request`` asks for models of one time step; `InputError` where ``source`` cannot become one."""
    asked = {recipe.rnn is Rnn.STEP for recipe in request.recipes}
    if asked == {True, False}:
        raise InputError("Some recipes ask for a model of one time step and others do not; convert twice.")
    if True in asked and request.preprocess is not None:
        raise InputError(
            f"--preprocess is for images, and a model of one time step takes none; got {request.preprocess!r} beside "
            "--rnn step: leave it out."
        )
    if True in asked and source.kind not in (SourceKind.KERAS, SourceKind.H5):
        raise InputError(
            f"--rnn step builds a model of one time step from the layers of a Keras model, and {source.path} is "
            f"{source.kind.words}: start from the .keras file that it was made from."
        )
    return True in asked


def convert_steps(request: Request, source: Source, convert_one: ConvertOne, progress: Progress) -> ConversionReport:
    """The report on files of one time step of ``source``, called after it and ``step``."""
    require_installed(("tensorflow", "keras"), extra="convert")
    data = calibrating.find_data(
        request.calibration,
        source.card,
        required=any(recipe.needs_calibration for recipe in request.recipes),
        data_dir=request.data_dir,
    )
    with scratch_folder() as scratch:
        path = Path(scratch) / f"{source.name}.step.keras"
        with Worker("edgekit.converters.step_worker", env=_TF_ENVIRONMENT) as worker:
            built = worker.call("build", {"source": str(source.path), "path": str(path)}, progress=progress)
            card = _card(source, built)
            keras.write_card(path, card)
            items = data
            if data is not None:
                items = _moments(data, card, built["states"], request, path, worker, progress)
        step = replace(open_source(path), sha256=source.sha256, home=source.home)
        # A recurrent operator has no int8 form beside float ones.
        cells = "" if built["recurrent"] else float_cells(built["states"])
        recipes = tuple(_with_float_cells(recipe, cells) for recipe in request.recipes)
        of_step = replace(request, recipes=recipes, calibration=items, output_dir=request.output_dir or source.home)
        report = convert_one(of_step, step, asked=request)
    notes = report.notes if recipes == request.recipes else (*report.notes, _FLOAT_CELLS_NOTE)
    return replace(report, source=source.path, notes=notes)


def _with_float_cells(recipe: Recipe, cells: str) -> Recipe:
    """``recipe``, which for int8 keeps what ``cells`` names in float, if accuracy is to be kept at all."""
    wanted = recipe.precision is Precision.INT8 and recipe.steps and not recipe.portable
    return replace(recipe, keep_float=(*recipe.keep_float, cells)) if wanted and cells else recipe


def float_cells(states: Sequence[Sequence[str]]) -> str:
    """The names of what LSTM layers compute from one cell state to the next: sums without bounds, in which most of
    int8's loss is made. Empty where none of the ``states`` is such a one.
    """
    layers = "|".join(re.escape(before.removesuffix("_c")) for before, _ in states if before.endswith("_c"))
    return rf"(?<![A-Za-z0-9_])({layers}){CELL_STATES}" if layers else ""


def _card(source: Source, built: Mapping[str, Any]) -> ModelCard:
    """The card of the step model: that of the whole one with its states; of a stranger only its tensors."""
    inputs, outputs = (
        tuple(TensorSpec(name=name, shape=tuple(shape), dtype=dtype) for name, shape, dtype in built[which])
        for which in ("inputs", "outputs")
    )
    states = tuple(State(input=before, output=after) for before, after in built["states"])
    card = source.card or ModelCard(name=source.name, inputs=inputs, outputs=outputs)
    told = replace(card.sequences, states=states) if card.sequences is not None else Sequences(states=states)
    return replace(card, inputs=inputs, outputs=outputs, sequences=told)


@dataclass(frozen=True, slots=True)
class _Moments:
    """What a step model takes, (count, ...) by name, as items of data."""

    values: Mapping[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __getitem__(self, index: int, /) -> Item:
        return {name: np.array(values[index]) for name, values in self.values.items()}


def _moments(
    data: Dataset,
    card: ModelCard,
    states: Sequence[Sequence[str]],
    request: Request,
    path: Path,
    worker: Worker,
    progress: Progress,
) -> Dataset:
    """What the step model at ``path`` takes at some moments of sequences of ``data``."""
    training = card.provenance.training
    most = max(recipe.calibration_samples for recipe in request.recipes)
    seed = request.recipes[0].seed
    learned = training.items if training is not None else ()
    chosen = calibrating.chosen(data, learned, math.ceil(most / MOMENTS), seed)
    fitting = sequences_of(data, chosen, card)
    padded = np.zeros((len(fitting), max(map(len, fitting)), *fitting[0].shape[1:]), fitting[0].dtype)
    for row, values in enumerate(fitting):
        padded[row, : len(values)] = values
    out = path.parent / "moments"
    out.mkdir()
    np.save(out / "sequences.npy", padded)
    asked = {
        "path": str(path),
        "states": states,
        "sequences": str(out / "sequences.npy"),
        "lengths": [len(values) for values in fitting],
        "out": str(out),
        "moments": MOMENTS,
        "seed": seed,
    }
    names = worker.call("states", asked, progress=progress)["names"]
    taken = {name: np.load(out / f"{number}.npy") for number, name in enumerate(names)}
    origins = tuple(item_digest(data.items[index]) for index in chosen)
    return Dataset(name=f"states on {data.name}", items=_Moments(taken), origins=origins)


def sequences_of(data: Dataset, indices: Sequence[int], card: ModelCard) -> list[Array]:
    """Sequences, each (steps, ...), of what a step model with this ``card`` takes; `DataError` where there are none."""
    found = [_sequence(data, index, card) for index in indices]
    if not any(map(len, found)):
        raise DataError(f"{data.name} holds no sequence of one step or more; expected some for calibration.")
    return [values for values in found if len(values)]


def _sequence(data: Dataset, index: int, card: ModelCard) -> Array:
    """What the step model takes one after the other for the item at ``index``, and what follows it in a long text."""
    values, spec = _values(data, index, card.sequences), card.inputs[0]
    if values is None or values.shape[1:] != spec.shape[1:]:
        got = "no sequence" if values is None else f"a sequence of {_shape(values.shape[1:])}"
        raise DataError(
            f"An item of {data.name} is {got}; one step of the model takes {_shape(spec.shape[1:])}: calibrate it on "
            "data of the whole model."
        )
    return values.astype(spec.dtype)


def _values(data: Dataset, index: int, told: Sequences | None) -> Array | None:
    item, start = data.items[index], index * getattr(data.items, "stride", 1)
    if isinstance(item, Mapping):
        return None
    if isinstance(item, str):
        if told is None or told.text is None:
            return None
        text = data.whole[start : start + STEPS] if isinstance(data.whole, str) else item
        return encode_ids(token_ids(text, told.text.vocabulary)[:STEPS], told.text)
    if told is None or told.series is None:
        return item
    if told.series.scaling is Scaling.LAST or not isinstance(data.whole, np.ndarray):
        return encode_window(item, told.series)
    rows: Array = data.whole[start : start + STEPS]
    return rows


def _shape(shape: tuple[int | None, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
