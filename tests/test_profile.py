"""The time by operator of both engines, on real models, and the readers of what the engines print."""

import importlib.metadata
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.artifact import open_artifact
from edgekit.errors import ArtifactError, InputError, MissingExtraError
from edgekit.measure import litert_profile
from edgekit.measure.profile import profile
from edgekit.measure.profile_worker import WARMUP, summarize_onnx

GOLDEN = Path(__file__).parent / "golden"

SUMMARY = """=== Run Order ===
        [node type]    [start]    [first]   [avg ms]     [%]  [cdf%]  [mem KB]  [times called]  [Name]
   Delegate/Convolution (NHWC, F32) IGEMM      0.000      0.011      0.013  75.000%  75.000%  0.000   20   [Delegate]:0
   AVERAGE_POOL_2D      0.000      0.002      0.001  25.000%  100.000%  0.000   20   [Builtin]:12

=== Top by Computation Time ===
   Delegate/Convolution (NHWC, F32) IGEMM      0.000      0.011      0.013  75.000%  75.000%  0.000   20   [Delegate]:0
"""


@pytest.fixture(scope="module")
def two_layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """x (1, 512) -> MatMul 512 x 512 -> Relu -> MatMul 512 x 4: the first product takes nearly all the time."""
    generator = np.random.default_rng(0)
    big = numpy_helper.from_array(generator.normal(size=(512, 512)).astype(np.float32), "big")
    small = numpy_helper.from_array(generator.normal(size=(512, 4)).astype(np.float32), "small")
    nodes = [
        helper.make_node("MatMul", ["x", "big"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("MatMul", ["b", "small"], ["y"], name="second"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 512])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [big, small],
    )
    path = tmp_path_factory.mktemp("profile") / "two_layers.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_an_onnx_profile_names_nodes_and_adds_up_to_less_than_the_whole(two_layers: Path) -> None:
    found = profile(open_artifact(two_layers), runs=30)
    assert [(o.name, o.op) for o in found.operators] == [("first", "MatMul"), ("relu", "Relu"), ("second", "MatMul")]
    assert found.slowest(1)[0].mean_ms == max(o.mean_ms for o in found.operators)
    assert sum(o.share for o in found.operators) == pytest.approx(1.0)
    assert 0 < sum(o.mean_ms for o in found.operators) <= found.total_ms
    assert found.delegated is None


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_a_litert_profile_takes_float_and_int8_models_of_several_inputs(kind: str) -> None:
    found = profile(open_artifact(GOLDEN / f"two_inputs_{kind}.tflite"), runs=20)
    assert found.delegated == len(found.operators) == 5
    assert found.operators[0].op.startswith("Convolution (NHWC, ")
    assert sum(o.mean_ms for o in found.operators) <= found.total_ms


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("resnet8_cifar10_float", "Convolution (NHWC, F32) IGEMM"),
        ("mobilenet_v1_0.25_128_quant", "Convolution (NHWC, QU8) IGEMM"),
        ("ssd_mobilenet_v1_coco_quant_postprocess", "Convolution (NHWC, QU8) IGEMM"),
    ],
)
def test_profiles_of_real_models_account_for_their_time(shared_data: Path, name: str, kernel: str) -> None:
    found = profile(open_artifact(shared_data / "models" / f"{name}.tflite"), runs=20)
    assert found.slowest(1)[0].op
    assert kernel in {o.op for o in found.operators}
    assert 0.2 * found.total_ms < sum(o.mean_ms for o in found.operators) <= 1.1 * found.total_ms


@pytest.mark.shared_data
def test_a_model_with_a_state_inside_is_refused_in_one_sentence(shared_data: Path) -> None:
    path = shared_data / "models" / "lstm_mnist_uint8.tflite"
    with pytest.raises(ArtifactError) as caught:
        profile(open_artifact(path), runs=5)
    assert str(caught.value) == (
        f"{path} cannot be profiled: LiteRT's LiteRtCreateModelFromFile gave status 5; models that keep a state "
        "inside, such as a fused LSTM, are among those."
    )


def test_a_summary_is_read_by_its_shares() -> None:
    rows = litert_profile.parse_summary(SUMMARY)
    assert [(r["name"], r["op"], r["delegated"]) for r in rows] == [
        ("[Delegate]:0", "Convolution (NHWC, F32) IGEMM", True),
        ("[Builtin]:12", "AVERAGE_POOL_2D", False),
    ]
    assert [r["mean_ms"] for r in rows] == pytest.approx([0.0105, 0.0035])


def test_a_trace_loses_its_warm_up() -> None:
    runs = 2
    events = []
    for run in range(WARMUP + runs):
        slow = 1000 if run < WARMUP else 1
        events.append({"name": "model_run", "cat": "Session", "dur": 20 * slow})
        events.append({"name": "a_kernel_time", "cat": "Node", "dur": 7 * slow, "args": {"op_name": "Conv"}})
        events.append({"name": "a_fence_before", "cat": "Node", "dur": 500, "args": {"op_name": "Conv"}})
    assert summarize_onnx(events, runs) == {
        "operators": [{"name": "a", "op": "Conv", "mean_ms": 0.007}],
        "total_ms": 0.02,
    }


def test_another_version_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "2.4.0")
    with pytest.raises(MissingExtraError) as caught:
        litert_profile._require_supported()
    assert str(caught.value) == (
        "A per-operator profile needs ai-edge-litert 2.3; got 2.4.0. Run: pip install 'ai-edge-litert==2.3.*'"
    )


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(MissingExtraError) as caught:
        litert_profile._require_supported()
    assert str(caught.value) == (
        "A per-operator profile needs ai-edge-litert 2.3, which is not installed. Run: pip install 'edgekit-ml[litert]'"
    )


@pytest.mark.shared_data
def test_a_keras_model_is_refused(shared_data: Path) -> None:
    path = shared_data / "models" / "resnet8_cifar10_float.h5"
    with pytest.raises(InputError) as caught:
        profile(open_artifact(path))
    assert str(caught.value) == f"{path} is a Keras model, which has no time by operator; convert it first."
