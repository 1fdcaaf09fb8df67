"""The outputs of one model file for a few inputs, with class names where it is a classifier."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import TensorSpec
from edgekit.data import Item, Part, npy
from edgekit.data.arrays import read_npz, require_finite_items
from edgekit.data.images import decode_image, is_image_name, photos_in
from edgekit.data.own_ratings import own_ratings
from edgekit.data.packed import kind_of
from edgekit.data.series_table import chosen_columns
from edgekit.errors import DataError, InputError
from edgekit.files import write_atomic
from edgekit.measure.metrics import require_finite
from edgekit.measure.passes import (
    Doubt,
    Told,
    doubt_columns,
    in_passes,
    item_inputs,
    passes_in_words,
    passes_of,
    require_passes,
    require_probabilities,
    takes_noise,
)
from edgekit.measure.predict_sequences import called, is_sequence, next_tokens, said_of, sequence_sources, text_item
from edgekit.measure.predict_tables import is_table, table_sources, verdict_of
from edgekit.measure.subjects import Subject, open_subjects, run_subjects
from edgekit.tasks import text_generation
from edgekit.tasks.classification import TASKS, as_probabilities, guessed_by
from edgekit.workers import Progress, silent

Array = npt.NDArray[Any]

MEAN = "probabilities"
"""What the means over several passes are called among the outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A class of a classifier: its output index, its name where known, its probability, or an ``independent`` score."""

    class_id: int
    label: str | None
    score: float
    independent: bool = False

    @property
    def title(self) -> str:
        """What the class is called, a token that is not seen by its name in Python."""
        label = self.label or f"class {self.class_id}"
        return label if label.isprintable() and label.strip() else repr(label)

    def to_json(self) -> dict[str, Any]:
        """One object of a list of best classes."""
        return {"class_id": self.class_id, "label": self.label, guessed_by(self.independent): self.score}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the model says of one item, called ``source``.

    ``outputs`` of a file that takes noise are the probabilities that its passes give in the mean. ``top`` are the best
    classes, or next tokens of a text; ``said`` is what models of texts and series say in other words, by its name: an
    answer, a forecast, and a detector of anomalies its verdict.
    """

    source: str
    outputs: dict[str, Array]
    top: tuple[Guess, ...]
    said: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionReport:
    """The predictions of one file, in the order of the inputs.

    ``doubts`` are those of each item after ``passes`` passes; a file that takes no noise has one pass and no doubts.
    """

    subject: Subject
    predictions: tuple[Prediction, ...]
    passes: int = 1
    doubts: tuple[Doubt, ...] = ()

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each item."""
        return [
            {
                **self.subject.describe(),
                **({} if doubt is None else {"passes": self.passes}),
                "input": p.source,
                "n": 1,
                "metrics": {},
                "top": [guess.to_json() for guess in p.top],
                **({} if doubt is None else doubt.to_json()),
                **p.said,
                "outputs": {name: _statistics(values) for name, values in p.outputs.items()},
            }
            for p, doubt in self._with_doubts()
        ]

    def _with_doubts(self) -> Iterator[tuple[Prediction, Doubt | None]]:
        return zip(self.predictions, self.doubts or [None] * len(self.predictions), strict=True)

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people: the best classes of each item, or figures of its outputs."""
        noise = [self.passes] if self.doubts else []
        title = f"{self.subject.given} on {self.subject.engine}{passes_in_words(noise)}"
        if all(p.top for p in self.predictions):
            rows = [
                [p.source if i == 0 else "", g.title, str(g.class_id), f"{g.score:.4f}"]
                + ([] if doubt is None else doubt.cells if i == 0 else [""] * len(doubt.cells))
                for p, doubt in self._with_doubts()
                for i, g in enumerate(p.top)
            ]
            card = self.subject.artifact.card
            what = "next" if card.task == text_generation.TASK else "class"
            unsure = doubt_columns(self.passes) if self.doubts else []
            return title, ["input", what, "id", guessed_by(card.independent_scores), *unsure], rows
        if all(p.said for p in self.predictions):
            names = list(self.predictions[0].said)
            told = [[v if isinstance(v, str) else f"{v:.6g}" for v in p.said.values()] for p in self.predictions]
            return (
                title,
                ["input", *names],
                [[p.source, *cells] for p, cells in zip(self.predictions, told, strict=True)],
            )
        rows = []
        for p in self.predictions:
            for name, values in p.outputs.items():
                facts = _statistics(values)
                shape = " x ".join(str(n) for n in values.shape) or "scalar"
                rows.append([p.source, name, f"{shape} {values.dtype}", *(f"{facts[k]:.5g}" for k in _FIGURES)])
        return title, ["input", "output", "shape", *_FIGURES], rows

    def arrays(self) -> dict[str, Array]:
        """All outputs by name, one row an item."""
        names = self.predictions[0].outputs
        return {name: np.stack([p.outputs[name] for p in self.predictions]) for name in names}


