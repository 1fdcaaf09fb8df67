"""TFLite files as C++ arrays for microcontrollers, with golden data, tried in TensorFlow Lite for Microcontrollers."""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgekit.bundle.entries import Made
from edgekit.bundle.runner.manifest import Entry
from edgekit.errors import CheckFailedError, InputError
from edgekit.files import scratch_folder
from edgekit.formats.tflite import open_root, parse_graph
from edgekit.formats.tflite_objects import pack_model, parse_model
from edgekit.measure.same import same_answers
from edgekit.runtimes import Array
from edgekit.runtimes.base import by_name
from edgekit.workers import Worker, WorkerCrashError

GOLDEN = 2
"""Golden items in the arrays: more than one, since a model that ignores its input knows one of them."""
LIMIT_S = 600.0

_TYPES = {
    "int8": "std::int8_t", "uint8": "std::uint8_t", "int16": "std::int16_t", "int32": "std::int32_t",
    "int64": "std::int64_t", "bool": "bool", "float32": "float",
}  # fmt: skip
_PER_LINE = 20
_LEAST_INT64 = -(1 << 63)  # whose digits without the sign are no number in C++


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What tflite-micro answered to the golden inputs, and the memory that it needed; None where it is not there."""

    version: str
    arena_bytes: int
    outputs: tuple[Array, ...]


def make_all(made: Sequence[Made]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The arrays of all TFLite files by their names in the bundle, and a note on each of those.

    `InputError` where there is none, or a type has no word in C++; `CheckFailedError` where tflite-micro does not run a
    file, or answers otherwise than its limits allow.
    """
    chosen = [each for each in made if each.entry.format == "tflite"]
    if not chosen:
        raise InputError("Only .tflite files become C arrays, and none was given; leave --c-array out.")
    files: dict[str, bytes] = {}
    notes: dict[str, str] = {}
    for each in map(_self_contained, chosen):
        name = identifier(Path(each.entry.name).stem)
        if f"c/{name}.h" in files:
            raise InputError(f"Two models are called {name} in C; rename one of the files.")
        tried = try_in_micro(each)
        outputs = tuple(values[:GOLDEN] for values in (each.outputs if tried is None else tried.outputs))
        notes[f"c/{name}.cc"] = _note(each, tried)
        files[f"c/{name}.h"], files[f"c/{name}.cc"] = _texts(name, each, outputs, notes[f"c/{name}.cc"])
    return files, notes


def _self_contained(made: Made) -> Made:
    """The model as tflite-micro runs it: all weights inside, and no graphs but the main one and those that it calls.

    It takes weights behind the graph for zeros, and crashes where signatures have graphs of their own.
    """
    entry = made.entry
    data = made.files[entry.file]
    outside = any(tensor.outside for tensor in parse_graph(data, entry.name).tensors.values())
    if not outside and len(open_root(data, entry.name).targets(2)) == 1:
        return made
    model = parse_model(data)
    signatures = model.signatureDefs or []
    if {*range(1, len(model.subgraphs))} <= {signature.subgraphIndex for signature in signatures}:
        model.subgraphs = model.subgraphs[:1]
        model.signatureDefs = [signature for signature in signatures if signature.subgraphIndex == 0]
    return replace(made, files={**made.files, entry.file: pack_model(model)})


def identifier(text: str) -> str:
    """``text`` as a name in C++.

    >>> identifier("1-net.int8")
    'm_1_net_int8'
    """
    word = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")  # two underscores in a row are reserved
    return word if word[:1].isalpha() else f"m_{word}".rstrip("_")


def try_in_micro(made: Made) -> Tried | None:
    """The model run by tflite-micro on its golden items; None where that is not installed."""
    if importlib.util.find_spec("tflite_micro") is None:
        return None
    entry = made.entry
    with scratch_folder() as name, Worker("edgekit.bundle.micro_worker") as worker:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(made.files[entry.file])
        for number, values in enumerate(made.inputs):
            np.save(folder / f"input_{number}.npy", values[:GOLDEN])
        places = {"inputs": _places(made, entry.input_tensors, 1), "outputs": _places(made, entry.output_tensors, 2)}
        try:
            facts = worker.call("run", {"folder": name, **places}, limit_s=LIMIT_S)
        except WorkerCrashError as crash:
            raise CheckFailedError(f"tflite-micro ended while it ran {entry.name}: {crash}.") from None
        outputs = tuple(np.load(folder / f"output_{number}.npy") for number in range(len(made.outputs)))
    tried = Tried(version=facts["version"], arena_bytes=facts["arena_bytes"], outputs=outputs)
    _require_within(entry, made, tried)
    return tried


