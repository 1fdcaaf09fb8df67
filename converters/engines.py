"""Which engine makes which recipe for which operators: a table measured by ``benchmarks/engine_table.py``."""

import functools
import importlib.resources
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from edgekit.codec import from_jsonable
from edgekit.converters.float_ops import kept_nodes
from edgekit.converters.lower import Lowered
from edgekit.formats.graph import Graph, Node
from edgekit.recipe import Precision, Recipe

TABLE_SCHEMA = 1
FIRST_STEP = "SPLIT of a first time step"
"""One whose input is constant, or of which a result is read by nobody: what the gates of an unrolled recurrent layer
are at first, when its state is zero.
"""
BETTER_DB = 3.0
"""TFLiteConverter takes 5 times the time and memory, so it must be half the noise better to be chosen."""


class Engine(StrEnum):
    """What makes a TFLite file of a recipe."""

    LITERT_QUANTIZER = "litert-quantizer"
    TFLITE_CONVERTER = "tflite-converter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one engine made of a tiny graph: SQNR against float and operators left in float, or the failure."""

    sqnr_db: float | None
    float_ops: tuple[str, ...] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operator under one recipe; ``engine`` is ``None`` where neither makes a file that runs."""

    operator: str
    recipe: Precision
    engine: Engine | None
    litert_quantizer: Trial
    tflite_converter: Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTable:
    """The measured rows and what they were measured with."""

    schema_version: int
    tools: dict[str, str]
    settings: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The engine for a whole graph, and why. ``operators`` are those that decided it; empty for the default."""

    engine: Engine
    reason: str
    operators: tuple[str, ...] = ()


def judge(litert: Trial, converter: Trial) -> Engine | None:
    """The better of two trials: one that works, then fewer float operators, then clearly less noise."""
    works = [t for t in (litert, converter) if t.sqnr_db is not None]
    if not works:
        return None
    if litert.sqnr_db is None or converter.sqnr_db is None:
        return Engine.TFLITE_CONVERTER if litert.sqnr_db is None else Engine.LITERT_QUANTIZER
    if len(litert.float_ops) != len(converter.float_ops):
        fewer = len(litert.float_ops) < len(converter.float_ops)
        return Engine.LITERT_QUANTIZER if fewer else Engine.TFLITE_CONVERTER
    better = converter.sqnr_db - litert.sqnr_db >= BETTER_DB
    return Engine.TFLITE_CONVERTER if better else Engine.LITERT_QUANTIZER


@functools.cache
def load_table() -> EngineTable:
    """The table that is shipped with the package."""
    text = importlib.resources.files("edgekit.converters").joinpath("engine_table.json").read_text()
    return from_jsonable(EngineTable, json.loads(text), where="engine_table.json")


def choose(operators: Iterable[str], precision: Precision, table: EngineTable) -> Choice:
    """litert-quantizer, unless the row of one of ``operators`` says TFLiteConverter."""
    rows = {row.operator: row for row in table.rows if row.recipe is precision}
    other = [rows[op] for op in sorted(set(operators)) if op in rows and rows[op].engine is Engine.TFLITE_CONVERTER]
    if not other:
        return Choice(engine=Engine.LITERT_QUANTIZER, reason="default; no operator of the model does better elsewhere")
    names = tuple(row.operator for row in other)
    return Choice(
        engine=Engine.TFLITE_CONVERTER,
        reason="; ".join(f"{row.operator}: {_why(row)}" for row in other),
        operators=names,
    )


def operators(graph: Graph, nodes: Iterable[Node]) -> list[str]:
    """What ``nodes`` of ``graph`` are in the table: their operators, and `FIRST_STEP`."""
    read = {tensor for node in graph.nodes for tensor in node.inputs} | set(graph.output_tensors.values())
    return [FIRST_STEP if _first_step(graph, node, read) else node.op for node in nodes]


def _first_step(graph: Graph, node: Node, read: set[str]) -> bool:
    if node.op != "SPLIT" or node.subgraph:
        return False
    return graph.tensors[node.inputs[1]].constant or any(output not in read for output in node.outputs)


def choose_engine(lowered: Lowered, recipe: Recipe) -> Choice:
    """The engine for the TFLite file of ``recipe``; operators that stay in float have no say."""
    kept = kept_nodes(lowered.graph, lowered.layers, recipe.keep_float)
    quantized = [node for node in lowered.graph.nodes if node not in kept]
    return choose(operators(lowered.graph, quantized), recipe.precision, load_table())


def _why(row: Row) -> str:
    litert, converter = row.litert_quantizer, row.tflite_converter
    if litert.sqnr_db is None:
        return f"litert-quantizer fails ({litert.failure})"
    if len(litert.float_ops) > len(converter.float_ops):
        return "litert-quantizer leaves it in float"
    return f"{converter.sqnr_db:.1f} dB against {litert.sqnr_db:.1f} dB of litert-quantizer"
