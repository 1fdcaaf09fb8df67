"""--keep-float, --exclude and compare --layers speak of the same layers in files of both formats."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.artifact import Format
from edgekit.converters import ConversionReport, Request, convert
from edgekit.errors import InputError
from edgekit.measure.layers import LayerComparison, compare_layers
from edgekit.recipe import InterfaceType, Precision, Recipe

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parent / "golden" / "layers" / "make_layers.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small.keras, data.npz and its fp32 files."""
    made = tmp_path_factory.mktemp("keep")
    code = f"import runpy; runpy.run_path({str(SCRIPT)!r})['small']().save({str(made / 'small.keras')!r})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    np.savez(made / "data.npz", x=np.random.default_rng(0).uniform(0, 1, (24, 8, 8, 3)).astype(np.float32))
    np.savez(made / "other.npz", x=np.random.default_rng(1).uniform(0, 1, (8, 8, 8, 3)).astype(np.float32))
    _convert(made, made, Recipe(precision=Precision.FP32))
    return made


def _convert(folder: Path, target: Path, *recipes: Recipe) -> ConversionReport:
    return convert(
        Request(source=folder / "small.keras", recipes=recipes, calibration=str(folder / "data.npz"), output_dir=target)
    )


def _layers(folder: Path, path: Path) -> LayerComparison:
    reference = folder / f"small.fp32{path.suffix}"
    (entry,) = compare_layers(reference, [path], str(folder / "other.npz")).entries
    return entry


def test_a_layer_is_kept_by_the_name_of_any_of_its_layers(folder: Path, tmp_path: Path) -> None:
    """A convolution, or the BatchNorm folded into it: its weights become exact, its value too if a float reads it."""
    recipe = Recipe(
        precision=Precision.INT8,
        calibration_samples=16,
        keep_float=("^stem$", "^depthwise_bn$"),
        interface=InterfaceType.FLOAT,
    )
    for row in _convert(folder, tmp_path, recipe).artifacts:
        assert "kept by --keep-float" in {f.reason for f in row.float_ops}, row.path.name
        entry = _layers(folder, row.path)
        exact = [layer.name for layer in entry.layers if (layer.weight_sqnr_db or 0) > 100]
        assert exact == ["stem_relu", "depthwise_relu"], row.path.name
        assert [layer.name for layer in entry.layers if not layer.integer] == ["stem_relu"], row.path.name
        assert entry.first_broken is None


def test_the_advice_of_compare_is_good(folder: Path, tmp_path: Path) -> None:
    """The layers that it names have no error of their own any more, and the outputs are better."""
    plain = Recipe(precision=Precision.INT8, calibration_samples=16, steps=(), interface=InterfaceType.FLOAT)
    files = _convert(folder, tmp_path / "plain", plain).artifacts
    before = [_layers(folder, row.path) for row in files]
    worst = [replace(entry, metrics={**entry.metrics, "sqnr_db": 12.0}) for entry in before]
    patterns = tuple(re.findall("--keep-float '(.*)'", entry.advice())[0] for entry in worst)
    kept = _convert(folder, tmp_path / "kept", replace(plain, keep_float=patterns)).artifacts
    for old, named, row in zip(before, worst, kept, strict=True):
        new = _layers(folder, row.path)
        assert new.metrics["sqnr_db"] > old.metrics["sqnr_db"], row.path.name
        by_name = {layer.name: layer for layer in new.layers}
        for layer in named.worst():
            assert not by_name[layer.name].integer
            assert (by_name[layer.name].own_sqnr_db or 0) > 100


def test_excluded_layers_keep_their_weights(folder: Path, tmp_path: Path) -> None:
    recipe = Recipe(precision=Precision.INT8, calibration_samples=16, exclude=("^stem_bn$", "^depthwise$", "^mix$"))
    for row in _convert(folder, tmp_path, recipe).artifacts:
        notes = {step.step: step.note for step in row.steps}
        assert "--exclude '^stem_bn$'" in notes["equalize"] or "left out" in notes["equalize"]
        entry = _layers(folder, row.path)
        assert entry.first_broken is None
    manifest = json.loads(next(tmp_path.glob("*.manifest.json")).read_text())
    assert manifest["settings"]["recipes"][0]["exclude"] == ["^stem_bn$", "^depthwise$", "^mix$"]


def test_a_pattern_that_excludes_nothing_is_refused(folder: Path, tmp_path: Path) -> None:
    recipe = Recipe(precision=Precision.INT8, calibration_samples=16, exclude=("no_such_layer",))
    with pytest.raises(InputError) as caught:
        _convert(folder, tmp_path, recipe)
    assert str(caught.value).startswith("--exclude 'no_such_layer' matches no layer; there are image, ")
    source = folder / "small.fp32.tflite"
    with pytest.raises(InputError) as caught:
        convert(Request(source=source, recipes=(recipe,), calibration=str(folder / "data.npz"), output_dir=tmp_path))
    assert str(caught.value) == (
        "--exclude 'no_such_layer' has no layer to name, since a TFLite file has no Keras layers; leave it out."
    )


