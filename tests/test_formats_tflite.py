"""TFLite files: reading without an engine, writing metadata without touching the model."""

import copy
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outer_weights import with_external_buffers

from edgekit.errors import ArtifactError, EdgekitError
from edgekit.formats.tflite import open_root, parse_graph, read_graph, read_labels, read_metadata
from edgekit.formats.tflite_card import remove_metadata, write_metadata
from edgekit.formats.tflite_inline import with_inner_weights
from edgekit.formats.tflite_objects import open_model, pack_model, part_of, save_model
from edgekit.formats.tflite_ops import OPERATORS
from edgekit.runtimes import load_engine, open_runtime

MODELS = Path(__file__).parent / "golden" / "models"
CONVNET = (MODELS / "convnet.tflite").read_bytes()


def run(data: bytes, **feed: np.ndarray) -> list[np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=data).get_signature_runner()
    return [v for _, v in sorted(runner(**feed).items())]


def test_weights_of_a_changed_file_lie_where_the_schema_wants_them(tiny_models: Path, tmp_path: Path) -> None:
    """Its buffers are on multiples of 16 bytes (``force_align`` in the schema), whatever their sizes."""
    model = open_model(tiny_models / "convnet.tflite")
    for size in (1, 2, 3, 17):
        model.buffers.append(copy.copy(model.buffers[0]))
        model.buffers[-1].data = np.full(size, size, np.uint8)
    save_model(model, tmp_path / "m.tflite")
    root = open_root((tmp_path / "m.tflite").read_bytes(), "m")
    fields = [field for table in root.tables(4) if (field := table.field(0))]
    places = [root.buffer.vector(root.buffer.target(field), 1) for field in fields]
    assert [first % 16 for first, _ in places] == [0] * len(places)
    assert [size for _, size in places][-4:] == [1, 2, 3, 17]
    image = np.random.default_rng(0).normal(0, 1, (1, 6, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(run((tmp_path / "m.tflite").read_bytes(), image=image), run(CONVNET, image=image))


def test_names_come_from_the_signature_and_not_from_the_order(tiny_models: Path) -> None:
    graph = read_graph(tiny_models / "two_inputs.tflite")
    assert {s.name: s.shape for s in graph.inputs} == {"zeta": (1, 3), "alpha": (1, 2)}
    assert {s.name: s.shape for s in graph.outputs} == {"sum": (1, 4), "difference": (1, 4)}


def test_the_signature_of_another_graph_does_not_count() -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(CONVNET), 0)
    other = schema.SignatureDefT()
    other.signatureKey, other.subgraphIndex, other.inputs, other.outputs = b"other", 1, [], []
    model.signatureDefs.insert(0, other)
    builder = flatbuffers.Builder(len(CONVNET))
    builder.Finish(model.Pack(builder), b"TFL3")
    found = parse_graph(bytes(builder.Output()), "m")
    assert [spec.name for spec in (*found.inputs, *found.outputs)] == ["image", "scores"]


def signed_part(path: Path) -> Any:
    """The objects of the file at ``path`` with a copy of its graph that a signature names."""
    model = open_model(path)
    model.subgraphs.append(copy.deepcopy(model.subgraphs[0]))
    model.signatureDefs.append(copy.copy(model.signatureDefs[0]))
    model.signatureDefs[-1].signatureKey, model.signatureDefs[-1].subgraphIndex = b"use", 1
    return model


def test_a_graph_of_a_signature_counts_unless_it_repeats_the_main_one(tiny_models: Path) -> None:
    def counted(model: Any) -> set[int]:
        return {node.subgraph for node in parse_graph(pack_model(model), "file").nodes}

    path = tiny_models / "convnet.tflite"
    assert counted(signed_part(path)) == {0}
    others = signed_part(path)
    others.buffers.append(copy.copy(others.buffers[others.subgraphs[1].tensors[1].buffer]))
    others.subgraphs[1].tensors[1].buffer = len(others.buffers) - 1
    assert others.buffers[-1].data is not None
    assert counted(others) == {0, 1}
    more = signed_part(path)
    more.operatorCodes.append(copy.copy(more.operatorCodes[0]))
    more.subgraphs[1].operators[0].opcodeIndex = len(more.operatorCodes) - 1
    assert counted(more) == {0, 1}


def test_a_damaged_graph_of_a_signature_is_one_sentence(tiny_models: Path) -> None:
    typed, bound = (signed_part(tiny_models / "convnet.tflite") for _ in range(2))
    typed.subgraphs[1].tensors[0].type = 99
    bound.subgraphs[1].operators[0].inputs = [5000]
    for model, words in (typed, "a tensor has type number 99"), (bound, "it refers to item 5000 of a list of "):
        with pytest.raises(ArtifactError, match=f"^file is damaged: {words}"):
            parse_graph(pack_model(model), "file")


def test_a_model_is_packed_as_often_as_one_likes(tiny_models: Path) -> None:
    model = open_model(tiny_models / "convnet.tflite")
    assert pack_model(model) == pack_model(model)


def test_a_part_has_its_tensors_under_numbers_of_its_own(tiny_models: Path) -> None:
    graph = open_model(tiny_models / "convnet.tflite").subgraphs[0]
    operator = copy.copy(graph.operators[1])
    operator.inputs, operator.outputs, operator.intermediates = [2, -1, 4], [8], [6]
    part = part_of(graph, [operator], [2], [8])
    (moved,) = part.operators
    assert (moved.inputs, moved.outputs, moved.intermediates) == ([0, -1, 1], [3], [2])
    assert (operator.inputs, part.inputs, part.outputs) == ([2, -1, 4], [0], [3])
    assert part.tensors == [graph.tensors[number] for number in (2, 4, 6, 8)]


def test_a_card_that_claims_the_whole_file_is_one_sentence() -> None:
    data = bytearray(write_metadata(CONVNET, "edgekit.card", b"{}", where="m"))
    struct.pack_into("<I", data, 16, len(data) - 4)
    with pytest.raises(ArtifactError) as caught:
        remove_metadata(bytes(data), where="m")
    assert str(caught.value) == (
        f"m is damaged: its card says that it takes {len(data) - 4} of {len(data)} bytes; "
        "copy, download or convert it again."
    )


def test_operators_weights_and_quantization_are_read(tiny_models: Path) -> None:
    graph = read_graph(tiny_models / "convnet_int8.tflite")
    assert [n.op for n in graph.nodes] == ["CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    kernel = graph.tensors[graph.nodes[0].inputs[1]]
    assert (kernel.shape, kernel.dtype, kernel.constant, kernel.model_bytes) == ((4, 3, 3, 3), "int8", True, 108)
    assert (len(kernel.scale), kernel.quantized_dimension) == (4, 0)
    assert graph.outputs[0].scale == (1 / 256,)
    assert graph.outputs[0].zero_point == (-128,)


def test_a_free_batch_and_state_are_told(tiny_models: Path) -> None:
    assert read_graph(tiny_models / "convnet_any_batch.tflite").inputs[0].shape == (None, 6, 4, 3)
    assert sum(t.variable for t in read_graph(tiny_models / "lstm.tflite").tensors.values()) == 2


def test_operator_names_are_those_of_the_schema() -> None:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    numbered = {v: k for k, v in vars(BuiltinOperator).items() if isinstance(v, int)}
    assert [numbered[i] for i in range(len(OPERATORS))] == list(OPERATORS)


def test_metadata_leaves_the_model_as_it_was() -> None:
    written = write_metadata(CONVNET, "edgekit.card", b"{}", where="m")
    image = np.random.default_rng(0).random((1, 6, 4, 3), np.float32)
    assert read_metadata(written, "m")["edgekit.card"] == b"{}"
    assert set(read_metadata(written, "m")) == {*read_metadata(CONVNET, "m"), "edgekit.card"}
    assert parse_graph(written, "m") == parse_graph(CONVNET, "m")
    np.testing.assert_array_equal(run(written, image=image), run(CONVNET, image=image))
    assert remove_metadata(written, where="m") == CONVNET


def test_metadata_is_what_others_read_too() -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(write_metadata(CONVNET, "edgekit.card", b"abc", where="m")), 0)
    entry = next(m for m in model.metadata if m.name == b"edgekit.card")
    assert bytes(model.buffers[entry.buffer].data) == b"abc"


@given(st.binary(max_size=300), st.binary(max_size=300))
@settings(max_examples=40, deadline=None)
def test_metadata_is_replaced_and_deterministic(first: bytes, second: bytes) -> None:
    once = write_metadata(CONVNET, "k", second, where="m")
    assert write_metadata(write_metadata(CONVNET, "k", first, where="m"), "k", second, where="m") == once
    assert read_metadata(once, "m")["k"] == second


def test_metadata_repacked_by_another_tool_is_replaced() -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(write_metadata(CONVNET, "k", b"old", where="m")), 0)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    written = write_metadata(bytes(builder.Output()), "k", b"new", where="m")
    assert read_metadata(written, "m")["k"] == b"new"
    assert write_metadata(written, "k", b"new", where="m") == written


