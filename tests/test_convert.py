"""The convert verb end to end on tiny models: files, reports, refusals. Real engines; TensorFlow in child processes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import edgekit

from edgekit.artifact import Format, open_artifact
from edgekit.converters import Request, convert
from edgekit.converters.tolerances import TOLERANCES
from edgekit.errors import CheckFailedError, ConversionError, DataError, InputError
from edgekit.recipe import InterfaceType, Precision, Recipe

SCRIPT = Path(__file__).parent / "convert_models.py"
PRECISIONS = (Precision.FP32, Precision.FP16, Precision.DYNAMIC, Precision.INT8, Precision.INT16X8)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all tiny sources and their data, made once."""
    folder = tmp_path_factory.mktemp("sources")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, str(SCRIPT), str(folder)], check=True, capture_output=True, env=environment)
    rng = np.random.default_rng(0)
    np.savez(folder / "images.npz", x=rng.uniform(0, 1, (24, 8, 8, 3)).astype(np.float32))
    np.savez(folder / "leaky.npz", x=rng.normal(0, 1, (24, 6)).astype(np.float32))
    np.savez(folder / "recurrent.npz", x=rng.normal(0, 1, (24, 5, 3)).astype(np.float32))
    return folder


MANIFEST = "images.fp32-fp16-dynamic-int8-int16x8.manifest.json"


