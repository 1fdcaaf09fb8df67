"""Makes the whole files in corpus/ beside this script, which fuzzing damages.

Files named ``found-*`` are inputs that once broke something, and stay as they are.

Run: PYTHONPATH=tests python -m fuzz.make_corpus (all of edgekit's extras are needed).
"""

import gzip
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgekit.artifact import Format, open_artifact, with_card
from edgekit.card import DataRef, Metric, ModelCard, Provenance, dump_card
from edgekit.codec import to_jsonable
from edgekit.formats.keras import write_card
from edgekit.preprocessing import preset
from edgekit.recipe import Precision, Recipe
from fuzz.readers import CORPUS, GOLDEN

EPOCH = (1980, 1, 1, 0, 0, 0)
MODELS = GOLDEN / "models"


def photo(seed: int, mode: str = "RGB") -> Image.Image:
    """A noisy 9 x 13 image."""
    channels = {"RGB": 3, "L": 1, "CMYK": 4}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 13, channels), np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """``image`` as a file of ``kind``."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip without a clock in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def arrays(**values: Any) -> bytes:
    """An ``.npz``."""
    stream = io.BytesIO()
    np.savez(stream, **values)
    return stream.getvalue()


def card_of(path: Path) -> ModelCard:
    """A complete card for the tiny network."""
    card = open_artifact(path).card
    return ModelCard(
        name="convnet",
        task="classification",
        inputs=card.inputs,
        outputs=card.outputs,
        preprocessing=preset("torch", size_hw=(6, 4)),
        labels=tuple("abcdé"),
        provenance=Provenance(
            source_sha256="0" * 64,
            source_format="keras",
            architecture="convnet",
            arguments={"alpha": 0.25, "classes": 5, "padding": "same"},
            recipe=Recipe(precision=Precision.INT8, keep_float=("scores",)),
            calibration=DataRef(name="photos", digest="0" * 64, count=2, seed=0, items=("01234567", "89abcdef")),
            tools={"edgekit": "0.1.0"},
            notes=("one",),
        ),
        metrics=(Metric(name="top1", value=0.5, data="photos", count=8, low=0.2, high=0.8),),
    )


def models() -> dict[str, bytes]:
    """The tiny network in all formats with a card, an appended label file, and as HDF5."""
    made = {}
    for kind in (Format.TFLITE, Format.ONNX):
        path = MODELS / f"convnet.{kind.value}"
        made[f"{kind.value}/card.{kind.value}"] = with_card(path.read_bytes(), card_of(path), kind)
    int8 = (MODELS / "convnet_int8.tflite").read_bytes()
    made["tflite/labels.tflite"] = int8 + zipped({"labels.txt": b"a\nb\nc\nd\ne\n"})
    with tempfile.TemporaryDirectory() as folder:
        keras = Path(shutil.copy(MODELS / "convnet.keras", folder))
        write_card(keras, card_of(keras))
        made["keras/card.keras"] = keras.read_bytes()
        made["h5/convnet.h5"] = as_h5(keras, Path(folder))
        weights = zipfile.ZipFile(keras).read("model.weights.h5")
    made["h5/weights.h5"] = weights
    return made


def as_h5(keras_file: Path, folder: Path) -> bytes:
    """The model as Keras' older format."""
    import keras

    model = keras.saving.load_model(keras_file)
    model.save(folder / "convnet.h5")
    return (folder / "convnet.h5").read_bytes()


