"""The fastest file and engine within an accuracy loss: the choice, what it says, and what it must never pick."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from test_evaluate_sequences import BOOK, NEXT
from tiny_generator import generator
from tiny_ratings import data_of, recommender
from tiny_sequences import generator as writer
from tiny_tables import detector, table, write_csv
from tiny_verifier import pictures, verifier

from edgekit.artifact import Artifact, Format
from edgekit.card import ModelCard, Provenance
from edgekit.cli.benchmark import command
from edgekit.data import Part, open_data
from edgekit.errors import ArtifactError, CheckFailedError, InputError
from edgekit.measure.benchmark import judge
from edgekit.measure.best import Choice, best, choose
from edgekit.measure.best_words import require_pick, sentences, to_json
from edgekit.measure.conditions import Conditions
from edgekit.measure.losses import Loss, Losses, measure_losses
from edgekit.measure.settings import BenchmarkResult, BenchmarkSettings, DeviceRun, Timing
from edgekit.measure.subjects import open_subjects
from edgekit.recipe import Precision, Recipe

Make = Callable[..., Path]
GOLDEN = Path(__file__).parent / "golden"
QUICK = BenchmarkSettings(runs=4, warmup=1, min_duration_s=0, rounds=2, settle=0)
QUIET = Conditions(governor=None, frequency_mhz=(), temperature_c={}, throttled=(), load_1min=0.1)
HOST = {"emulated": False, "allowed_cpus": 2, "cores": 2}
REFERENCE = ("m.fp32.onnx", "onnxruntime")


def result(recipe: str, engine: str, median_ms: float, *, valid: bool = True, spread: float = 0.01) -> BenchmarkResult:
    """A run of m.RECIPE.onnx in ``engine``."""
    provenance = Provenance(source_sha256="a" * 64, recipe=Recipe(precision=Precision(recipe)))
    artifact = Artifact(
        path=Path(f"m.{recipe}.onnx"),
        format=Format.ONNX,
        sha256="b" * 64,
        model_bytes=100,
        card=ModelCard(name="m", inputs=(), outputs=(), provenance=provenance),
        foreign=False,
    )
    generator = np.random.default_rng([len(recipe), len(engine)])
    rounds = [(median_ms * generator.normal(1, spread, 8)).tolist() for _ in range(20)]
    timing = Timing(
        artifact=artifact,
        threads=1,
        device="local",
        runtime_name=engine,
        runtime_version="1",
        first_ms=9.0,
        init_ms=5.0,
        rounds_ms=tuple(tuple(r) for r in rounds),
        runs=160,
        peak_rss_bytes=1,
        base_rss_bytes=1,
    )
    run = DeviceRun(timings=(timing,), conditions=(QUIET, QUIET), order=((0,),), others_cpus=0.0, host=HOST)
    (judged,) = judge(run, BenchmarkSettings())
    return judged if valid else replace(judged, valid=False, flags=("throttled: throttled",))


def losses(**points: float) -> Losses:
    """Losses by recipe and engine, named ``recipe_engine``, with an interval of 0.5 to each side."""
    by_key = {
        (f"m.{recipe}.onnx", engine): Loss(points=value, low=value - 0.5, high=value + 0.5)
        for (recipe, engine), value in ((name.split("_"), value) for name, value in points.items())
    }
    found = {REFERENCE: Loss(points=0.0, low=0.0, high=0.0), **by_key}
    return Losses(metric="top1", reference=REFERENCE, data="photos", count=400, left_out=0, by_key=found)


def picked(choice: Choice) -> tuple[str, str] | None:
    return None if choice.pick is None else named(choice.pick.result)


def named(result: BenchmarkResult) -> tuple[str, str]:
    return str(result.timing.artifact.path), result.timing.runtime_name


# The choice


def test_the_fastest_within_the_loss_is_picked_and_its_equals_are_named() -> None:
    results = [
        result("fp32", "onnxruntime", 9.0),
        result("int8", "onnxruntime", 6.0),
        result("int8", "openvino", 6.003),
        result("dynamic", "openvino", 3.0),
    ]
    found = losses(int8_onnxruntime=0.25, int8_openvino=1.0, dynamic_openvino=7.5)
    choice = choose(results, found, max_loss_points=1.0)
    assert picked(choice) == ("m.int8.onnx", "onnxruntime")
    assert [named(c.result) for c in choice.ties] == [("m.int8.onnx", "openvino")]
    assert choice.pick is not None
    assert choice.pick.ratio is not None
    assert (choice.pick.ratio.low, choice.pick.ratio.high) == (1.0, 1.0)
    p50 = choice.pick.result.latency_ms.p50
    assert sentences(choice) == [
        "Losses of top-1 are against m.fp32.onnx in onnxruntime on 400 items of photos; 1 point may be lost.",
        f"Best here: m.int8.onnx (int8) in onnxruntime with 1 thread, p50 {p50:.3g} ms, "
        "it loses 0.25 points of top-1 (95 % interval -0.25 to 0.75).",
        "Not to be told apart from it in speed: m.int8.onnx (int8) in openvino with 1 thread "
        f"({_ratio(choice.ties[0])}).",
        "Faster, and not taken: m.dynamic.onnx (dynamic) in openvino with 1 thread; "
        "it loses 7.5 points of top-1 (95 % interval 7.00 to 8.00).",
    ]


def _ratio(candidate: Any) -> str:
    ratio = candidate.ratio
    return f"{ratio.value:.3g} × its time, 95 % interval {ratio.low:.3g} to {ratio.high:.3g}"


def test_a_run_that_is_not_valid_is_never_picked() -> None:
    results = [result("fp32", "onnxruntime", 9.0), result("int8", "onnxruntime", 6.0, valid=False)]
    choice = choose(results, None, max_loss_points=1.0)
    assert picked(choice) == ("m.fp32.onnx", "onnxruntime")
    assert choice.ties == ()
    assert sentences(choice)[-1] == (
        "Faster, and not taken: m.int8.onnx (int8) in onnxruntime with 1 thread; its run is not valid."
    )


def test_without_data_latency_alone_ranks_and_this_is_said() -> None:
    results = [result("fp32", "onnxruntime", 9.0), result("dynamic", "onnxruntime", 6.0)]
    choice = choose(results, None, max_loss_points=0.0)
    assert picked(choice) == ("m.dynamic.onnx", "onnxruntime")
    assert sentences(choice) == [
        "Accuracy was not looked at, so that latency alone ranks; give --data to weigh it.",
        f"Best here: m.dynamic.onnx (dynamic) in onnxruntime with 1 thread, p50 {results[1].latency_ms.p50:.3g} ms.",
    ]
    assert to_json(choice)["accuracy"] is None


def test_a_loss_that_may_be_larger_is_said() -> None:
    results = [result("fp32", "onnxruntime", 9.0), result("int8", "onnxruntime", 6.0)]
    told = sentences(choose(results, losses(int8_onnxruntime=0.75), max_loss_points=1.0))
    assert "That interval reaches beyond 1 point; more items would tell." in told
    told = sentences(choose(results, losses(int8_onnxruntime=0.25), max_loss_points=1.0))
    assert not any("reaches beyond" in line for line in told)


def test_the_reference_can_be_the_best() -> None:
    results = [result("fp32", "onnxruntime", 5.0), result("int8", "onnxruntime", 6.0)]
    told = sentences(choose(results, losses(int8_onnxruntime=0.25), max_loss_points=1.0))
    assert told[-1].endswith(" ms, the reference itself.")


@pytest.mark.parametrize(
    ("points", "valid", "sentence"),
    [
        (0.0, False, "Nothing was picked: no run within the loss is valid; repeat it on a quiet machine."),
        (9.0, True, "Nothing was picked: every file loses more than 0.5 points; allow more by --max-loss."),
    ],
)
def test_nothing_to_pick_is_a_no(points: float, valid: bool, sentence: str) -> None:
    choice = choose([result("int8", "openvino", 6.0, valid=valid)], losses(int8_openvino=points), max_loss_points=0.5)
    assert (choice.pick, choice.ties) == (None, ())
    _, loss = sentences(choice)  # what was measured is told nevertheless
    assert loss.startswith(
        f"m.int8.onnx (int8) in openvino with 1 thread: it loses {points:.4g} points of top-1 (95 % "
    )
    with pytest.raises(CheckFailedError) as caught:
        require_pick(choice)
    assert str(caught.value) == sentence
    require_pick(choose([result("int8", "openvino", 6.0)], None, max_loss_points=0.5))


# Losses


def test_top1_is_lost_where_there_are_labels(colour_model: Make, colour_photos: Path) -> None:
    """The second file takes red for green, so that a third of the items goes wrong."""
    right, wrong = colour_model(), colour_model(np.eye(3)[[1, 0, 2]] * 10)
    found = measure_losses(opened(wrong, right), photos(colour_photos), samples=None, seed=0)
    assert (found.metric, found.reference, found.count) == ("top1", (str(wrong), "onnxruntime"), 24)
    assert found.by_key[str(right), "onnxruntime"].points == pytest.approx(-200 / 3)
    found = measure_losses(opened(right, wrong), photos(colour_photos), samples=None, seed=0)
    loss = found.by_key[str(wrong), "onnxruntime"]
    assert loss.low < loss.points < loss.high
    assert loss.points == pytest.approx(200 / 3)


def test_answers_count_where_there_are_no_labels(colour_model: Make, colour_photos: Path) -> None:
    unlabelled = replace(photos(colour_photos), labels=None)
    right, wrong = colour_model(), colour_model(np.eye(3)[[1, 0, 2]] * 10)
    found = measure_losses(opened(right, wrong), unlabelled, samples=None, seed=0)
    loss = found.by_key[str(wrong), "onnxruntime"]
    assert (found.metric, found.data) == ("agreement", "photos")
    assert loss.points == pytest.approx(200 / 3)
    assert 40 < loss.low < loss.points < loss.high < 90
    assert found.by_key[str(right), "onnxruntime"] == Loss(points=0.0, low=0.0, high=0.0)


def test_the_float_file_is_the_reference_wherever_it_stands(colour_model: Make, colour_photos: Path) -> None:
    stranger = colour_model()
    made = colour_model(provenance=Provenance(recipe=Recipe(precision=Precision.FP32)))
    for files in ((stranger, made), (made, stranger)):
        found = measure_losses(opened(*files), photos(colour_photos), samples=4, seed=0)
        assert found.reference == (str(made), "onnxruntime")


def test_each_engine_has_its_own_loss(colour_model: Make, colour_photos: Path) -> None:
    path = colour_model()
    subjects = open_subjects([path], preprocess=None, labels=None, threads=1, engines=["onnxruntime", "openvino"])
    found = measure_losses(subjects, photos(colour_photos), samples=None, seed=0)
    assert {key: loss.points for key, loss in found.by_key.items()} == {
        (str(path), "onnxruntime"): 0.0,
        (str(path), "openvino"): 0.0,
    }


def test_what_has_no_classes_has_no_loss(colour_model: Make, colour_photos: Path) -> None:
    regressions = opened(*(colour_model(np.ones((3, 1))) for _ in range(2)))
    with pytest.raises(InputError) as caught:
        measure_losses(regressions, replace(photos(colour_photos), labels=None), samples=None, seed=0)
    assert str(caught.value) == (
        f"{regressions[1].given} gives no scores of classes, so that photos does not tell what it loses; choose by "
        "latency alone, without data."
    )


def test_detectors_of_anomalies_lose_their_ranking_or_verdicts(tmp_path: Path) -> None:
    whole, deaf = detector(tmp_path / "whole.onnx", [0, 1, 1]), detector(tmp_path / "deaf.onnx", [1, 1, 1])
    found = measure_losses(opened(whole, deaf), table(), samples=None, seed=0)
    loss = found.by_key[str(deaf), "onnxruntime"]
    assert (found.metric, found.count) == ("pr_auc", 60)
    assert 50 < loss.low <= loss.points <= loss.high <= 100
    found = measure_losses(opened(whole, deaf), replace(table(), labels=None), samples=None, seed=0)
    values = np.stack([table().items[place] for place in range(60)])
    assert found.metric == "agreement"
    assert found.by_key[str(deaf), "onnxruntime"].points == pytest.approx(100 * np.mean(values[:, 0] ** 2 / 3 > 1))


def test_recommenders_lose_a_part_of_the_error_of_the_reference(tmp_path: Path) -> None:
    users = [(["1", "2", "3"], [3, rating, 2], [False, True, True]) for rating in (4, 3, 5, 4)]
    good, bad = (recommender(tmp_path / f"{name}.onnx", 4 * [value]) for name, value in (("good", 0.6), ("bad", 0.9)))
    found = measure_losses(opened(good, bad), data_of(*users), samples=None, seed=0)
    errors = [
        np.mean([(value - (rating - 1) / 4) ** 2 for _, ratings, _ in users for rating in ratings[1:]])
        for value in (0.6, 0.9)
    ]
    loss = found.by_key[str(bad), "onnxruntime"]
    assert found.metric == "mse"
    assert loss.points == pytest.approx(100 * (errors[1] / errors[0] - 1), rel=1e-4)
    assert loss.low <= loss.points <= loss.high
    with pytest.raises(InputError) as caught:
        measure_losses(opened(good, bad), data_of(users[0]), samples=None, seed=0)
    assert str(caught.value) == "These items are too few to tell what files lose; take more, or choose without data."


def test_what_compares_pictures_loses_its_equal_error_rate(tmp_path: Path) -> None:
    people = photos(pictures(tmp_path / "people"))
    good, flat = verifier(tmp_path), verifier(tmp_path, name="flat", gain=0.0)
    found = measure_losses(opened(good, flat), people, samples=None, seed=0)
    loss = found.by_key[str(flat), "onnxruntime"]
    assert found.metric == "eer"
    assert 20 < loss.low <= loss.points <= 50


def test_models_of_texts_lose_a_part_of_the_nats_of_the_reference(tmp_path: Path) -> None:
    good, bad = writer(tmp_path / "good.onnx", 3 * NEXT), writer(tmp_path / "bad.onnx", 2 * NEXT)
    found = measure_losses(opened(good, bad), BOOK, samples=None, seed=0)
    loss = found.by_key[str(bad), "onnxruntime"]
    assert found.metric == "nats_per_token"
    assert 100 < loss.low <= loss.points <= loss.high < 300


def test_what_generators_lose_is_told_elsewhere(tmp_path: Path, colour_photos: Path) -> None:
    with pytest.raises(InputError) as caught:
        measure_losses(opened(generator(tmp_path / "g.onnx")), photos(colour_photos), samples=None, seed=0)
    assert str(caught.value) == (
        "What image-generation loses is not measured beside latency; leave out --data, and evaluate it apart."
    )


def test_a_table_may_hold_columns_that_the_model_does_not_take(tmp_path: Path) -> None:
    """And text in them."""
    path, data = detector(tmp_path / "d.onnx", [0, 1, 1]), write_csv(tmp_path / "t.csv")
    head, *lines = data.read_text().splitlines()
    data.write_text("\n".join([f"shop,{head}", *(f"corner,{line}" for line in lines)]) + "\n")
    _, choice = best([path], QUICK, engines=["onnxruntime"], data=str(data))
    assert choice.losses is not None
    assert choice.losses.count == 60
    assert sentences(choice)[0] == (
        f"Losses of PR-AUC are against {path} in onnxruntime on 60 items of t; 1 point may be lost."
    )


def opened(*paths: Path) -> Any:
    return open_subjects(paths, preprocess=None, labels=None, threads=1)


def photos(folder: Path) -> Any:
    return open_data(str(folder), part=Part.EVALUATION, data_dir=None)


# All of it


def test_every_installed_engine_has_a_turn_and_what_does_not_run_is_told(tiny_models: Path) -> None:
    files = [tiny_models / "convnet.tflite", tiny_models / "lstm.tflite", tiny_models / "convnet.onnx"]
    report, choice = best(files, QUICK)
    assert [named(r) for r in report.results] == [
        (str(files[0]), "litert"),
        (str(files[0]), "openvino"),
        (str(files[1]), "litert"),
        (str(files[2]), "onnxruntime"),
        (str(files[2]), "openvino"),
    ]
    assert [c.result for c in choice.candidates] == list(report.results)
    (sentence,) = choice.left_out
    assert sentence.startswith(f"{files[1]} cannot be loaded in openvino ")
    assert report.notes == (f"XNNPACK takes none of the 2 operators of {files[1]}; LiteRT's slower kernels ran them.",)


def test_the_engines_named_are_all_and_one_that_fails_is_an_error(tiny_models: Path) -> None:
    report, _ = best([tiny_models / "convnet.tflite"], QUICK, engines=["openvino"])
    assert [r.timing.runtime_name for r in report.results] == ["openvino"]
    with pytest.raises(ArtifactError, match=rf"^{tiny_models / 'lstm.tflite'} cannot be loaded in openvino "):
        best([tiny_models / "lstm.tflite"], QUICK, engines=["litert", "openvino"])


def test_a_file_that_no_engine_runs_is_one_sentence(tiny_models: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "m.onnx"
    damaged.write_bytes((tiny_models / "convnet.onnx").read_bytes().replace(b"GlobalAveragePool", b"GlobalAveragePoof"))
    with pytest.raises(ArtifactError) as caught:
        best([damaged], QUICK)
    assert str(caught.value).startswith(
        f"No installed engine runs {damaged}: {damaged} cannot be loaded in onnxruntime "
    )
    assert f" {damaged} cannot be loaded in openvino " in str(caught.value)


def test_accuracy_is_measured_in_the_same_call(colour_model: Make, colour_photos: Path) -> None:
    good, bad = colour_model(), colour_model(np.zeros((3, 3)))
    _, choice = best([good, bad], QUICK, data=str(colour_photos), samples=12)
    assert choice.losses is not None
    assert choice.losses.count == 12
    within = {named(c.result): c.within for c in choice.candidates}
    assert within == {
        (str(path), engine): path == good for path in (good, bad) for engine in ("onnxruntime", "openvino")
    }
    data = to_json(choice)
    assert json.loads(json.dumps(data)) == data
    assert data["accuracy"]["reference"] == {"artifact": str(good), "engine": "onnxruntime"}
    assert [set(c) for c in data["candidates"]] == [
        {"artifact", "sha256", "recipe", "engine", "threads", "p50_ms", "valid", "loss_points", "within",
         "ratio_to_pick"}
    ] * 4  # fmt: skip


@pytest.mark.parametrize(("points", "told"), [(-1.0, "-1"), (math.nan, "nan"), (math.inf, "inf")])
def test_a_loss_that_is_no_number_of_points_is_refused(points: float, told: str) -> None:
    with pytest.raises(InputError) as caught:
        best([GOLDEN / "tiny.onnx"], QUICK, max_loss_points=points)
    assert str(caught.value) == f"The loss that is allowed is 0 points or more; got {told}."


# The command


def test_the_command_says_it_and_its_json_holds_it(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    arguments = [
        str(GOLDEN / "tiny.tflite"),
        str(GOLDEN / "tiny.onnx"),
        "--best",
        "--min-secs",
        "0",
        "--json",
        str(out),
    ]
    done = CliRunner().invoke(command, arguments)
    data = json.loads(out.read_text())
    assert [r["runtime"]["name"] for r in data["results"]] == ["litert", "openvino", "onnxruntime", "openvino"]
    assert len(data["best"]["candidates"]) == 4
    assert "Accuracy was not looked at, so that latency alone ranks; give --data to weigh it." in done.stdout
    if any(r["valid"] for r in data["results"]):
        assert done.exit_code == 0
        assert f"Best here: {data['best']['pick']['artifact']} " in done.stdout
    else:  # a busy machine
        assert isinstance(done.exception, CheckFailedError)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "digits"], "--max-loss, --data, --samples, --data-dir, --preprocess and --labels belong to --best"),
        (["--best", "--profile"], "--best is for this machine and has no --profile; leave out --device and --profile."),
        (["--best", "--device", "ssh://pi"], "--best is for this machine and has no --profile; leave out --device"),
    ],
)
def test_options_without_effect_are_refused(arguments: list[str], sentence: str) -> None:
    done = CliRunner().invoke(command, [str(GOLDEN / "tiny.onnx"), *arguments])
    assert done.exit_code == 2
    assert sentence in done.stderr
