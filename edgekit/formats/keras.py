"""Keras files, ``.keras`` (a zip) and ``.h5``: what they tell without loading TensorFlow, and writing the card."""

import importlib.util
import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from edgekit.card import ModelCard, TensorSpec, dump_card
from edgekit.errors import ArtifactError
from edgekit.files import write_atomic
from edgekit.workers import Json, Worker, WorkerCrashError

CARD_MEMBER = "edgekit.json"
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_ELEMENTWISE = frozenset({"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"})
_MAX_TEXT_BYTES = 1 << 28  # a config or card larger than this is not a model's
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time of a zip: no clock in the bytes
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
H5_LIMIT_S = 60.0
"""Reading the HDF5 part of a file ends within this time, or the file is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KerasModel:
    """What a Keras file says of its model: layers by class, inputs, and outputs where their shape can be told."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layers: Mapping[str, int]
    custom_layers: tuple[str, ...]


def read_model(path: Path) -> KerasModel:
    """The model in a ``.keras`` or ``.h5`` file; `ArtifactError` when the file is damaged or of another kind."""
    config = _h5_config(path) if _is_h5(path) else _load_json(read_member(path, _CONFIG, limit=_MAX_TEXT_BYTES), path)
    try:
        return _describe(config)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError, RecursionError):
        raise ArtifactError(
            f"{path} describes no Keras model that edgekit can read; save it again with Keras 3."
        ) from None


def count_weights(path: Path) -> tuple[int, Mapping[str, int]] | None:
    """(parameters, bytes by dtype) of the model's weights, or None where h5py, which reads them, is not installed."""
    if importlib.util.find_spec("h5py") is None:
        return None
    member, group = (None, "model_weights") if _is_h5(path) else (_WEIGHTS, "/")
    found = _ask_h5("weights", path, {"member": member, "group": group})
    return found["total"], found["sizes"]


def require_readable_weights(path: Path) -> None:
    """`ArtifactError` unless all arrays in a ``.keras``, ``.h5`` or ``.weights.h5`` file can be read.

    Keras reads them in the process that uses them, where HDF5's library would hang or crash on some damaged files.
    """
    if path.name.endswith(".weights.h5"):
        _ask_h5("weights", path, {"member": None, "group": "/"})
    else:
        count_weights(path)


def read_card(path: Path) -> bytes | None:
    """The JSON of the card in a ``.keras`` file, or None when it has none."""
    if _is_h5(path):
        return None
    with _open_zip(path) as archive:
        if CARD_MEMBER not in archive.namelist():
            return None
    return read_member(path, CARD_MEMBER, limit=_MAX_TEXT_BYTES)


def write_card(path: Path, card: ModelCard) -> None:
    """Put ``card`` into the ``.keras`` file, replacing an older one; the other members keep their content."""
    if _is_h5(path):
        raise ArtifactError(f"{path} has no place for a card; save the model as .keras first.")
    target = io.BytesIO()
    with _open_zip(path) as source, zipfile.ZipFile(target, "w") as out:
        members = [i for i in source.infolist() if i.filename != CARD_MEMBER]
        for member in members:
            info = zipfile.ZipInfo(member.filename, _EPOCH)
            info.compress_type = member.compress_type
            out.writestr(info, read_member(path, member.filename))
        out.writestr(zipfile.ZipInfo(CARD_MEMBER, _EPOCH), dump_card(card), zipfile.ZIP_DEFLATED)
    write_atomic(path, target.getvalue())


def _damaged(path: Path, why: object) -> NoReturn:
    raise ArtifactError(f"{path} is damaged: {why}; copy or save it again.") from None


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise ArtifactError(
            f"{path} is not a file that Keras 3 saved, or is cut off: it is no zip archive; copy or save it again."
        ) from None
    except _BROKEN_ZIP as error:
        _damaged(path, error)


def read_member(path: Path, name: str, *, limit: int | None = None) -> bytes:
    """The content of a member of the zip, which claims at most ``limit`` bytes; `ArtifactError` when it is damaged."""
    with _open_zip(path) as archive:
        try:
            info = archive.getinfo(name)
            if limit is not None and info.file_size > limit:
                _damaged(path, f"{name} claims {info.file_size} bytes")
            return archive.read(info)
        except KeyError:
            raise ArtifactError(f"{path} is not a Keras model: it has no {name}; save it with Keras 3.") from None
        except _BROKEN_ZIP as error:
            _damaged(path, error)