def test_weights_behind_the_tables_move_along() -> None:
    external = with_external_buffers(CONVNET)
    image = np.random.default_rng(1).random((1, 6, 4, 3), np.float32)
    assert any(b.integer(1, "Q") > 1 for b in open_root(external, "m").tables(4))
    plain = {k: t.model_bytes for k, t in parse_graph(CONVNET, "m").tensors.items()}
    assert {k: t.model_bytes for k, t in parse_graph(external, "m").tensors.items()} == plain
    written = write_metadata(external, "k", b"v", where="m")
    np.testing.assert_array_equal(run(written, image=image), run(CONVNET, image=image))
    assert remove_metadata(written, where="m") == external


def test_labels_are_found_in_an_appended_zip() -> None:
    import io
    import zipfile

    stream = io.BytesIO(CONVNET)
    stream.seek(0, 2)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("labels.txt", "cat\ndog\n")
    assert read_labels(stream.getvalue()) == ("cat", "dog")
    assert read_labels(write_metadata(stream.getvalue(), "k", b"v", where="m")) == ("cat", "dog")
    assert read_labels(CONVNET) is None
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("other.txt", "fox\n")
    assert read_labels(stream.getvalue()) is None  # nothing tells which of two is meant


def test_weights_beyond_the_end_of_the_file_are_one_sentence() -> None:
    whole = with_external_buffers(CONVNET)
    with pytest.raises(ArtifactError, match=r"^m is damaged: weights of \d+ bytes at byte \d+ go beyond its end; "):
        parse_graph(whole[:-1], "m")


