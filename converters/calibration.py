"""Items for calibration and for verification: real ones, chosen by a seed, written one by one, recorded by digest."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import open_artifact
from edgekit.card import DataRef, ModelCard, TensorSpec
from edgekit.converters.samples import Samples
from edgekit.data.base import Dataset, Part, data_ref, draw, item_digest
from edgekit.data.noise import drawn
from edgekit.data.pass_noise import drawn as drawn_noise
from edgekit.data.table_rows import rows_for
from edgekit.data.windows import cut_for
from edgekit.errors import DataError, InputError
from edgekit.preprocessing import Preprocessing
from edgekit.recipe import CALIBRATION_SAMPLES, Recipe
from edgekit.tasks import anomalies, text_generation
from edgekit.uncertainty import Uncertainty
from edgekit.workers import Progress

ROWS = 2000
"""Rows of a table that calibrate: what is rare and large among them sets the ranges, and they are small."""
SYNTHETIC_ITEMS = 16
STRANGERS = 100
"""Data of which the first so many items were not learned from is taken for other data than the training's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Inputs on disk, and the record of where they come from; no record means synthetic inputs."""

    samples: Samples
    ref: DataRef | None

    @property
    def synthetic(self) -> bool:
        """Whether the inputs are made up, which proves arithmetic only."""
        return self.ref is None


def default_samples(source: Path) -> int:
    """How many items calibrate ``source`` where no number is asked for."""
    of_rows = source.suffix == ".keras" or (source / "model.keras").is_file()
    card = open_artifact(source).card if of_rows else None
    return CALIBRATION_SAMPLES if card is None or card.tabular is None else ROWS


def find_data(
    wanted: Dataset | str | None, card: ModelCard | None, *, required: bool, data_dir: Path | None
) -> Dataset | None:
    """The data asked for, else the card's training data; ``None`` when there is none and none is ``required``."""
    if isinstance(wanted, Dataset):
        return _not_empty(_cut(wanted, card))
    if wanted is not None:
        return _not_empty(_cut(_opened(wanted, card, data_dir), card))
    training = card.provenance.training if card is not None else None
    if training is None:
        if required:
            raise InputError(
                "Integer recipes measure ranges on real data, and the model's card names none; "
                "give some with --calibration DATA."
            )
        return None
    try:
        return _not_empty(_cut(_opened(training.name, card, data_dir), card))
    except InputError as error:
        if required:
            raise InputError(
                f"The data {training.name!r}, which the model was trained on, cannot be opened ({error}) "
                "Give other data with --calibration DATA."
            ) from None
        return None


def _opened(spec: str, card: ModelCard | None, data_dir: Path | None) -> Dataset:
    from edgekit.data import open_data

    columns = () if card is None or card.tabular is None else card.tabular.names
    return open_data(spec, part=Part.CALIBRATION, data_dir=data_dir, columns=columns)


def _cut(data: Dataset, card: ModelCard | None) -> Dataset:
    """``data`` as items for the model of ``card``, for one that tells anomalies the normal ones alone where labels do.

    `DataError` for one long text where it takes texts by themselves.
    """
    if card is not None and card.task == anomalies.TASK:
        data = rows_for(data, card.tabular)
        if card.tabular is not None or anomalies.tells_normal(data):  # classes of images may be those of another task
            data = anomalies.normal_items(data)
    if card is None or card.sequences is None:
        return data
    if (
        isinstance(data.whole, str)
        and card.sequences.text is not None
        and card.task not in (None, text_generation.TASK)
    ):
        raise DataError(
            f"{data.name} is one long text; the model takes texts by themselves: give a .csv with a column of texts."
        )
    return cut_for(data, card.sequences)


def noise_for(card: ModelCard | None, recipes: Sequence[Recipe]) -> Dataset | None:
    """What a generator is fed with when it is used, as many items as one of ``recipes`` takes; none for others."""
    if card is None or card.generator is None:
        return None
    return drawn(card.generator, max(recipe.calibration_samples for recipe in recipes), recipes[0].seed)


