"""Every reader of things from outside, each as one function of a path that reads all there is to read."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

from edgekit.card import ModelCard
from edgekit.errors import EdgekitError

GOLDEN = Path(__file__).parent.parent / "golden"
CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A reader and what it reads: ``seeds`` are whole files, ``suffix`` is the ending of the damaged ones."""

    read: Callable[[Path], object]
    suffix: str
    seeds: tuple[Path, ...]


def read_tflite(path: Path) -> None:
    """All that is read of a TFLite file, and a card written into it."""
    _read_model(path)


def read_onnx(path: Path) -> None:
    """All that is read of an ONNX file without running it, and a card written into it."""
    _read_model(path)


def _read_model(path: Path) -> None:
    from edgekit.artifact import Format, open_artifact, with_card
    from edgekit.converters.source import open_source
    from edgekit.formats import onnx, tflite
    from edgekit.measure.macs import bytes_by_dtype, count_macs, count_parameters, peak_activation_bytes
    from edgekit.measure.targets import TARGETS, judge

    artifact = open_artifact(path)
    graph = (tflite if artifact.format is Format.TFLITE else onnx).read_graph(path)
    for figure in (bytes_by_dtype, count_macs, count_parameters, peak_activation_bytes):
        figure(graph)
    for target in TARGETS:
        judge(graph, artifact.format, target)
    _each(
        lambda: with_card(path.read_bytes(), ModelCard(name="x", inputs=(), outputs=()), artifact.format),
        lambda: open_source(path),
    )


def read_keras(path: Path) -> None:
    """All that is read of a Keras file without TensorFlow, and a card written into it."""
    from edgekit.converters.source import open_source
    from edgekit.formats import keras
    from edgekit.measure.inspect import inspect

    with patch.object(keras, "H5_LIMIT_S", 2.0):  # so that many can be tried
        inspect(path)
        if path.suffix == ".keras":
            keras.write_card(path, ModelCard(name="x", inputs=(), outputs=()))
        open_source(path)


def read_card(path: Path) -> None:
    """A card, whole or in part, and the preprocessing in it."""
    from edgekit.artifact import check_fit, merged_card
    from edgekit.card import load_card
    from edgekit.feeding import resolve_preprocessing

    blank = ModelCard(name="x", inputs=(), outputs=())
    _each(
        lambda: load_card(path.read_bytes()),
        lambda: resolve_preprocessing(blank, str(path)),
        lambda: check_fit(merged_card(blank, path), blank),
    )


def read_archive(path: Path) -> None:
    """A zip of images with their labels."""
    _read_data(path)


def read_npz(path: Path) -> None:
    """An ``.npz`` as data, as weights and as the state of a training."""
    from edgekit.models.checkpoint import read_checkpoint
    from edgekit.models.registry import find_spec
    from edgekit.models.weights import import_weights

    _each(
        lambda: read_checkpoint(path),
        lambda: import_weights(find_spec("mobilenet_v2"), path, {}),
        lambda: _read_data(path),
    )


def read_npy(path: Path) -> None:
    """One array to predict."""
    from edgekit.measure.predict import _load_npy

    _load_npy(path)


def read_image(path: Path) -> None:
    """An image."""
    from edgekit.data.images import decode_image

    decode_image(path, name=str(path))


def read_csv(path: Path) -> None:
    """A table of numbers, of images or of class names."""
    from edgekit.tasks import read_labels

    _each(lambda: read_labels(path), lambda: _read_data(path))


