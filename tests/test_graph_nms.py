"""``convert --nms graph``: files that choose their boxes themselves, and find what the device would."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from onnx import load
from PIL import Image
from tiny_detector import detector as yolo
from tiny_ssd import (
    AS_IS,
    POSTPROCESS,
    damage_anchors,
    device_decoder,
    graph_decoder,
    raw,
    raw_outputs,
    run,
    ssd,
    with_nms,
)  # fmt: skip

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from aarch64.places import UnavailableError, arm
from aarch64.places import run as run_at

from edgekit.artifact import Format, attach_card, open_artifact
from edgekit.converters.finish import Finished, outputs_folder
from edgekit.converters.graph_nms import choose_in_graph
from edgekit.converters.nms_onnx import append_nms
from edgekit.converters.nms_parity import require_same_detections
from edgekit.converters.nms_tflite import settings
from edgekit.converters.plan import Job
from edgekit.converters.quantize import Draft
from edgekit.converters.samples import Samples
from edgekit.converters.workshop import Workshop
from edgekit.detection import AnchorLevel, Detection, Head, Scores
from edgekit.errors import CheckFailedError, ConversionError
from edgekit.formats import onnx, tflite
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.recipe import Nms, Precision, Recipe
from edgekit.runtimes import open_runtime
from edgekit.tasks.detection import make_decoder
from edgekit.workers import silent

FORMATS = [Format.TFLITE, Format.ONNX]


def compared(spec: Detection, inputs: dict[str, Any], outputs: dict[str, Any]) -> int:
    return require_same_detections(device_decoder(spec), graph_decoder(spec), inputs, outputs, what="m.tflite")


@pytest.mark.parametrize("kind", Scores)
@pytest.mark.parametrize("fmt", FORMATS)
def test_the_graph_finds_what_the_device_finds(fmt: Format, kind: Scores, tmp_path: Path) -> None:
    spec = ssd(scores=kind, max_detections=200)  # more than there are
    inputs = raw_outputs(kind)
    outputs = run(with_nms(tmp_path / f"m.{fmt}", spec), inputs)
    assert compared(spec, inputs, outputs) > 1000
    device, graph = device_decoder(spec), graph_decoder(spec)
    for item in range(len(inputs["scores"])):
        expected = device({name: values[item] for name, values in inputs.items()}, (1, 1), least_score=0.001)
        found = graph({name: values[item] for name, values in outputs.items()}, (1, 1), least_score=0.001)
        assert found.classes.tolist() == expected.classes.tolist()
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-5)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize(
    "fields",
    [{"iou_threshold": 0.0}, {"iou_threshold": 1.0, "max_detections": 300}, {"max_detections": 1}],
    ids=["no overlap", "any overlap", "one"],
)
def test_the_ends_of_the_settings_work_too(fmt: Format, fields: dict[str, Any], tmp_path: Path) -> None:
    spec, inputs = ssd(**fields), raw_outputs()
    assert compared(spec, inputs, run(with_nms(tmp_path / f"m.{fmt}", spec), inputs)) >= 12


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_integers_become_numbers_before_boxes_are_chosen(dtype: str, tmp_path: Path) -> None:
    limits, zero = np.iinfo(dtype), 0 if dtype == "int16" else np.iinfo(dtype).min + 120
    scales = {"offsets": 0.03, "scores": 0.12}
    spec = ssd()
    quantized = {name: (dtype, scale, zero) for name, scale in scales.items()}
    runtime = with_nms(tmp_path / "m.tflite", spec, quantized=quantized)
    integers = {
        name: np.clip(np.rint(values / scales[name]) + zero, limits.min, limits.max).astype(dtype)
        for name, values in raw_outputs().items()
    }
    real = {name: (values.astype(np.float32) - zero) * np.float32(scales[name]) for name, values in integers.items()}
    assert compared(spec, real, run(runtime, integers)) == 12 * 20


@pytest.mark.parametrize("fmt", FORMATS)
def test_outputs_have_a_fixed_size_and_end_in_zeros(fmt: Format, tmp_path: Path) -> None:
    runtime = with_nms(tmp_path / f"m.{fmt}", ssd(max_detections=30, iou_threshold=0.01))
    assert [(o.name, o.shape, o.dtype) for o in runtime.outputs] == [
        ("detection_boxes", (1, 30, 4), "float32"),
        ("detection_classes", (1, 30), "float32"),
        ("detection_scores", (1, 30), "float32"),
        ("num_detections", (1,), "float32"),
    ]
    inputs = {name: values[:1] for name, values in raw_outputs().items()}
    found = {name: values[0] for name, values in run(runtime, inputs).items()}
    count = int(found["num_detections"][0])
    assert 0 < count < 30
    assert (found["detection_scores"][:count] > 0).all()
    for name in POSTPROCESS[:3]:
        assert not found[name][count:].any(), name
    inputs["scores"][..., 0] = 50  # nothing but background
    assert not any(values.any() for values in run(runtime, inputs).values())


@pytest.mark.parametrize("fmt", FORMATS)
def test_outputs_that_had_the_same_names_make_room(fmt: Format, tmp_path: Path) -> None:
    spec, inputs = ssd(), raw_outputs(count=2)
    runtime = with_nms(tmp_path / f"m.{fmt}", spec, named=("detection_boxes", "detection_scores"))
    assert compared(spec, inputs, run(runtime, inputs)) == 40


def test_the_onnx_graph_is_made_of_standard_operators_without_loops(tmp_path: Path) -> None:
    with_nms(tmp_path / "m.onnx", ssd())
    nodes = onnx.read_graph(tmp_path / "m.onnx").nodes
    assert not [node.op for node in nodes if node.custom or node.op in ("Loop", "If", "Scan")]
    assert [node.op for node in nodes].count("NonMaxSuppression") == 1


def test_a_free_number_of_classes_is_refused(tmp_path: Path) -> None:
    model = load(raw(tmp_path / "m.onnx", ssd()))
    model.graph.output[1].type.tensor_type.shape.dim[2].dim_param = "classes"
    with pytest.raises(ConversionError) as caught:
        append_nms(model, ssd(), "raw_offsets", "raw_scores")
    assert str(caught.value) == (
        "output 'raw_scores' has a free number of classes; --nms graph takes a fixed one: export the model with it."
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 5, 16])
def test_every_class_is_found_by_any_number_of_threads(threads: int, tmp_path: Path) -> None:
    """LiteRT's operator passes over the class whose number is that of its threads."""
    spec, inputs = ssd(max_detections=200), raw_outputs(count=2)
    with_nms(tmp_path / "m.tflite", spec)
    found = run(open_runtime(tmp_path / "m.tflite", threads=threads), inputs)
    assert compared(spec, inputs, found) > 100
    assert set(np.unique(found["detection_classes"]).tolist()) == {0, 1, 2, 3, 4}


