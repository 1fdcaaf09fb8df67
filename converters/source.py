"""What a conversion starts from: a path, its kind, and the card it may carry."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edgekit.artifact import Format
from edgekit.card import ModelCard
from edgekit.errors import ArtifactError, InputError
from edgekit.files import sha256_file


class SourceKind(StrEnum):
    """Kinds of model that can be converted."""

    KERAS = "keras"
    H5 = "h5"
    SAVED_MODEL = "saved_model"
    ONNX = "onnx"
    TFLITE = "tflite"

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        names = {"onnx": "an ONNX file", "tflite": "a TFLite file", "saved_model": "a SavedModel", "h5": "an .h5 file"}
        return names.get(self.value, "a .keras file")


FORMATS: dict[SourceKind, tuple[Format, ...]] = {
    SourceKind.KERAS: (Format.TFLITE, Format.ONNX),
    SourceKind.H5: (Format.TFLITE, Format.ONNX),
    SourceKind.SAVED_MODEL: (Format.TFLITE, Format.ONNX),
    SourceKind.ONNX: (Format.ONNX,),
    SourceKind.TFLITE: (Format.TFLITE,),
}
"""Which formats each kind of source can become."""

_SUFFIXES = {".keras": SourceKind.KERAS, ".h5": SourceKind.H5, ".onnx": SourceKind.ONNX, ".tflite": SourceKind.TFLITE}
_CARRIES_CARD = (SourceKind.KERAS, SourceKind.ONNX, SourceKind.TFLITE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model to convert. ``path`` is the model itself, in a run folder too; results go to ``home`` by default."""

    path: Path
    kind: SourceKind
    name: str
    home: Path
    sha256: str
    card: ModelCard | None

    @property
    def needs_tensorflow(self) -> bool:
        """Whether only TensorFlow can read it."""
        return self.kind not in (SourceKind.ONNX, SourceKind.TFLITE)


def open_source(path: Path) -> Source:
    """The source at ``path``; nothing of it is run. `InputError` or `ArtifactError` when it is no model to convert."""
    if not path.exists():
        raise InputError(f"{path} does not exist; give a model file, a SavedModel folder or a run folder.")
    model, kind = _model_and_kind(path)
    card: ModelCard | None = None
    if kind in _CARRIES_CARD:
        from edgekit.artifact import open_artifact

        artifact = open_artifact(model)
        card = artifact.card
        _refuse_quantized(model, kind)
    elif kind is SourceKind.H5 and not model.read_bytes()[:8].startswith(b"\x89HDF\r\n\x1a\n"):
        raise ArtifactError(f"{model} is not an HDF5 file, or is damaged; expected a model saved by Keras as .h5.")
    name = path.resolve().name if path.is_dir() else path.stem
    sha256 = _sha256_folder(model) if model.is_dir() else sha256_file(model)
    return Source(path=model, kind=kind, name=name, home=path.resolve().parent, sha256=sha256, card=card)


def _model_and_kind(path: Path) -> tuple[Path, SourceKind]:
    if path.is_dir():
        if (path / "model.keras").is_file():
            return path / "model.keras", SourceKind.KERAS
        if (path / "saved_model.pb").is_file():
            return path, SourceKind.SAVED_MODEL
        raise InputError(
            f"{path} holds neither model.keras nor saved_model.pb; give a run folder or a SavedModel folder."
        )
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(
            f"{path} is not a model that can be converted; expected .keras, .h5, .onnx, .tflite, a SavedModel folder, "
            "a run folder or a .manifest.json of an earlier conversion."
        )
    return path, _SUFFIXES[path.suffix.lower()]


def _refuse_quantized(path: Path, kind: SourceKind) -> None:
    if kind is SourceKind.KERAS:
        return
    from edgekit.formats import onnx, tflite

    graph = (tflite if kind is SourceKind.TFLITE else onnx).read_graph(path)
    integer = any(t.scale for t in graph.tensors.values()) or any("quantize" in n.op.lower() for n in graph.nodes)
    half = any(t.constant and t.dtype == "float16" for t in graph.tensors.values())
    if integer or half:
        kinds = "quantized" if integer else "in half precision"
        raise InputError(f"{path} is already {kinds}; convert the float model that it was made from.")


def _sha256_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()
