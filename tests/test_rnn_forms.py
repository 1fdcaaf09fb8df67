"""What recurrent layers become, decided by recipe: the whole table, and every refusal."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.artifact import Format
from edgekit.converters.plan import Job, Plan
from edgekit.converters.rnn_forms import MOST_UNROLLED, Form, Forms, RecurrentLayer, choose_all, choose_forms
from edgekit.converters.source import Source, SourceKind
from edgekit.errors import ConversionError, InputError
from edgekit.recipe import Batch, Precision, Recipe, Rnn

LSTM = RecurrentLayer(name="low", kind="LSTM", steps=6)
GRU = RecurrentLayer(name="high", kind="GRU", steps=6, unfused="TFLite has no kernel for a GRU")
LONG = RecurrentLayer(name="long", kind="LSTM", steps=MOST_UNROLLED + 1, unfused="the kernel knows no mask")
FLOAT = (Precision.FP32, Precision.FP16, Precision.DYNAMIC)


def source(kind: SourceKind = SourceKind.KERAS) -> Source:
    path = Path(f"m.{kind.value}")
    return Source(path=path, kind=kind, name="m", home=Path(), sha256="0" * 64, card=None)


def chosen(
    *layers: RecurrentLayer,
    precision: Precision = Precision.INT8,
    rnn: Rnn = Rnn.AUTO,
    batch: Batch = Batch.STATIC,
    fmt: Format = Format.TFLITE,
    kind: SourceKind = SourceKind.KERAS,
) -> Forms:
    recipe = Recipe(precision=precision, rnn=rnn, batch=batch)
    return choose_forms(source(kind), Job(format=fmt, recipe=recipe, file_name="m"), layers)


@pytest.mark.parametrize(
    ("precision", "rnn", "forms"),
    [
        *((p, Rnn.AUTO, (Form.FUSED, Form.LOOP)) for p in FLOAT),
        (Precision.INT8, Rnn.AUTO, (Form.FUSED, Form.UNROLLED)),
        (Precision.INT16X8, Rnn.AUTO, (Form.UNROLLED, Form.UNROLLED)),
        *((p, Rnn.UNROLLED, (Form.UNROLLED, Form.UNROLLED)) for p in Precision),
    ],
)
def test_the_form_of_each_layer(precision: Precision, rnn: Rnn, forms: tuple[Form, ...]) -> None:
    found = chosen(LSTM, GRU, precision=precision, rnn=rnn)
    assert found.forms == forms
    assert found.by_layer == (("low", forms[0].value), ("high", forms[1].value))


@pytest.mark.parametrize("precision", [*FLOAT, Precision.INT8])
def test_fused_by_force_is_fused(precision: Precision) -> None:
    assert chosen(LSTM, precision=precision, rnn=Rnn.FUSED).forms == (Form.FUSED,)


def test_the_reason_is_told() -> None:
    assert chosen(LSTM, GRU).notes == (
        "low: fused, one operator for all time steps",
        "high: unrolled, 6 time steps written out, since TFLite has no kernel for a GRU, and a loop has no int8 form",
    )
    assert chosen(GRU, precision=Precision.FP32).notes == (
        "high: a loop over the time steps, since TFLite has no kernel for a GRU",
    )
    assert chosen(LSTM, GRU, precision=Precision.INT16X8).notes == (
        "low, high: unrolled, 12 time steps written out, since nothing else has a form in int16x8",
    )
    assert chosen(LSTM, rnn=Rnn.UNROLLED).notes == (
        "low: unrolled, 6 time steps written out, since --rnn unrolled asks for it",
    )


def test_a_free_batch_is_unrolled() -> None:
    found = chosen(LSTM, precision=Precision.FP32, batch=Batch.DYNAMIC)
    assert found.forms == (Form.UNROLLED,)
    assert found.notes == ("low: unrolled, 6 time steps written out, since any other form has a fixed batch",)


def test_models_without_recurrent_layers_and_onnx_files_have_no_forms() -> None:
    assert chosen() == Forms()
    assert chosen(LSTM, GRU, fmt=Format.ONNX, precision=Precision.FP32) == Forms()
    assert chosen(LSTM, fmt=Format.ONNX) == Forms()
    assert chosen(rnn=Rnn.STEP) == Forms()


def test_what_recurs_within_one_time_step_has_the_forms_of_any_layer() -> None:
    assert chosen(LSTM, GRU, rnn=Rnn.STEP) == chosen(LSTM, GRU, rnn=Rnn.AUTO)


def plan_of(*jobs: tuple[Format, Precision], **settings: object) -> Plan:
    made = (
        Job(format=fmt, recipe=Recipe(precision=precision, **settings), file_name=f"m.{precision}.{fmt}")
        for fmt, precision in jobs
    )
    return Plan(jobs=tuple(made), manifest_name="m.manifest.json", notes=("before",))


BOTH = ((Format.TFLITE, Precision.INT8), (Format.ONNX, Precision.INT8), (Format.ONNX, Precision.FP32))
NO_INTEGER = (
    "ONNX Runtime has no integer form of the GRU 'high'; allow it in float with --keep-float high, or take the recipe "
    "dynamic."
)


def test_a_format_that_nobody_named_is_left_out_where_it_cannot_be() -> None:
    todo, forms = choose_all(source(), plan_of(*BOTH), (LSTM, GRU), ())
    assert [job.file_name for job in todo.jobs] == list(forms) == ["m.int8.tflite", "m.fp32.onnx"]
    assert todo.notes == ("before", f"Skipped int8 for onnx: {NO_INTEGER}")
    todo, _ = choose_all(source(), plan_of(*BOTH), (LSTM,), ())
    assert (len(todo.jobs), todo.notes) == (3, ("before",))
    kept, _ = choose_all(source(), plan_of(*BOTH, keep_float=("^high$",)), (LSTM, GRU), (Format.ONNX,))
    assert len(kept.jobs) == 3


@pytest.mark.parametrize("rnn", [Rnn.UNROLLED, Rnn.FUSED])
def test_forms_are_for_tflite_files(rnn: Rnn) -> None:
    with pytest.raises(ConversionError) as caught:
        chosen(LSTM, fmt=Format.ONNX, rnn=rnn, precision=Precision.FP32)
    sentence = (
        f"--rnn {rnn.value} is for TFLite files; in an ONNX file a layer is one operator for all steps, or a loop: "
        "leave the option out, or take -f tflite."
    )
    assert str(caught.value) == sentence
    todo, _ = choose_all(source(), plan_of(*BOTH, (Format.TFLITE, Precision.FP32), rnn=rnn), (LSTM,), ())
    assert [job.file_name for job in todo.jobs] == ["m.int8.tflite", "m.fp32.tflite"]
    assert todo.notes[1:] == (f"Skipped int8 for onnx: {sentence}", f"Skipped fp32 for onnx: {sentence}")
    with pytest.raises(InputError, match=r"m\.keras has none: leave --rnn out"):
        chosen(fmt=Format.ONNX, rnn=rnn)


@pytest.mark.parametrize("precision", [Precision.DYNAMIC, Precision.INT8])
def test_a_layer_that_onnx_has_not_is_told_what_works(precision: Precision) -> None:
    images = RecurrentLayer(name="images", kind="ConvLSTM", steps=3)
    with pytest.raises(ConversionError) as caught:
        choose_all(source(), plan_of((Format.ONNX, precision), keep_float=("images",)), (images,), ())
    assert str(caught.value) == (
        f"ONNX has no operator for the ConvLSTM 'images', and a loop has no {precision} form; take the recipe fp16, or "
        "-f tflite."
    )
    assert chosen(images, fmt=Format.ONNX, precision=Precision.FP16) == Forms()


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.DYNAMIC, Precision.INT8])
def test_a_fused_layer_is_not_kept_in_float(precision: Precision) -> None:
    recipe = Recipe(precision=precision, keep_float=("^low$",))
    job = Job(format=Format.TFLITE, recipe=recipe, file_name="m")
    with pytest.raises(ConversionError) as caught:
        choose_forms(source(), job, (GRU, LSTM))
    assert str(caught.value) == (
        "--keep-float cannot keep low in float, which is fused to one operator; take --rnn unrolled, whose operators "
        "it can keep, or leave it out."
    )
    assert choose_forms(source(), replace(job, recipe=replace(recipe, rnn=Rnn.UNROLLED)), (LSTM,)).forms
    assert choose_forms(source(), replace(job, recipe=replace(recipe, precision=Precision.FP32)), (LSTM,)).forms


def test_one_direction_is_kept_by_its_name_alone() -> None:
    inner = RecurrentLayer(name="both/forward_gru", kind="GRU", steps=6)
    for pattern in ("^both/forward_gru$", "^both$", "^forward_gru$"):
        todo, _ = choose_all(source(), plan_of((Format.ONNX, Precision.INT8), keep_float=(pattern,)), (inner,), ())
        assert len(todo.jobs) == 1


def test_another_precision_in_the_same_format_does_not_stand_for_a_recipe() -> None:
    with pytest.raises(ConversionError, match="no integer form of the GRU"):
        choose_all(source(), plan_of((Format.ONNX, Precision.INT8), (Format.ONNX, Precision.FP32)), (GRU,), ())
    jobs = (
        Job(format=Format.ONNX, recipe=Recipe(precision=Precision.INT8, keep_float=("other",)), file_name="a.onnx"),
        Job(format=Format.TFLITE, recipe=Recipe(precision=Precision.INT8), file_name="a.tflite"),
    )
    with pytest.raises(ConversionError, match="no integer form of the GRU"):
        choose_all(source(), Plan(jobs=jobs, manifest_name="m.manifest.json", notes=()), (GRU,), ())


@pytest.mark.parametrize(
    ("jobs", "named"),
    [(BOTH, (Format.ONNX,)), (BOTH[1:], ()), (BOTH[1:2], ())],
    ids=["named", "another recipe", "nothing else"],
)
def test_a_recipe_without_any_file_is_refused(
    jobs: tuple[tuple[Format, Precision], ...], named: tuple[Format, ...]
) -> None:
    with pytest.raises(ConversionError) as caught:
        choose_all(source(), plan_of(*jobs), (LSTM, GRU), named)
    assert str(caught.value) == NO_INTEGER


@pytest.mark.parametrize(
    ("layers", "settings", "sentence"),
    [
        (
            (LSTM, GRU),
            {"rnn": Rnn.FUSED},
            "--rnn fused cannot be done, since high: TFLite has no kernel for a GRU; take --rnn auto, which makes it "
            "unrolled, or --rnn unrolled.",
        ),
        (
            (LSTM, GRU),
            {"rnn": Rnn.FUSED, "precision": Precision.FP32},
            "--rnn fused cannot be done, since high: TFLite has no kernel for a GRU; take --rnn auto, which makes it "
            "a loop, or --rnn unrolled.",
        ),
        (
            (LSTM,),
            {"rnn": Rnn.FUSED, "precision": Precision.INT16X8},
            "--rnn fused has no int16x8 form; take int8, or --rnn unrolled.",
        ),
        (
            (LSTM,),
            {"rnn": Rnn.FUSED, "batch": Batch.DYNAMIC},
            "--rnn fused has a fixed batch; got a dynamic one: take --rnn unrolled, or --batch static.",
        ),
        (
            (),
            {"rnn": Rnn.UNROLLED},
            "--rnn unrolled is for recurrent layers; m.keras has none: leave --rnn out.",
        ),
        (
            (),
            {"rnn": Rnn.FUSED, "kind": SourceKind.SAVED_MODEL},
            "--rnn fused changes the recurrent layers of a Keras model; m.saved_model is a SavedModel: start from the "
            "model that it was made from, or leave --rnn out.",
        ),
    ],
)
def test_a_form_that_cannot_be_is_one_sentence(
    layers: tuple[RecurrentLayer, ...], settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        chosen(*layers, **settings)  # type: ignore[arg-type]
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("settings", "why", "nearest"),
    [
        (
            {},
            "the kernel knows no mask, and a loop has no int8 form",
            "the nearest recipe that works is dynamic; a model of one time step, --rnn step, is another way.",
        ),
        (
            {"precision": Precision.FP32, "rnn": Rnn.UNROLLED},
            "--rnn unrolled asks for it",
            "take --rnn auto, or --rnn step.",
        ),
        (
            {"precision": Precision.FP32, "batch": Batch.DYNAMIC},
            "any other form has a fixed batch",
            "take --batch static, or --rnn step.",
        ),
    ],
)
def test_too_many_time_steps_are_refused_with_what_works(settings: dict[str, object], why: str, nearest: str) -> None:
    code = settings.get("precision", Precision.INT8)
    with pytest.raises(ConversionError) as caught:
        chosen(LONG, **settings)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"{code} would write out 1001 time steps (long is unrolled, since {why}), more than 1000, of which files grow "
        f"too large: {nearest}"
    )
    assert chosen(LONG, precision=Precision.DYNAMIC).forms == (Form.LOOP,)


def test_as_many_time_steps_as_are_allowed_are_written_out() -> None:
    most = replace(LONG, steps=1000)
    assert chosen(most).forms == (Form.UNROLLED,)
    with pytest.raises(ConversionError, match=r"write out 1001 time steps"):
        chosen(most, replace(GRU, steps=1))


def test_the_longest_layer_is_named() -> None:
    with pytest.raises(ConversionError, match=r"write out 1007 time steps \(long is unrolled"):
        chosen(GRU, LONG)
