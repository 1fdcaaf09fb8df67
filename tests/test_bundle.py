"""Bundles at the desk: what is packed, which items are golden, what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundles import damage_layer, unpack
from command import edgekit
from onnx import TensorProto, helper
from tiny_two_stage import heads, two_stage

from edgekit.artifact import attach_card, open_artifact
from edgekit.bundle import make_bundle
from edgekit.bundle.build import self_verified
from edgekit.bundle.entries import open_models
from edgekit.bundle.golden import MOST_SIDE, given_items
from edgekit.bundle.limits import LIMITS, computes_with_integers, has_softmax, limits_of
from edgekit.card import ModelCard, TensorSpec
from edgekit.data import Part, draw, open_data
from edgekit.detection import AnchorLevel, Detection, Head
from edgekit.errors import CheckFailedError, EdgekitError, InputError
from edgekit.formats import tflite
from edgekit.formats.graph import Graph, TensorInfo
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.recipe import Precision
from edgekit.regions import Search


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
    assert {name for name, whole in exact.items() if whole} == {"convnet_int8.tflite", "convnet_int8_float_io.tflite"}
    golden = tiny_models.parent
    assert computes_with_integers(tflite.read_graph(golden / "two_inputs_int8.tflite"))


def test_a_softmax_is_seen(tiny_models: Path) -> None:
    assert has_softmax(tflite.read_graph(tiny_models / "convnet_int8.tflite"))
    assert not has_softmax(tflite.read_graph(tiny_models / "lstm.tflite"))


def test_every_recipe_has_limits_with_a_reason() -> None:
    assert set(LIMITS) == set(Precision)
    assert all(each.reason and each.limits.min_sqnr_db > 10 for each in LIMITS.values())


@pytest.mark.parametrize(("dtype", "precision"), [("int8", "int8"), ("uint8", "int8"), ("float32", "fp32")])
def test_files_of_others_have_the_limits_of_their_numbers(dtype: str, precision: str, tiny_models: Path) -> None:
    foreign = open_artifact(tiny_models / "convnet.onnx")
    assert foreign.card.provenance.recipe is None
    graph = Graph(
        inputs=(), outputs=(), input_tensors={}, output_tensors={}, nodes=(), versions={},
        tensors={"x": TensorInfo(shape=(1,), dtype=dtype)},
    )  # fmt: skip
    assert limits_of(foreign, graph) == LIMITS[Precision(precision)].limits


def keras(folder: Path, models: Path) -> list[Path]:
    return [models / "convnet.keras"]


def twice(folder: Path, models: Path) -> list[Path]:
    (folder / "convnet.onnx").write_bytes((models / "convnet.onnx").read_bytes())
    return [models / "convnet.onnx", folder / "convnet.onnx"]


def odd(folder: Path, models: Path) -> list[Path]:
    (folder / "a:b\n.onnx").write_bytes((models / "convnet.onnx").read_bytes())
    return [folder / "a:b\n.onnx"]


def parted(folder: Path, models: Path) -> list[Path]:
    """A line's end to Python, and none to the eye."""
    (folder / "a\u2028b.onnx").write_bytes((models / "convnet.onnx").read_bytes())
    return [folder / "a\u2028b.onnx"]


def no_text(folder: Path, models: Path) -> list[Path]:
    (folder / "a\udce9.onnx").write_bytes((models / "convnet.onnx").read_bytes())
    return [folder / "a\udce9.onnx"]


def large_and_small(folder: Path, models: Path) -> list[Path]:
    for name in ("Net.onnx", "net.ONNX"):
        (folder / name).write_bytes((models / "convnet.onnx").read_bytes())
    return [folder / "Net.onnx", folder / "net.ONNX"]


def second_of_another_case(folder: Path, models: Path) -> list[Path]:
    first = two_stage(folder)
    (folder / "D.heads.onnx").write_bytes((models / "convnet.onnx").read_bytes())
    return [first, folder / "D.heads.onnx"]


def nothing(folder: Path, models: Path) -> list[Path]:
    return []


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (keras, r"\S+convnet\.keras is a Keras file, which devices do not run; bundle what `edgekit convert` makes\."),
        (twice, r"Two files are called convnet\.onnx; a bundle needs names of their own: rename one\."),
        (odd, r"'a:b\\n\.onnx' is a name that not every device takes; rename the file for the bundle\."),
        (parted, r"'a\\u2028b\.onnx' is a name that not every device takes; rename the file for the bundle\."),
        (no_text, r"'a\\udce9\.onnx' is a name that not every device takes; rename the file for the bundle\."),
        (large_and_small, r"Two files are called Net\.onnx; a bundle needs names of their own: rename one\."),
        (
            second_of_another_case,
            r"Two files are called D\.heads\.onnx; a bundle needs names of their own: rename one\.",
        ),
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


@pytest.mark.parametrize("option", ["model", "inputs", "data"])
def test_a_bundle_is_not_written_over_what_it_is_made_of(option: str, colour_photos: Path, tmp_path: Path) -> None:
    model, photos = tmp_path / "m.onnx", tmp_path / "photos.npz"
    for path in (model, photos):
        path.write_bytes(b"mine")
    output = tmp_path / "." / {"model": "m.onnx", "inputs": "photos.npz", "data": "photos.npz"}[option]
    with pytest.raises(InputError) as caught:
        make_bundle(
            [model],
            output,
            data=str(photos) if option == "data" else None,
            inputs=[photos] if option == "inputs" else [],
            force=True,
        )
    assert str(caught.value) == f"{output} is a file that the bundle is made of; write it elsewhere with -o."
    assert (model.read_bytes(), photos.read_bytes()) == (b"mine", b"mine")


def test_golden_items_come_from_one_place(tiny_models: Path, odd_photo: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        make_bundle([tiny_models / "convnet.onnx"], tmp_path / "b.zip", data="digits", inputs=[odd_photo])
    assert str(caught.value) == "Golden items come from --data or from --inputs; got both: give one of them."


def test_a_second_stage_is_bundled_once(tmp_path: Path, odd_photo: Path) -> None:
    first = two_stage(tmp_path)
    with pytest.raises(InputError) as caught:
        make_bundle([first, tmp_path / "d.heads.onnx"], tmp_path / "b.zip", inputs=[odd_photo])
    assert str(caught.value) == "d.heads.onnx is the second file of d.onnx, and comes with it; leave it out."


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


def test_no_region_in_the_first_image_is_told(tmp_path: Path, odd_photo: Path) -> None:
    # Anchors of less than a hundredth of the input are no proposals.
    first = two_stage(tmp_path, anchors=(AnchorLevel(rows=2, columns=2, shapes=((0.001, 0.001),)),))
    with pytest.raises(InputError) as caught:
        make_bundle([first], tmp_path / "b.zip", inputs=[odd_photo])
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


def test_a_bundle_that_does_not_verify_is_not_written(unpacked_bundle: Path, tmp_path: Path) -> None:
    from edgekit.bundle.archive import pack

    damage_layer(unpacked_bundle / "models" / "convnet.onnx")
    files = {
        p.relative_to(unpacked_bundle).as_posix(): p.read_bytes()
        for p in unpacked_bundle.rglob("*")
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
