"""What a bundle says of itself in ``manifest.json``: written at the desk, read strictly on the device."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.card import ModelCard
from edgekit.codec import from_jsonable
from edgekit.errors import CardError
from edgekit.measure.same import Limits

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
FORMATS = ("tflite", "onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Files of ``count`` items that were run at the desk.

    ``inputs`` and ``outputs`` hold one file for each of the model's, (count, ...) and as the model has them. ``pixels``
    are the images of the manifest in the model's size, (count, height, width, channels) uint8. ``found`` are the
    objects in each image: (objects, 6) float32 of left, top, right, bottom, score, class.
    """

    count: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    pixels: str | None = None
    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model file, what it needs to be run without reading it, and its golden data.

    ``input_tensors`` and ``output_tensors`` are numbers of tensors in a TFLite file. ``exact`` says that the file
    computes with integers only, so that the same kernels give the same bits; with ``softmax`` among them, outputs may
    be one step apart on another kind of CPU, since LiteRT's softmax of integers is another one on ARM. ``engine`` and
    ``kernels`` made the golden outputs. ``parts`` are outputs of a detector in the order of its head. ``second`` is the
    file of a detector's second stage, or the one that compares two embeddings of this one.
    """

    file: str
    format: str
    recipe: str
    card: ModelCard
    input_tensors: tuple[int, ...] = ()
    output_tensors: tuple[int, ...] = ()
    stateful: bool = False
    exact: bool = False
    softmax: bool = False
    engine: str
    kernels: str
    limits: Limits
    golden: Golden
    parts: tuple[str, ...] = ()
    second: str | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise CardError(f"{self.file} is said to be {self.format}; expected {' or '.join(FORMATS)}.")

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.file.rpartition("/")[2]

    @property
    def classifies(self) -> bool:
        """Whether it takes an image alone and tells of classes; an image beside noise is another thing."""
        card = self.card
        others = (card.detection, card.verification, card.anomaly)
        return card.preprocessing is not None and len(card.inputs) == 1 and all(each is None for each in others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All of a bundle, made on a ``machine`` such as ``x86_64``.

    ``data`` is what the golden items are; ``images`` are files of them before preprocessing. ``c_arrays`` has a note on
    each.
    """

    schema_version: int = SCHEMA_VERSION
    edgekit: str
    machine: str
    data: str
    synthetic: bool
    seed: int
    images: tuple[str, ...] = ()
    entries: tuple[Entry, ...]
    c_arrays: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise CardError(
                f"The bundle has schema version {self.schema_version}; its runner reads {SCHEMA_VERSION}: make it anew."
            )


def read_manifest(text: bytes) -> Manifest:
    """The manifest in JSON ``text``; `CardError` says what does not fit."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CardError(f"{MANIFEST} is not JSON: {error}.") from None
    return from_jsonable(Manifest, data, where=MANIFEST)
