"""From one item of a data set to one input of a model, without a batch axis, or a `DataError` that says why not."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import ModelCard, TensorSpec
from edgekit.codec import from_jsonable
from edgekit.data.base import Item
from edgekit.data.pass_noise import pass_noise
from edgekit.errors import DataError, InputError, suggest
from edgekit.preprocessing import PRESETS, Layout, Preprocessing, preprocess, preset
from edgekit.ratings import Ratings, encode_user, is_user
from edgekit.sequences import Sequences
from edgekit.tabular import Tabular, standardized
from edgekit.tasks.series import encode_window
from edgekit.tasks.texts import encode
from edgekit.uncertainty import Uncertainty

Array = npt.NDArray[Any]

LEAST_OVERLAP = 0.4
"""Calibrated ranges leave out the brightest or darkest pixels, but never most of them."""
MOST_HEADROOM = 16
"""Values in less than this part of a quantized input's range have under four bits left."""


@dataclass(frozen=True, slots=True)
class Feeder:
    """Turns items into inputs for a model whose tensors are ``inputs`` (with batch axis).

    uint8 images go through ``preprocessing``, texts and windows of series become arrays as ``sequences`` says, rows of
    a table as ``tabular`` and users' ratings as ``ratings`` does; the real numbers that these give to a quantized input
    are quantized by the runtime. Arrays of the input's shape and dtype (or real numbers for a quantized input) are fed
    as they are, and so are those that come by name.

    The noise inputs of a Bayesian network, which ``uncertainty`` names, are drawn from the bytes of the item and the
    ``number`` of the pass, unless the item has them.
    """

    inputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing | None
    sequences: Sequences | None = None
    tabular: Tabular | None = None
    ratings: Ratings | None = None
    uncertainty: Uncertainty | None = None
    number: int = 0

    @property
    def how(self) -> tuple[object, ...]:
        """What `prepare` depends on."""
        return self.preprocessing, self.sequences, self.tabular, self.ratings

    def feed(self, item: Item) -> dict[str, Array]:
        """The inputs by name for one ``item``, no batch axis; `DataError` when it does not fit the model."""
        return self.fit(self.prepare(item), item)

    def prepare(self, item: Item) -> Item:
        """``item`` with its images, text, window or row made ready: the same for all models with the same `how`."""
        if isinstance(item, str):
            return self._encoded(item)
        if is_user(item):
            return self._rated(item)
        if self.sequences is not None and self.sequences.series is not None and not isinstance(item, Mapping):
            return encode_window(item, self.sequences.series)
        if self.tabular is not None and not isinstance(item, Mapping):
            return standardized(item, self.tabular)
        if self.preprocessing is None:
            return item
        if isinstance(item, Mapping):
            return {k: preprocess(v, self.preprocessing) if is_image(v) else v for k, v in item.items()}
        return preprocess(item, self.preprocessing) if is_image(item) else item

    def _encoded(self, text: str) -> Array:
        if self.sequences is None or self.sequences.text is None:
            raise DataError(
                "The data holds texts and the model's card does not say how they become its input: take a model that "
                "was trained on texts by edgekit, or attach a card with a vocabulary."
            )
        return encode(text, self.sequences.text)

    def _rated(self, user: Array) -> Array:
        if self.ratings is None:
            raise DataError(
                "The data holds ratings and the model's card does not say how they become its input: take a model that "
                "was trained on ratings by edgekit, or attach a card with its items."
            )
        return encode_user(user, self.ratings)

    def fit(self, item: Item, origin: Item | None = None) -> dict[str, Array]:
        """The inputs by name for an item that `prepare` gave for ``origin``, which noise is drawn from."""
        if isinstance(item, str):
            item = self._encoded(item)
        noise = self._noise(item, item if origin is None else origin)
        inputs = tuple(spec for spec in self.inputs if spec.name not in noise)
        return {**self._fit_all(item, inputs, drawn=tuple(noise)), **noise}

    def _noise(self, item: Item, origin: Item) -> dict[str, Array]:
        if self.uncertainty is None or not self.uncertainty.noises:
            return {}
        self.uncertainty.require_inputs([spec.name for spec in self.inputs])
        given = item if isinstance(item, Mapping) else {}
        found = pass_noise(self.uncertainty.noises, self.inputs, origin, self.number)
        return {s.name: self._fit(found[s.name], s) for s in self.inputs if s.name in found and s.name not in given}

    def _fit_all(
        self, item: Array | Mapping[str, Array], inputs: tuple[TensorSpec, ...], *, drawn: tuple[str, ...] = ()
    ) -> dict[str, Array]:
        if isinstance(item, Mapping):
            wanted = [spec.name for spec in inputs]
            if set(item) != set(wanted):
                noise = f", and draws {_names(drawn)} where these are not given" if drawn else ""
                raise DataError(
                    f"The data has arrays named {_names(item)}; the model takes inputs named {_names(wanted)}{noise}: "
                    "name the arrays after the inputs."
                )
            return {spec.name: self._fit(item[spec.name], spec) for spec in inputs}
        if len(inputs) != 1:
            raise DataError(
                f"The data gives one array for an item; the model takes {len(inputs)} inputs named "
                f"{_names(s.name for s in inputs)}: give an .npz with an array for each."
            )
        return {inputs[0].name: self._fit(item, inputs[0])}

    def _fit(self, values: Array, spec: TensorSpec) -> Array:
        image = self.preprocessing is None and is_image(values)
        values = _squeezed(values, spec)
        if image and not (spec.dtype == "uint8" and _fits(values.shape, spec)):
            raise DataError(
                f"The data holds images and nothing says how they become the model's {spec.dtype} input "
                f"{spec.name!r}: say it with --preprocess {'|'.join(PRESETS)} or a card file, or attach a card."
            )
        if not _fits(values.shape, spec):
            mend = "resize or reshape the data" if self.sequences is None else "give the file a card that fits it"
            raise DataError(
                f"An item for input {spec.name!r} has shape {_shape(values.shape)}; "
                f"the model takes {_shape(spec.shape[1:])}: {mend}."
            )
        if np.issubdtype(values.dtype, np.inexact) and not np.all(np.isfinite(values)):
            raise DataError(f"An item for input {spec.name!r} holds NaN or infinite values; expected finite numbers.")
        return _typed(values, spec)