def test_a_keras_model_is_a_reference(folder: Path, tmp_path: Path) -> None:
    """It says the same as its fp32 file does."""
    (row, *_) = _convert(folder, tmp_path, Recipe(precision=Precision.INT8, calibration_samples=16)).artifacts
    assert row.format is Format.TFLITE
    done = subprocess.run(
        [
            sys.executable, "-m", "edgekit", "compare", str(folder / "small.keras"), str(row.path), "--layers",
            "--data", str(folder / "other.npz"), "--json", "-",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (result,) = json.loads(done.stdout)["results"]
    assert result["reference"] == str(folder / "small.keras")
    by_file = _layers(folder, row.path)
    assert [layer["name"] for layer in result["layers"]] == [layer.name for layer in by_file.layers]
    for layer, other in zip(result["layers"], by_file.layers, strict=True):
        assert layer["activation_sqnr_db"] == pytest.approx(other.activation_sqnr_db, abs=0.01)


def test_layers_excluded_from_no_step_are_refused(tiny_models: Path) -> None:
    command = [sys.executable, "-m", "edgekit", "convert", str(tiny_models / "convnet.onnx"), "--plain"]
    done = subprocess.run([*command, "--exclude", "conv"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "edgekit: --plain leaves all accuracy steps out, so that --exclude excludes nothing; leave one out.\n",
    )


def test_a_layer_between_integers_is_float_when_the_file_runs(folder: Path, tmp_path: Path) -> None:
    """ONNX Runtime rounds the weights of a float convolution between integers when it loads a file, unless stopped."""
    import onnx
    import onnxruntime

    recipe = Recipe(precision=Precision.INT8, calibration_samples=16, keep_float=("^mix$",))
    request = Request(
        source=folder / "small.keras",
        recipes=(recipe,),
        formats=(Format.ONNX,),
        calibration=str(folder / "data.npz"),
        output_dir=tmp_path,
    )
    (row,) = convert(request).artifacts
    assert [(f.op, f.reason) for f in row.float_ops if f.op in ("Conv", "Max")] == [("Conv", "kept by --keep-float")]
    plain = onnx.load(str(row.path))
    (guard,) = (node for node in plain.graph.node if node.op_type == "Max")
    (reader,) = (node for node in plain.graph.node if guard.output[0] in node.input)
    reader.input[0] = guard.input[0]
    plain.graph.node.remove(guard)
    answers = {}
    for name, model in (("kept", onnx.load(str(row.path))), ("unguarded", plain)):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / f"{name}.optimized.onnx")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        loaded = onnx.load(str(tmp_path / f"{name}.optimized.onnx"))
        (conv,) = (n for n in loaded.graph.node if n.op_type == "Conv" and n.output[0].startswith("mix"))
        floats = {t.name for t in loaded.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
        answers[name] = conv.input[1] in floats
    assert answers == {"kept": True, "unguarded": False}
    entry = _layers(folder, row.path)
    (mix,) = (layer for layer in entry.layers if layer.name == "mix")
    assert mix.integer  # as its reader gets it
    assert (mix.weight_sqnr_db or 0) > 100
    assert [layer.name for layer in entry.layers] == [
        layer.name for layer in _layers(folder, folder / "small.fp32.onnx").layers
    ]


def test_operators_whose_names_begin_alike_are_told_apart(tmp_path: Path) -> None:
    """ONNX nodes are called Conv, Conv.1, ..., Conv.10: keeping one keeps no other."""
    import keras

    image = keras.Input((8, 8, 3), name="image")
    x = image
    for number in range(12):
        x = keras.layers.Conv2D(4, 1, name=f"c{number}")(x)
    keras.Model(image, x).save(tmp_path / "many.keras")
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).uniform(0, 1, (16, 8, 8, 3)).astype(np.float32))
    recipe = Recipe(precision=Precision.INT8, calibration_samples=16, keep_float=("^c1$",))
    report = convert(Request(source=tmp_path / "many.keras", recipes=(recipe,), calibration=str(tmp_path / "x.npz")))
    for row in report.artifacts:
        assert sum(f.op in ("Conv", "CONV_2D") for f in row.float_ops) == 1, row.path.name


def test_networks_with_inner_values_as_outputs_are_compared(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    inner = keras.layers.Conv2D(4, 3, activation="relu", name="first")(image)
    last = keras.layers.Conv2D(2, 3, name="last")(keras.layers.Conv2D(4, 3, activation="relu", name="second")(inner))
    keras.Model(image, [last, inner]).save(tmp_path / "two.keras")
    data = str(tmp_path / "x.npz")
    np.savez(data, x=np.random.default_rng(0).uniform(0, 1, (40, 8, 8, 3)).astype(np.float32))
    recipes = tuple(Recipe(precision=p, calibration_samples=16) for p in (Precision.FP32, Precision.INT8))
    report = convert(Request(source=tmp_path / "two.keras", recipes=recipes, calibration=data))
    files = {row.path.name: row.path for row in report.artifacts}
    for name in ("two.int8.tflite", "two.int8.onnx"):
        (entry,) = compare_layers(files["two.fp32.tflite"], [files[name]], data).entries
        assert [layer.name for layer in entry.layers] == ["first", "second", "last"]
        assert entry.metrics["sqnr_db"] > 20