_FIGURES = ("min", "max", "mean")


def predict(
    path: Path,
    inputs: Sequence[Path],
    *,
    texts: Sequence[str] = (),
    preprocess: str | None = None,
    labels: tuple[str, ...] | None = None,
    passes: int | None = None,
    threads: int = 1,
    engine: str | None = None,
    top: int = 5,
    progress: Progress = silent,
) -> PredictionReport:
    """Run the model file at ``path`` on ``inputs``: images, folders of images, ``.npy`` arrays or ``.npz`` files.

    Models of texts and series take ``.txt`` and ``.csv`` files, see `sequence_sources`, and ``texts`` themselves, those
    of tables each row of a ``.csv``, recommenders a ``.csv`` of ratings, see `own_ratings`. An
    array is one item, or a batch of items when it has one dimension more than the model's input without batch. The
    ``top`` best classes are told for classifiers: files whose card says so, that have labels, or whose one output is a
    vector of probabilities. One that takes noise sees each item in ``passes`` passes, or in as many as its card says,
    and its doubts are told. `DataError` or `InputError` when inputs cannot be read or do not fit the model.
    """
    engines = () if engine is None else (engine,)
    (subject,) = open_subjects([path], preprocess=preprocess, labels=labels, threads=threads, engines=engines)
    require_passes([subject], passes)
    if takes_noise(subject):
        require_probabilities([subject], "predict with noise")
    sources = [source for given in inputs for source in _sources(given, subject)]
    sources += [(called(text), text_item(text, subject)) for text in texts]
    if not sources:
        raise InputError("There is nothing to predict; give images, texts, .npy arrays or .npz files.")
    names = [name for name, _ in sources]
    predictions: list[Prediction] = []
    told = Told()
    progress("predicting", 0, len(names))
    for outputs in _answers(subject, (load_source(source) for _, source in sources), told, passes):
        for answer in outputs:
            for name, values in answer.items():
                require_finite(values, f"Output {name!r} of {path}")
            source, item = sources[len(predictions)]
            said = verdict_of(subject.artifact.card, answer)
            if not said and not isinstance(item, Path):
                said = said_of(subject, item, answer)
            guesses = () if said else top_guesses(subject, answer, top)
            predictions.append(Prediction(source=source, outputs=answer, top=guesses, said=said))
        progress("predicting", len(predictions), len(names))
    return PredictionReport(
        subject=subject,
        predictions=tuple(predictions),
        passes=passes_of(subject, passes),
        doubts=told.doubts() if takes_noise(subject) else (),
    )


def _answers(
    subject: Subject, items: Iterator[Item], told: Told, passes: int | None
) -> Iterator[list[dict[str, Array]]]:
    """Chunk by chunk, the outputs by name for each of ``items``; ``told`` takes those of a file with noise too."""
    if not takes_noise(subject):
        yield from (outputs for (outputs,) in run_subjects([subject], items))
        return
    # Probabilities have a mean over passes, scores of a file may be none.
    name = subject.runtime.outputs[0].name if passes_of(subject, passes) == 1 else MEAN
    done = 0
    for count in in_passes([subject], items, [told], passes=passes):
        yield [{name: scores} for scores in told.scores[done:count]]
        done = count


def save_outputs(report: PredictionReport, path: Path) -> None:
    """Write all outputs to an ``.npz``, by name, one row an item; the file is whole or absent."""
    stream = io.BytesIO()
    npy.write_npz(stream, report.arrays())
    write_atomic(path, stream.getvalue())


