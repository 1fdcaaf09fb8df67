"""Bundles: what is in them, that a device proves what the desk computed, and that it notices when it does not."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bundles import change_manifest, damage_layer, results, run, seal, unpack
from command import edgekit
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tiny_detector import detector
from tiny_two_stage import heads, two_stage

from edgekit.artifact import Format, attach_card, open_artifact, with_card
from edgekit.bundle import make_bundle
from edgekit.bundle.build import self_verified
from edgekit.bundle.entries import open_models
from edgekit.bundle.golden import MOST_SIDE, given_items
from edgekit.bundle.limits import LIMITS, computes_with_integers, has_softmax
from edgekit.bundle.runner.answers import image_input
from edgekit.bundle.runner.contents import Contents
from edgekit.bundle.runner.engines import load
from edgekit.card import ModelCard, TensorSpec
from edgekit.data import Part, draw, open_data
from edgekit.detection import AnchorLevel, Detection, Head
from edgekit.errors import ArtifactError, CheckFailedError, EdgekitError, InputError
from edgekit.formats import tflite
from edgekit.measure.detect import detect
from edgekit.measure.predict import predict
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.recipe import Precision
from edgekit.regions import Search


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo that is neither square nor symmetric, of another shape than any model."""
    pixels = np.random.default_rng(3).integers(0, 256, (19, 31, 3)).astype(np.uint8)
    pixels[:, :9, 0] = 250
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def bundle(tiny_models: Path, colour_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One integer TFLite file and one float ONNX file with four real photos."""
    path = tmp_path_factory.mktemp("bundle") / "two.zip"
    files = [tiny_models / "convnet_int8.tflite", tiny_models / "convnet.onnx"]
    make_bundle(files, path, data=str(colour_photos), preprocess="unit", samples=4)
    return path


@pytest.fixture
def unpacked(bundle: Path, tmp_path: Path) -> Path:
    return unpack(bundle, tmp_path)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, photo: Path) -> Path:
    """A detector of one file with one golden photo."""
    folder = tmp_path_factory.mktemp("detector")
    make_bundle([detector(folder / "d.onnx", name="detector")], folder / "d.zip", inputs=[photo])
    return folder / "d.zip"


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory, photo: Path) -> Path:
    """A detector of two files with one golden photo."""
    folder = tmp_path_factory.mktemp("staged")
    make_bundle([two_stage(folder)], folder / "s.zip", inputs=[photo])
    return folder / "s.zip"


# What the device says


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_a_bundle_verifies_as_a_zip_and_unpacked(packed: bool, bundle: Path, unpacked: Path) -> None:
    done = run(bundle if packed else unpacked, "verify")
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines, last = done.stdout.splitlines()
    assert re.fullmatch(r"\d+ files are those that were bundled; golden data: 4 items of photos, held out", first)
    assert lines[0] == "ok  convnet_int8.tflite: preprocessing: 4 images: inputs are the same; pixels are the same"
    assert re.fullmatch(
        r"ok  convnet_int8\.tflite: outputs: 4 items by litert \S+ \(xnnpack\): every bit is the same", lines[1]
    )
    assert [line.split(": ")[:2] for line in lines[2:]] == [
        ["ok  convnet.onnx", "preprocessing"],
        ["ok  convnet.onnx", "outputs"],
    ]
    assert last == "verified"


def test_verify_writes_its_figures(bundle: Path) -> None:
    rows = results(bundle, "verify", "--model", "convnet.onnx")
    assert [(r["artifact"], r["check"], r["passed"]) for r in rows] == [
        ("convnet.onnx", "preprocessing", True),
        ("convnet.onnx", "outputs", True),
    ]
    assert rows[0]["metrics"] == {"input_max_abs": 0.0, "resize_max_levels": 0}
    assert (rows[1]["metrics"]["identical"], rows[1]["metrics"]["agreement"]) == (1.0, 1.0)


def test_bench_times_every_model(bundle: Path) -> None:
    rows = results(bundle, "bench", "--runs", 7, "--warmup", 1, "--min-secs", 0)
    assert [r["artifact"] for r in rows] == ["convnet_int8.tflite", "convnet.onnx"]
    for row in rows:
        assert (row["runs"], len(row["samples_ms"]), row["threads"]) == (7, 7, 1)
        assert 0 < row["latency_ms"]["min"] <= row["latency_ms"]["p50"] <= row["latency_ms"]["p90"]


def test_predict_gives_the_classes_that_edgekit_gives(tiny_models: Path, bundle: Path, photo: Path) -> None:
    for row in results(bundle, "predict", photo):
        (mine,) = predict(tiny_models / row["artifact"], [photo], preprocess="unit").predictions
        expected = mine.top or ()
        named = {each["class_id"]: each["probability"] for each in row["top"]}
        assert len(named) == 5
        assert all(named[guess.class_id] == pytest.approx(guess.probability, abs=1e-6) for guess in expected)


def test_detect_finds_what_edgekit_finds(found: Path, staged: Path, photo: Path) -> None:
    for bundled, model in ((found, "d.onnx"), (staged, "d.onnx")):
        (row,) = results(bundled, "detect", photo)
        (mine,) = detect(bundled.parent / model, [photo]).findings
        assert len(row["detections"]) == len(mine.detections) > 0
        for each, box, score in zip(row["detections"], mine.detections.boxes, mine.detections.scores, strict=True):
            assert each["box"] == pytest.approx(box.tolist(), abs=1e-6)
            assert each["score"] == pytest.approx(float(score), abs=1e-6)


def test_a_detector_proves_its_objects_and_one_of_two_files_its_regions(found: Path, staged: Path) -> None:
    checks = {b.name: [(r["artifact"], r["check"]) for r in results(b, "verify")] for b in (found, staged)}
    assert checks == {
        "d.zip": [("d.onnx", w) for w in ("preprocessing", "outputs", "objects")],
        "s.zip": [
            *(("d.onnx", w) for w in ("preprocessing", "outputs", "regions")),
            ("d.heads.onnx", "outputs"),
        ],
    }


def test_detect_shows_objects_in_pixels(found: Path, photo: Path) -> None:
    done = run(found, "detect", photo)
    assert (done.returncode, done.stderr) == (0, "")
    line = r"\S+photo\.png 0: [\d.]+ ms: bright 0\.\d\d at \(8, 5, 23, 14\); dark 0\.\d\d at \(8, 5, 23, 14\)\n"
    assert re.fullmatch(line, done.stdout)


# What the device must notice


def test_a_damaged_model_is_refused(unpacked: Path) -> None:
    model = unpacked / "models" / "convnet_int8.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    done = run(unpacked, "verify")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "bundle: models/convnet_int8.tflite is damaged or was changed: its checksum is another; "
        "copy and unpack the whole bundle again.\n"
    )


def test_changed_golden_data_are_refused(unpacked: Path) -> None:
    golden = unpacked / "golden" / "convnet.onnx" / "output_0.npy"
    golden.write_bytes(golden.read_bytes()[:-4] + b"\0\0\0\0")
    done = run(unpacked, "bench")
    assert done.returncode == 0  # bench does not read it
    done = run(unpacked, "verify", "--model", "convnet.onnx")
    assert (done.returncode, done.stderr) == (
        2,
        "bundle: golden/convnet.onnx/output_0.npy is damaged or was changed: its checksum is another; "
        "copy and unpack the whole bundle again.\n",
    )


def test_a_damaged_layer_fails_although_all_checksums_fit(unpacked: Path) -> None:
    damage_layer(unpacked / "models" / "convnet.onnx")
    seal(unpacked)
    done = run(unpacked, "verify")
    assert (done.returncode, done.stderr) == (1, "")
    refused = [line for line in done.stdout.splitlines() if line.startswith("NO")]
    assert len(refused) == 2
    assert re.fullmatch(
        r"NO  convnet\.onnx: outputs: onnxruntime \S+, made by onnxruntime \S+: 4 of 4 items differ, by at most [\d.]+"
        r"(, the same class for \d+%), SQNR [\d.]+ dB; expected 60 dB or more",
        refused[0],
    )
    assert refused[1] == "NOT verified: this device does not do what the desk did"


def test_a_changed_bit_fails_where_the_same_kernels_ran(unpacked: Path) -> None:
    """One weight of a quantized file, one step: within every tolerance, and not the same."""
    model = unpacked / "models" / "convnet_int8.tflite"
    data = bytearray(model.read_bytes())
    kernel = next(t for t in tflite.read_graph(model).tensors.values() if t.constant and t.dtype == "int8")
    place = data.index(weights_of(model, kernel.index or 0))
    data[place : place + 20] = bytes((b + 1) % 100 for b in data[place : place + 20])
    model.write_bytes(bytes(data))
    seal(unpacked)
    done = run(unpacked, "verify", "--model", "convnet_int8.tflite")
    assert done.returncode == 1
    assert re.search(
        r"NO  convnet_int8\.tflite: outputs: litert .*; the same bits are expected of the same kernels", done.stdout
    )


@pytest.mark.parametrize(("steps", "machine", "code"), [(1, "another", 0), (2, "another", 1), (1, None, 1)])
def test_a_softmax_may_differ_by_a_step_on_another_kind_of_cpu(
    steps: int, machine: str | None, code: int, unpacked: Path
) -> None:
    """As seen on ARM: its probabilities are one step apart, and the logits are not."""
    path = unpacked / "golden" / "convnet_int8.tflite" / "output_0.npy"
    values = np.load(path)
    values[0, 0] += steps
    np.save(path, values)
    change_manifest(unpacked, lambda data: data.__setitem__("machine", machine or data["machine"]))
    done = run(unpacked, "verify", "--model", "convnet_int8.tflite")
    assert done.returncode == code
    told = "softmax differs by a step on another kind of CPU" if code == 0 else "the same bits are expected"
    assert told in done.stdout


def weights_of(model: Path, index: int) -> bytes:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model))
    return bytes(interpreter.get_tensor(index).tobytes()[:20])


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("offset", [0.01], "inputs differ by 0.01 at most; pixels are the same"),
        ("colour", "bgr", "inputs are the same; pixels differ by"),
        ("short_side", 8, "inputs are the same; pixels differ by"),
    ],
)
def test_another_preprocessing_is_noticed(key: str, value: Any, told: str, unpacked: Path) -> None:
    def change(data: Any) -> None:
        data["entries"][1]["card"]["preprocessing"][key] = value

    change_manifest(unpacked, change)
    done = run(unpacked, "verify", "--model", "convnet.onnx")
    assert done.returncode == 1
    assert f"NO  convnet.onnx: preprocessing: 4 images: {told}" in done.stdout


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("score_threshold", 0.99, "NO  d.onnx: objects: 0 objects in image 0; expected 2"),
        ("head", "yolov5", "NO  d.onnx: objects: d.onnx gave 6 x 21 for an image; expected boxes x (5 + classes)"),
    ],
)
def test_another_decoding_is_noticed(key: str, value: Any, told: str, found: Path, tmp_path: Path) -> None:
    folder = unpack(found, tmp_path)
    change_manifest(folder, lambda data: data["entries"][0]["card"]["detection"].__setitem__(key, value))
    done = run(folder, "verify")
    assert (done.returncode, done.stderr) == (1, "")
    assert told in done.stdout


def test_other_boxes_are_noticed(found: Path, tmp_path: Path) -> None:
    folder = unpack(found, tmp_path)
    path = folder / "golden" / "d.onnx" / "found_0.npy"
    np.save(path, np.load(path) + np.float32(0.01))
    seal(folder)
    done = run(folder, "verify")
    assert done.returncode == 1
    assert "NO  d.onnx: objects: 2 objects differ by 0.01 at most" in done.stdout


@pytest.fixture(scope="module")
def choosing(tmp_path_factory: pytest.TempPathFactory, photo: Path) -> Path:
    """A file that chooses its boxes itself: two of one class side by side, the brighter the image the surer."""
    folder = tmp_path_factory.mktemp("choosing")
    shapes: dict[str, tuple[int, ...]] = {
        "detection_boxes": (1, 2, 4),
        "detection_classes": (1, 2),
        "detection_scores": (1, 2),
        "num_detections": (1,),
    }
    constants = {
        "places": np.float32([[[0, 0, 1, 0.5], [0, 0.5, 1, 1]]]),
        "kinds": np.float32([[0, 0]]),
        "sure": np.float32([[0.3, 0.2999]]),
        "two": np.float32([2]),
        "none": np.float32([0]),
    }
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "none"], ["zero"]),
        helper.make_node("Add", ["mean", "sure"], ["detection_scores"]),
        *(
            helper.make_node("Add", ["zero", of], [name])
            for name, of in (("detection_boxes", "places"), ("detection_classes", "kinds"), ("num_detections", "two"))
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "choosing",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 8, 8, 3))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = ModelCard(
        name="choosing",
        task="detection",
        inputs=(TensorSpec(name="image", shape=(1, 8, 8, 3), dtype="float32"),),
        outputs=tuple(TensorSpec(name=name, shape=shape, dtype="float32") for name, shape in shapes.items()),
        preprocessing=Preprocessing(size_hw=(8, 8), resize=Resize.STRETCH, scale=(1 / 255,)),
        labels=("thing",),
        detection=Detection(head=Head.SSD_POSTPROCESS),
    )
    path = folder / "c.onnx"
    path.write_bytes(with_card(model.SerializeToString(), card, Format.ONNX))
    make_bundle([path], folder / "c.zip", inputs=[photo])
    return folder / "c.zip"


def change_scores(model: Path, scores: list[float]) -> None:
    loaded = onnx.load(str(model))
    sure = next(t for t in loaded.graph.initializer if t.name == "sure")
    sure.CopyFrom(numpy_helper.from_array(np.float32([scores]), "sure"))
    places = next(t for t in loaded.graph.initializer if t.name == "places")
    if scores[0] < scores[1]:  # the surer one comes first
        sure.CopyFrom(numpy_helper.from_array(np.float32([scores[::-1]]), "sure"))
        places.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(places)[:, ::-1].copy(), "places"))
    onnx.save(loaded, str(model))


@pytest.mark.parametrize(
    ("scores", "code", "told"),
    [
        ([0.2998, 0.2999], 0, "; the same objects\n"),  # two boxes of almost one score change places
        ([0.25, 0.2999], 1, "expected the same objects in item 0"),
        ([0.3, -0.6], 1, "expected the same objects in item 0"),
    ],
)
def test_boxes_that_a_file_chose_may_change_places_only(
    scores: list[float], code: int, told: str, choosing: Path, tmp_path: Path
) -> None:
    folder = unpack(choosing, tmp_path)
    change_scores(folder / "models" / "c.onnx", scores)
    seal(folder)
    done = run(folder, "verify")
    assert (done.returncode, done.stderr) == (code, "")
    assert told in done.stdout


def test_other_regions_are_noticed(staged: Path, tmp_path: Path) -> None:
    folder = unpack(staged, tmp_path)
    path = folder / "golden" / "d.heads.onnx" / "input_0.npy"
    np.save(path, np.load(path)[::-1])
    seal(folder)
    done = run(folder, "verify")
    assert done.returncode == 1
    assert re.search(r"NO  d\.onnx: regions: 3 of 3 regions differ by 0\.\d+ at most", done.stdout)


def test_answers_that_are_not_finite_are_noticed(unpacked: Path) -> None:
    path = unpacked / "models" / "convnet.onnx"
    model = onnx.load(str(path))
    weight = model.graph.initializer[0]
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] = np.nan
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, str(path))
    seal(unpacked)
    done = run(unpacked, "verify", "--model", "convnet.onnx")
    assert done.returncode == 1
    assert re.search(r"NO  convnet\.onnx: outputs: The compared output has \d+ of 20 values that are NaN", done.stdout)


# Broken bundles and wrong usage

AGAIN = "copy and unpack the whole bundle again."


def test_a_truncated_zip_never_starts(bundle: Path, tmp_path: Path) -> None:
    """Without its end a zip is no zip to Python, which takes it for a script and stops at its first byte of zero."""
    path = tmp_path / "cut.zip"
    path.write_bytes(bundle.read_bytes()[:-1000])
    done = run(path, "verify")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("SyntaxError: source code ")


def test_a_zip_that_somebody_compressed_is_refused(unpacked: Path, tmp_path: Path) -> None:
    """It could fill the memory, and is not the one that was made."""
    path = Path(shutil.make_archive(str(tmp_path / "again"), "zip", unpacked.parent))
    done = run(path, "verify")
    assert (done.returncode, done.stderr) == (
        2,
        "bundle: SHA256SUMS is compressed, as in no bundle of edgekit's; use its zip, or unpack this one.\n",
    )


def test_places_without_a_bundle_are_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        Contents(str(tmp_path / "bundle"))
    assert str(caught.value) == f"There is no bundle at {tmp_path / 'bundle'}; check the path."
    (tmp_path / "x.zip").write_bytes(b"PK nothing")
    with pytest.raises(ArtifactError) as caught:
        Contents(str(tmp_path / "x.zip" / "bundle"))
    assert str(caught.value) == f"{tmp_path / 'x.zip'} is no whole zip: File is not a zip file; copy it again."


@pytest.mark.parametrize("name", ["convnet_int8.tflite", "convnet.onnx"])
def test_an_input_that_does_not_fit_is_one_sentence(name: str, unpacked: Path) -> None:
    contents = Contents(str(unpacked))
    (entry,) = contents.chosen((name,))
    loaded = load(entry, contents.read(entry.file))
    with pytest.raises(ArtifactError, match=rf"^{re.escape(name)} failed in \S+ \S+: .+\.$"):
        loaded.run([np.zeros((1, 3), entry.card.inputs[0].dtype)])


def test_a_model_without_preprocessing_takes_no_images(tiny_models: Path, photo: Path, tmp_path: Path) -> None:
    make_bundle([tiny_models / "two_inputs.onnx"], tmp_path / "b.zip", samples=1)
    contents = Contents(str(unpack(tmp_path / "b.zip", tmp_path)))
    with pytest.raises(InputError) as caught:
        image_input(contents.manifest.entries[0])
    assert str(caught.value) == "two_inputs.onnx takes no images; choose another model with --model."


def test_a_zip_that_is_damaged_inside_is_refused(bundle: Path, tmp_path: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[data.index(b"TFL3") + 500] ^= 1
    path = tmp_path / "damaged.zip"
    path.write_bytes(bytes(data))
    done = run(path, "verify")
    assert (done.returncode, done.stderr) == (
        2,
        f"bundle: models/convnet_int8.tflite is missing from the bundle, or cannot be read; {AGAIN}\n",
    )


def _escape(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text() + "0" * 64 + "  ../../etc/passwd\n")


def _absolute(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text("0" * 64 + "  /etc/passwd\n" + sums.read_text())


def _link(folder: Path) -> None:
    (folder.parent / "other").write_bytes((folder / "README.txt").read_bytes())
    (folder / "README.txt").unlink()
    os.symlink(folder.parent / "other", folder / "README.txt")


def _garbled(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text("no checksum\n")


def _missing(folder: Path) -> None:
    (folder / "models" / "convnet.onnx").unlink()


def _unlisted(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(line for line in sums.read_text().splitlines(keepends=True) if "manifest" not in line))


def _no_json(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")
    seal(folder)


def _newer(folder: Path) -> None:
    change_manifest(folder, lambda data: data.__setitem__("schema_version", 2))


def _format(folder: Path) -> None:
    change_manifest(folder, lambda data: data["entries"][0].__setitem__("format", "exe"))


def _unknown_key(folder: Path) -> None:
    change_manifest(folder, lambda data: data.__setitem__("licence", "x"))


def _no_array(folder: Path) -> None:
    (folder / "golden" / "convnet_int8.tflite" / "input_0.npy").write_bytes(b"nothing")
    seal(folder)


def _no_model(folder: Path) -> None:
    (folder / "models" / "convnet_int8.tflite").write_bytes(b"nothing")
    seal(folder)


def _no_onnx(folder: Path) -> None:
    (folder / "models" / "convnet.onnx").write_bytes(b"nothing")
    change_manifest(folder, lambda data: data["entries"].reverse())


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_escape, r"SHA256SUMS names '\.\./\.\./etc/passwd', which is outside the bundle; use one that edgekit made\."),
        (_absolute, r"SHA256SUMS names '/etc/passwd', which is outside the bundle; use one that edgekit made\."),
        (_link, rf"README\.txt is a link that leaves the bundle; {AGAIN}"),
        (_garbled, rf"Line 1 of SHA256SUMS is no checksum with a name; {AGAIN}"),
        (_missing, rf"models/convnet\.onnx is missing from the bundle, or cannot be read; {AGAIN}"),
        (_unlisted, rf"manifest\.json has no line in SHA256SUMS; {AGAIN}"),
        (_no_json, r"manifest\.json is not JSON: .+\."),
        (_newer, r"The bundle has schema version 2; its runner reads 1: make it anew\."),
        (_format, r"models/convnet_int8\.tflite is said to be exe; expected tflite or onnx\."),
        (_unknown_key, r"manifest\.json has an unknown key 'licence'; known keys: .+\."),
        (_no_array, r"golden/convnet_int8\.tflite/input_0\.npy holds no array: .+; make the bundle anew\."),
        (_no_model, r"convnet_int8\.tflite cannot be loaded in litert \S+: .+\."),
        (_no_onnx, r"convnet\.onnx cannot be loaded in onnxruntime \S+: .+\."),
    ],
)
def test_a_broken_bundle_is_one_sentence(damage: Callable[[Path], None], sentence: str, unpacked: Path) -> None:
    damage(unpacked)
    done = run(unpacked, "verify")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert re.fullmatch(f"bundle: {sentence}\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("verify", "--model", "convnt.onnx"), "The bundle holds no model 'convnt.onnx'; did you mean convnet.onnx?"),
        (("detect", "x.png"), "The bundle holds no detector; use predict."),
        (("detect", "x.png", "--model", "convnet.onnx"),
         "convnet.onnx is no detector; use predict, or choose another model with --model."),
        (("predict", "nowhere.png"), "There is no file nowhere.png; check the path."),
        (("bench", "--json", "/nowhere/x.json", "--runs", "1", "--min-secs", "0"),
         "/nowhere/x.json cannot be used: No such file or directory; try another place."),
    ],
)  # fmt: skip
def test_wrong_usage_on_the_device_is_one_sentence(arguments: tuple[str, ...], sentence: str, bundle: Path) -> None:
    done = run(bundle, *arguments)
    assert (done.returncode, done.stderr) == (2, f"bundle: {sentence}\n")


def test_a_detector_does_not_predict(found: Path, photo: Path) -> None:
    assert run(found, "predict", photo).stderr == (
        "bundle: The bundle holds no classifier of images; see its manifest.json.\n"
    )
    done = run(found, "predict", photo, "--model", "d.onnx")
    assert (done.returncode, done.stderr) == (
        2,
        "bundle: d.onnx classifies no images; use detect, or choose another model.\n",
    )


def test_numbers_of_runs_are_positive(bundle: Path) -> None:
    done = run(bundle, "bench", "--runs", "0")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "bundle bench: error: argument --runs: expected 1 or more; got 0",
    )


# At the desk


def test_the_same_inputs_give_the_same_bytes(tiny_models: Path, tmp_path: Path) -> None:
    made = [tmp_path / name for name in ("a.zip", "b.zip")]
    for path in made:
        make_bundle([tiny_models / "convnet_int8.tflite"], path, preprocess="unit", samples=2)
    assert made[0].read_bytes() == made[1].read_bytes()
    make_bundle([tiny_models / "convnet_int8.tflite"], tmp_path / "c.zip", preprocess="unit", samples=2, seed=1)
    assert made[0].read_bytes() != (tmp_path / "c.zip").read_bytes()


def test_golden_items_are_those_that_no_file_has_seen(
    colour_model: Callable[..., Path], colour_photos: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    from edgekit.data import data_ref, item_digest

    model = colour_model()
    data = open_data(str(colour_photos), part=Part.EVALUATION, data_dir=None)
    drawn = draw(len(data), len(data), 0)
    seen = [item_digest(data.items[i]) for i in drawn[:5]]
    card = open_artifact(model).card
    calibrated = replace(card.provenance, calibration=data_ref("photos", seen, seed=0, keep_items=True))
    attach_card(model, replace(card, provenance=calibrated))
    make_bundle([model], tmp_path / "b.zip", data=str(colour_photos), samples=3)
    folder = unpack(tmp_path / "b.zip", tmp_path)
    for number, index in enumerate(drawn[5:8]):
        np.testing.assert_array_equal(np.load(folder / f"golden/images/{number}.npy"), data.items[index])


def test_models_without_images_get_noise_of_their_own(tiny_models: Path, tmp_path: Path) -> None:
    files = [tiny_models / name for name in ("two_inputs.tflite", "two_inputs.onnx", "lstm.tflite")]
    report = make_bundle(files, tmp_path / "b.zip", samples=3)
    assert (report.manifest.synthetic, report.manifest.images) == (True, ())
    assert [(e.stateful, e.exact, e.golden.pixels) for e in report.manifest.entries] == [
        (False, False, None),
        (False, False, None),
        (open_state(tiny_models / "lstm.tflite"), False, None),
    ]
    assert [line for line in report.verified if "pixels" in line] == []
    assert report.verified[-1] == "verified"


def open_state(path: Path) -> bool:
    from edgekit.runtimes.litert import keeps_state

    return keeps_state(tflite.read_graph(path))


def test_large_images_are_reduced() -> None:
    image = np.zeros((100, 2 * MOST_SIDE, 3), np.uint8)
    (reduced,) = given_items([image]).images
    assert reduced.shape == (50, MOST_SIDE, 3)


def test_only_files_of_integers_promise_the_same_bits(tiny_models: Path) -> None:
    exact = {p.name: computes_with_integers(tflite.read_graph(p)) for p in sorted(tiny_models.glob("*.tflite"))}
    assert {name for name, whole in exact.items() if whole} == {"convnet_int8.tflite"}
    golden = tiny_models.parent
    assert computes_with_integers(tflite.read_graph(golden / "two_inputs_int8.tflite"))


def test_a_softmax_is_seen(tiny_models: Path) -> None:
    assert has_softmax(tflite.read_graph(tiny_models / "convnet_int8.tflite"))
    assert not has_softmax(tflite.read_graph(tiny_models / "lstm.tflite"))


def test_every_recipe_has_limits_with_a_reason() -> None:
    assert set(LIMITS) == set(Precision)
    assert all(found.reason and found.limits.min_sqnr_db > 10 for found in LIMITS.values())


def keras(folder: Path, models: Path) -> list[Path]:
    return [models / "convnet.keras"]


def twice(folder: Path, models: Path) -> list[Path]:
    (folder / "convnet.onnx").write_bytes((models / "convnet.onnx").read_bytes())
    return [models / "convnet.onnx", folder / "convnet.onnx"]


def nothing(folder: Path, models: Path) -> list[Path]:
    return []


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (keras, r"\S+convnet\.keras is a Keras file, which devices do not run; bundle what `edgekit convert` makes\."),
        (twice, r"Two files are called convnet\.onnx; a bundle needs names of their own: rename one\."),
        (nothing, r"No model file was given; expected at least one \.tflite or \.onnx file\."),
    ],
)
def test_what_cannot_be_bundled_is_one_sentence(
    files: Callable[[Path, Path], list[Path]], sentence: str, tiny_models: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        make_bundle(files(tmp_path, tiny_models), tmp_path / "b.zip", preprocess="unit")
    assert re.fullmatch(sentence, str(caught.value))
    assert not (tmp_path / "b.zip").exists()


def test_golden_items_come_from_one_place(tiny_models: Path, photo: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        make_bundle([tiny_models / "convnet.onnx"], tmp_path / "b.zip", data="digits", inputs=[photo])
    assert str(caught.value) == "Golden items come from --data or from --inputs; got both: give one of them."


def test_a_second_stage_is_bundled_once(tmp_path: Path, photo: Path) -> None:
    first = two_stage(tmp_path)
    with pytest.raises(InputError) as caught:
        make_bundle([first, tmp_path / "d.heads.onnx"], tmp_path / "b.zip", inputs=[photo])
    assert str(caught.value) == "d.heads.onnx is the second file of a detector and is named as well; leave it out."


def test_a_detector_that_searches_regions_stays_at_the_desk(tmp_path: Path) -> None:
    card = ModelCard(
        name="r",
        task="detection",
        inputs=(TensorSpec(name="pooled", shape=(1, 8, 8, 3), dtype="float32"),),
        outputs=tuple(TensorSpec(name=n, shape=(1, w), dtype="float32") for n, w in (("scores", 4), ("offsets", 12))),
        preprocessing=Preprocessing(size_hw=(8, 8), resize=Resize.STRETCH),
        labels=("red", "green", "blue"),
        detection=Detection(head=Head.REGIONS, search=Search(size_hw=(32, 32))),
    )
    heads(tmp_path / "r.onnx", side=8, card=card)
    with pytest.raises(InputError) as caught:
        make_bundle([tmp_path / "r.onnx"], tmp_path / "b.zip")
    assert str(caught.value) == (
        f"{tmp_path / 'r.onnx'} looks at regions that scikit-image finds, which a bundle does not carry; "
        "bundle another detector."
    )


def test_no_region_in_the_first_image_is_told(tmp_path: Path, photo: Path) -> None:
    # Anchors of less than a hundredth of the input are no proposals.
    first = two_stage(tmp_path, anchors=(AnchorLevel(rows=2, columns=2, shapes=((0.001, 0.001),)),))
    with pytest.raises(InputError) as caught:
        make_bundle([first], tmp_path / "b.zip", inputs=[photo])
    assert str(caught.value) == f"{first} proposes no region in the first golden image; give other images."


def test_answers_of_changing_shapes_are_told(tmp_path: Path) -> None:
    node = helper.make_node("NonZero", ["x"], ["places"])
    graph = helper.make_graph(
        [node],
        "changing",
        [helper.make_tensor_value_info("x", TensorProto.INT32, (1, 8))],
        [helper.make_tensor_value_info("places", TensorProto.INT64, (2, "n"))],
    )
    path = tmp_path / "changing.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    with pytest.raises(InputError) as caught:
        make_bundle([path], tmp_path / "b.zip")
    assert str(caught.value) == (
        f"Output 'places' of {path} has another shape for each item; a bundle compares answers of one shape: "
        "convert the detector without --nms graph, or leave the file out."
    )


def test_gray_and_coloured_models_need_real_items(colour_model: Callable[..., Path], tmp_path: Path) -> None:
    golden = Path(__file__).parent / "golden"
    with pytest.raises(InputError) as caught:
        make_bundle([colour_model(), golden / "tiny.onnx"], tmp_path / "b.zip")
    assert str(caught.value) == (
        "Models for gray and for coloured images have no noise in common; give --data or --inputs."
    )


def test_a_bundle_that_does_not_verify_is_not_written(unpacked: Path, tmp_path: Path) -> None:
    from edgekit.bundle.archive import pack

    damage_layer(unpacked / "models" / "convnet.onnx")
    files = {
        p.relative_to(unpacked).as_posix(): p.read_bytes()
        for p in unpacked.rglob("*")
        if p.is_file() and p.name != "SHA256SUMS" and "__pycache__" not in p.parts
    }
    (tmp_path / "damaged.zip").write_bytes(pack(files))
    with pytest.raises(
        CheckFailedError, match=r"^The bundle does not verify on this machine, and nothing was written: NO"
    ):
        self_verified(tmp_path / "damaged.zip", 60)
    (tmp_path / "nothing.zip").write_bytes(b"")
    with pytest.raises(CheckFailedError, match="nothing was written: "):
        self_verified(tmp_path / "nothing.zip", 60)
    with pytest.raises(CheckFailedError) as caught:
        self_verified(tmp_path / "damaged.zip", 0.01)
    assert str(caught.value) == "The bundle did not verify within 0 s; nothing was written."


def test_the_command_writes_a_table_and_json(tiny_models: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "b.zip"
    done = edgekit("bundle", tiny_models / "convnet_int8.tflite", "--preprocess", "unit", "-o", out, "--json", "-")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    (row,) = data["results"]
    assert (data["command"], row["artifact"], row["n"], row["bundle"]) == ("bundle", "convnet_int8.tflite", 8, str(out))
    assert row["metrics"] == {"model_bytes": 2960, "bundle_bytes": out.stat().st_size}
    assert "The golden inputs are noise, which proves the same arithmetic and no accuracy; give --data." in done.stderr
    again = edgekit("bundle", tiny_models / "convnet_int8.tflite", "--preprocess", "unit", "-o", out)
    assert (again.returncode, again.stderr) == (
        2,
        f"edgekit: {out} exists; use --force to replace it or -o to write elsewhere.\n",
    )
    forced = edgekit("bundle", tiny_models / "convnet.onnx", "--preprocess", "unit", "-o", out, "--force")
    assert forced.returncode == 0
    assert "60 dB or more" in forced.stdout


def test_a_stranger_without_preprocessing_is_fed_arrays(tiny_models: Path) -> None:
    (opened,) = open_models([tiny_models / "convnet.onnx"], preprocess=None, labels=None, decoder=None)
    assert not opened.takes_images


def test_errors_of_the_runner_have_exit_codes() -> None:
    assert (EdgekitError.exit_code, CheckFailedError.exit_code) == (2, 1)
