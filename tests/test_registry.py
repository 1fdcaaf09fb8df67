"""The zoo as data: complete, unambiguous, and readable without a framework."""

import importlib.util
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import pytest

from edgekit.data import KNOWN
from edgekit.errors import InputError
from edgekit.models.registry import ZOO, _by_name, find_spec
from edgekit.models.spec import DEFAULT_PRESET, ModelSpec
from edgekit.preprocessing import Colour, Resize

each_spec = pytest.mark.parametrize("spec", ZOO, ids=lambda s: s.name)


def test_the_registry_loads_no_framework() -> None:
    code = (
        "import sys, edgekit.models.registry, edgekit.cli.zoo\n"
        "print([m for m in ('tensorflow', 'keras', 'onnx', 'cv2', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@each_spec
def test_every_entry_is_complete(spec: ModelSpec) -> None:
    assert find_spec(spec.name) is spec
    assert importlib.util.find_spec(spec.builder.split(":")[0]) is not None
    assert {"small", "book"} <= set(spec.presets) <= {"small", "book", "transfer"}
    assert spec.default_data in KNOWN
    assert spec.source
    for preset in spec.presets.values():
        assert set(preset.arguments) <= set(spec.defaults)
        assert spec.resolved(preset.arguments)
    assert spec.preset(DEFAULT_PRESET) is spec.presets["small"]


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^The zoo has two models called 'mlp'; give one of them another name\.$"):
        _by_name((ZOO[0], replace(ZOO[1], name="mlp")))


def test_entries_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ZOO[0].name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilnet_v2", "There is no model 'mobilnet_v2' in the zoo; did you mean mobilenet_v2?"),
        (
            "xyz",
            "There is no model 'xyz' in the zoo; choose one of: mlp, cnn, dfn, lenet5, cifar_cnn, alexnet, "
            "vgg16, vgg19, inception_v1, resnet18, resnet34, resnet50, mobilenet_v1, mobilenet_v2, "
            "ssdlite_mobilenet_v2, ssdlite_mobilenet_v1, ssd300_vgg16, yolo_v1, faster_rcnn, rcnn, char_rnn, "
            "char_lstm, gru_forecast, bilstm_sentiment, seq2seq, vec2seq, gan, dcgan, cgan, infogan, ae_vanilla, "
            "ae_deep, ae_sparse, ae_denoising, ae_contractive, ae_conv, vae, rbm, dbn, bayes_dense, bayes_conv, "
            "mc_dropout, siamese, capsnet.",
        ),
    ],
)
def test_a_misspelt_name_gets_a_suggestion(name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        find_spec(name)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"alpha": 0.01}, "mobilenet_v2 takes alpha 0.1 to 4; got 0.01."),
        ({"size": 16}, "mobilenet_v2 takes size 32 or more; got 16."),
        ({"classes": 1}, "mobilenet_v2 takes classes 2 or more; got 1."),
        (
            {"alfa": 1.0},
            "mobilenet_v2 takes no 'alfa' (did you mean alpha?); choose one of: "
            "alpha, size, classes, padding, epsilon, momentum, dropout.",
        ),
        ({"padding": "sane"}, "mobilenet_v2 has no padding 'sane'; did you mean same?"),
    ],
)
def test_a_wrong_argument_is_refused(overrides: dict[str, int | float | str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        find_spec("mobilenet_v2").resolved(overrides)
    assert str(caught.value) == message


def test_a_misspelt_preset_gets_a_suggestion() -> None:
    with pytest.raises(InputError) as caught:
        find_spec("mlp").preset("smal")
    assert str(caught.value) == "mlp has no preset 'smal'; did you mean small?"


def test_preprocessing_is_the_sources() -> None:
    photo = find_spec("mobilenet_v2").preprocessing({})
    assert (photo.size_hw, photo.short_side, photo.scale, photo.offset) == ((224, 224), 256, (1 / 127.5,), (-1.0,))
    digit = find_spec("cnn").preprocessing({})
    assert (digit.size_hw, digit.resize, digit.colour, digit.scale) == (
        (28, 28),
        Resize.STRETCH,
        Colour.GRAY,
        (1 / 255,),
    )
    assert len(find_spec("mobilenet_v2").preprocessing({}, affine="torch").scale) == 3


def test_a_detector_sees_the_whole_image_whatever_its_backbone_did() -> None:
    backbone = find_spec("mobilenet_v2").preprocessing({})
    seen = find_spec("ssdlite_mobilenet_v2").preprocessing({"size": 96}, like=backbone)
    assert (backbone.resize, seen.resize, seen.size_hw, seen.scale) == (
        Resize.CROP,
        Resize.STRETCH,
        (96, 96),
        backbone.scale,
    )


def test_preprocessing_follows_the_arguments() -> None:
    lenet = find_spec("lenet5")
    assert (lenet.preprocessing({}).colour, lenet.preprocessing({}).size_hw) == (Colour.GRAY, (32, 32))
    coloured = lenet.preprocessing({"channels": 3, "size": 28})
    assert (coloured.colour, coloured.size_hw) == (Colour.RGB, (28, 28))