def test_the_empty_classes_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails the engine has been mended: `THREADS` can go when no engine is left that was not."""
    monkeypatch.setattr("edgekit.converters.nms_tflite.THREADS", -1)
    spec, inputs = ssd(max_detections=200), raw_outputs(count=2)
    with_nms(tmp_path / "m.tflite", spec)
    assert compared(spec, inputs, run(open_runtime(tmp_path / "m.tflite"), inputs)) > 100
    found = run(open_runtime(tmp_path / "m.tflite", threads=2), inputs)
    assert set(np.unique(found["detection_classes"]).tolist()) == {0, 1, 3, 4}
    with pytest.raises(CheckFailedError, match="with --nms graph it does not find class 2"):
        compared(spec, inputs, found)


def test_the_tflite_file_ends_in_the_operator_of_tensorflow(tmp_path: Path) -> None:
    with_nms(tmp_path / "m.tflite", ssd())
    graph = tflite.read_graph(tmp_path / "m.tflite")
    (node,) = (node for node in graph.nodes if node.custom)
    assert (node.op, node.version) == ("TFLite_Detection_PostProcess", 1)
    assert tuple(graph.output_tensors.values()) == POSTPROCESS
    assert set(POSTPROCESS) - set(node.outputs) == {"detection_classes"}  # which are numbered anew
    assert settings(ssd(), classes=5) == {
        "max_detections": 20,
        "detections_per_class": 20,
        "max_classes_per_detection": 1,
        "use_regular_nms": True,
        "nms_score_threshold": 0.001,
        "nms_iou_threshold": 0.45,
        "num_classes": 5,
        "y_scale": 1 / 0.15,
        "x_scale": 1 / 0.1,
        "h_scale": 1 / 0.25,
        "w_scale": 1 / 0.2,
    }


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("by", [0.01, -0.2])
def test_damaged_anchors_are_refused(fmt: Format, by: float, tmp_path: Path) -> None:
    path, spec, inputs = tmp_path / f"m.{fmt}", ssd(), raw_outputs()
    whole = run(with_nms(path, spec), inputs)
    damage_anchors(path, by)
    damaged = run(open_runtime(path), inputs)
    assert compared(spec, inputs, whole) > 0
    with pytest.raises(CheckFailedError, match=r"it finds class \d .*, and the decoder on the device has none"):
        compared(spec, inputs, damaged)


@pytest.mark.parametrize("fields", [{"variances": (0.1, 0.1, 0.2, 0.2)}, {"scores": Scores.SIGMOID}])
@pytest.mark.parametrize("fmt", FORMATS)
def test_a_file_made_for_other_settings_is_refused(fmt: Format, fields: dict[str, Any], tmp_path: Path) -> None:
    inputs = raw_outputs()
    outputs = run(with_nms(tmp_path / f"m.{fmt}", ssd(**fields)), inputs)
    with pytest.raises(CheckFailedError, match="and the decoder on the device has none"):
        compared(ssd(), inputs, outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """One item's outputs before, and what a right file makes of them."""

    inputs: dict[str, Any]
    right: dict[str, Any]

    def changed(self, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        found = {name: values.copy() for name, values in self.right.items()}
        change(found)
        return found


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    inputs = {name: values[:1] for name, values in raw_outputs().items()}
    runtime = with_nms(tmp_path_factory.mktemp("right") / "m.tflite", ssd(max_detections=200))
    return Outputs(inputs=inputs, right=run(runtime, inputs))


def swap_first(found: dict[str, Any]) -> None:
    for name in POSTPROCESS[:3]:
        found[name][0, [0, 1]] = found[name][0, [1, 0]]


def repeat_first(found: dict[str, Any]) -> None:
    for name in POSTPROCESS[:3]:
        found[name][0, 1:] = found[name][0, :-1].copy()
    found["num_detections"] += 1


def drop_first(found: dict[str, Any]) -> None:
    for name in POSTPROCESS[:3]:
        found[name][0, :-1] = found[name][0, 1:].copy()
    found["num_detections"] -= 1


def next_class(found: dict[str, Any]) -> None:
    found["detection_classes"] += 1


def sides_for_heights(found: dict[str, Any]) -> None:
    found["detection_boxes"] = found["detection_boxes"][..., [1, 0, 3, 2]]


def nothing(found: dict[str, Any]) -> None:
    for values in found.values():
        values[...] = 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (swap_first, "its boxes do not come best first"),
        (repeat_first, "it finds BOX a second time"),
        (drop_first, "it does not find BOX, which the device does"),
        (next_class, "it finds BOX, and the decoder on the device has none"),
        (sides_for_heights, "it finds BOX, and the decoder on the device has none"),
        (nothing, "it does not find BOX, which the device does"),
    ],
)
def test_other_answers_are_refused(change: Callable[[dict[str, Any]], None], sentence: str, outputs: Outputs) -> None:
    spec = ssd(max_detections=200)
    assert compared(spec, outputs.inputs, outputs.right) > 50
    with pytest.raises(CheckFailedError) as caught:
        compared(spec, outputs.inputs, outputs.changed(change))
    number = r"-?\d\.\d{3}"
    told = re.sub(rf"class \d with the score {number} at ({number}, ){{3}}{number}", "BOX", str(caught.value))
    assert told == f"m.tflite is refused, and nothing was written: with --nms graph {sentence} (item 1)."