def read_boxes(path: Path, place: str) -> None:
    """Boxes beside the image that they are of; ``place`` is where in the folder the file belongs."""
    folder = path.parent / "boxes"
    files = {
        place: path.read_bytes(),
        "a.png": (CORPUS / "image" / "rgb.png").read_bytes(),
        "images/a.png": (CORPUS / "image" / "rgb.png").read_bytes(),
        "classes.txt": b"cat\ndog\n",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    _read_data(folder / place if place.endswith(".csv") else folder)


def read_results(path: Path) -> None:
    """Results, drawn as a page."""
    from edgekit.report import write_report

    write_report(path.parent, path.parent / "report.html", force=True)


def read_check_config(path: Path) -> None:
    """What a check measures, and its budgets."""
    from edgekit.check.budgets import read_config

    read_config(path)


def read_check_baseline(path: Path) -> None:
    """A baseline, judged as if nothing had changed since."""
    from dataclasses import replace

    from edgekit.check.baseline import read_baseline
    from edgekit.check.budgets import Budgets, Config, DataSettings, LatencySettings, ModelEntry
    from edgekit.check.judge import judge
    from edgekit.check.observe import Observation
    from edgekit.measure.stats import Ratio

    baseline = read_baseline(path)
    budgets = Budgets(
        max_drop=0.0,
        min_agreement=1.0,
        min_sqnr_db=0.0,
        max_size_growth=0.0,
        min_calibration_share=1.0,
        max_p50_ratio=1.0,
    )
    config = Config(
        data=DataSettings(source="x"),
        latency=LatencySettings(reference="x"),
        budgets=budgets,
        models=tuple(ModelEntry(file=file) for file in baseline.models),
    )
    timed = Ratio(value=1.0, low=1.0, high=1.0)
    seen = Observation(
        metric=baseline.metric,
        data=baseline.data,
        places=tuple(range(len(baseline.data.indices))),
        left_out=0,
        models={file: replace(record, latency=timed) for file, record in baseline.models.items()},
        reference_sha256=None,
        doubts=(),
        comparable=True,
        device="local",
        host={},
    )
    judge(config, baseline, seen)


def read_manifest(path: Path) -> None:
    """The record of a conversion, and settings of a training."""
    from edgekit.converters.manifest import load_manifest
    from edgekit.models.run_folder import _read_settings

    _each(lambda: _read_settings(path), lambda: load_manifest(path))


def read_bundle(path: Path) -> None:
    """A bundle as a zip: its checksums, its manifest, its arrays."""
    from edgekit.bundle.runner.contents import Contents

    contents = Contents(str(path / "bundle"))
    for name in contents.names:
        if name.endswith(".npy"):
            contents.array(name)


def read_recipe(path: Path) -> None:
    """A recipe in JSON, as cards and manifests hold it."""
    import json

    from edgekit.codec import from_jsonable
    from edgekit.errors import CardError
    from edgekit.recipe import Recipe

    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise CardError("not JSON") from None
    from_jsonable(Recipe, data)


def read_idx(path: Path) -> None:
    """MNIST's own format."""
    from edgekit.data.known import read_idx

    read_idx(path)


def _read_data(path: Path) -> None:
    from edgekit.data import Part, item_digest, open_data

    def read(part: Part) -> None:
        data = open_data(str(path), part=part, data_dir=None)
        for index in range(min(len(data), 8)):
            item_digest(data.items[index])

    _each(*(partial(read, part) for part in Part))


def _each(*reads: Callable[[], object]) -> None:
    """Call all of them; when all refuse, or one in more than a line, the refusal with most lines is raised."""
    refusals = []
    for read in reads:
        try:
            read()
        except EdgekitError as error:
            refusals.append(error)
    worst = max(refusals, key=lambda error: str(error).count("\n"), default=None)
    if worst is not None and (len(refusals) == len(reads) or "\n" in str(worst)):
        raise worst


def read_tool(path: Path) -> None:
    """What benchmark_model printed on a phone."""
    from edgekit.devices.android.tool import problem, read_told

    text = path.read_bytes().decode(errors="replace")
    problem(text)
    read_told(text, device="adb://x")


def read_phone(path: Path) -> None:
    """What a phone told of itself."""
    from edgekit.devices.android.facts import read_clock, read_host

    text = path.read_bytes().decode(errors="replace")
    read_host(text)
    read_clock(text)


def read_frame(path: Path) -> None:
    """A message between the desk and a device."""
    from edgekit.devices.agent.frames import parse_frame

    parse_frame(path.read_bytes())


def read_devices(path: Path) -> None:
    """The devices that a user has named."""
    from edgekit.devices.known import known_devices

    kept = path.parent / "edgekit" / "devices.json"
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(path.read_bytes())
    with patch.dict(os.environ, {"XDG_CONFIG_HOME": str(path.parent)}):
        known_devices()


def _seeds(reader: str, *more: str) -> tuple[Path, ...]:
    whole = (path for path in (CORPUS / reader).glob("*") if not path.name.startswith("found-"))
    return (*sorted(whole), *(GOLDEN / m for m in more))


TARGETS: dict[str, Target] = {
    "tflite": Target(
        read=read_tflite,
        suffix=".tflite",
        seeds=_seeds(
            "tflite", "tiny.tflite", "two_inputs_int8.tflite", "models/convnet_any_batch.tflite", "models/lstm.tflite"
        ),
    ),
    "onnx": Target(
        read=read_onnx,
        suffix=".onnx",
        seeds=_seeds("onnx", "tiny.onnx", "models/convnet.onnx", "models/quantized_interface.onnx"),
    ),
    "keras": Target(
        read=read_keras,
        suffix=".keras",
        seeds=_seeds("keras", "models/convnet.keras", "models/two_inputs.keras"),
    ),
    "h5": Target(read=read_keras, suffix=".h5", seeds=_seeds("h5")),
    "card": Target(read=read_card, suffix=".json", seeds=_seeds("card")),
    "archive": Target(read=read_archive, suffix=".zip", seeds=_seeds("archive")),
    "npz": Target(read=read_npz, suffix=".npz", seeds=_seeds("npz", "preprocessing.npz")),
    "npy": Target(read=read_npy, suffix=".npy", seeds=_seeds("npy")),
    "image": Target(read=read_image, suffix=".png", seeds=_seeds("image")),
    "csv": Target(read=read_csv, suffix=".csv", seeds=_seeds("csv")),
    "coco": Target(read=partial(read_boxes, place="instances.json"), suffix=".json", seeds=_seeds("coco")),
    "voc": Target(read=partial(read_boxes, place="Annotations/a.xml"), suffix=".xml", seeds=_seeds("voc")),
    "yolo": Target(read=partial(read_boxes, place="labels/a.txt"), suffix=".txt", seeds=_seeds("yolo")),
    "boxes": Target(read=partial(read_boxes, place="boxes.csv"), suffix=".csv", seeds=_seeds("boxes")),
    "results": Target(read=read_results, suffix=".json", seeds=_seeds("results")),
    "check_config": Target(read=read_check_config, suffix=".toml", seeds=_seeds("check_config")),
    "check_baseline": Target(read=read_check_baseline, suffix=".json", seeds=_seeds("check_baseline")),
    "manifest": Target(read=read_manifest, suffix=".manifest.json", seeds=_seeds("manifest")),
    "bundle": Target(read=read_bundle, suffix=".zip", seeds=_seeds("bundle")),
    "recipe": Target(read=read_recipe, suffix=".json", seeds=_seeds("recipe")),
    "tool": Target(read=read_tool, suffix=".txt", seeds=_seeds("tool")),
    "phone": Target(read=read_phone, suffix=".txt", seeds=_seeds("phone")),
    "frame": Target(read=read_frame, suffix=".bin", seeds=_seeds("frame")),
    "devices": Target(read=read_devices, suffix=".json", seeds=_seeds("devices")),
    "idx": Target(read=read_idx, suffix=".gz", seeds=_seeds("idx")),
}
"""Name of the reader to what it is fed."""