def patched(position: int, value: int) -> bytes:
    data = bytearray(CONVNET)
    struct.pack_into("<I", data, position, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "m is not a TFLite file: it lacks the mark TFL3; check what the file is."),
        (b"PK\3\4" * 100, "m is not a TFLite file: it lacks the mark TFL3; check what the file is."),
        (CONVNET[:8], "m is damaged: it points to byte 28 of 8; copy, download or convert it again."),
        (
            patched(0, 1 << 31),
            f"m is damaged: it points to byte {1 << 31} of {len(CONVNET)}; copy, download or convert it again.",
        ),
    ],
)
def test_a_damaged_file_is_one_sentence(data: bytes, message: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        parse_graph(data, "m")
    assert str(caught.value) == message


@given(length=st.integers(0, len(CONVNET) - 1))
@settings(max_examples=150, deadline=None)
def test_a_truncated_file_never_raises_anything_else(length: int) -> None:
    read_everything(CONVNET[:length])


@given(changes=st.lists(st.tuples(st.integers(8, len(CONVNET) - 1), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_a_changed_file_never_raises_anything_else(changes: list[tuple[int, int]]) -> None:
    data = bytearray(CONVNET)
    for position, value in changes:
        data[position] = value
    read_everything(bytes(data))


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    read_everything(b"\x20\0\0\0TFL3" + data)


def read_everything(data: bytes) -> None:
    sentences: list[str] = []
    for action in (
        lambda: parse_graph(data, "m"),
        lambda: read_metadata(data, "m"),
        lambda: write_metadata(data, "k", b"v", where="m"),
        lambda: read_labels(data),
    ):
        try:
            action()
        except EdgekitError as error:
            sentences.append(str(error))
    assert not any("\n" in s for s in sentences)


# Weights behind the graph


def outer_weights(data: bytes) -> list[int]:
    """The numbers of the buffers whose data lie behind the graph."""
    return [number for number, b in enumerate(open_root(data, "m").tables(4)) if b.integer(1, "Q") > 1]


@pytest.mark.parametrize("carried", [False, True], ids=["plain", "with a card"])
def test_weights_behind_the_graph_move_inside_and_nothing_else_changes(carried: bool) -> None:
    outer = with_external_buffers(CONVNET)
    if carried:
        outer = write_metadata(outer, "edgekit.card", b"{}", where="m")
    inner = with_inner_weights(outer, where="m")
    assert len(outer_weights(outer)) > 3
    tensors = parse_graph(outer, "m").tensors.values()
    assert {tensor.outside for tensor in tensors if tensor.constant} == {True}
    assert not any(tensor.outside for tensor in parse_graph(inner, "m").tensors.values())
    assert outer_weights(inner) == []
    assert parse_graph(inner, "m") == parse_graph(CONVNET, "m")
    assert read_metadata(inner, "m") == read_metadata(outer, "m")
    image = np.random.default_rng(0).random((1, 6, 4, 3), np.float32)
    for given_, expected in zip(run(inner, image=image), run(CONVNET, image=image), strict=True):
        np.testing.assert_array_equal(given_, expected)


def test_a_file_with_its_weights_inside_stays_as_it_is() -> None:
    assert with_inner_weights(CONVNET, where="m") is CONVNET


def test_openvino_runs_a_file_with_its_weights_behind_the_graph(tmp_path: Path) -> None:
    """It finds no weights there by itself: its own reader must go on refusing, or the copy is no longer needed."""
    path = tmp_path / "outer.tflite"
    path.write_bytes(with_external_buffers(CONVNET))
    image = np.random.default_rng(0).random((1, 6, 4, 3), np.float32)
    (output,) = open_runtime(path, engine="openvino").run({"image": image}).values()
    np.testing.assert_allclose(output, run(CONVNET, image=image)[0], atol=1e-6)
    with pytest.raises(RuntimeError, match="This tensor should be either input, constant or"):
        load_engine("openvino").Core().read_model(str(path))
