"""Weights that were trained elsewhere, recognised by their names and put into a zoo model value by value."""

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import open_artifact
from edgekit.card import ModelCard, Provenance
from edgekit.data import npy
from edgekit.errors import InputError
from edgekit.files import sha256_file
from edgekit.formats.keras import require_readable_weights
from edgekit.models.framework import load_keras
from edgekit.models.spec import ModelSpec, Value
from edgekit.models.weight_sets import WEIGHT_SETS, WeightSet
from edgekit.preprocessing import Preprocessing
from edgekit.runtimes.keras import load_model
from edgekit.two_files import second_file

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedWeights:
    """A file of weights: the arguments it implies, and ``apply``, which puts its values into a model built so.

    ``preprocess`` names the preset that the weights were trained with, ``preprocessing`` is what the file's card
    states, ``labels`` are the names of its classes; each is none where the file does not tell. ``background``: class 0
    stands for none of the others.
    """

    arguments: Mapping[str, Value]
    apply: Callable[[Any], None]
    provenance: Provenance
    preprocess: str | None = None
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] | None = None
    background: bool = False


def import_weights(spec: ModelSpec, path: Path, arguments: Mapping[str, Value]) -> ImportedWeights:
    """The weights in ``path`` for ``spec``: an `.npz` of a known naming, a `.keras` file or a `.weights.h5` file.

    ``arguments`` are the user's; `InputError` where they contradict the file, or where the file leaves one open.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}; give --weights an .npz, .keras or .weights.h5 file.")
    if path.suffix == ".npz":
        return _from_npz(spec, path, arguments)
    if path.suffix == ".keras":
        return _from_keras(spec, path, arguments)
    if path.name.endswith(".weights.h5"):
        return _from_h5(path)
    raise InputError(f"{path} is not a file of weights; expected .npz, .keras or .weights.h5.")


@dataclass(frozen=True, slots=True)
class _Together:
    """The layers of a model's two files."""

    layers: tuple[Any, ...]


def _loaded(path: Path, card: ModelCard) -> Any:
    """The model in ``path``, with that of the second file where its ``card`` names one."""
    model = load_model(load_keras(), path)
    if (second := second_file(path, card)) is None:
        return model
    require_readable_weights(second)
    return _Together((*model.layers, *load_model(load_keras(), second).layers))


def copy_weights(source: Any, target: Any, *, anew: str | None = None, where: str = "The source") -> None:
    """Set every layer of ``target`` from the layer of that name in ``source``; `InputError` names what does not fit.

    Layers whose whole name matches the pattern ``anew`` stay as they are.
    """
    sources = {layer.name: layer for layer in source.layers}
    for layer in target.layers:
        if not layer.weights or (anew is not None and re.fullmatch(anew, layer.name)):
            continue
        if layer.name not in sources:
            raise InputError(f"{where} has no layer {layer.name!r}; expected a model of the same architecture.")
        values = sources[layer.name].get_weights()
        _check_shapes(layer, [v.shape for v in values], [where] * len(values))
        layer.set_weights(values)


def _from_npz(spec: ModelSpec, path: Path, arguments: Mapping[str, Value]) -> ImportedWeights:
    arrays = _read_npz(path)
    found = next((s for s in WEIGHT_SETS if s.marker in arrays), None)
    if found is None:
        known = ", ".join(f"{s.title} ({s.marker}, ...)" for s in WEIGHT_SETS)
        first = ", ".join(sorted(arrays)[:3]) or "nothing"
        raise InputError(f"{path} holds no weights that edgekit knows: it has {first}; expected {known}.")
    if found.architecture != spec.name:
        raise InputError(f"{path} holds {found.title}, not {spec.name}; build {found.architecture} instead.")
    arrays = {k: v for k, v in arrays.items() if not k.endswith(found.ignored_suffix)}
    implied = found.implied(arrays)
    for name, value in implied.items():
        if name in arguments and name not in found.free and arguments[name] != value:
            raise InputError(f"{path} was trained with {name} {value}; got {arguments[name]}: leave {name} out.")
    if "size" not in implied and "size" not in arguments:
        raise InputError(f"{path} does not say its image size; give --size with the one it was trained at.")

    return ImportedWeights(
        arguments=implied,
        apply=lambda model: _assign(model, arrays, found, path),
        provenance=_provenance(path, "npz", f"weights: {found.title}", *found.notes),
        preprocess=found.preprocess,
        background=implied["classes"] == found.classes_with_background,
    )


