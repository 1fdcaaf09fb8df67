"""One contract for all engines."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.card import TensorSpec
from edgekit.errors import ArtifactError, DataError
from edgekit.runtimes import Runtime, open_checked_runtime, open_runtime, run_items
from edgekit.runtimes.base import dequantize, quantize
from edgekit.runtimes.probe import zero_feed

MODELS = Path(__file__).parent / "golden" / "models"
# Keras names a tensor's place in the network; exported ONNX files have names of their own.
TWO_OUTPUTS = {
    "two_inputs.keras": ("sum", "difference"),
    "two_inputs.tflite": ("sum", "difference"),
    "two_inputs.onnx": ("Identity:0", "Identity_1:0"),
    "two_inputs.tflite in openvino": ("sum", "difference"),
    "two_inputs.onnx in openvino": ("Identity:0", "Identity_1:0"),
}
ENGINES = {
    "convnet.keras": "keras",
    "convnet.tflite": "litert",
    "convnet.onnx": "onnxruntime",
    "convnet.tflite in openvino": "openvino",
    "convnet.onnx in openvino": "openvino",
}
FREE_BATCH = [
    "convnet.keras",
    "convnet_any_batch.tflite",
    "convnet.onnx",
    "convnet_any_batch.tflite in openvino",
    "convnet.onnx in openvino",
]
EVERY_FORMAT = list(ENGINES)


@pytest.fixture(scope="module")
def load() -> Callable[[str], Runtime]:
    """Opens ``FILE``, or ``FILE in ENGINE``, once."""
    loaded: dict[str, Runtime] = {}

    def open_once(name: str) -> Runtime:
        if name not in loaded:
            file, _, engine = name.partition(" in ")
            loaded[name] = open_runtime(MODELS / file, engine=engine or None)
        return loaded[name]

    return open_once


def image(batch: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((batch, 6, 4, 3), np.float32)


def test_real_numbers_beyond_the_integers_are_saturated() -> None:
    spec = TensorSpec(name="x", shape=(4,), dtype="int8", scale=(0.5,), zero_point=(10,))
    values = np.array([1000.0, -1000.0, 1.3, 0.0], np.float32)
    assert quantize(values, spec).tolist() == [127, -128, 13, 10]
    np.testing.assert_array_equal(dequantize(np.array([127, -128, 13, 10], np.int8), spec), [58.5, -69.0, 1.5, 0.0])


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_names_shapes_and_types_are_those_of_the_file(name: str, load: Callable[[str], Runtime]) -> None:
    runtime = load(name)
    batch = 1 if ".tflite" in name else None
    assert runtime.name == ENGINES[name]
    assert runtime.version.split(".")[0].isdigit()
    assert [(s.name, s.shape, s.dtype) for s in runtime.inputs] == [("image", (batch, 6, 4, 3), "float32")]
    assert [(s.shape, s.dtype) for s in runtime.outputs] == [((batch, 5), "float32")]
    (output,) = runtime.run({"image": image()}).values()
    assert (output.shape, output.dtype) == ((1, 5), np.float32)
    np.testing.assert_allclose(output.sum(), 1, rtol=1e-5)


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_all_engines_agree(name: str, load: Callable[[str], Runtime]) -> None:
    (expected,) = load("convnet.keras").run({"image": image()}).values()
    (output,) = load(name).run({"image": image()}).values()
    np.testing.assert_allclose(output, expected, atol=1e-6)
    (other,) = load(name).run({"image": image(seed=1)}).values()
    assert np.abs(other - expected).max() > 1e-3, "the input makes no difference, so agreement would prove nothing"


@pytest.mark.parametrize(
    "name", [*EVERY_FORMAT, "convnet_int8.tflite", "convnet_int8.tflite in openvino", "lstm.tflite"]
)
def test_two_runs_are_equal_and_the_feed_is_not_altered(name: str, load: Callable[[str], Runtime]) -> None:
    runtime = load(name)
    (spec,) = runtime.inputs
    feed = {spec.name: np.random.default_rng(0).random([d or 1 for d in spec.shape], np.float32)}
    before = feed[spec.name].copy()
    first, second = runtime.run(feed), runtime.run(feed)
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])
    np.testing.assert_array_equal(feed[spec.name], before)
    assert any(np.any(v) for v in first.values())


@pytest.mark.parametrize("name", TWO_OUTPUTS)
def test_inputs_and_outputs_go_by_name(name: str, load: Callable[[str], Runtime]) -> None:
    zeta, alpha = np.float32([[1, 2, 3]]), np.float32([[4, 5]])
    runtime = load(name)
    total, difference = TWO_OUTPUTS[name]
    swapped = runtime.run({"alpha": alpha, "zeta": zeta})
    plain = runtime.run({"zeta": zeta, "alpha": alpha})
    left = (plain[total] + plain[difference]) / 2
    alone = runtime.run({"zeta": zeta, "alpha": 0 * alpha})[total]
    np.testing.assert_allclose(left, alone, atol=1e-5)
    np.testing.assert_array_equal(plain[total], swapped[total])


@pytest.mark.parametrize("name", FREE_BATCH)
def test_a_free_batch_takes_any_number(name: str, load: Callable[[str], Runtime]) -> None:
    runtime = load(name)
    batch = image(3)
    (together,) = runtime.run({"image": batch}).values()
    (alone,) = runtime.run({"image": batch[1:2]}).values()
    assert together.shape == (3, 5)
    np.testing.assert_allclose(together[1:2], alone, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "convnet_int8.tflite",
        "quantized_interface.onnx",
        "convnet_int8.tflite in openvino",
        "quantized_interface.onnx in openvino",
    ],
)
def test_real_numbers_are_quantized_on_the_way_in_and_back(name: str, load: Callable[[str], Runtime]) -> None:
    runtime = load(name)
    (source,), (sink,) = runtime.inputs, runtime.outputs
    real = np.random.default_rng(0).random([d or 1 for d in source.shape], np.float32)
    steps = np.rint(real / np.float32(source.scale[0])) + source.zero_point[0]
    integers = np.clip(steps, np.iinfo(source.dtype).min, np.iinfo(source.dtype).max).astype(source.dtype)
    as_integers = runtime.run({source.name: integers})[sink.name]
    np.testing.assert_array_equal(runtime.run({source.name: real})[sink.name], as_integers)
    as_float = runtime.run({source.name: real}, as_float=True)[sink.name]
    assert (as_integers.dtype, as_float.dtype) == (np.dtype(sink.dtype), np.float32)
    expected = (as_integers.astype(np.float32) - sink.zero_point[0]) * np.float32(sink.scale[0])
    np.testing.assert_allclose(as_float, expected, rtol=1e-6)


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_a_feed_that_does_not_fit_is_one_sentence(name: str, load: Callable[[str], Runtime]) -> None:
    runtime = load(name)
    leading = "1" if ".tflite" in name else "any"
    cases = {
        "The inputs given are ['photo']; the model takes ['image'].": {"photo": image()},
        "The inputs given are []; the model takes ['image'].": {},
        f"Input 'image' has shape 1 x 4 x 6 x 3; the model takes {leading} x 6 x 4 x 3.": {
            "image": image().transpose(0, 2, 1, 3)
        },
        "Input 'image' is complex64; the model takes float32.": {"image": image().astype(np.complex64)},
    }
    for message, feed in cases.items():
        with pytest.raises(DataError) as caught:
            runtime.run(feed)
        assert str(caught.value) == message


def test_nan_for_an_integer_input_is_one_sentence(load: Callable[[str], Runtime]) -> None:
    with pytest.raises(DataError) as caught:
        load("convnet_int8.tflite").run({"image": image() * np.float32("nan")})
    assert str(caught.value) == "Input 'image' holds NaN, which int8 cannot stand for; clean the data."


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_a_bound_feed_gives_what_run_gives(name: str, load: Callable[[str], Runtime]) -> None:
    runtime = load(name)
    call = runtime.bind({"image": image()})
    first = call()
    assert isinstance(first, list)
    kept = first[0].copy()
    (expected,) = runtime.run({"image": image()}).values()
    runtime.run({"image": image(seed=1)})
    np.testing.assert_array_equal(first[0], kept)  # not the memory that the next run writes to
    outputs = call()
    assert isinstance(outputs, list)
    np.testing.assert_array_equal(outputs[0], expected)


@pytest.mark.parametrize("name", FREE_BATCH)
def test_two_bound_feeds_of_different_size_do_not_disturb_each_other(name: str, load: Callable[[str], Runtime]) -> None:
    runtime = load(name)
    one, three = runtime.bind({"image": image(1)}), runtime.bind({"image": image(3)})
    shapes = [call()[0].shape for call in (one, three, one)]  # type: ignore[index]
    assert shapes == [(1, 5), (3, 5), (1, 5)]


@pytest.mark.parametrize("name", ["convnet.tflite", *FREE_BATCH])
def test_items_are_batched_where_the_model_takes_batches(name: str, load: Callable[[str], Runtime]) -> None:
    runtime = load(name)
    items = [{"image": image(seed=i)[0]} for i in range(5)]
    outputs = list(run_items(runtime, iter(items), batch=2))
    assert len(outputs) == 5
    for item, output in zip(items, outputs, strict=True):
        (alone,) = runtime.run({"image": item["image"][None]}).values()
        np.testing.assert_allclose(next(iter(output.values())), alone[0], atol=1e-6)


def test_items_that_do_not_go_together_are_one_sentence(load: Callable[[str], Runtime]) -> None:
    runtime = load("convnet.onnx")
    with pytest.raises(DataError) as caught:
        list(run_items(runtime, [{"image": image()[0]}, {"image": image()[0, :5]}]))
    assert str(caught.value) == "Items for 'image' have different shapes: [(5, 4, 3), (6, 4, 3)]; make them equal."
    with pytest.raises(DataError) as caught:
        list(run_items(runtime, [{"photo": image()[0]}]))
    assert str(caught.value) == "An item has the inputs ['photo']; the model also takes 'image'."


@pytest.mark.parametrize("name", ["convnet_int8.tflite", "convnet.onnx"])
def test_a_whole_file_passes_the_probe(name: str) -> None:
    runtime = open_checked_runtime(MODELS / name)
    assert runtime.run(zero_feed(runtime.inputs))


def test_weights_that_are_missing_are_found_by_the_probe(tmp_path: Path) -> None:
    data = (MODELS / "convnet.onnx").read_bytes()
    path = tmp_path / "m.onnx"
    path.write_bytes(data.replace(b"GlobalAveragePool", b"GlobalAveragePoof"))
    with pytest.raises(ArtifactError, match=rf"^{path} cannot be loaded in onnxruntime \S+: .*GlobalAveragePoof.*\.$"):
        open_checked_runtime(path)


def test_an_operator_that_the_engine_lacks_is_one_sentence(tmp_path: Path) -> None:
    from edgekit.formats.tflite import open_root

    data = bytearray((MODELS / "convnet.tflite").read_bytes())
    for code in open_root(bytes(data), "m").tables(1):
        place = code.field(3)
        if place:
            data[place] = 200
    path = tmp_path / "m.tflite"
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError) as caught:
        open_checked_runtime(path)
    assert str(caught.value).startswith(f"{path} ")
    assert "\n" not in str(caught.value)


def test_a_crash_in_the_engine_is_an_error_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ArtifactError) as caught:
        open_checked_runtime(MODELS / "convnet.tflite")
    assert (
        str(caught.value) == f"{MODELS / 'convnet.tflite'} cannot be run: "
        "the process of edgekit.runtimes.probe was killed by SIGSEGV."
    )


def test_code_in_a_keras_file_is_not_run(tmp_path: Path) -> None:
    import keras

    path = tmp_path / "lambda.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)]).save(path)
    with pytest.raises(ArtifactError) as caught:
        open_runtime(path)
    assert str(caught.value) == (
        f"{path} cannot be loaded by Keras {keras.__version__}: it holds a Lambda layer, which is code that edgekit "
        "does not run; use a Layer of Keras instead."
    )


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_sequential_model_runs(suffix: str, tmp_path: Path) -> None:
    import keras

    path = tmp_path / f"stack{suffix}"
    layers = [keras.layers.Dense(4, activation="relu"), keras.layers.Dropout(0.5), keras.layers.Dense(2, name="last")]
    model = keras.Sequential([keras.Input((3,), name="values"), *layers])
    model.save(path)
    runtime = open_runtime(path)
    assert [s.name for s in runtime.inputs] == ["values"]
    feed = np.random.default_rng(0).random((2, 3), np.float32)
    output = runtime.run({"values": feed})["last"]
    np.testing.assert_allclose(output, model(feed, training=False), rtol=1e-6)


def test_a_keras_file_with_a_card_loads_in_stock_keras(tmp_path: Path) -> None:
    import keras

    from edgekit.artifact import attach_card, open_artifact

    path = Path(shutil.copy(MODELS / "convnet.keras", tmp_path))
    attach_card(path, open_artifact(path).card)
    output = keras.models.load_model(path)(image(), training=False).numpy()
    np.testing.assert_array_equal(output, keras.models.load_model(MODELS / "convnet.keras")(image()).numpy())


def test_engines_keep_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    open_runtime(MODELS / "convnet.tflite").run({"image": image()})
    open_runtime(MODELS / "convnet.onnx").run({"image": image()})
    open_runtime(MODELS / "convnet.onnx", engine="openvino").run({"image": image()})
    assert capfd.readouterr() == ("", "")


@pytest.mark.shared_data
def test_every_foreign_model_runs(shared_data: Path) -> None:
    files = [f for f in sorted((shared_data / "models").iterdir()) if f.suffix in (".tflite", ".onnx")]
    for file in files:
        runtime = open_checked_runtime(file)
        outputs = runtime.run(zero_feed(runtime.inputs), as_float=True)
        assert [s.name for s in runtime.outputs] == list(outputs)
        assert all(np.isfinite(v).all() for v in outputs.values())
    assert len(files) == 13


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_foreign_h5_model_runs_as_its_tflite_form_does(shared_data: Path) -> None:
    folder = shared_data / "models"
    photo = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    outputs = []
    for name in ("resnet8_cifar10_float.h5", "resnet8_cifar10_float.tflite"):
        runtime = open_checked_runtime(folder / name)
        (output,) = runtime.run({runtime.inputs[0].name: photo}).values()
        outputs.append(output)
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-5)


def test_another_backend_of_keras_is_one_sentence() -> None:
    program = (
        "import types, sys; from pathlib import Path; from edgekit.errors import InputError\n"
        "for name in ('tensorflow', 'keras'): sys.modules[name] = types.ModuleType(name)\n"
        "sys.modules['keras'].backend = types.SimpleNamespace(backend=lambda: 'jax')\n"
        "from edgekit.runtimes import open_runtime\n"
        f"try: open_runtime(Path({str(MODELS / 'convnet.keras')!r}))\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "Keras runs on jax; edgekit needs TensorFlow: unset KERAS_BACKEND.\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("convnet.tflite", "ai_edge_litert is not installed. Run: pip install 'edgekit-ml[litert]'"),
        ("convnet.tflite in openvino", "openvino is not installed. Run: pip install 'edgekit-ml[openvino]'"),
        ("convnet.onnx", "onnxruntime is not installed. Run: pip install 'edgekit-ml[onnx]'"),
        ("convnet.keras", "tensorflow is not installed. Run: pip install 'edgekit-ml[train]'"),
    ],
)
def test_a_missing_engine_is_one_sentence_with_the_line_that_mends_it(name: str, message: str) -> None:
    file, _, engine = name.partition(" in ")
    program = (
        "import sys; from pathlib import Path; from edgekit.errors import MissingExtraError\n"
        "from importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        absent = ('ai_edge_litert', 'tflite_runtime', 'onnxruntime', 'openvino', 'tensorflow')\n"
        "        return None if name in absent else PathFinder.find_spec(name, path, target)\n"
        "sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]\n"
        "from edgekit.runtimes import open_runtime\n"
        f"try: open_runtime(Path({str(MODELS / file)!r}), engine={engine or None!r})\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == message + "\n", done.stderr
