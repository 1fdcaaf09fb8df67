"""A model file on disk, with what it says of itself."""

import json
import math
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from edgekit.card import ModelCard, TensorSpec, dump_card, load_card
from edgekit.codec import from_jsonable, to_jsonable
from edgekit.errors import ArtifactError, CardError, InputError
from edgekit.files import sha256_file, write_atomic
from edgekit.formats import keras, onnx, tflite, tflite_card
from edgekit.ratings import RECONSTRUCTION
from edgekit.sequences import Encoding

CARD_KEY = "edgekit.card"
_MAX_ELEMENTS = 1 << 47  # the address space of a process, in bytes


class Format(StrEnum):
    """Kinds of model file."""

    TFLITE = "tflite"
    ONNX = "onnx"
    KERAS = "keras"


_SUFFIXES = {".tflite": Format.TFLITE, ".onnx": Format.ONNX, ".keras": Format.KERAS, ".h5": Format.KERAS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A model file and its card, both read from the file.

    A file that edgekit did not write has a card made of what can be read from it; ``card.unknown()`` names the rest,
    and ``foreign`` is true.
    """

    path: Path
    format: Format
    sha256: str
    model_bytes: int
    card: ModelCard
    foreign: bool

    @property
    def recipe(self) -> str:
        """The recipe's code, or ``unknown`` for a foreign file; a Keras model is ``source``."""
        if self.card.provenance.recipe is not None:
            return self.card.provenance.recipe.code
        return "source" if self.format is Format.KERAS else "unknown"


def find_model(path: Path) -> tuple[Path, Format]:
    """The model file meant by ``path`` and its format; a training's folder means its ``model.keras``."""
    try:
        str(path).encode()
    except UnicodeEncodeError:  # no engine takes it, nor does JSON
        raise ArtifactError(f"{str(path)!r} is a name that is not UTF-8; rename the file.") from None
    if path.is_dir():
        if (path / "checkpoint.npz").is_file():
            raise ArtifactError(
                f"{path} holds an unfinished training; give the command of the training again, or a model file by name."
            )
        if not (path / "model.keras").is_file():
            raise ArtifactError(f"{path} is a folder without model.keras; give a .tflite, .onnx or .keras file.")
        path = path / "model.keras"
    if not path.exists():
        raise ArtifactError(f"{path} does not exist; check the path.")
    if not path.is_file():
        raise ArtifactError(f"{path} is not a file; give a .tflite, .onnx or .keras file.")
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ArtifactError(
            f"{path} is no kind of model that edgekit knows; give a .tflite, .onnx, .keras or .h5 file."
        )
    try:
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}.") from None
    if empty:
        raise ArtifactError(f"{path} is empty; copy, download or convert it again.")
    return path, _SUFFIXES[suffix]


def open_artifact(path: Path, *, labels: tuple[str, ...] | None = None) -> Artifact:
    """The model file at ``path`` with its card. The model is not run.

    ``labels`` replace those of the card. `ArtifactError` for a file that is missing, empty, damaged or of another kind,
    `CardError` for a card that this edgekit cannot read.
    """
    path, kind = find_model(path)
    card, foreign = _read_card(path, kind)
    for spec in (*card.inputs, *card.outputs):
        if math.prod(1 if d is None else d for d in spec.shape) > _MAX_ELEMENTS:
            raise ArtifactError(f"{path}: {spec.name!r} is {_kind(spec)}, which no memory holds; export a smaller one.")
    return Artifact(
        path=path,
        format=kind,
        sha256=sha256_file(path),
        model_bytes=path.stat().st_size,
        card=card if labels is None else replace(card, labels=labels),
        foreign=foreign,
    )


def with_card(data: bytes, card: ModelCard, fmt: Format) -> bytes:
    """The bytes of a TFLite or ONNX file with ``card`` in them, replacing an older one; the model stays as it is."""
    text = dump_card(card).encode()
    match fmt:
        case Format.TFLITE:
            return tflite_card.write_metadata(data, CARD_KEY, text, where=card.name)
        case Format.ONNX:
            return onnx.write_metadata(data, CARD_KEY, text, where=card.name)
        case Format.KERAS:
            raise ArtifactError("A Keras file takes its card in place; use edgekit.formats.keras.write_card.")


def attach_card(path: Path, card: ModelCard) -> Artifact:
    """The file at ``path`` rewritten with ``card`` in it; `CardError` when the card does not fit the model."""
    path, kind = find_model(path)
    check_fit(card, _foreign_card(path, kind))
    if kind is Format.KERAS:
        keras.write_card(path, card)
    else:
        write_atomic(path, with_card(path.read_bytes(), card, kind))
    return open_artifact(path)


def merged_card(card: ModelCard, file: Path) -> ModelCard:
    """``card`` with the keys of the JSON object in ``file`` replaced; it may hold a whole card or a part of one.

    A null makes a key unknown. `CardError` for a key or value that does not belong in a card.
    """
    try:
        changes = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise CardError(f"{file} is not JSON: {error}.") from None
    if not isinstance(changes, dict):
        raise CardError(f"{file} holds no JSON object; expected keys of a card such as task, preprocessing, labels.")
    return from_jsonable(ModelCard, {**to_jsonable(card), **changes}, where=str(file))


