"""Devices and engines that a file can be judged for, before anything is copied: which rules they have, known whence."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.artifact import Format
from edgekit.errors import InputError, suggest
from edgekit.formats.graph import Graph
from edgekit.measure import target_rules as rules
from edgekit.measure.onnx_versions import ONNX_RUNTIME
from edgekit.measure.target_rules import BUILT_IN, Finding, Rule, Severity
from edgekit.measure.tflite_versions import LITERT, MICRO_OPERATORS, TFLITE_RUNTIME_2_14, Version

__all__ = ["BUILT_IN", "TARGETS", "Engine", "Finding", "Severity", "Target", "find_target", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What runs files of one format: its ``rules``, and the ``source`` that they are known from."""

    name: str
    rules: Sequence[Rule]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A device or an engine, and what runs the files of each format there; it runs no others."""

    name: str
    engines: Mapping[Format, Engine]


_USE_LITERT = "use LiteRT {} or newer"
_USE_64_BITS = "use a 64-bit system with LiteRT {} or newer"


def _newest(measured: Mapping[Version, object], version: Version, name: str) -> Version:
    older = [known for known in measured if known <= version]
    if not older:
        oldest = rules.dotted(min(measured))
        raise InputError(
            f"What {name} {rules.dotted(version)} takes was not measured; give {name}-{oldest} or a newer one."
        )
    return max(older)


def _beyond(measured: Mapping[Version, object], name: str, version: Version) -> tuple[Rule, ...]:
    newest = max(measured)
    return (rules.not_measured(f"{name} {rules.dotted(version)}", newest),) if version > newest else ()


def litert(version: Version, *more: Rule) -> Engine:
    """LiteRT of a version, by the newest measured one that is not newer."""
    has = _newest(LITERT, version, "litert")
    return Engine(
        name=f"LiteRT {rules.dotted(version)}",
        rules=(
            rules.known_custom_operators,
            rules.operator_versions(LITERT[has], upgrade=_USE_LITERT),
            rules.tensor_types(has, upgrade=_USE_LITERT),
            *_beyond(LITERT, "LiteRT", version),
            *more,
        ),
        source=f"measured with ai-edge-litert {rules.dotted(has)} on x86-64",
    )


def tflite_runtime(*more: Rule, upgrade: str = _USE_LITERT) -> Engine:
    """tflite-runtime 2.14, the last one."""
    return Engine(
        name="tflite-runtime 2.14",
        rules=(
            rules.known_custom_operators,
            rules.operator_versions(TFLITE_RUNTIME_2_14, upgrade=upgrade),
            rules.tensor_types(None, upgrade=upgrade),
            *more,
        ),
        source="measured with tflite-runtime 2.14.0 on x86-64",
    )


def onnx_runtime(version: Version, *more: Rule) -> Engine:
    """ONNX Runtime of a version, by the newest measured one that is not newer."""
    has = _newest(ONNX_RUNTIME, version, "ort")
    return Engine(
        name=f"ONNX Runtime {rules.dotted(version)}",
        rules=(
            rules.onnx_numbers(*ONNX_RUNTIME[has]),
            rules.no_custom_operators,
            *_beyond(ONNX_RUNTIME, "ONNX Runtime", version),
            *more,
        ),
        source=f"measured with onnxruntime {rules.dotted(has)} on x86-64",
    )


LITERT_JS = Engine(
    name="LiteRT.js",
    rules=(rules.known_custom_operators, rules.web_interface, rules.static_shapes, rules.no_state),
    source="measured with @litertjs/core 2.5.3 in Chromium: INT8 interfaces, free batches and state are refused",
)
MICRO = Engine(
    name="TensorFlow Lite for Microcontrollers",
    rules=(
        rules.no_custom_operators,
        rules.micro_operators(MICRO_OPERATORS),
        rules.static_items,
        rules.micro_types,
        rules.outside_weights,
        rules.graphs_of_signatures,
    ),
    source="measured with tflite-micro 0.dev20261023",
)

_BOARD = {
    Format.TFLITE: litert((2, 3), rules.slow_int16),
    Format.ONNX: onnx_runtime((1, 32)),
}
TARGETS = (
    # tflite-runtime has the only wheels for armv7l; onnxruntime and ai-edge-litert have none.
    Target(name="pi3-32", engines={Format.TFLITE: tflite_runtime(rules.other_kernels, upgrade=_USE_64_BITS)}),
    Target(name="pi4", engines=_BOARD),
    Target(name="pi5", engines=_BOARD),
    Target(
        name="android",
        engines={
            Format.TFLITE: litert(
                (2, 3), rules.slow_int16, rules.no_delegate_for_free_shapes, rules.no_state_in_compiled_model
            ),
            Format.ONNX: onnx_runtime((1, 32)),
        },
    ),
    Target(
        name="browser",
        engines={Format.TFLITE: LITERT_JS, Format.ONNX: onnx_runtime((1, 30), rules.slow_quantized_web)},
    ),
    Target(name="micro", engines={Format.TFLITE: MICRO}),
    Target(name="litertjs", engines={Format.TFLITE: LITERT_JS}),
    Target(name="tflite-runtime-2.14", engines={Format.TFLITE: tflite_runtime()}),
)
"""Those with a name of their own; engines of any version are called ``litert-X.Y`` and ``ort-X.Y``."""

_SAID = {Format.TFLITE: "TFLite", Format.ONNX: "ONNX", Format.KERAS: "Keras"}
_VERSIONED = re.compile(r"(litert|ort|onnxruntime)-(\d{1,3})\.(\d{1,3})")


def find_target(name: str) -> Target:
    """The target called ``name``; `InputError` offers the closest, or the oldest version, when there is none."""
    match = _VERSIONED.fullmatch(name)
    if match is not None:
        version = int(match[2]), int(match[3])
        if match[1] == "litert":
            return Target(name=name, engines={Format.TFLITE: litert(version)})
        return Target(name=name, engines={Format.ONNX: onnx_runtime(version)})
    found = {t.name: t for t in TARGETS}
    if name not in found:
        known = [*found, f"litert-{rules.dotted(max(LITERT))}", f"ort-{rules.dotted(max(ONNX_RUNTIME))}"]
        raise InputError(f"There is no target {name!r}; {suggest(name, known)}")
    return found[name]


def judge(graph: Graph | None, kind: Format, target: Target) -> tuple[Finding, ...]:
    """What speaks against running a file of this format and graph on ``target``, refusals first; empty for nothing."""
    engine = target.engines.get(kind)
    if engine is None or graph is None:
        runs = " and ".join(_SAID[format] for format in target.engines)
        wanted = " -f ".join(format.value for format in target.engines)
        what = f"{target.name} runs {runs} files; this is one of {_SAID[kind]}"
        return (Finding(what=what, remedy=f"convert its source with -f {wanted}"),)
    found = dict.fromkeys(finding for rule in engine.rules for finding in rule(graph))  # each once
    return tuple(sorted(found, key=lambda finding: finding.severity is not Severity.REFUSED))