@pytest.fixture(scope="session")
def all_recipes(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every recipe of the image model in both formats."""
    folder = tmp_path_factory.mktemp("all")
    convert(_request(models, "images", folder, *PRECISIONS))
    return folder


def _request(models: Path, name: str, folder: Path, *precisions: Precision, **settings: object) -> Request:
    recipes = tuple(Recipe(precision=p, calibration_samples=16) for p in precisions)
    made = {"source": models / f"{name}.keras", "recipes": recipes, "output_dir": folder}
    made["calibration"] = str(models / f"{name}.npz") if (models / f"{name}.npz").exists() else None
    return Request(**{**made, **settings})  # type: ignore[arg-type]


def _names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()} if folder.exists() else set()


def test_every_recipe_of_both_formats_is_written_with_its_manifest(all_recipes: Path) -> None:
    tflite = {f"images.{p.value}.tflite" for p in PRECISIONS}
    onnx = {f"images.{p.value}.onnx" for p in PRECISIONS if p is not Precision.INT16X8}
    assert _names(all_recipes) == tflite | onnx | {MANIFEST}


def test_the_card_inside_tells_tensors_recipe_and_calibration(all_recipes: Path) -> None:
    card = open_artifact(all_recipes / "images.int8.tflite").card
    assert [(s.name, s.shape, s.dtype, s.quantized) for s in card.inputs] == [("image", (1, 8, 8, 3), "int8", True)]
    assert [(s.name, s.shape, s.dtype, s.quantized) for s in card.outputs] == [("logits", (1, 4), "int8", True)]
    assert card.provenance.recipe is not None
    assert card.provenance.recipe.code == "int8"
    assert card.provenance.calibration is not None
    assert card.provenance.calibration.count == 16
    assert len(card.provenance.calibration.items) == 16
    assert open_artifact(all_recipes / "images.fp32.onnx").card.provenance.calibration is None


def test_both_formats_have_the_same_names(all_recipes: Path) -> None:
    cards = [open_artifact(all_recipes / f"images.fp32.{f.value}").card for f in (Format.TFLITE, Format.ONNX)]
    assert [s.name for s in cards[0].inputs + cards[0].outputs] == [s.name for s in cards[1].inputs + cards[1].outputs]


def test_files_without_fast_kernels_are_compared_on_fewer_items(models: Path, tmp_path: Path) -> None:
    known = np.load(models / "images.npz")["x"]
    np.savez(tmp_path / "more.npz", x=np.concatenate([known, known[:6] * 0.5]))
    precisions = (Precision.FP32, Precision.DYNAMIC, Precision.INT16X8)
    recipes = tuple(Recipe(precision=p, calibration_samples=30) for p in precisions)
    request = _request(models, "images", tmp_path, recipes=recipes, calibration=str(tmp_path / "more.npz"))
    report = convert(request)
    counts = {row.path.name: row.parity.count for row in report.artifacts}
    assert counts == {
        "images.fp32.tflite": 30, "images.dynamic.tflite": 30, "images.fp32.onnx": 30, "images.dynamic.onnx": 24,
        "images.int16x8.tflite": 24,
    }  # fmt: skip
    assert any("on 30 of the 30 calibration items" in note and note.endswith("kernels on 24.") for note in report.notes)
    few = "30 calibration items say little of how files do on others: take 32 or more."
    assert few in report.notes
    float_only = replace(request, recipes=recipes[:1], output_dir=tmp_path / "float")
    assert not any("say little" in note for note in convert(float_only).notes)


def test_batch_norm_of_a_depthwise_layer_is_folded_in_onnx(all_recipes: Path) -> None:
    from edgekit.formats import onnx

    ops = [n.op for n in onnx.read_graph(all_recipes / "images.fp32.onnx").nodes]
    assert "Mul" not in ops
    assert ops.count("Conv") == 3


@pytest.mark.slow
def test_repeating_from_the_manifest_gives_the_same_bytes(all_recipes: Path, tmp_path: Path) -> None:
    report = convert(Request(source=all_recipes / MANIFEST, output_dir=tmp_path))
    assert len(report.artifacts) == 9
    for name in _names(all_recipes):
        assert (tmp_path / name).read_bytes() == (all_recipes / name).read_bytes(), name


def test_a_changed_source_is_not_repeated(all_recipes: Path, tmp_path: Path) -> None:
    manifest = json.loads((all_recipes / MANIFEST).read_text())
    manifest["source_sha256"] = "0" * 64
    (tmp_path / "x.manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError) as error:
        convert(Request(source=tmp_path / "x.manifest.json"))
    source = manifest["settings"]["source"]
    assert str(error.value) == (
        f"{source} has changed since the manifest was written; convert it anew without the manifest."
    )


def test_a_tflite_file_without_a_signature_is_quantized(all_recipes: Path, models: Path, tmp_path: Path) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray((all_recipes / "images.fp32.tflite").read_bytes()), 0)
    model.signatureDefs = model.metadata = []
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "bare.tflite").write_bytes(builder.Output())
    request = _request(models, "images", tmp_path, Precision.FP32, Precision.INT8, source=tmp_path / "bare.tflite")
    fp32, int8 = convert(request).artifacts
    assert (fp32.parity.max_abs, fp32.engine) == (0.0, "none")
    assert int8.parity.sqnr_db > 20


def test_an_onnx_file_of_an_old_operator_set_is_raised_to_one_with_integer_forms(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    kernel = numpy_helper.from_array(random.normal(size=(4, 3, 3, 3)).astype(np.float32), "kernel")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    maps = helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 4, 6, 6])
    graph = helper.make_graph([helper.make_node("Conv", ["image", "kernel"], ["maps"])], "g", [image], [maps], [kernel])
    old = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    (tmp_path / "old.onnx").write_bytes(old.SerializeToString())
    np.savez(tmp_path / "data.npz", x=random.normal(size=(8, 3, 8, 8)).astype(np.float32))
    recipes = (Recipe(precision=Precision.INT8),)
    request = Request(source=tmp_path / "old.onnx", recipes=recipes, calibration=str(tmp_path / "data.npz"))
    (made,) = convert(request).artifacts
    assert made.parity.sqnr_db > 20
    assert made.float_ops == ()


@pytest.mark.parametrize(("name", "recipe", "fmt"), [("onnx", "int8", Format.ONNX), ("tflite", "int8", Format.TFLITE)])
def test_float_files_are_sources_without_tensorflow(
    all_recipes: Path, models: Path, tmp_path: Path, name: str, recipe: str, fmt: Format
) -> None:
    request = _request(models, "images", tmp_path, Precision(recipe), source=all_recipes / f"images.fp32.{name}")
    report = convert(request)
    assert [a.format for a in report.artifacts] == [fmt]
    assert report.artifacts[0].parity.sqnr_db > 20
    assert f"lower {fmt.value}" in report.step_seconds


def test_a_file_outside_its_tolerance_is_refused_and_nothing_is_written(
    all_recipes: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_reach = replace(TOLERANCES[Precision.FP16], min_sqnr_db=190.0)
    monkeypatch.setitem(TOLERANCES, Precision.FP16, out_of_reach)
    source = all_recipes / "images.fp32.onnx"
    with pytest.raises(
        CheckFailedError,
        match=r"^images\.fp32\.fp16\.onnx is refused, .* dB of the source's signal; fp16 needs 190\.0 dB\.$",
    ):
        convert(_request(models, "images", tmp_path / "out", Precision.FP32, Precision.FP16, source=source))
    assert not (tmp_path / "out").exists()


def test_a_manifest_is_not_repeated_on_other_data(all_recipes: Path, models: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    data.write_bytes((models / "images.npz").read_bytes())
    source = all_recipes / "images.fp32.onnx"
    request = _request(models, "images", tmp_path / "first", Precision.FP32, source=source, calibration=str(data))
    manifest = convert(request).manifest
    np.savez(data, x=np.load(data)["x"] + np.float32(0.01))
    with pytest.raises(DataError) as error:
        convert(Request(source=manifest, output_dir=tmp_path / "again"))
    assert str(error.value) == (
        "The calibration data has changed since the manifest was written; convert anew without the manifest."
    )
    assert not (tmp_path / "again").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["images.h5", "images_saved"])
def test_other_keras_forms_convert_without_data(models: Path, tmp_path: Path, name: str) -> None:
    report = convert(
        _request(
            models, "images", tmp_path, Precision.FP32, source=models / name, calibration=None, formats=(Format.TFLITE,)
        )
    )
    assert report.artifacts[0].parity.synthetic
    assert report.notes == ("No real data was at hand: files were compared with the source on 16 synthetic inputs.",)


@pytest.mark.slow
def test_inputs_of_equal_shape_are_not_swapped(models: Path, tmp_path: Path) -> None:
    from edgekit.runtimes import open_runtime

    data = {n: np.random.default_rng(i).normal(0, 1, (8, 4)).astype(np.float32) for i, n in enumerate(("a", "b"))}

    report = convert(_request(models, "two_inputs", tmp_path, Precision.FP32, Precision.DYNAMIC))
    feed = {name: values[:1] for name, values in data.items()}
    for row in report.artifacts:
        found = open_runtime(row.path).run(feed, as_float=True)
        np.testing.assert_allclose(found["difference"], feed["b"] - feed["a"], atol=1e-6)


def test_an_operator_that_the_default_engine_leaves_in_float_goes_to_the_other(models: Path, tmp_path: Path) -> None:
    row = convert(_request(models, "leaky", tmp_path, Precision.INT8, formats=(Format.TFLITE,))).artifacts[0]
    assert (row.engine, row.engine_reason) == ("tflite-converter", "LEAKY_RELU: litert-quantizer leaves it in float")
    assert row.float_ops == ()


@pytest.mark.slow
def test_the_other_engine_is_not_replaced_silently(models: Path, tmp_path: Path) -> None:
    convert(_request(models, "leaky", tmp_path, Precision.FP32, formats=(Format.TFLITE,)))
    source = tmp_path / "leaky.fp32.tflite"
    with pytest.raises(ConversionError) as error:
        convert(_request(models, "leaky", tmp_path, Precision.INT8, source=source))
    assert str(error.value) == (
        "The step 'quantize leaky.fp32.int8.tflite' failed: "
        f"int8 of LEAKY_RELU is made by TFLiteConverter, which needs the Keras model that {source} was made from; "
        "start from that, or take the recipe dynamic."
    )


@pytest.mark.slow
def test_layers_kept_in_float_are_listed_with_the_reason(models: Path, tmp_path: Path) -> None:
    recipe = Recipe(precision=Precision.INT8, keep_float=("depthwise",), interface=InterfaceType.FLOAT)
    report = convert(_request(models, "images", tmp_path, recipes=(recipe,)))
    tflite, onnx = report.artifacts
    assert {f.op for f in tflite.float_ops} == {"DEPTHWISE_CONV_2D"}
    assert {f.reason for f in tflite.float_ops} == {"kept by --keep-float"}
    assert ("Conv", "kept by --keep-float") in {(f.op, f.reason) for f in onnx.float_ops}
    assert [s.dtype for s in open_artifact(tflite.path).card.inputs] == ["float32"]


@pytest.mark.slow
def test_a_pattern_that_matches_nothing_is_refused(models: Path, tmp_path: Path) -> None:
    recipe = Recipe(precision=Precision.INT8, keep_float=("no_such_layer",))
    with pytest.raises(InputError) as error:
        convert(_request(models, "images", tmp_path, recipes=(recipe,), formats=(Format.TFLITE,)))
    assert str(error.value).startswith("--keep-float 'no_such_layer' matches no layer; there are ")
    recipe = Recipe(precision=Precision.INT8, keep_float=(".*",))
    with pytest.raises(InputError, match="keeps every layer in float; take the recipe fp32"):
        convert(_request(models, "images", tmp_path, recipes=(recipe,), formats=(Format.TFLITE,)))


@pytest.mark.slow
def test_an_lstm_becomes_one_onnx_node_and_dynamic_works(models: Path, tmp_path: Path) -> None:
    from edgekit.formats import onnx

    report = convert(_request(models, "recurrent", tmp_path, Precision.FP32, Precision.DYNAMIC))
    assert len(report.artifacts) == 4
    assert "LSTM" in [n.op for n in onnx.read_graph(tmp_path / "recurrent.fp32.onnx").nodes]
    assert open_artifact(tmp_path / "recurrent.fp32.onnx").card.inputs[0].shape == (1, 5, 3)


def test_a_model_of_nan_is_refused_and_nothing_is_written(models: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError) as error:
        convert(
            _request(
                models,
                "nan",
                tmp_path / "out",
                Precision.FP32,
                formats=(Format.TFLITE,),
                calibration=str(models / "images.npz"),
            )
        )
    assert (
        str(error.value)
        == "Output 'logits' of the source has values that are NaN or infinite; expected finite numbers."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lambda.keras", "lambda.h5"])
def test_a_lambda_layer_is_refused(models: Path, tmp_path: Path, name: str) -> None:
    result = edgekit("convert", str(models / name), "-p", "fp32", "-o", str(tmp_path / "out"))
    assert result.returncode == 2
    assert result.stderr == (
        f"edgekit: {models / name} has a Lambda layer, which is arbitrary Python code and is not run: replace it by "
        "stock layers and save the model again.\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        *(
            (
                f"custom.{suffix}",
                "{path} has the custom layer Squared, whose code is not in the file: give the SavedModel folder that "
                "model.export writes.",
            )
            for suffix in ("keras", "h5")
        ),
        (
            "double.keras",
            "{path} has the layer dense of the dtype policy float64, which files do not compute in: build the model "
            "with the policy float32, or mixed_float16.",
        ),
        (
            "dice",
            "{path} draws random numbers (RandomStandardNormal, TruncatedNormal), which a converted file would freeze "
            "to constants; make the noise an input of the model.",
        ),
    ],
)
def test_models_that_no_engine_could_run_are_refused(models: Path, tmp_path: Path, name: str, sentence: str) -> None:
    result = edgekit("convert", str(models / name), "-p", "fp32", "-o", str(tmp_path / "out"))
    assert (result.returncode, result.stderr) == (2, f"edgekit: {sentence.format(path=models / name)}\n")
    assert not (tmp_path / "out").exists()


def test_an_existing_target_is_refused_before_any_work(all_recipes: Path, models: Path, tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('There is work.')\n")
    paths = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    command = ("convert", str(models / "images.keras"), "-p", "fp32", "-o")
    assert "There is work." in edgekit(*command, str(tmp_path / "out"), env={"PYTHONPATH": paths}).stderr  # the canary
    result = edgekit(*command, str(all_recipes), env={"PYTHONPATH": paths})
    assert result.returncode == 2
    assert result.stderr == (
        f"edgekit: {all_recipes / 'images.fp32.tflite'} exists; use --force to replace it or -o to write elsewhere.\n"
    )


def test_the_table_of_the_command_as_json(all_recipes: Path, models: Path, tmp_path: Path) -> None:
    result = edgekit(
        "convert", str(models / "images.keras"), "--calibration", str(models / "images.npz"), "-f", "tflite",
        "-o", str(tmp_path), "--json", "-",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["schema_version"], report["command"]) == (1, "convert")
    (row,) = report["results"]
    assert {k: row[k] for k in ("artifact", "format", "recipe", "n", "float_ops", "engine")} == {
        "artifact": str(tmp_path / "images.int8.tflite"),
        "format": "tflite",
        "recipe": "int8",
        "n": 24,
        "float_ops": [],
        "engine": "litert-quantizer",
    }
    fp32_bytes = (all_recipes / "images.fp32.tflite").stat().st_size
    assert row["ratio"] == pytest.approx(fp32_bytes / row["model_bytes"], rel=0.01)
    assert set(row["metrics"]) == {"max_abs", "sqnr_db", "cosine", "agreement", "correlation"}


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(models: Path, tmp_path: Path, wanted: signal.Signals) -> None:
    target = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "edgekit",
        "convert",
        str(models / "images.keras"),
        "-p",
        "fp32",
        "-o",
        str(target),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not target.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(wanted)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors.lstrip()) == (130, "edgekit: interrupted; nothing unfinished was left behind.\n")
    assert not target.exists()