def _sources(given: Path, subject: Subject) -> Iterator[tuple[str, Path | Item]]:
    path, columns = chosen_columns(str(given))
    if columns and path.is_file():
        raise InputError(f"{subject.given} takes the columns that its card names; leave :{','.join(columns)} out.")
    if is_table(given, subject.artifact.card):
        return table_sources(given, subject.artifact.card)
    if subject.artifact.card.sequences is not None and is_sequence(given):
        return sequence_sources(given, subject)
    how = subject.artifact.card.ratings
    if how is not None and kind_of(given) == ".csv":
        return ((f"{given}[{user}]" if user else str(given), ratings) for user, ratings in own_ratings(given, how))
    return input_sources(given, item_inputs(subject))


def input_sources(given: Path, inputs: tuple[TensorSpec, ...]) -> Iterator[tuple[str, Path | Item]]:
    """(name, image file or item) for everything that ``given`` holds."""
    if not given.exists():
        raise DataError(f"There is no file or folder {given}.")
    if given.is_dir():
        yield from ((str(p), p) for p in photos_in(given))
        return
    suffix = given.suffix.lower()
    if is_image_name(given.name):
        yield str(given), given
    elif suffix == ".npz":
        data = read_npz(given, Part.EVALUATION)
        yield from ((f"{given}[{i}]", item) for i, item in enumerate(data))
    elif suffix == ".npy":
        values = _load_npy(given)
        if len(inputs) == 1 and values.ndim == len(inputs[0].shape) - 1:
            yield str(given), values
        else:
            yield from ((f"{given}[{i}]", row) for i, row in enumerate(values))
    else:
        raise DataError(f"{given} is no input; expected an image, a folder of images, an .npy or an .npz.")


def _load_npy(path: Path) -> Array:
    try:
        values = npy.read_npy(path)
    except npy.BROKEN as error:
        raise DataError(f"{path} is not a readable .npy of plain numbers: {npy.reason(error)}.") from None
    if values.ndim == 0 or values.size == 0:
        raise DataError(f"{path} holds no array of items; expected one item, or one a row.")
    require_finite_items(values, str(path))
    return values


def load_source(source: Path | Item) -> Item:
    """The item itself, or the decoded image of a file."""
    return decode_image(source, name=str(source)) if isinstance(source, Path) else source


def top_guesses(subject: Subject, outputs: dict[str, Array], top: int) -> tuple[Guess, ...]:
    """The ``top`` best classes for one item's ``outputs``, best first; none where the file is no classifier.

    Of a generator of text they are the tokens that may come next.
    """
    card = subject.artifact.card
    if (following := next_tokens(subject, outputs)) is not None:
        return _best(following[1], following[0], top, independent=False)
    vector = next(iter(outputs.values())).reshape(-1) if len(outputs) == 1 else np.empty(0)
    if len(vector) < 2 or card.task not in (None, *TASKS):
        return ()
    if card.labels is not None and len(card.labels) != len(vector):
        raise InputError(
            f"{subject.given} has {len(vector)} outputs and {len(card.labels)} labels; give as many with --labels."
        )
    scores = vector if card.independent_scores else as_probabilities(vector[None])[0]
    if card.task is None and card.labels is None and not np.array_equal(scores, vector):
        return ()
    return _best(scores, card.labels, top, independent=card.independent_scores)


def _best(scores: Array, labels: Sequence[str] | None, top: int, *, independent: bool) -> tuple[Guess, ...]:
    return tuple(
        Guess(
            class_id=int(i),
            label=None if labels is None else labels[i],
            score=float(scores[i]),
            independent=independent,
        )
        for i in np.argsort(-scores, kind="stable")[:top]
    )


def _statistics(values: Array) -> dict[str, Any]:
    return {
        "shape": list(values.shape),
        "dtype": str(values.dtype),
        "min": float(values.min(initial=np.inf)) if values.size else 0.0,
        "max": float(values.max(initial=-np.inf)) if values.size else 0.0,
        "mean": float(values.mean()) if values.size else 0.0,
    }