def test_items_in_which_nothing_is_found_prove_nothing(outputs: Outputs) -> None:
    inputs = {"offsets": outputs.inputs["offsets"], "scores": outputs.inputs["scores"].copy()}
    inputs["scores"][..., 0] = 50
    with pytest.raises(CheckFailedError) as caught:
        compared(ssd(), inputs, outputs.changed(nothing))
    assert str(caught.value) == (
        "m.tflite is refused, and nothing was written: nothing was found in any item, so that choosing boxes in the "
        "graph cannot be compared with the device; give photos with objects as --calibration."
    )


def test_of_two_boxes_with_one_score_either_may_stand_for_the_other(outputs: Outputs) -> None:
    """Exponentials of two engines may order equal scores differently, and suppression goes on from the first."""
    inputs = {name: np.zeros_like(values) for name, values in outputs.inputs.items()}
    inputs["scores"][..., 0] = 50
    inputs["scores"][0, :2] = [0, 0, -50, -50, -50, -50]  # the two anchors of the first cell, and nothing else
    inputs["offsets"][0, 1] = [0, 0, -2.0, 1.2]  # the second one lies nearly as the first
    kept = device_decoder(ssd()).read({name: values[0] for name, values in inputs.items()}, 0.4)
    assert len(kept) == 2
    for index in range(2):
        found = {name: np.zeros_like(values) for name, values in outputs.right.items()}
        found["detection_boxes"][0, 0] = kept.boxes[index, [1, 0, 3, 2]]
        found["detection_scores"][0, 0], found["num_detections"][0] = 0.5, 1
        assert compared(ssd(), inputs, found) == 1
    assert np.abs(np.diff(np.clip(kept.boxes, 0, 1), axis=0)).max() > 0.01  # they are not the same box


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    (tmp_path / "shop").mkdir()
    with Workshop(tmp_path / "shop", silent) as made:
        yield made