def _require_within(entry: Entry, made: Made, tried: Tried) -> None:
    specs = entry.card.outputs
    meant, found = (by_name(values, specs, as_float=True) for values in (_first(made.outputs), tried.outputs))
    shaped = {name: found[name].reshape(values.shape) for name, values in meant.items()}
    kept_db = same_answers(meant, shaped).totals.sqnr_db
    if kept_db < entry.limits.min_sqnr_db:
        raise CheckFailedError(
            f"tflite-micro answers otherwise than {entry.engine} to {entry.name}: {kept_db:.1f} dB are the same; "
            f"expected {entry.limits.min_sqnr_db:g} dB or more."
        )


def _first(outputs: Sequence[Array]) -> list[Array]:
    return [values[:GOLDEN] for values in outputs]


def _places(made: Made, tensors: Sequence[int], field: int) -> list[int]:
    """Where the file itself lists these tensors among its inputs (1) or outputs (2), as microcontrollers count them."""
    root = open_root(made.files[made.entry.file], made.entry.name)
    listed = next(iter(root.tables(2))).integers(field)
    return [listed.index(tensor) for tensor in tensors]


def _note(made: Made, tried: Tried | None) -> str:
    if tried is None:
        return f"not tried: tflite-micro is not installed; golden outputs are those of {made.entry.engine}"
    arena = f"{tried.arena_bytes:,} bytes of arena on 64 bits"
    return f"tried in tflite-micro {tried.version}, whose answers are the golden outputs: {arena}"


def _texts(name: str, made: Made, outputs: Sequence[Array], note: str) -> tuple[bytes, bytes]:
    entry, data = made.entry, made.files[made.entry.file]
    arrays = {f"{name}_input_{i}": values[:GOLDEN] for i, values in enumerate(made.inputs)}
    arrays |= {f"{name}_output_{i}": values for i, values in enumerate(outputs)}
    count = len(next(iter(arrays.values())))
    named = [*(s.name for s in entry.card.inputs), *(s.name for s in entry.card.outputs)]
    heads = {key: _head(key, values, entry) for key, values in arrays.items()}
    guard = f"EDGEKIT_{name.upper()}_H_"
    about = [
        f"// {entry.name}, {len(data):,} bytes; {_plain(note)}.",
        "// Made by edgekit; make it anew instead of editing.",
    ]
    declared = [
        f"// {'output' if '_output_' in key else 'input'} {_plain(title)!r}\nextern const {head};"
        for (key, head), title in zip(heads.items(), named, strict=True)
    ]
    header = [
        *about, f"#ifndef {guard}", f"#define {guard}", "", "#include <cstddef>", "#include <cstdint>", "",
        f"constexpr std::size_t {name}_model_bytes = {len(data)};",
        f"extern const unsigned char {name}_model[{name}_model_bytes];  // aligned to 16 bytes",
        f"constexpr int {name}_golden_count = {count};", *declared, "", f"#endif  // {guard}", "",
    ]  # fmt: skip
    body = [
        *about, f'#include "{name}.h"', "",
        f"alignas(16) const unsigned char {name}_model[{name}_model_bytes] = {{",
        _rows([f"0x{b:02x}" for b in data]), "};",
        *(f"alignas(16) const {head} = {{\n{_values(arrays[key])}\n}};" for key, head in heads.items()), "",
    ]  # fmt: skip
    return "\n".join(header).encode(), "\n".join(body).encode()


def _head(key: str, values: Array, entry: Entry) -> str:
    kind = str(values.dtype)
    if kind not in _TYPES:
        raise InputError(f"{entry.name} has {kind} values, for which there is no C++ type here; leave --c-array out.")
    return f"{_TYPES[kind]} {key}[{len(values)}][{values[0].size}]"


def _values(values: Array) -> str:
    rows = [[_literal(v) for v in row.reshape(-1).tolist()] for row in values]
    return ",\n".join(f"{{{_rows(row)}}}" for row in rows)


def _literal(value: bool | int | float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.9e}f"
    return f"{value + 1} - 1" if value == _LEAST_INT64 else str(value)


def _rows(words: Sequence[str]) -> str:
    return ",\n".join(",".join(words[i : i + _PER_LINE]) for i in range(0, len(words), _PER_LINE))


def _plain(text: str) -> str:
    """``text`` on one line of a comment, which must not end with a backslash."""
    return re.sub(r"[^\x20-\x5b\x5d-\x7e]", "?", text)


def told(notes: Mapping[str, str]) -> list[str]:
    """Lines for people on the C arrays."""
    return [f"{file}: {note}." for file, note in sorted(notes.items())]