def data() -> dict[str, bytes]:
    """Images, tables, arrays and archives."""
    rng = np.random.default_rng(0)
    photos = {f"images/{i}.png": encoded(photo(i), "PNG") for i in range(2)}
    exif = Image.Exif()
    exif[0x0112] = 6
    labels = b"file,class_id\nimages/0.png,0\nimages/1.png,1\n"
    classes = b"class_id,name\n0,cat\n1,dog\n"
    numbers = b"a,b,label\n0.5,1e3,0\n-1,2,1\n"
    digits = rng.integers(0, 255, (3, 4, 4), np.uint8)
    from edgekit.models.checkpoint import Checkpoint, EpochRecord, write_checkpoint

    record = EpochRecord(epoch=1, loss=1.0, val_loss=1.0, metrics={"accuracy": 0.5}, seconds=1.0)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "c.npz"
        write_checkpoint(place, Checkpoint().after(record, (np.ones(3, np.float32),), (np.ones(2, np.float32),)))
        checkpoint = place.read_bytes()
    idx = b"\0\0\x08\x03" + np.array([3, 4, 4], ">u4").tobytes() + digits.tobytes()
    npy = io.BytesIO()
    np.save(npy, rng.random((2, 3), np.float32))
    return {
        "image/rgb.png": photos["images/0.png"],
        "image/gray.png": encoded(photo(2, "L"), "PNG"),
        "image/palette.png": encoded(photo(3).convert("P"), "PNG"),
        "image/rotated.jpg": encoded(photo(4), "JPEG", exif=exif),
        "image/progressive.jpg": encoded(photo(5, "L"), "JPEG", progressive=True),
        "image/cmyk.jpg": encoded(photo(6, "CMYK"), "JPEG"),
        "image/photo.bmp": encoded(photo(7), "BMP"),
        "image/photo.webp": encoded(photo(8), "WEBP"),
        "image/photo.ppm": encoded(photo(9), "PPM"),
        "archive/photos.zip": zipped({"labels.csv": labels, "classes.csv": classes, **photos}),
        "archive/folder.zip": zipped({"x/labels.csv": labels, **{f"x/{k}": v for k, v in photos.items()}}),
        "csv/numbers.csv": numbers,
        "csv/classes.csv": classes,
        "csv/quoted.csv": '\ufefffile,class_id\r\n"a,b.png",1\r\n'.encode(),
        "npz/parts.npz": arrays(x_train=digits, y_train=[0, 1, 2], x_test=digits, y_test=[[0], [1], [2]]),
        "npz/named.npz": arrays(zeta=rng.random((2, 3)), alpha=rng.random((2, 2)), y=[0, 1], class_names=["a", "b"]),
        "npz/checkpoint.npz": checkpoint,
        "npz/weights.npz": arrays(**{"features.0.0.weight": np.ones((8, 3, 3, 3), np.float32)}),
        "npy/rows.npy": npy.getvalue(),
        "idx/digits.gz": gzip.compress(idx, mtime=0),
    }


def boxes() -> dict[str, bytes]:
    """One object in the image a.png of 13 x 9 pixels, as each form of detection data says it."""
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 13, "height": 9}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [2, 1, 7, 6.5], "iscrowd": 0}],
    }
    voc = (
        "<annotation><filename>a.png</filename><size><width>13</width><height>9</height><depth>3</depth></size>"
        "<object><name>dog</name><difficult>0</difficult><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>9</xmax>"
        "<ymax>7</ymax></bndbox></object></annotation>"
    )
    return {
        "coco/instances.json": json.dumps(coco).encode(),
        "voc/a.xml": voc.encode(),
        "yolo/a.txt": b"1 0.3 0.5 0.4 0.6\n0 0.5 0.5 1 1\n",
        "boxes/boxes.csv": b"file,class_name,xmin,ymin,xmax,ymax\na.png,dog,2,1,9,7.5\na.png,cat,0,0,13,9\n",
    }


def texts() -> dict[str, bytes]:
    """Cards, recipes, and what the commands write as JSON."""
    card = card_of(MODELS / "convnet.tflite")
    made = {
        "card/whole.json": dump_card(card).encode(),
        **boxes(),
        "card/part.json": json.dumps({"labels": ["a", "b"], "preprocessing": None}).encode(),
        "card/preprocessing.json": json.dumps(to_jsonable(card.preprocessing)).encode(),
        "recipe/recipe.json": json.dumps(to_jsonable(Recipe(precision=Precision.INT8, keep_float=("a.*",)))).encode(),
    }
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        np.savez(folder / "d.npz", x=np.random.default_rng(0).random((4, 6, 4, 3), np.float32), y=[0, 1, 2, 3])
        files = [str(MODELS / f"convnet.{kind}") for kind in ("onnx", "tflite")]
        edgekit("convert", files[0], "-p", "fp16", "-o", str(folder), "--json", str(folder / "convert.json"))
        edgekit("evaluate", *files, "--data", str(folder / "d.npz"), "--json", str(folder / "evaluate.json"))
        edgekit("benchmark", files[0], "--runs", "20", "--min-secs", "0", "--json", str(folder / "benchmark.json"))
        for name in ("convert", "evaluate", "benchmark"):
            made[f"results/{name}.json"] = (folder / f"{name}.json").read_bytes().replace(text.encode(), b"folder")
        made["manifest/convnet.manifest.json"] = next(folder.glob("*.manifest.json")).read_bytes()
    return {name: content.replace(str(GOLDEN.parent.parent).encode(), b"/project") for name, content in made.items()}


