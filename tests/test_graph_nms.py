"""Boxes chosen in the graph: what is put into the files finds what the device would, and other answers are refused."""

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import load
from tiny_ssd import (
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


from edgekit.artifact import Format, open_artifact
from edgekit.converters.finish import Finished, outputs_folder
from edgekit.converters.graph_nms import choose_in_graph
from edgekit.converters.nms_onnx import append_nms
from edgekit.converters.nms_parity import require_same_detections
from edgekit.converters.nms_tflite import settings
from edgekit.converters.plan import Job
from edgekit.converters.quantize import Draft
from edgekit.converters.samples import Samples
from edgekit.converters.workshop import Workshop
from edgekit.detection import Detection, Scores
from edgekit.errors import CheckFailedError, ConversionError
from edgekit.formats import onnx, tflite
from edgekit.recipe import Nms, Precision, Recipe
from edgekit.runtimes import open_runtime
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


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_best_candidates_alone_are_looked_at(fmt: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("edgekit.tasks.boxes", f"edgekit.converters.nms_{fmt}"):
        monkeypatch.setattr(f"{module}.CANDIDATES", 40)
    spec, inputs = ssd(iou_threshold=1.0, max_detections=200), raw_outputs()
    outputs = run(with_nms(tmp_path / f"m.{fmt}", spec), inputs)
    assert set(outputs["num_detections"].ravel().tolist()) == {40.0}
    assert compared(spec, inputs, outputs) == 40 * len(inputs["scores"])


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


def keep_first_alone(found: dict[str, Any]) -> None:
    for name in POSTPROCESS[:3]:
        found[name][0, 1:] = 0
    found["num_detections"][0] = 1


def a_little_aside(found: dict[str, Any]) -> None:
    found["detection_boxes"] += 2e-3


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
        (keep_first_alone, "it does not find BOX, which the device does"),
        (a_little_aside, "it finds BOX, and the decoder on the device has none"),
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
    card = open_artifact(path).card
    finished = Finished(job=job, path=path, card=card, draft=draft, ratio=1.0, float_ops=())

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