def _read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        return npy.read_npz(path)
    except npy.BROKEN as error:
        raise InputError(f"{path} cannot be read as .npz: {npy.reason(error)}.") from None


def _assign(model: Any, arrays: Arrays, weight_set: WeightSet, path: Path) -> None:
    slots = weight_set.slots(model)
    expected = {key for keys in slots.values() for key, _ in keys}
    missing, left_over = sorted(expected - set(arrays)), sorted(set(arrays) - expected)
    if missing:
        raise InputError(f"{path} lacks {missing[0]!r}, one of {len(expected)} arrays of {weight_set.title}.")
    if left_over:
        raise InputError(f"{path} has {left_over[0]!r}, which {weight_set.title} does not have.")
    for layer in model.layers:
        if layer.name in slots:
            names = [f"{path}: {key}" for key, _ in slots[layer.name]]
            values = [rule(arrays[key]).astype(np.float32) for key, rule in slots[layer.name]]
            _check_shapes(layer, [v.shape for v in values], names)
            layer.set_weights(values)


def _check_shapes(layer: Any, shapes: list[tuple[int, ...]], names: list[str]) -> None:
    if len(shapes) != len(layer.weights):
        raise InputError(
            f"{names[0]} has {len(shapes)} arrays for layer {layer.name!r}; expected {len(layer.weights)}."
        )
    for weight, shape, name in zip(layer.weights, shapes, names, strict=True):
        if tuple(weight.shape) != shape:
            raise InputError(f"{name} has shape {shape} for {weight.path}; expected {tuple(weight.shape)}.")


def _from_keras(spec: ModelSpec, path: Path, arguments: Mapping[str, Value]) -> ImportedWeights:
    card = open_artifact(path).card
    require_readable_weights(path)
    made_by_zoo = card.provenance.architecture
    if made_by_zoo is not None and made_by_zoo != spec.name:
        raise InputError(f"{path} holds {made_by_zoo}, not {spec.name}; use it with {made_by_zoo} instead.")
    known = {a.name for a in spec.arguments}
    implied = {k: v for k, v in card.provenance.arguments.items() if k in known and v is not None}
    for name in ("alpha", "channels", "classes", "depth", "filters", "norm", "padding", "stem", "units"):
        if name in implied and name in arguments and arguments[name] != implied[name]:
            raise InputError(
                f"{path} was trained with {name} {implied[name]}; got {arguments[name]}: leave {name} out."
            )

    def apply(model: Any) -> None:
        copy_weights(_loaded(path, card), model, where=str(path))

    return ImportedWeights(
        arguments=implied,
        apply=apply,
        provenance=_provenance(path, "keras", "weights of a .keras file"),
        preprocessing=card.preprocessing,
        labels=card.labels,
    )


def _from_h5(path: Path) -> ImportedWeights:
    require_readable_weights(path)

    def apply(model: Any) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Keras only warns of layers that it leaves as they were
                model.load_weights(path)
        except (OSError, ValueError, KeyError, UserWarning) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise InputError(f"{path} does not fit {model.name}: {reason}.") from None

    return ImportedWeights(
        arguments={}, apply=apply, provenance=_provenance(path, "weights.h5", "weights of a .weights.h5 file")
    )


def _provenance(path: Path, kind: str, *notes: str) -> Provenance:
    return Provenance(source_sha256=sha256_file(path), source_format=kind, notes=notes)