def bundles() -> dict[str, bytes]:
    """A bundle without models and without what runs them."""
    from edgekit.bundle.archive import json_bytes, npy, pack
    from edgekit.bundle.runner.manifest import Entry, Golden, Manifest
    from edgekit.measure.same import Limits

    card = ModelCard(name="x", inputs=(), outputs=(), preprocessing=preset("unit", size_hw=(4, 6)))
    golden = Golden(count=1, inputs=("golden/0.npy",), outputs=(), pixels="golden/0.npy")
    limits = Limits(max_abs=1e-3, min_sqnr_db=60, max_score=0.01)
    shared = {"card": card, "limits": limits, "golden": golden}
    entry = Entry(file="models/x.onnx", format="onnx", recipe="fp32", engine="", kernels="", **shared)
    manifest = Manifest(edgekit="0", machine="x86_64", data="noise", synthetic=True, seed=0, entries=(entry,))
    files = {"manifest.json": json_bytes(to_jsonable(manifest)), "golden/0.npy": npy(np.arange(6, dtype=np.float32))}
    return {"bundle/empty.zip": pack(files)}


def checks() -> dict[str, bytes]:
    """What ``edgekit check init`` writes for classifiers and for a detector."""
    from tiny_detector import detector

    from edgekit.check import init

    made = {}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        np.savez(folder / "d.npz", x=np.random.default_rng(0).random((10, 6, 4, 3), np.float32), y=np.arange(10) % 5)
        for kind in ("onnx", "tflite"):
            shutil.copy(MODELS / f"convnet.{kind}", folder)
        init([folder / f"convnet.{kind}" for kind in ("onnx", "tflite")], str(folder / "d.npz"), output_dir=folder)
        made["check_config/classifiers.toml"] = (folder / "edgekit.toml").read_bytes()
        made["check_baseline/classifiers.json"] = (folder / "baseline.json").read_bytes()
        for name in ("images", "labels"):
            (folder / "scenes" / name).mkdir(parents=True)
        (folder / "scenes" / "classes.txt").write_text("dark\nbright\n")
        for index in range(3):
            photo(index).save(folder / "scenes" / "images" / f"{index}.png")
            (folder / "scenes" / "labels" / f"{index}.txt").write_text("1 0.5 0.5 0.5 0.5\n")
        detector(folder / "d.onnx", name="d")
        init([folder / "d.onnx"], str(folder / "scenes"), output_dir=folder, force=True)
        made["check_config/detector.toml"] = (folder / "edgekit.toml").read_bytes()
        made["check_baseline/detector.json"] = (folder / "baseline.json").read_bytes()
    return made


def edgekit(*arguments: str) -> None:
    """Run the real command."""
    subprocess.run([sys.executable, "-m", "edgekit", *arguments], check=True, stdout=subprocess.DEVNULL)


def phones() -> dict[str, bytes]:
    """What a phone and its benchmark_model print."""
    from phone import NEWER, OF_2021, looked

    return {
        "tool/2021.txt": OF_2021.encode(),
        "tool/newer.txt": NEWER.encode(),
        "phone/looked.txt": looked().encode(),
    }


def devices() -> dict[str, bytes]:
    """A message with two arrays and the bytes of a file, and devices that have names."""
    from edgekit.devices.agent.frames import packed_frame

    arrays = [np.arange(6, dtype=np.float32).reshape(1, 2, 3), np.array([True, False])]
    message = {"number": 1, "operation": "run", "value": {"limit": 1.5}}
    known = {"phone": {"uri": "adb://x", "python": None}, "pi": {"uri": "ssh://pi@h", "python": "/usr/bin/python3"}}
    named = {"schema_version": 1, "devices": known}
    return {
        "frame/two_arrays.bin": packed_frame(message, arrays, b"file"),
        "devices/two.json": json.dumps(named, indent=2).encode(),
    }


def main() -> None:
    """Write what is made and remove what is not made any more."""
    made = {**models(), **data(), **texts(), **bundles(), **checks(), **phones(), **devices()}
    for path in CORPUS.glob("*/*"):
        if not path.name.startswith("found-") and str(path.relative_to(CORPUS)) not in made:
            path.unlink()
    for name, content in made.items():
        (CORPUS / name).parent.mkdir(parents=True, exist_ok=True)
        (CORPUS / name).write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
