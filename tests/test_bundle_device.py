"""Bundles on a device: what they prove there, and that they notice what is not as it was at the desk."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bundles import change_manifest, damage_layer, results, run, seal, unpack
from onnx import TensorProto, helper, numpy_helper

from edgekit.artifact import Format, with_card
from edgekit.bundle import make_bundle
from edgekit.card import ModelCard, TensorSpec
from edgekit.detection import Detection, Head
from edgekit.formats import tflite
from edgekit.measure.detect import detect
from edgekit.measure.predict import predict
from edgekit.preprocessing import Preprocessing, Resize


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_a_bundle_verifies_as_a_zip_and_unpacked(packed: bool, bundle: Path, unpacked_bundle: Path) -> None:
    done = run(bundle if packed else unpacked_bundle, "verify")
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


def test_predict_gives_the_classes_that_edgekit_gives(tiny_models: Path, bundle: Path, odd_photo: Path) -> None:
    for row in results(bundle, "predict", odd_photo):
        (mine,) = predict(tiny_models / row["artifact"], [odd_photo], preprocess="unit").predictions
        expected = mine.top or ()
        named = {each["class_id"]: each["probability"] for each in row["top"]}
        assert len(named) == 5
        assert all(named[guess.class_id] == pytest.approx(guess.score, abs=1e-6) for guess in expected)


def test_detect_finds_what_edgekit_finds(detector_bundle: Path, staged_bundle: Path, odd_photo: Path) -> None:
    for bundled, model in ((detector_bundle, "d.onnx"), (staged_bundle, "d.onnx")):
        (row,) = results(bundled, "detect", odd_photo)
        (mine,) = detect(bundled.parent / model, [odd_photo]).findings
        assert len(row["detections"]) == len(mine.detections) > 0
        for each, box, score in zip(row["detections"], mine.detections.boxes, mine.detections.scores, strict=True):
            assert each["box"] == pytest.approx(box.tolist(), abs=1e-6)
            assert each["score"] == pytest.approx(float(score), abs=1e-6)


def test_a_detector_proves_its_objects_and_one_of_two_files_its_regions(
    detector_bundle: Path, staged_bundle: Path
) -> None:
    checks = {
        b.name: [(r["artifact"], r["check"]) for r in results(b, "verify")] for b in (detector_bundle, staged_bundle)
    }
    assert checks == {
        "d.zip": [("d.onnx", w) for w in ("preprocessing", "outputs", "objects")],
        "s.zip": [
            *(("d.onnx", w) for w in ("preprocessing", "outputs", "regions")),
            ("d.heads.onnx", "outputs"),
        ],
    }


def test_detect_shows_objects_in_pixels(detector_bundle: Path, odd_photo: Path) -> None:
    done = run(detector_bundle, "detect", odd_photo)
    assert (done.returncode, done.stderr) == (0, "")
    line = r"\S+photo\.png 0: [\d.]+ ms: bright 0\.\d\d at \(8, 5, 23, 14\); dark 0\.\d\d at \(8, 5, 23, 14\)\n"
    assert re.fullmatch(line, done.stdout)


# What the device must notice


def test_a_damaged_model_is_refused(unpacked_bundle: Path) -> None:
    model = unpacked_bundle / "models" / "convnet_int8.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    done = run(unpacked_bundle, "verify")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "bundle: models/convnet_int8.tflite is damaged or was changed: its checksum is another; "
        "copy and unpack the whole bundle again.\n"
    )


def test_changed_golden_data_are_refused(unpacked_bundle: Path) -> None:
    golden = unpacked_bundle / "golden" / "convnet.onnx" / "output_0.npy"
    golden.write_bytes(golden.read_bytes()[:-4] + b"\0\0\0\0")
    done = run(unpacked_bundle, "bench")
    assert done.returncode == 0  # bench does not read it
    done = run(unpacked_bundle, "verify", "--model", "convnet.onnx")
    assert (done.returncode, done.stderr) == (
        2,
        "bundle: golden/convnet.onnx/output_0.npy is damaged or was changed: its checksum is another; "
        "copy and unpack the whole bundle again.\n",
    )


def test_a_damaged_layer_fails_although_all_checksums_fit(unpacked_bundle: Path) -> None:
    damage_layer(unpacked_bundle / "models" / "convnet.onnx")
    seal(unpacked_bundle)
    done = run(unpacked_bundle, "verify")
    assert (done.returncode, done.stderr) == (1, "")
    refused = [line for line in done.stdout.splitlines() if line.startswith("NO")]
    assert len(refused) == 2
    assert re.fullmatch(
        r"NO  convnet\.onnx: outputs: onnxruntime \S+, made by onnxruntime \S+: 4 of 4 items differ, by at most [\d.]+"
        r"(, the same class for \d+%), SQNR [\d.]+ dB; expected 60 dB or more",
        refused[0],
    )
    assert refused[1] == "NOT verified: this device does not do what the desk did"


def test_a_changed_bit_fails_where_the_same_kernels_ran(unpacked_bundle: Path) -> None:
    """One weight of a quantized file, one step: within every tolerance, and not the same."""
    model = unpacked_bundle / "models" / "convnet_int8.tflite"
    data = bytearray(model.read_bytes())
    kernel = next(t for t in tflite.read_graph(model).tensors.values() if t.constant and t.dtype == "int8")
    place = data.index(weights_of(model, kernel.index or 0))
    data[place : place + 20] = bytes((b + 1) % 100 for b in data[place : place + 20])
    model.write_bytes(bytes(data))
    seal(unpacked_bundle)
    done = run(unpacked_bundle, "verify", "--model", "convnet_int8.tflite")
    assert done.returncode == 1
    assert re.search(
        r"NO  convnet_int8\.tflite: outputs: litert .*; the same bits are expected of the same kernels", done.stdout
    )


@pytest.mark.parametrize(("steps", "machine", "code"), [(1, "another", 0), (2, "another", 1), (1, None, 1)])
def test_a_softmax_may_differ_by_a_step_on_another_kind_of_cpu(
    steps: int, machine: str | None, code: int, unpacked_bundle: Path
) -> None:
    """As seen on ARM: its probabilities are one step apart, and the logits are not."""
    path = unpacked_bundle / "golden" / "convnet_int8.tflite" / "output_0.npy"
    values = np.load(path)
    values[0, 0] += steps
    np.save(path, values)
    change_manifest(unpacked_bundle, lambda data: data.__setitem__("machine", machine or data["machine"]))
    done = run(unpacked_bundle, "verify", "--model", "convnet_int8.tflite")
    assert done.returncode == code
    told = "softmax differs by a step on another kind of CPU" if code == 0 else "the same bits are expected"
    assert told in done.stdout


@pytest.mark.parametrize(("key", "value"), [("kernels", "built-in"), ("engine", "tflite-runtime 2.14.0")])
def test_other_kernels_promise_no_bits(key: str, value: str, unpacked_bundle: Path) -> None:
    path = unpacked_bundle / "golden" / "convnet_int8.tflite" / "output_0.npy"
    values = np.load(path)
    values[0, 0] += 1
    np.save(path, values)
    change_manifest(unpacked_bundle, lambda data: data["entries"][0].__setitem__(key, value))
    done = run(unpacked_bundle, "verify", "--model", "convnet_int8.tflite")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"made by \S+ \S+ \(\S+\): 1 of 4 items differ, .+; within its limits\n", done.stdout)


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
def test_another_preprocessing_is_noticed(key: str, value: Any, told: str, unpacked_bundle: Path) -> None:
    def change(data: Any) -> None:
        data["entries"][1]["card"]["preprocessing"][key] = value

    change_manifest(unpacked_bundle, change)
    done = run(unpacked_bundle, "verify", "--model", "convnet.onnx")
    assert done.returncode == 1
    assert f"NO  convnet.onnx: preprocessing: 4 images: {told}" in done.stdout


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("score_threshold", 0.99, "NO  d.onnx: objects: 0 objects in image 0; expected 2"),
        ("head", "yolov5", "NO  d.onnx: objects: d.onnx gave 6 x 21 for an image; expected boxes x (5 + classes)"),
    ],
)
def test_another_decoding_is_noticed(key: str, value: Any, told: str, detector_bundle: Path, tmp_path: Path) -> None:
    folder = unpack(detector_bundle, tmp_path)
    change_manifest(folder, lambda data: data["entries"][0]["card"]["detection"].__setitem__(key, value))
    done = run(folder, "verify")
    assert (done.returncode, done.stderr) == (1, "")
    assert told in done.stdout


def test_other_boxes_are_noticed(detector_bundle: Path, tmp_path: Path) -> None:
    folder = unpack(detector_bundle, tmp_path)
    path = folder / "golden" / "d.onnx" / "found_0.npy"
    np.save(path, np.load(path) + np.float32(0.01))
    seal(folder)
    done = run(folder, "verify")
    assert done.returncode == 1
    assert "NO  d.onnx: objects: 2 objects differ by 0.01 at most" in done.stdout


@pytest.fixture(scope="module")
def choosing(tmp_path_factory: pytest.TempPathFactory, odd_photo: Path) -> Path:
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
    make_bundle([path], folder / "c.zip", inputs=[odd_photo])
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


def test_an_object_that_only_the_device_finds_is_noticed(choosing: Path, tmp_path: Path) -> None:
    folder = unpack(choosing, tmp_path)
    data = json.loads((folder / "manifest.json").read_text())["entries"][0]
    names = [spec["name"] for spec in data["card"]["outputs"]]
    path = folder / data["golden"]["outputs"][names.index("detection_scores")]
    scores = np.load(path)
    scores[..., 1] = 0
    np.save(path, scores)
    seal(folder)
    done = run(folder, "verify")
    assert (done.returncode, done.stderr) == (1, "")
    assert "expected the same objects in item 0" in done.stdout


def test_other_regions_are_noticed(staged_bundle: Path, tmp_path: Path) -> None:
    folder = unpack(staged_bundle, tmp_path)
    path = folder / "golden" / "d.heads.onnx" / "input_0.npy"
    np.save(path, np.load(path)[::-1])
    seal(folder)
    done = run(folder, "verify")
    assert done.returncode == 1
    assert re.search(r"NO  d\.onnx: regions: 3 of 3 regions differ by 0\.\d+ at most", done.stdout)


def test_answers_that_are_not_finite_are_noticed(unpacked_bundle: Path) -> None:
    path = unpacked_bundle / "models" / "convnet.onnx"
    model = onnx.load(str(path))
    weight = model.graph.initializer[0]
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] = np.nan
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, str(path))
    seal(unpacked_bundle)
    done = run(unpacked_bundle, "verify", "--model", "convnet.onnx")
    assert done.returncode == 1
    assert re.search(r"NO  convnet\.onnx: outputs: The compared output has \d+ of 20 values that are NaN", done.stdout)