@pytest.mark.parametrize("fmt", FORMATS)
def test_nothing_is_written_where_the_graph_finds_other_objects(fmt: Format, tmp_path: Path, shop: Workshop) -> None:
    """The items were run before, here by hand: once by another network than the file holds, and once by this one."""
    spec, inputs = ssd(), raw_outputs(count=3)
    before = {f"raw_{name}": values for name, values in inputs.items()}
    samples = Samples.write(tmp_path / "samples", items(inputs), 3)
    path = raw(tmp_path / f"m.fp32.{fmt}", spec)
    content = path.read_bytes()
    job = Job(format=fmt, recipe=Recipe(precision=Precision.FP32, nms=Nms.GRAPH), file_name=path.name)
    draft = Draft(path=raw(shop.folder / path.name, spec), engine="none", reason="a test")
    finished = Finished(job=job, path=path, draft=draft, ratio=1.0, float_ops=())

    other = {**before, "raw_offsets": before["raw_offsets"] + 1}
    Samples.write(outputs_folder(path.name, shop), items(other), 3)
    with pytest.raises(CheckFailedError, match=rf"^{path.name} is refused, and nothing was written: with --nms graph "):
        choose_in_graph(finished, samples, shop)
    assert path.read_bytes() == content

    for folder in (path.name, f"nms.{path.name}"):
        shutil.rmtree(outputs_folder(folder, shop))
    Samples.write(outputs_folder(path.name, shop), items(before), 3)
    done = choose_in_graph(finished, samples, shop)
    assert open_artifact(path).card.outputs == open_runtime(path).outputs
    assert done.draft.notes == ("boxes are chosen in the graph, and the 60 found in 3 items are those of the device",)
    assert done.ratio == pytest.approx(len(content) / path.stat().st_size)