def _load_json(text: str | bytes, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        _damaged(path, "its description of the model is not JSON")


def _is_h5(path: Path) -> bool:
    return path.suffix.lower() == ".h5"


def _h5_config(path: Path) -> Any:
    text = _ask_h5("config", path, {})["text"]
    if text is None:
        raise ArtifactError(f"{path} holds weights only, no model; give the .keras file or the whole model.")
    return _load_json(text, path)


def _ask_h5(operation: str, path: Path, request: Json) -> Json:
    with Worker("edgekit.formats.h5_worker") as worker:
        try:
            return worker.call(operation, {**request, "path": str(path)}, limit_s=H5_LIMIT_S)
        except WorkerCrashError as crash:
            _damaged(path, f"its HDF5 part cannot be read ({crash})")


def _describe(config: Any) -> KerasModel:
    body = config["config"]
    layers = body["layers"] if isinstance(body, dict) else body
    first, last = _ends(body, layers)
    return KerasModel(
        name=str(body["name"]) if isinstance(body, dict) and "name" in body else str(config["class_name"]),
        inputs=tuple(_input_spec(layers, name) for name in first),
        outputs=tuple(s for name in last if (s := _output_spec(layers, name)) is not None),
        layers=dict(Counter(str(layer["class_name"]) for layer in layers)),
        custom_layers=tuple(
            str(x["class_name"])
            for x in layers
            if str(x.get("module") or "keras").split(".")[0] not in ("keras", "tf_keras")
        ),
    )


def _ends(body: Any, layers: list[Any]) -> tuple[list[str], list[str]]:
    """Names of the input layers and of the output layers."""
    if isinstance(body, dict) and "input_layers" in body:
        return _layer_names(body["input_layers"]), _layer_names(body["output_layers"])
    names = [str(layer["config"]["name"]) for layer in layers]
    return names[:1], names[-1:]


def _layer_names(nested: Any) -> list[str]:
    """Layer names in ``["layer", 0, 0]``, a list of such, or an object of such."""
    if isinstance(nested, dict):
        return [name for value in nested.values() for name in _layer_names(value)]
    if len(nested) == 3 and isinstance(nested[0], str) and isinstance(nested[1], int):
        return [nested[0]]
    return [name for value in nested for name in _layer_names(value)]


def _layer(layers: list[Any], name: str) -> Any:
    return {layer["config"]["name"]: layer for layer in reversed(layers)}[name]


def _input_spec(layers: list[Any], name: str) -> TensorSpec:
    layer = _layer(layers, name)
    config = layer["config"]
    shape = next((config[k] for k in ("batch_shape", "batch_input_shape") if k in config), None)
    if shape is None:
        shape = layer["build_config"]["input_shape"]
    return TensorSpec(name=name, shape=_dims(shape), dtype=_dtype_name(config["dtype"]))


def _output_spec(layers: list[Any], name: str) -> TensorSpec | None:
    """The output of a layer whose shape follows from its own settings, None for others."""
    layer = _layer(layers, name)
    config, build = layer["config"], layer.get("build_config")
    if not build or "input_shape" not in build:
        return None
    shapes = build["input_shape"]
    if shapes and isinstance(shapes[0], list):
        if layer["class_name"] not in _ELEMENTWISE or any(s != shapes[0] for s in shapes):
            return None
        return TensorSpec(name=name, shape=_dims(shapes[0]), dtype=_dtype_name(config["dtype"]))
    shape = _dims(shapes)
    match layer["class_name"]:
        case "Dense":
            shape = (*shape[:-1], int(config["units"]))
        case "Activation" | "Softmax" | "Dropout" | "ReLU" | "LeakyReLU" | "Identity":
            pass
        case "Flatten" if None not in shape[1:]:
            size = 1
            for dim in shape[1:]:
                size *= dim or 0
            shape = (shape[0], size)
        case "Reshape":
            shape = (shape[0], *_dims(config["target_shape"]))
        case _:
            return None
    return TensorSpec(name=name, shape=shape, dtype=_dtype_name(config["dtype"]))


def _dims(shape: Any) -> tuple[int | None, ...]:
    return tuple(None if d is None or int(d) < 0 else int(d) for d in shape)


def _dtype_name(dtype: Any) -> str:
    if isinstance(dtype, dict):
        dtype = dtype["config"]["name"]
    return {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}.get(str(dtype), str(dtype))
