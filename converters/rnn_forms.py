"""What each recurrent layer becomes in a file: decided by recipe before anything is lowered, with the reason."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from edgekit.artifact import Format
from edgekit.converters.plan import Job, Plan, matching
from edgekit.converters.source import Source, SourceKind
from edgekit.errors import ConversionError, InputError
from edgekit.recipe import NEEDS_CALIBRATION, Batch, Precision, Recipe, Rnn

MOST_UNROLLED = 1000
"""Time steps written out in one file, all layers together. TFLiteConverter took 18 seconds for 800 of an LSTM of 32
units in int8, and 52 seconds and 2.9 GB for 2,000; ``benchmarks/rnn_forms.py --lengths`` measures the whole conversion.
"""

_ONNX_KINDS = frozenset({"LSTM", "GRU", "SimpleRNN"})
_FORCED = {Rnn.UNROLLED: "--rnn unrolled asks for it"}


class Form(StrEnum):
    """What a recurrent layer becomes."""

    LOOP = "loop"  # a WHILE over the time steps, of one item
    FUSED = "fused"  # one UNIDIRECTIONAL_SEQUENCE_LSTM
    UNROLLED = "unrolled"  # every time step written out


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentLayer:
    """A recurrent layer of a Keras model over ``steps`` time steps.

    ``kind`` is that of its cells, the first one that is no LSTM where there are several; ``unfused`` says why no kernel
    of TFLite can stand for it.
    """

    name: str
    kind: str
    steps: int
    unfused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """The form of every recurrent layer of a model, in the model's order; the same tuple needs no second lowering.

    ``by_layer`` is for the card, ``notes`` for the report. All are empty where there is no such layer.
    """

    forms: tuple[Form, ...] = ()
    by_layer: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


Chosen = dict[str, Forms]
"""By file name."""


def choose_all(
    source: Source, todo: Plan, layers: Sequence[RecurrentLayer], named: Collection[Format]
) -> tuple[Plan, Chosen]:
    """``todo`` and the forms for every file of it, before any work is done on one.

    A file that has none is left out with a note, if its format is not among those ``named`` and another format has
    the recipe; else it is the `ConversionError` of `choose_forms`.
    """
    chosen: Chosen = {}
    refused: list[tuple[Job, ConversionError]] = []
    for job in todo.jobs:
        try:
            chosen[job.file_name] = choose_forms(source, job, layers)
        except ConversionError as error:
            if job.format in named:
                raise
            refused.append((job, error))
    jobs = tuple(job for job in todo.jobs if job.file_name in chosen)
    for job, reason in refused:
        if job.recipe not in {made.recipe for made in jobs}:
            raise reason
    notes = (f"Skipped {job.recipe.code} for {job.format.value}: {reason}" for job, reason in refused)
    return replace(todo, jobs=jobs, notes=(*todo.notes, *notes)), chosen


def choose_forms(source: Source, job: Job, layers: Sequence[RecurrentLayer]) -> Forms:
    """The forms for the file of ``job``; `InputError` for a form that was asked for and cannot be, `ConversionError`
    where the recipe has none. ONNX has an operator for each layer, which lowering finds.
    """
    recipe = job.recipe
    if recipe.rnn in (Rnn.UNROLLED, Rnn.FUSED):
        _require_layers(source, recipe, layers)
    if job.format is Format.ONNX:
        _require_tflite(recipe)
        _require_integer_operator(recipe, layers)
        return Forms()
    if recipe.rnn is Rnn.FUSED:
        _require_fused(recipe, layers)
    chosen = [_choose(recipe, layer) for layer in layers]
    pairs = list(zip(layers, chosen, strict=True))
    _require_reachable(recipe, [layer for layer, (form, _) in pairs if form is Form.FUSED])
    _require_short(recipe, [(layer, why) for layer, (form, why) in pairs if form is Form.UNROLLED])
    return Forms(
        forms=tuple(form for form, _ in chosen),
        by_layer=tuple((layer.name, form.value) for layer, (form, _) in pairs),
        notes=_notes(pairs),
    )


def _choose(recipe: Recipe, layer: RecurrentLayer) -> tuple[Form, str]:
    """The form of one layer, and why it is no better one."""
    if recipe.rnn is Rnn.UNROLLED:
        return Form.UNROLLED, _FORCED[recipe.rnn]
    if recipe.batch is Batch.DYNAMIC:
        return Form.UNROLLED, "any other form has a fixed batch"
    if recipe.precision is Precision.INT16X8:
        return Form.UNROLLED, "nothing else has a form in int16x8"
    if not layer.unfused:
        return Form.FUSED, ""
    if recipe.precision in NEEDS_CALIBRATION:
        return Form.UNROLLED, f"{layer.unfused}, and a loop has no {recipe.code} form"
    return Form.LOOP, layer.unfused


def _require_integer_operator(recipe: Recipe, layers: Sequence[RecurrentLayer]) -> None:
    """`ConversionError` where integers are asked of a layer that ONNX Runtime computes in float alone, or in a loop."""
    for layer in layers:
        if recipe.precision in (Precision.DYNAMIC, Precision.INT8) and layer.kind not in _ONNX_KINDS:
            raise ConversionError(
                f"ONNX has no operator for the {layer.kind} {layer.name!r}, and a loop has no {recipe.code} form; take "
                "the recipe fp16, or -f tflite."
            )
        if recipe.precision is Precision.INT8 and layer.kind != "LSTM" and not _kept(recipe, layer):
            raise ConversionError(
                f"ONNX Runtime has no integer form of the {layer.kind} {layer.name!r}; allow it in float with "
                f"--keep-float {layer.name}, or take the recipe dynamic."
            )


def _kept(recipe: Recipe, layer: RecurrentLayer) -> bool:
    return matching(recipe.keep_float, [layer.name, *layer.name.split("/")])


def _require_reachable(recipe: Recipe, fused: Sequence[RecurrentLayer]) -> None:
    """`ConversionError` where ``--keep-float`` names a fused layer, whose operator has no name of its own."""
    for layer in fused:
        if recipe.precision is not Precision.FP32 and _kept(recipe, layer):
            raise ConversionError(
                f"--keep-float cannot keep {layer.name} in float, which is fused to one operator; take --rnn unrolled, "
                "whose operators it can keep, or leave it out."
            )


def _require_tflite(recipe: Recipe) -> None:
    if recipe.rnn in (Rnn.UNROLLED, Rnn.FUSED):
        raise ConversionError(
            f"--rnn {recipe.rnn.value} is for TFLite files; in an ONNX file a layer is one operator for all steps, "
            "or a loop: leave the option out, or take -f tflite."
        )


def _require_layers(source: Source, recipe: Recipe, layers: Sequence[RecurrentLayer]) -> None:
    if source.kind not in (SourceKind.KERAS, SourceKind.H5):
        raise InputError(
            f"--rnn {recipe.rnn.value} changes the recurrent layers of a Keras model; {source.path} is "
            f"{source.kind.words}: start from the model that it was made from, or leave --rnn out."
        )
    if not layers:
        raise InputError(f"--rnn {recipe.rnn.value} is for recurrent layers; {source.path} has none: leave --rnn out.")


def _require_fused(recipe: Recipe, layers: Sequence[RecurrentLayer]) -> None:
    if recipe.batch is Batch.DYNAMIC:
        raise InputError("--rnn fused has a fixed batch; got a dynamic one: take --rnn unrolled, or --batch static.")
    if recipe.precision is Precision.INT16X8:
        raise InputError("--rnn fused has no int16x8 form; take int8, or --rnn unrolled.")
    for layer in layers:
        if layer.unfused:
            other = "unrolled" if recipe.precision in NEEDS_CALIBRATION else "a loop"
            raise InputError(
                f"--rnn fused cannot be done, since {layer.name}: {layer.unfused}; take --rnn auto, which makes it "
                f"{other}, or --rnn unrolled."
            )


def _require_short(recipe: Recipe, unrolled: Sequence[tuple[RecurrentLayer, str]]) -> None:
    steps = sum(layer.steps for layer, _ in unrolled)
    if steps <= MOST_UNROLLED:
        return
    layer, why = max(unrolled, key=lambda pair: pair[0].steps)
    if recipe.rnn is Rnn.UNROLLED:
        nearest = "take --rnn auto, or --rnn step"
    elif recipe.batch is Batch.DYNAMIC:
        nearest = "take --batch static, or --rnn step"
    else:
        nearest = "the nearest recipe that works is dynamic; a model of one time step, --rnn step, is another way"
    raise ConversionError(
        f"{recipe.code} would write out {steps} time steps ({layer.name} is unrolled, since {why}), more than "
        f"{MOST_UNROLLED}, of which files grow too large: {nearest}."
    )


def _notes(pairs: Sequence[tuple[RecurrentLayer, tuple[Form, str]]]) -> tuple[str, ...]:
    """One sentence for all layers of one form and reason."""
    grouped: dict[tuple[Form, str], list[RecurrentLayer]] = {}
    for layer, choice in pairs:
        grouped.setdefault(choice, []).append(layer)
    return tuple(_note(form, why, members) for (form, why), members in grouped.items())


def _note(form: Form, why: str, members: Sequence[RecurrentLayer]) -> str:
    names = ", ".join(layer.name for layer in members)
    if form is Form.FUSED:
        return f"{names}: fused, one operator for all time steps"
    if form is Form.LOOP:
        return f"{names}: a loop over the time steps, since {why}"
    return f"{names}: unrolled, {sum(layer.steps for layer in members)} time steps written out, since {why}"