def items(arrays: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One item after the other."""
    return (dict(zip(arrays, values, strict=True)) for values in zip(*arrays.values(), strict=True))


# The command, on a Keras model ------------------------------------------------------------------------------------

CARD = Detection(
    head=Head.SSD, anchors=(AnchorLevel(rows=4, columns=4, shapes=((0.25, 0.25), (0.3, 0.3))),), score_threshold=0.4
)


def scenes(folder: Path, count: int, seed: int) -> Path:
    """Photos of 16 x 16 pixels with one to three squares, and their boxes as YOLO writes them."""
    random = np.random.default_rng(seed)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.txt").write_text("red\nblue\n")
    for index in range(count):
        pixels, lines = random.integers(70, 130, (16, 16, 3)).astype(np.uint8), []
        for cell in random.choice(16, random.integers(1, 4), replace=False):
            row, column, kind = cell // 4, cell % 4, int(random.integers(2))
            pixels[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = [(230, 60, 20), (20, 60, 230)][kind]
            lines.append(f"{kind} {(column + 0.5) / 4} {(row + 0.5) / 4} 0.25 0.25\n")
        Image.fromarray(pixels).save(folder / "images" / f"{index:02}.png")
        (folder / "labels" / f"{index:02}.txt").write_text("".join(lines))
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The folder with the source and its data, and what two conversions wrote: boxes chosen by the device, and not."""

    home: Path
    device: Path
    graph: Path
    rows: list[dict[str, Any]]
    told: str


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    home = tmp_path_factory.mktemp("detector")
    script = Path(__file__).parent / "convert_detector.py"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, script, home / "d.keras"], check=True, capture_output=True, env=environment)
    card = open_artifact(home / "d.keras").card
    how = Preprocessing(size_hw=(16, 16), resize=Resize.STRETCH, scale=(1 / 255,))
    attach_card(
        home / "d.keras",
        replace(card, task="detection", preprocessing=how, labels=("red", "blue"), detection=CARD),
    )
    calibration = scenes(home / "train", 40, 0)
    scenes(home / "test", 24, 1)
    flags = ["-p", "fp32", "--int8", "--calibration", calibration, "--json", "-"]
    results = {}
    for nms in ("device", "graph"):
        done = edgekit("convert", home / "d.keras", "--nms", nms, "-o", home / nms, *flags)
        assert done.returncode == 0, done.stderr
        results[nms] = (json.loads(done.stdout)["results"], done.stderr)
    rows, told = results["graph"]
    return Converted(home=home, device=home / "device", graph=home / "graph", rows=rows, told=told)


FILES = [f"d.{recipe}.{fmt}" for recipe in ("fp32", "int8") for fmt in ("tflite", "onnx")]


@pytest.mark.parametrize("name", FILES)
def test_the_card_says_that_boxes_are_chosen_and_keeps_the_thresholds(name: str, converted: Converted) -> None:
    artifact = open_artifact(converted.graph / name)
    assert [output.name for output in artifact.card.outputs] == list(POSTPROCESS)
    assert artifact.card.detection == Detection(head=Head.SSD_POSTPROCESS, score_threshold=0.4)
    assert artifact.card.labels == ("red", "blue")
    recipe = artifact.card.provenance.recipe
    assert recipe is not None
    assert (recipe.nms, recipe.code) == ("graph", name.split(".")[1])
    before = open_artifact(converted.device / name).card
    assert before.detection == CARD
    assert [i.dtype for i in artifact.card.inputs] == [i.dtype for i in before.inputs]


def test_average_precision_is_the_same_wherever_boxes_are_chosen(converted: Converted) -> None:
    files = [folder / name for name in FILES for folder in (converted.device, converted.graph)]
    done = edgekit("evaluate", *files, "--data", converted.home / "test", "--json", "-")
    assert done.returncode == 0, done.stderr
    rows = [row["metrics"] for row in json.loads(done.stdout)["results"]]
    for device, graph in zip(rows[::2], rows[1::2], strict=True):
        assert graph == pytest.approx(device, abs=1e-6)
        assert 0.5 < graph["map"] <= 1


@pytest.mark.parametrize("name", FILES)
def test_predict_finds_the_same_objects(name: str, converted: Converted) -> None:
    photos = converted.home / "test" / "images"
    found = []
    for folder in (converted.device, converted.graph):
        done = edgekit("predict", folder / name, photos, "--json", "-")
        assert (done.returncode, done.stderr) == (0, "")
        found.append([row["detections"] for row in json.loads(done.stdout)["results"]])
    count = 0
    for both in zip(*found, strict=True):
        # Squares of one colour have the same score, and no order.
        device, graph = (sorted(one, key=lambda d: (d["label"], np.round(d["box"], 2).tolist())) for one in both)
        assert [d["label"] for d in graph] == [d["label"] for d in device]
        assert [d["score"] for d in graph] == pytest.approx([d["score"] for d in device], abs=1e-4)
        for mine, its in zip(graph, device, strict=True):
            assert mine["box"] == pytest.approx(its["box"], abs=1e-3)
        count += len(graph)
    assert count == sum(len(text.read_text().splitlines()) for text in (converted.home / "test/labels").iterdir())