def feeder_of(card: ModelCard, inputs: tuple[TensorSpec, ...], preprocessing: Preprocessing | None) -> Feeder:
    """The feeder of a model with this ``card``, whose images go through ``preprocessing``."""
    return Feeder(
        inputs,
        preprocessing,
        sequences=card.sequences,
        tabular=card.tabular,
        ratings=card.ratings,
        uncertainty=card.uncertainty,
    )


def is_image(values: Array) -> bool:
    """Whether an item is a decoded image: (height, width, 1 or 3) uint8."""
    return values.dtype == np.uint8 and values.ndim == 3 and values.shape[2] in (1, 3)


def resolve_preprocessing(card: ModelCard, option: str | None) -> Preprocessing | None:
    """How images become the input of the model with this ``card``; ``None`` when neither card nor ``option`` says it.

    ``option`` is what ``--preprocess`` was given: a preset or the path of a JSON file that holds a card or a bare
    preprocessing object. It serves files whose card is silent. Where the card speaks the option must say the same (a
    preset: the same scale and offset), else `InputError`: ``edgekit card attach`` changes a card, a flag never does.
    """
    if option is None:
        return card.preprocessing
    stated = _from_preset(card, option) if option in PRESETS else _from_file(option)
    if card.preprocessing is None:
        return stated
    same = _affine(card.preprocessing) == _affine(stated) if option in PRESETS else card.preprocessing == stated
    if not same:
        raise InputError(
            f"The card of {card.name} states another preprocessing than --preprocess {option}: leave the flag out, or "
            "change what the file says with `edgekit card attach`."
        )
    return card.preprocessing


def _from_preset(card: ModelCard, name: str) -> Preprocessing:
    if len(card.inputs) != 1:
        raise InputError(
            f"--preprocess {name} is for models with one image input; {card.name} has {len(card.inputs)} inputs: "
            "give their arrays as .npz."
        )
    spec = card.inputs[0]
    size_hw, channels, layout = _image_input(spec)
    made = preset(name, size_hw=size_hw, channels=channels, layout=layout)
    if spec.quantized and not _in_range(made, spec):
        low, high = _taken(spec)
        made_by = {other: preset(other, size_hw=size_hw, channels=channels, layout=layout) for other in PRESETS}
        nearest = min(
            made_by, key=lambda n: sum(abs(a - b) for a, b in zip(_given(made_by[n]), (low, high), strict=True))
        )
        raise InputError(
            f"--preprocess {name} gives values of {_span(*_given(made))}, and the quantized input {spec.name!r} takes "
            f"{_span(low, high)}: use {nearest if _in_range(made_by[nearest], spec) else 'a card file'}."
        )
    if spec.quantized and _takes_pixels(made, spec):
        return replace(made, scale=(1.0,), offset=(float(np.iinfo(spec.dtype).min),), dtype=spec.dtype)
    if spec.quantized or np.issubdtype(np.dtype(spec.dtype), np.floating):
        return made
    if name != "raw":
        raise InputError(
            f"--preprocess {name} gives real numbers; input {spec.name!r} takes {spec.dtype} without a scale: use raw."
        )
    return replace(made, dtype=spec.dtype)


