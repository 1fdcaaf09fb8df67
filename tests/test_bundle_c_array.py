"""C arrays for microcontrollers: what a compiler and TensorFlow Lite for Microcontrollers say of them."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import run, unpack
from command import edgekit
from outer_weights import with_external_buffers

from edgekit.bundle import c_array
from edgekit.bundle.entries import Made, make_entries, open_models
from edgekit.bundle.golden import made_up_items
from edgekit.converters.signatures import add_signatures
from edgekit.errors import CheckFailedError, InputError
from edgekit.formats.tflite import parse_graph
from edgekit.formats.tflite_objects import open_model, pack_model, parse_model

micro = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None, reason="tflite-micro is not installed (edgekit-ml[micro])"
)


def made(path: Path, *, samples: int = 3) -> Made:
    """The model at ``path`` run on seeded noise."""
    (opened,) = open_models([path], preprocess=None, labels=None, decoder=None)
    (entry,) = make_entries(opened, made_up_items([], samples=samples, seed=0), samples=samples, seed=0)
    return entry


def without_micro(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tflite_micro" else found(name))


@pytest.fixture(scope="module")
def integers(tiny_models: Path) -> Made:
    return made(tiny_models / "convnet_int8.tflite")


@micro
def test_a_microcontroller_answers_as_the_desk_does(integers: Made) -> None:
    files, notes = c_array.make_all([integers])
    assert set(files) == {"c/convnet_int8.h", "c/convnet_int8.cc"}
    told = r"tried in tflite-micro 0\.dev\S+, whose answers are the golden outputs: [\d,]+ bytes of arena on 64 bits"
    assert re.fullmatch(told, notes["c/convnet_int8.cc"])
    tried = c_array.try_in_micro(integers)
    assert tried is not None
    assert 1000 < tried.arena_bytes < 20_000
    assert np.abs(tried.outputs[0].astype(int) - integers.outputs[0][: c_array.GOLDEN]).max() <= 1


def outer(integers: Made) -> Made:
    """The same model with its weights behind the graph."""
    file = integers.entry.file
    return replace(integers, files={**integers.files, file: with_external_buffers(integers.files[file])})


def array_in(text: bytes, name: str) -> bytes:
    """The bytes of the model in a C++ file."""
    (inside,) = re.findall(rf"{name}_model\[\w+\] = \{{(.*?)\}};", text.decode(), re.DOTALL)
    return bytes(int(word, 16) for word in re.findall(r"0x(..)", inside))


@micro
def test_weights_behind_the_graph_are_inside_the_array(integers: Made) -> None:
    """tflite-micro reads zeros for those behind it, which the canary shows."""
    model = outer(integers)
    with pytest.raises(CheckFailedError, match=r"^tflite-micro answers otherwise than litert \S+ to convnet_int8"):
        c_array.try_in_micro(model)
    files, notes = c_array.make_all([model])
    assert notes["c/convnet_int8.cc"].startswith("tried in tflite-micro ")
    assert not files.keys() ^ {"c/convnet_int8.h", "c/convnet_int8.cc"}


def test_the_array_of_such_a_file_is_the_same_model(integers: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    from ai_edge_litert.interpreter import Interpreter

    without_micro(monkeypatch)
    model = outer(integers)
    given = model.files[model.entry.file]
    files, _ = c_array.make_all([model])
    carried = array_in(files["c/convnet_int8.cc"], "convnet_int8")
    assert parse_graph(carried, "array") == parse_graph(given, "file")
    assert any(tensor.outside for tensor in parse_graph(given, "file").tensors.values())
    assert not any(tensor.outside for tensor in parse_graph(carried, "array").tensors.values())
    assert len(carried) < len(given) + 1000
    (item, *_) = model.inputs[0]
    interpreter = Interpreter(model_content=carried)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], item[None])
    interpreter.invoke()
    answer = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(answer, model.outputs[0][:1])


@micro
def test_graphs_of_signatures_stay_out_of_the_array(tiny_models: Path, tmp_path: Path) -> None:
    """tflite-micro crashes with those, which the canary shows."""
    model = open_model(tiny_models / "convnet_int8.tflite")
    add_signatures(model, {"use": ("scores",)})
    (tmp_path / "signed.tflite").write_bytes(pack_model(model))
    signed = made(tmp_path / "signed.tflite")
    with pytest.raises(CheckFailedError, match=r"^tflite-micro ended while it ran signed.tflite: "):
        c_array.try_in_micro(signed)
    files, notes = c_array.make_all([signed])
    assert notes["c/signed.cc"].startswith("tried in tflite-micro ")
    carried = parse_model(array_in(files["c/signed.cc"], "signed"))
    assert (len(carried.subgraphs), [s.signatureKey for s in carried.signatureDefs]) == (1, [b"serving_default"])


@micro
@pytest.mark.parametrize("name", ["convnet.tflite", "two_inputs.tflite", "lstm.tflite"])
def test_other_kinds_of_files_run_there_too(name: str, tiny_models: Path) -> None:
    model = made(tiny_models / name)
    tried = c_array.try_in_micro(model)
    assert tried is not None
    for mine, known in zip(tried.outputs, model.outputs, strict=True):
        np.testing.assert_allclose(mine, known[: c_array.GOLDEN].reshape(mine.shape), atol=1e-4)


@micro
def test_other_answers_are_refused(integers: Made) -> None:
    with pytest.raises(CheckFailedError) as caught:
        c_array.make_all([replace(integers, outputs=tuple(-1 - values for values in integers.outputs))])
    assert re.fullmatch(
        r"tflite-micro answers otherwise than litert \S+ to convnet_int8\.tflite: -?[\d.]+ dB are the same; "
        r"expected 12 dB or more\.",
        str(caught.value),
    )


@micro
def test_an_operator_that_it_lacks_is_told(tmp_path: Path) -> None:
    model = made(operator_of_none(tmp_path))
    with pytest.raises(CheckFailedError) as caught:
        c_array.make_all([model])
    assert re.fullmatch(r"tflite-micro 0\.dev\S+ does not run the model: .*ATAN2.*\.", str(caught.value))


def operator_of_none(folder: Path) -> Path:
    """A file with one operator that microcontrollers have no kernel for."""
    from ai_edge_litert import schema_py_generated as schema

    from edgekit.formats.tflite_objects import save_model

    model, code, graph = schema.ModelT(), schema.OperatorCodeT(), schema.SubGraphT()
    code.deprecatedBuiltinCode, code.builtinCode, code.version = 127, schema.BuiltinOperator.ATAN2, 1
    tensors = [schema.TensorT() for _ in range(3)]
    for number, tensor in enumerate(tensors):
        tensor.shape, tensor.name, tensor.buffer = [1, 4], "abc"[number], 0
    operator = schema.OperatorT()
    operator.inputs, operator.outputs, operator.opcodeIndex = [0, 1], [2], 0
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [0, 1], [2], [operator]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    save_model(model, folder / "atan2.tflite")
    return folder / "atan2.tflite"


def test_without_tflite_micro_it_is_said(integers: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    without_micro(monkeypatch)
    files, notes = c_array.make_all([integers])
    assert re.fullmatch(
        r"not tried: tflite-micro is not installed; golden outputs are those of litert \S+", notes["c/convnet_int8.cc"]
    )
    assert notes["c/convnet_int8.cc"] in files["c/convnet_int8.h"].decode()


PROGRAM = """
#include <cstdio>
#include <cstdint>
#include "NAME.h"
int main() {
  if (reinterpret_cast<std::uintptr_t>(NAME_model) % 16) return 1;
  std::fwrite(NAME_model, 1, NAME_model_bytes, stdout);
  std::fwrite(NAME_input_0, 1, sizeof(NAME_input_0), stdout);
  std::fwrite(NAME_output_0, 1, sizeof(NAME_output_0), stdout);
  return NAME_golden_count == 2 ? 0 : 2;
}
"""


@pytest.mark.skipif(not shutil.which("g++"), reason="g++ is not installed")
@pytest.mark.parametrize("name", ["convnet_int8.tflite", "convnet.tflite"])
def test_a_compiler_gets_the_same_bytes(
    name: str, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_micro(monkeypatch)
    model = made(tiny_models / name)
    files, _ = c_array.make_all([model])
    for file, text in files.items():
        (tmp_path / Path(file).name).write_bytes(text)
    stem = Path(name).stem
    (tmp_path / "main.cc").write_text(PROGRAM.replace("NAME", stem))
    command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "main.cc", f"{stem}.cc", "-o", "program"]
    subprocess.run(command, cwd=tmp_path, check=True)
    written = subprocess.run([str(tmp_path / "program")], capture_output=True, check=True).stdout
    expected = (tiny_models / name).read_bytes()
    expected += model.inputs[0][:2].tobytes() + model.outputs[0][:2].tobytes()
    assert written == expected


@pytest.mark.skipif(not shutil.which("g++"), reason="g++ is not installed")
def test_the_least_integer_is_one_in_c_too(tmp_path: Path) -> None:
    values = [-(1 << 63), -(1 << 63) + 1, (1 << 63) - 1]
    words = ", ".join(c_array._literal(value) for value in values)
    (tmp_path / "main.cc").write_text(
        f"#include <cstdio>\n#include <cstdint>\nconst std::int64_t v[3] = {{{words}}};\n"
        "int main() { std::fwrite(v, 1, sizeof(v), stdout); }\n"
    )
    command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "main.cc", "-o", "program"]
    subprocess.run(command, cwd=tmp_path, check=True)
    written = subprocess.run([str(tmp_path / "program")], capture_output=True, check=True).stdout
    assert np.frombuffer(written, np.int64).tolist() == values
    assert c_array._literal(float(values[0])) == "-9.223372037e+18f"


def test_names_are_names_in_c() -> None:
    names = {"net.int8": "net_int8", "1net": "m_1net", "é-x": "x", "é": "m", "a__b_": "a_b", "_1": "m_1", "": "m"}
    assert {name: c_array.identifier(name) for name in names} == names


def test_a_name_cannot_end_a_comment_early() -> None:
    assert c_array._plain("a\\\nb*/") == "a??b*/"


def of_format(fmt: str) -> Any:
    return lambda each: replace(each, entry=replace(each.entry, format=fmt))


def text_output(each: Made) -> Made:
    return replace(each, outputs=tuple(values.astype(np.float64) for values in each.outputs))


@pytest.mark.parametrize(
    ("change", "twice", "sentence"),
    [
        (of_format("onnx"), False, "Only .tflite files become C arrays, and none was given; leave --c-array out."),
        (lambda each: each, True, "Two models are called convnet_int8 in C; rename one of the files."),
        (text_output, False,
         "convnet_int8.tflite has float64 values, for which there is no C++ type here; leave --c-array out."),
    ],
)  # fmt: skip
def test_what_has_no_c_array_is_one_sentence(
    change: Any, twice: bool, sentence: str, integers: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_micro(monkeypatch)
    with pytest.raises(InputError) as caught:
        c_array.make_all([change(integers)] * (2 if twice else 1))
    assert str(caught.value) == sentence


def test_the_command_tells_what_became_of_them(tiny_models: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.zip"
    done = edgekit("bundle", tiny_models / "convnet_int8.tflite", "--preprocess", "unit", "--c-array", "-o", out)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^c/convnet_int8\.cc: (tried in tflite-micro|not tried: )", done.stderr, re.MULTILINE)
    folder = unpack(out, tmp_path)
    assert (folder / "c" / "convnet_int8.h").is_file()
    text = (folder / "README.txt").read_text()
    assert "c/convnet_int8.cc: " in text
    assert ("bundle predict photo.jpg" in text, "bundle detect" in text) == (True, False)
    assert run(folder, "verify").returncode == 0


def test_a_crash_there_is_told(integers: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that ends the process: none is known, so that the limit of time stands for it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr(c_array, "LIMIT_S", 0.0)
    with pytest.raises(CheckFailedError, match=r"^tflite-micro ended while it ran convnet_int8\.tflite: .+\.$"):
        c_array.try_in_micro(integers)


def facts(notes: Mapping[str, str]) -> list[str]:
    return c_array.told(notes)


def test_notes_are_lines() -> None:
    assert facts({"c/b.cc": "y", "c/a.cc": "x"}) == ["c/a.cc: x.", "c/b.cc: y."]