def test_the_report_says_what_is_in_float_and_what_was_compared(converted: Converted) -> None:
    ops = {Path(row["artifact"]).name: row["float_ops"] for row in converted.rows}
    reason = "--nms graph chooses boxes in float"
    assert ops["d.fp32.tflite"] == ops["d.fp32.onnx"] == []
    last = {"name": "detection_postprocess", "reason": reason}
    assert {**last, "op": "TFLite_Detection_PostProcess"} in ops["d.int8.tflite"]
    assert {**last, "op": "NonMaxSuppression"} in ops["d.int8.onnx"]
    for row in converted.rows:
        assert row["model_bytes"] == Path(row["artifact"]).stat().st_size
        note = row["notes"][-1]
        assert note.startswith("boxes are chosen in the graph, and the ")
        assert note.endswith(" found in 40 items are those of the device")
        assert f"{Path(row['artifact']).name}: {note}." in converted.told


@pytest.mark.slow
def test_a_manifest_repeats_the_files_to_the_byte(converted: Converted, tmp_path: Path) -> None:
    done = edgekit("convert", converted.graph / "d.fp32-int8.manifest.json", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (converted.graph / name).read_bytes(), name


def test_inspect_tells_a_custom_operator_that_needs_nothing_more(converted: Converted) -> None:
    path = converted.graph / "d.int8.tflite"
    done = edgekit("inspect", path, "--target", "tflite-runtime-2.14")
    assert done.returncode == 0, done.stderr
    assert "TFLite_Detection_PostProcess (built into LiteRT)" in done.stdout.replace("\n", " ")
    (row,) = json.loads(edgekit("inspect", path, "--json", "-").stdout)["results"]
    assert row["custom_operators"] == ["TFLite_Detection_PostProcess"]
    done = edgekit("inspect", converted.graph / "d.int8.onnx", "--target", "onnxruntime-1.19")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.device
@pytest.mark.parametrize("name", ["d.int8.tflite", "d.int8.onnx"])
def test_int8_files_that_choose_their_boxes_run_on_arm(name: str, converted: Converted) -> None:
    try:
        place = arm("cortex-a72")
    except UnavailableError as error:
        pytest.skip(str(error))
    photos = sorted((converted.home / "test" / "images").iterdir())
    images = np.stack([np.asarray(Image.open(photo)) for photo in photos]).astype(np.float32) / 255
    before = open_artifact(converted.device / name)
    runtime = open_runtime(before.path)
    answers = [runtime.run({"image": image[None]}, as_float=True) for image in images]
    reference = {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}
    outputs = run_at(place, converted.graph / name, {"image": images}).outputs
    other = {name: np.reshape(values, (len(images), -1, *values.shape[2:])) for name, values in outputs.items()}
    device, graph = (
        make_decoder(artifact, artifact.card.detection or CARD, AS_IS)
        for artifact in (before, open_artifact(converted.graph / name))
    )
    assert require_same_detections(device, graph, reference, other, what=name) >= len(images)


def test_what_has_no_anchors_is_refused_before_any_work(tmp_path: Path, converted: Converted) -> None:
    model = yolo(tmp_path / "y.onnx", name="y")
    foreign = yolo(tmp_path / "f.onnx")
    sentence = (
        "--nms graph takes a detector with the head ssd, whose anchors are in its card; {} is {}: leave --nms out."
    )
    for path, got in (
        (model, "a detector with the head yolov8"),
        (foreign, "no detector by its card"),
        (converted.graph / "d.fp32.onnx", "a detector with the head ssd-postprocess"),
    ):
        done = edgekit("convert", path, "-p", "fp32", "--nms", "graph", "-o", tmp_path / "out")
        assert (done.returncode, done.stderr) == (2, f"edgekit: {sentence.format(path, got)}\n")
    assert not (tmp_path / "out").exists()


def test_an_unknown_place_is_refused(tmp_path: Path) -> None:
    done = edgekit("convert", yolo(tmp_path / "y.onnx"), "--nms", "cloud")
    assert done.returncode == 2
    assert "'cloud' is not one of 'device', 'graph'" in done.stderr