def _image_input(spec: TensorSpec) -> tuple[tuple[int, int], int, Layout]:
    """(height, width), channels and layout of an image input with a batch axis; `InputError` when it is none."""
    match spec.shape:
        case (_, int(height), int(width), (1 | 3) as channels):
            return (height, width), channels, Layout.NHWC
        case (_, (1 | 3) as channels, int(height), int(width)):
            return (height, width), channels, Layout.NCHW
        case (_, int(height), int(width)):
            return (height, width), 1, Layout.NHWC
    raise InputError(
        f"Input {spec.name!r} has shape {_shape(spec.shape)}, which is not one image of known size; "
        "give --preprocess a card file that states size_hw and layout."
    )


def _in_range(stated: Preprocessing, spec: TensorSpec) -> bool:
    """Whether most values that ``stated`` gives can be told apart in the quantized input ``spec``."""
    (low, high), (least, most) = _given(stated), _taken(spec)
    overlap = min(high, most) - max(low, least)
    return overlap >= LEAST_OVERLAP * (high - low) and overlap >= (most - least) / MOST_HEADROOM


def _takes_pixels(stated: Preprocessing, spec: TensorSpec) -> bool:
    """Whether the 256 steps of an 8-bit input are the 256 values of a pixel, but for at most one step at the ends.

    Such an input was made to take pixels as they are; real numbers between would be rounded to a neighbour.
    """
    if np.dtype(spec.dtype).itemsize != 1 or len({*zip(*_affine(stated), strict=True)}) > 1:
        return False
    return all(abs(a - b) <= spec.scale[0] * 1.001 for a, b in zip(_given(stated), _taken(spec), strict=True))


def _given(stated: Preprocessing) -> tuple[float, float]:
    """The smallest and the largest value that ``stated`` makes of a pixel."""
    ends = [end * s + o for end in (0, 255) for s, o in zip(*_affine(stated), strict=True)]
    return min(ends), max(ends)


def _taken(spec: TensorSpec) -> tuple[float, float]:
    """The smallest and the largest real value of a quantized input."""
    kind = np.iinfo(spec.dtype)
    return (kind.min - spec.zero_point[0]) * spec.scale[0], (kind.max - spec.zero_point[0]) * spec.scale[0]


def _span(low: float, high: float) -> str:
    return f"{low:.3g} to {high:.3g}"


def _from_file(option: str) -> Preprocessing:
    path = Path(option)
    if not path.is_file():
        if path.suffix.lower() == ".json":
            raise InputError(f"There is no card file {option}; expected JSON with a card or a preprocessing object.")
        raise InputError(f"There is no preprocessing {option!r}; {suggest(option, PRESETS)}")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{option} is not JSON: {error}.") from None
    if isinstance(data, Mapping) and "schema_version" in data:
        found = from_jsonable(ModelCard, data, where=option).preprocessing
        if found is None:
            raise InputError(f"The card {option} states no preprocessing; expected a key 'preprocessing' in it.")
        return found
    return from_jsonable(Preprocessing, data, where=option)


def _affine(spec: Preprocessing) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scale and offset for each channel: what a preset is about."""
    repeat = [v * spec.channels if len(v) == 1 else v for v in (spec.scale, spec.offset)]
    return repeat[0], repeat[1]


def _squeezed(values: Array, spec: TensorSpec) -> Array:
    """Gray images without their channel axis for a model whose input has none, such as (batch, 28, 28)."""
    if values.ndim == len(spec.shape) and values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        return values[..., 0] if values.shape[2] == 1 else values[0]
    return values


def _fits(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    """Whether an item of ``shape`` is one entry of the batch of ``spec``."""
    wanted = spec.shape[1:]
    return len(shape) == len(wanted) and all(w is None or g == w for g, w in zip(shape, wanted, strict=True))


def _typed(values: Array, spec: TensorSpec) -> Array:
    """``values`` as the input takes them, where nothing is lost but float precision."""
    wanted = np.dtype(spec.dtype)
    if values.dtype == wanted:
        return values
    real = bool(np.issubdtype(values.dtype, np.floating))
    if real and spec.quantized:
        return values
    if real and np.issubdtype(wanted, np.floating):
        with np.errstate(over="ignore"):  # judged below
            cast = values.astype(wanted)
        if np.all(np.isfinite(cast)):
            return cast
        raise DataError(f"An item for input {spec.name!r} holds values too large for {spec.dtype}: scale the data.")
    if np.issubdtype(values.dtype, np.integer) and np.issubdtype(wanted, np.integer):
        cast = values.astype(wanted)
        if np.array_equal(cast, values):
            return cast
        raise DataError(f"An item for input {spec.name!r} holds values outside {spec.dtype}: scale the data.")
    raise DataError(
        f"An item for input {spec.name!r} is {values.dtype}; the model takes {spec.dtype}"
        + (" or real numbers" if spec.quantized else "")
        + ": convert the data."
    )


def _shape(dims: tuple[int | None, ...]) -> str:
    return " x ".join("any" if d is None else str(d) for d in dims) or "scalar"


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