def check_fit(card: ModelCard, model: ModelCard) -> None:
    """`CardError` unless the inputs and outputs that ``card`` states are those read from the ``model``'s file."""
    for what, stated, found in (("input", card.inputs, model.inputs), ("output", card.outputs, model.outputs)):
        if not found:
            continue  # the file itself does not tell
        its = {spec.name: spec for spec in found}  # the order of a file's tensors means nothing
        if sorted(s.name for s in stated) != sorted(its):
            raise CardError(
                f"The card names the {what}s {[s.name for s in stated]}; the model has {[f.name for f in found]}."
            )
        for mine in stated:
            if (mine.shape, mine.dtype) != (its[mine.name].shape, its[mine.name].dtype):
                raise CardError(
                    f"The card says that {what} {mine.name!r} is {_kind(mine)}; in the model it is "
                    f"{_kind(its[mine.name])}."
                )
    _check_labels(card)
    _check_preprocessing(card)
    _check_sequences(card)
    _check_tabular(card)
    _check_ratings(card)
    if card.uncertainty is not None:
        card.uncertainty.require_inputs([spec.name for spec in card.inputs])


def _check_labels(card: ModelCard) -> None:
    if card.labels is None or len(card.outputs) != 1 or not card.outputs[0].shape:
        return
    classes = card.outputs[0].shape[-1]
    if card.task == "classification" and classes is not None and len(card.labels) != classes:
        raise CardError(f"The card has {len(card.labels)} labels; the model has {classes} classes.")


def _check_preprocessing(card: ModelCard) -> None:
    spec = card.preprocessing
    if spec is None or len(card.inputs) != 1:
        return
    size = (spec.channels, *spec.size_hw) if spec.layout == "nchw" else (*spec.size_hw, spec.channels)
    shape = card.inputs[0].shape
    item = shape[1:]
    fits = len(item) == 3 and all(d is None or d == s for d, s in zip(item, size, strict=True))
    flat = spec.channels == 1 and item == spec.size_hw  # gray images without an axis for the channel
    if not fits and not flat:
        raise CardError(
            f"The card's preprocessing makes images of {' x '.join(map(str, size))} ({spec.layout}); "
            f"the model's input {card.inputs[0].name!r} is {_kind(card.inputs[0])}."
        )


def _check_sequences(card: ModelCard) -> None:
    how = card.sequences
    if how is None or how.states or len(card.inputs) != 1:
        return  # a model of one step lacks the axis of time
    if how.text is not None:
        tokens = (len(how.text.vocabulary.tokens),) if how.text.encoding is Encoding.ONE_HOT else ()
        _require_item("input", card.inputs[0], (how.text.length, *tokens))
    if how.series is not None:
        _require_item("input", card.inputs[0], (how.series.length, len(how.series.columns)))
    if how.answer is not None and len(card.outputs) == 1:
        _require_item("output", card.outputs[0], (how.answer.length, len(how.answer.vocabulary.tokens)))


def _check_tabular(card: ModelCard) -> None:
    if card.tabular is None or len(card.inputs) != 1:
        return
    columns, (spec,) = len(card.tabular.columns), card.inputs
    if len(spec.shape) != 2 or spec.shape[1] not in (None, columns):
        raise CardError(f"The card's table has {columns} columns; the model's input {spec.name!r} is {_kind(spec)}.")


def _check_ratings(card: ModelCard) -> None:
    if card.ratings is None or len(card.inputs) != 1:
        return
    count = len(card.ratings.items)
    for what, spec in (("input", card.inputs[0]), *(("output", s) for s in card.outputs if s.name == RECONSTRUCTION)):
        if len(spec.shape) != 2 or spec.shape[1] not in (None, count):
            raise CardError(
                f"The card's ratings have {count:,} items; the model's {what} {spec.name!r} is {_kind(spec)}."
            )


def _require_item(what: str, spec: TensorSpec, item: tuple[int, ...]) -> None:
    if len(spec.shape) != 1 + len(item) or any(d not in (None, s) for d, s in zip(spec.shape[1:], item, strict=True)):
        raise CardError(
            f"The card's sequences have {' x '.join(map(str, item))} for an item; the model's {what} {spec.name!r} is "
            f"{_kind(spec)}."
        )


def _kind(spec: TensorSpec) -> str:
    return f"{' x '.join('any' if d is None else str(d) for d in spec.shape) or 'scalar'} {spec.dtype}"


def _read_card(path: Path, kind: Format) -> tuple[ModelCard, bool]:
    """(card, whether it had to be made up from the file)."""
    text: str | bytes | None
    match kind:
        case Format.TFLITE:
            text = tflite.read_metadata(path.read_bytes(), str(path)).get(CARD_KEY)
        case Format.ONNX:
            text = onnx.read_metadata(path.read_bytes(), str(path)).get(CARD_KEY)
        case Format.KERAS:
            text = keras.read_card(path)
    foreign = _foreign_card(path, kind)  # reads the graph too, so that a damaged file is noticed here
    if text is None:
        return foreign, True
    return load_card(text, where=f"the card in {path}"), False


def _foreign_card(path: Path, kind: Format) -> ModelCard:
    """What the file tells without a card."""
    if kind is Format.KERAS:
        model = keras.read_model(path)
        return ModelCard(name=path.stem, inputs=model.inputs, outputs=model.outputs)
    data = path.read_bytes()
    read = tflite.parse_graph if kind is Format.TFLITE else onnx.parse_graph
    graph = read(data, str(path))
    labels = tflite.read_labels(data) if kind is Format.TFLITE else None
    return ModelCard(name=path.stem, inputs=graph.inputs, outputs=graph.outputs, labels=labels)