def write_calibration(
    data: Dataset,
    inputs: tuple[TensorSpec, ...],
    preprocessing: Preprocessing | None,
    *,
    count: int,
    seed: int,
    folder: Path,
    progress: Progress,
    learned: Collection[str] = (),
    card: ModelCard | None = None,
) -> Calibration:
    """``count`` items of ``data`` (all, when it has fewer) as model inputs in ``folder``; one in memory at a time.

    ``learned`` are the digests of the items that the model was trained on. Where ``data`` holds some of them, only
    these calibrate, so that what was held out of the training is held out of the conversion too. The ``card`` says how
    what is no image becomes inputs.
    """
    from edgekit.feeding import Feeder, feeder_of

    feeder = Feeder(inputs, preprocessing) if card is None else feeder_of(card, inputs, preprocessing)
    indices = chosen(data, learned, count, seed)
    digests: list[str] = []

    def feeds() -> Iterator[Mapping[str, npt.NDArray[Any]]]:
        for done, index in enumerate(indices, 1):
            item = data.items[index]
            digests.append(item_digest(item))
            yield feeder.feed(item)
            progress("reading calibration data", done, len(indices))

    samples = Samples.write(folder, feeds(), len(indices))
    ref = data_ref(data.name, digests, seed=seed, keep_items=True)
    return Calibration(samples=samples, ref=replace(ref, items=(*ref.items, *data.origins)))


def chosen(data: Dataset, learned: Collection[str], count: int, seed: int) -> Sequence[int]:
    """The items of ``data`` that calibrate; see `write_calibration`."""
    return _learned_of(data, frozenset(learned), count, seed) or draw(len(data), count, seed)


def _learned_of(data: Dataset, learned: frozenset[str], count: int, seed: int) -> list[int]:
    """Up to ``count`` items of ``data`` that are among ``learned``, as drawn with ``seed``."""
    found: list[int] = []
    for seen, index in enumerate(draw(len(data), len(data), seed) if learned else ()):
        if len(found) == count or (seen == STRANGERS and not found):
            break
        if item_digest(data.items[index]) in learned:
            found.append(index)
    return found


def synthetic_calibration(
    inputs: tuple[TensorSpec, ...],
    preprocessing: Preprocessing | None,
    *,
    seed: int,
    folder: Path,
    padding: Mapping[str, float] | None = None,
    uncertainty: Uncertainty | None = None,
) -> Calibration:
    """`SYNTHETIC_ITEMS` uniform inputs in the range that the preprocessing gives, 0..1 where there is none.

    The noise inputs that ``uncertainty`` names are drawn as when the file is used.

    Of inputs with a ``padding``, the value of time steps that the model masks, every second item ends in it: mistakes
    with masks are seen nowhere else.
    """
    rng = np.random.default_rng(seed)
    for spec in inputs:
        try:
            np.dtype(spec.dtype)
        except TypeError:
            raise InputError(
                f"Input {spec.name!r} is {spec.dtype}; a converted model takes numbers: "
                "leave that part out of the model."
            ) from None

    noises = {} if uncertainty is None else {noise.name: noise for noise in uncertainty.noises}

    def made_up(spec: TensorSpec, number: int) -> npt.NDArray[Any]:
        if spec.name not in noises:
            return _uniform(rng, spec, preprocessing)
        shape = tuple(1 if d is None else d for d in spec.shape[1:])
        return drawn_noise(noises[spec.name], shape, [seed, number]).astype(spec.dtype)

    def feed(number: int) -> dict[str, npt.NDArray[Any]]:
        values = {spec.name: made_up(spec, number) for spec in inputs}
        for name, value in (padding or {}).items() if number % 2 else ():
            steps = len(values[name])
            values[name][steps - steps // 3 - 1 :] = value
        return values

    samples = Samples.write(folder, map(feed, range(SYNTHETIC_ITEMS)), SYNTHETIC_ITEMS)
    return Calibration(samples=samples, ref=None)


def _uniform(rng: np.random.Generator, spec: TensorSpec, preprocessing: Preprocessing | None) -> npt.NDArray[Any]:
    shape = tuple(1 if d is None else d for d in spec.shape[1:])
    if not np.issubdtype(np.dtype(spec.dtype), np.floating):
        return rng.integers(0, 2, shape).astype(spec.dtype)
    if preprocessing is None:
        return rng.uniform(0.0, 1.0, shape).astype(spec.dtype)
    ends = [np.float64(e) * np.asarray(preprocessing.scale) + np.asarray(preprocessing.offset) for e in (0, 255)]
    return rng.uniform(float(np.min(ends)), float(np.max(ends)), shape).astype(spec.dtype)


def _not_empty(data: Dataset) -> Dataset:
    if len(data) == 0:
        raise DataError(f"{data.name} holds no items; expected at least one for calibration.")
    return data
